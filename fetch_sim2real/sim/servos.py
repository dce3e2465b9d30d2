"""Arm and fingers under commands that arrive late: what their servos are given, physics step by physics step.

Trajectories are followed as ros2_control's joint_trajectory_controller does. A new one starts at once, its segments
are cubic Hermite splines through positions and velocities, and after its last point the arm is held there. It starts
from the present *desired* state, as with ``interpolate_from_desired_state``, unless it is told where the arm is:
without that parameter joint_trajectory_controller starts from the *measured* state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.common.small_arrays import any_true
from fetch_sim2real.sim.randomization.timing import InterruptionSample
from fetch_sim2real.sim.sensors.joint_readings import ZeroError
from fetch_sim2real.sim.steps import steps_of
from fetch_sim2real.timing import PHYSICS_STEP_S, PHYSICS_STEPS_PER_PERIOD
from fetch_sim2real.types import FloatArray, JointSample, JointSetpoint, JointTrajectory

# Commands' jitter repeats after so many control periods: half a minute.
_JITTERED_PERIODS: Final = 900
# A period and a half: the next trajectory may be some milliseconds late.
_STEPS_AHEAD: Final = np.arange(1.0, 1.5 * PHYSICS_STEPS_PER_PERIOD + 1)


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
        """Return the desired positions and velocities, each (n, joints), at ``times_s`` (n,)."""
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


class Backlash:
    """Play between servos and joints: a joint follows only once its servo has turned through the play."""

    def __init__(self, play_rad: FloatArray, targets_rad: FloatArray) -> None:
        """``play_rad`` (n,) is how far each servo turns free, from one end to the other; it begins at ``targets_rad``
        (n,), in the middle.
        """
        self._half_rad = 0.5 * play_rad
        self._joints_rad = targets_rad

    def follow(self, targets_rad: FloatArray) -> FloatArray:
        """Return where joints are drawn to by servo targets (count, n), one row after the other."""
        drawn = np.empty_like(targets_rad)
        for row, (low, high) in enumerate(zip(targets_rad - self._half_rad, targets_rad + self._half_rad, strict=True)):
            drawn[row] = self._joints_rad = np.minimum(np.maximum(self._joints_rad, low), high)
        return drawn


class FingerServos:
    """One episode's commands for the fingers, each in effect the latency after it was sent."""

    def __init__(self, set_target: Callable[[float], None], latency_steps: int) -> None:
        """``set_target`` is called with the opening [m] when it comes into effect."""
        self._set_target = set_target
        self._latency_steps = latency_steps
        self._pending: list[tuple[int, float]] = []

    def send(self, step: int, opening_m: float) -> None:
        """Take effect the latency after ``step``, without one at once."""
        if self._latency_steps > 0:
            self._pending.append((step + self._latency_steps, opening_m))
        else:
            self._set_target(opening_m)

    def accept_due(self, step: int, stop: int) -> int:
        """Obey what has arrived by ``step``; returns the step, ``stop`` at most, to which nothing else arrives."""
        while self._pending and self._pending[0][0] <= step:
            self._set_target(self._pending.pop(0)[1])
        return min(stop, self._pending[0][0]) if self._pending else stop


def command_jitter_steps(sample: InterruptionSample) -> tuple[int, ...]:
    """Return by how many physics steps commands are later than their latency, control period by control period."""
    most = steps_of(sample.command_jitter_s)
    if most == 0:
        return (0,)
    rng = np.random.default_rng([sample.seed, 1])
    return tuple(rng.integers(0, most, _JITTERED_PERIODS, endpoint=True).tolist())


