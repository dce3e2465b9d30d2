"""Follows the trajectories that the robot is sent, as ros2_control's joint_trajectory_controller does.

A new trajectory starts at once, its segments are cubic Hermite splines through positions and velocities, and after its
last point the arm is held there. It starts from the present *desired* state, as with
``interpolate_from_desired_state``, unless it is told where the arm is: without that parameter
joint_trajectory_controller starts from the *measured* state.
"""

from __future__ import annotations

import numpy as np

from fetch_sim2real.common.small_arrays import any_true
from fetch_sim2real.types import FloatArray, JointSetpoint, JointTrajectory


class TrajectoryFollower:
    """Desired state of one group of joints over time; times are seconds of simulated time."""

    def __init__(self, position: FloatArray, now_s: float) -> None:
        rest = np.asarray(position, dtype=np.float64)[None].copy()
        self._follow(np.array([now_s]), rest, np.zeros_like(rest))

    def accept(self, trajectory: JointTrajectory, now_s: float, measured: JointSetpoint | None = None) -> None:
        """Replace what is running by ``trajectory``, from now and the desired state on, or a ``measured`` one."""
        start_position, start_velocity = (
            self._desired_at(now_s) if measured is None else (measured.position, measured.velocity)
        )
        points = trajectory.points
        # Messages carry whole nanoseconds: a trajectory that came in one and one that did not have to act the same.
        times = np.array([0.0, *(round(point.time_from_start_s * 1e9) / 1e9 for point in points)])
        self._follow(
            now_s + times,
            np.array([start_position, *(point.position for point in points)]),
            np.array([start_velocity, *(point.velocity for point in points)]),
        )

    def _follow(self, times: FloatArray, positions: FloatArray, velocities: FloatArray) -> None:
        """Run through the points (k,), (k, joints): every segment's polynomial is made once, here."""
        self._end_s, self._end_position = float(times[-1]), positions[-1]
        self._begins, self._durations = times[:-1], times[1:] - times[:-1]
        duration = self._durations[:, None]
        p0, change = positions[:-1], positions[1:] - positions[:-1]
        m0, m1 = velocities[:-1] * duration, velocities[1:] * duration
        # Hermite basis in powers of the share s of the segment.
        self._powers = np.array([p0, m0, 3.0 * change - 2.0 * m0 - m1, -2.0 * change + m0 + m1])

    def desired(self, times_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Desired positions and velocities, each (n, joints), at ``times_s`` (n,)."""
        if not len(self._begins):
            held = np.repeat(self._end_position[None], len(times_s), axis=0)
            return held, np.zeros_like(held)
        segment = self._begins[1:].searchsorted(times_s, side="right")
        duration = self._durations[segment]
        share = np.minimum(np.maximum((times_s - self._begins[segment]) / duration, 0.0), 1.0)
        position, velocity = _on_segment(self._powers[:, segment], share[:, None], duration[:, None])
        done = times_s >= self._end_s
        if any_true(done):
            position[done], velocity[done] = self._end_position, 0.0
        return position, velocity

    def _desired_at(self, time_s: float) -> tuple[FloatArray, FloatArray]:
        """``desired`` at a single time, (joints,) each."""
        if time_s >= self._end_s:
            return self._end_position, np.zeros_like(self._end_position)
        segment = int(self._begins[1:].searchsorted(time_s, side="right"))
        duration = float(self._durations[segment])
        share = min(max((time_s - float(self._begins[segment])) / duration, 0.0), 1.0)
        return _on_segment(self._powers[:, segment], share, duration)


def _on_segment(
    powers: FloatArray, s: float | FloatArray, duration: float | FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Position and velocity at the shares ``s`` of segments whose powers of s have coefficients ``powers`` (4, ...)."""
    p0, m0, c2, c3 = powers
    return p0 + s * (m0 + s * (c2 + s * c3)), (m0 + s * (2.0 * c2 + s * 3.0 * c3)) / duration
