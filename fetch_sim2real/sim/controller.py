"""Follows the trajectories that the robot is sent, as ros2_control's joint_trajectory_controller does.

A new trajectory starts at once from the present *desired* state (``interpolate_from_desired_state``), its segments are
cubic Hermite splines through positions and velocities, and after its last point the arm is held there.
"""

from __future__ import annotations

import numpy as np

from fetch_sim2real.types import FloatArray, JointTrajectory


class TrajectoryFollower:
    """Desired state of one group of joints over time; times are seconds of simulated time."""

    def __init__(self, position: FloatArray, now_s: float) -> None:
        position = np.asarray(position, dtype=np.float64)
        self._times = np.array([now_s])
        self._positions = position[None].copy()
        self._velocities = np.zeros((1, len(position)))

    def accept(self, trajectory: JointTrajectory, now_s: float) -> None:
        """Replace what is running by ``trajectory``, starting now."""
        start_position, start_velocity = self.desired(np.array([now_s]))
        points = trajectory.points
        # Messages carry whole nanoseconds: a trajectory that came in one and one that did not have to act the same.
        times = np.round(np.array([0.0, *(point.time_from_start_s for point in points)]) * 1e9) / 1e9
        self._times = now_s + times
        self._positions = np.vstack([start_position, *(point.position for point in points)])
        self._velocities = np.vstack([start_velocity, *(point.velocity for point in points)])

    def desired(self, times_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Desired positions and velocities, each (n, joints), at ``times_s`` (n,)."""
        last = len(self._times) - 1
        if last == 0:
            n = len(times_s)
            return np.repeat(self._positions, n, axis=0), np.zeros((n, self._positions.shape[1]))
        segment = np.clip(np.searchsorted(self._times, times_s, side="right") - 1, 0, last - 1)
        duration = (self._times[segment + 1] - self._times[segment])[:, None]
        s = np.clip((times_s - self._times[segment])[:, None] / duration, 0.0, 1.0)
        p0, p1 = self._positions[segment], self._positions[segment + 1]
        m0, m1 = self._velocities[segment] * duration, self._velocities[segment + 1] * duration
        # Hermite basis in powers of s.
        c2, c3 = 3.0 * (p1 - p0) - 2.0 * m0 - m1, 2.0 * (p0 - p1) + m0 + m1
        position = p0 + s * (m0 + s * (c2 + s * c3))
        velocity = (m0 + s * (2.0 * c2 + s * 3.0 * c3)) / duration
        done = (times_s >= self._times[last])[:, None]
        return np.where(done, self._positions[last], position), np.where(done, 0.0, velocity)