class ArmServos:
    """One episode's arm controller. Steps count from the episode's start, so that rounding is the same in every run of
    the same seed."""

    def __init__(
        self,
        reported_rad: FloatArray,
        zero_error: ZeroError,
        velocity_lead_s: FloatArray,
        latency_steps: int,
        measured: Callable[[], JointSample] | None = None,
        play_rad: FloatArray | None = None,
        jitter_steps: Sequence[int] = (0,),
    ) -> None:
        """``reported_rad`` (n,) is where the arm says it is, ``zero_error`` that minus where it is.

        Servos push against speed: a reference runs ``velocity_lead_s`` (n,) ahead of where the arm is wanted.
        Trajectories that are sent start from the desired state, or, with ``measured``, from what that says by then.
        With ``play_rad`` (n,) joints have backlash. What is sent in control period k takes ``jitter_steps[k]`` longer
        than the latency; they start anew where they are over.
        """
        self._zero_error = zero_error
        self._velocity_lead_s = velocity_lead_s
        self._latency_steps = latency_steps
        self._measured = measured
        self._arm = TrajectoryFollower(reported_rad, 0.0)
        self._jitter_steps = jitter_steps
        self._backlash = None
        if play_rad is not None and any_true(play_rad > 0.0):
            self._backlash = Backlash(play_rad, reported_rad - zero_error.at_start_rad)
        self._pending: list[tuple[int, JointTrajectory]] = []
        self._targets_from, self._targets = 0, np.zeros((0, len(ARM.joint_names)))

    def send(self, step: int, trajectory: JointTrajectory) -> None:
        """Take effect the latency after ``step``."""
        jitter = self._jitter_steps[step // PHYSICS_STEPS_PER_PERIOD % len(self._jitter_steps)]
        due = step + self._latency_steps + jitter
        # A command does not overtake the one before.
        self._pending.append((max(due, self._pending[-1][0]) if self._pending else due, trajectory))

    def start(self, step: int, trajectory: JointTrajectory, measured_rad: FloatArray | None = None) -> None:
        """Obey at once, from the desired state; or, given the measured position (n,), from rest there."""
        if measured_rad is not None:
            self._arm = TrajectoryFollower(measured_rad, step * PHYSICS_STEP_S)
        self._arm.accept(trajectory, step * PHYSICS_STEP_S)
        self._targets = self._targets[:0]

    def hold(self, step: int) -> None:
        """Hold the position desired at ``step``."""
        self._arm = TrajectoryFollower(self.desired_rad(step), step * PHYSICS_STEP_S)
        self._targets = self._targets[:0]

    def desired_rad(self, step: int) -> FloatArray:
        """Return the desired position (n,), as the arm would report it."""
        return self._arm.desired(np.array([step * PHYSICS_STEP_S]))[0][0]

    def accept_due(self, step: int, stop: int) -> int:
        """Obey what has arrived by ``step``; returns the step, ``stop`` at most, to which nothing else arrives."""
        pending = self._pending
        while pending and pending[0][0] <= step:
            sample = None if self._measured is None else self._measured()
            start = None if sample is None else JointSetpoint(sample.position, sample.velocity)
            self._arm.accept(pending.pop(0)[1], step * PHYSICS_STEP_S, start)
            self._targets = self._targets[:0]
        for due, _ in pending:
            stop = min(stop, due)
        return stop

    def targets(self, step: int, count: int) -> FloatArray:
        """Return servo targets (count, n) of the physics steps from ``step`` on, a control period of them at most.

        Each step's is asked for once, in order.
        """
        first = step - self._targets_from
        if first + count > len(self._targets):
            self._sample(step)
            first = 0
        targets = self._targets[first : first + count]
        return targets if self._backlash is None else self._backlash.follow(targets)

    def _sample(self, step: int) -> None:
        """Targets until the next trajectory has come, mostly, in one go."""
        # The servo is given where the arm should be at the end of each physics step.
        position, velocity = self._arm.desired((step + _STEPS_AHEAD) * PHYSICS_STEP_S)
        self._targets_from = step
        zero_error_rad = self._zero_error.at((step + _STEPS_AHEAD)[:, None])
        self._targets = position + velocity * self._velocity_lead_s - zero_error_rad
