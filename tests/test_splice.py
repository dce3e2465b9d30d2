"""A controller that starts each new trajectory from the measured state, as ros2_control's does by default."""

from __future__ import annotations

import numpy as np

from benchmarks.splice import cross, world_that_starts_from
from fetch_sim2real.sim.servos import TrajectoryFollower
from fetch_sim2real.types import JointSetpoint, JointTrajectory, TrajectoryPoint


def test_a_trajectory_can_start_from_the_measured_state() -> None:
    follower = TrajectoryFollower(np.array([0.0]), 0.0)
    follower.accept(JointTrajectory(("j",), (TrajectoryPoint(1.0, np.array([1.0]), np.array([1.0])),)), 0.0)
    next_one = JointTrajectory(("j",), (TrajectoryPoint(1.0, np.array([2.0]), np.array([0.0])),))
    follower.accept(next_one, 0.5, JointSetpoint(np.array([0.2]), np.array([0.7])))
    position, velocity = follower.desired(np.array([0.5, 1.5]))
    np.testing.assert_allclose(position, [[0.2], [2.0]])
    np.testing.assert_allclose(velocity, [[0.7], [0.0]])


def test_the_arm_falls_farther_behind_where_servos_are_told_positions_alone() -> None:
    found = {start: cross(world_that_starts_from(start, "nominal", 0.0), 0.4) for start in ("desired", "measured")}
    assert found["measured"].behind_rad > 1.3 * found["desired"].behind_rad
    assert found["measured"].reached_m_s < 0.97 * found["desired"].reached_m_s
    assert not found["desired"].stopped


def test_nothing_is_lost_where_servos_are_told_the_velocity() -> None:
    found = {start: cross(world_that_starts_from(start, "nominal", 1.0), 0.4) for start in ("desired", "measured")}
    assert abs(found["measured"].behind_rad - found["desired"].behind_rad) < 0.005
