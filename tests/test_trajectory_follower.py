"""The simulated controller follows trajectories as joint_trajectory_controller does."""

from __future__ import annotations

import numpy as np

from fetch_sim2real.sim.servos import TrajectoryFollower
from fetch_sim2real.types import JointTrajectory, TrajectoryPoint


def _trajectory(*points: tuple[float, float, float]) -> JointTrajectory:
    return JointTrajectory(("j",), tuple(TrajectoryPoint(t, np.array([q]), np.array([v])) for t, q, v in points))


def test_holds_until_told_and_after_the_last_point() -> None:
    follower = TrajectoryFollower(np.array([0.3]), 10.0)
    position, velocity = follower.desired(np.array([10.0, 12.0]))
    np.testing.assert_array_equal(position, [[0.3], [0.3]])
    follower.accept(_trajectory((0.5, 0.4, 0.0)), 12.0)
    position, velocity = follower.desired(np.array([12.5, 99.0]))
    np.testing.assert_allclose(position, [[0.4], [0.4]])
    np.testing.assert_array_equal(velocity, 0.0)


def test_passes_through_points_with_their_velocities() -> None:
    follower = TrajectoryFollower(np.array([0.0]), 0.0)
    follower.accept(_trajectory((0.1, 0.02, 0.4), (0.2, 0.05, 0.1), (0.3, 0.05, 0.0)), 1.0)
    position, velocity = follower.desired(np.array([1.1, 1.2]))
    np.testing.assert_allclose(position[:, 0], [0.02, 0.05], atol=1e-12)
    np.testing.assert_allclose(velocity[:, 0], [0.4, 0.1], atol=1e-12)


def test_constant_acceleration_is_reproduced_exactly() -> None:
    """With consistent end points a cubic Hermite segment is the parabola: no hidden acceleration."""
    follower = TrajectoryFollower(np.array([0.0]), 0.0)
    acceleration, duration = 2.0, 0.25
    end = 0.5 * acceleration * duration**2
    follower.accept(_trajectory((duration, end, acceleration * duration)), 0.0)
    times = np.linspace(0.0, duration, 11)[:-1]
    position, velocity = follower.desired(times)
    np.testing.assert_allclose(position[:, 0], 0.5 * acceleration * times**2, atol=1e-12)
    np.testing.assert_allclose(velocity[:, 0], acceleration * times, atol=1e-12)


def test_a_new_trajectory_continues_from_the_desired_state() -> None:
    follower = TrajectoryFollower(np.array([0.0]), 0.0)
    follower.accept(_trajectory((1.0, 1.0, 0.5)), 0.0)
    before_position, before_velocity = follower.desired(np.array([0.4]))
    follower.accept(_trajectory((1.0, 5.0, 0.0)), 0.4)
    position, velocity = follower.desired(np.array([0.4]))
    np.testing.assert_allclose(position, before_position, atol=1e-12)
    np.testing.assert_allclose(velocity, before_velocity, atol=1e-12)
