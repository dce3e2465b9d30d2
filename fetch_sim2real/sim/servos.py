"""Arm and fingers under commands that arrive late: what their servos are given, physics step by physics step.

Trajectories are followed as ros2_control's joint_trajectory_controller does. A new one starts at once, its segments
are cubic Hermite splines through positions and velocities, and after its last point the arm is held there. It starts
from the present *desired* state, as with ``interpolate_from_desired_state``, unless it is told where the arm is:
without that parameter joint_trajectory_controller starts from the *measured* state.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class _Path:
    """What joints follow: k segments, after these a hold at ``end_position`` (joints,). Times [s] are simulated ones.

    ``powers`` (4, k, joints) are the segments' polynomials, coefficients of the powers of the share of each.
    """

    begins_s: list[float]
    durations_s: list[float]
    end_s: float
    end_position: FloatArray
    powers: FloatArray

    @staticmethod
    def rest(position: FloatArray, now_s: float) -> _Path:
        """Return a hold at ``position`` (joints,)."""
        end_position = np.array(position, dtype=np.float64)
        return _Path([], [], now_s, end_position, np.empty((4, 0, len(end_position))))

    def state_at(self, time_s: float) -> tuple[FloatArray, FloatArray]:
        """Return position and velocity (joints,)."""
        if time_s >= self.end_s:
            return self.end_position, np.zeros_like(self.end_position)
        segment = bisect_right(self.begins_s, time_s, 1) - 1
        duration = self.durations_s[segment]
        share = min(max((time_s - self.begins_s[segment]) / duration, 0.0), 1.0)
        return _on_segment(self.powers[:, segment], share, duration)

    def states_at(self, times_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return positions and velocities (n, joints) at ``times_s`` (n,)."""
        if not self.begins_s:
            held = np.repeat(self.end_position[None], len(times_s), axis=0)
            return held, np.zeros_like(held)
        position, velocity = _states_together([self], times_s[None])
        return position[0], velocity[0]


def _paths_from(
    starts: Sequence[tuple[FloatArray, FloatArray]], trajectories: Sequence[JointTrajectory], now_s: FloatArray
) -> list[_Path]:
    """What trajectories, of as many points each, make of states of position and velocity at ``now_s`` (N,)."""
    points = [trajectory.points for trajectory in trajectories]
    times = np.zeros((len(points), len(points[0]) + 1))
    # Messages carry whole nanoseconds: a trajectory that came in one and one that did not have to act the same.
    times[:, 1:] = np.rint(np.array([[point.time_from_start_s for point in each] for each in points]) * 1e9) / 1e9
    times += now_s[:, None]
    position = np.array([[start[0], *(p.position for p in each)] for start, each in zip(starts, points, strict=True)])
    velocity = np.array([[start[1], *(p.velocity for p in each)] for start, each in zip(starts, points, strict=True)])
    begins, durations = times[:, :-1], times[:, 1:] - times[:, :-1]
    p0, change = position[:, :-1], position[:, 1:] - position[:, :-1]
    m0, m1 = velocity[:, :-1] * durations[:, :, None], velocity[:, 1:] * durations[:, :, None]
    # Hermite basis in powers of the share s of the segment.
    powers = np.array([p0, m0, 3.0 * change - 2.0 * m0 - m1, -2.0 * change + m0 + m1]).swapaxes(0, 1)
    ends = times[:, -1].tolist(), position[:, -1]
    return [_Path(*each) for each in zip(begins.tolist(), durations.tolist(), *ends, powers, strict=True)]


def _states_together(paths: Sequence[_Path], times_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Positions and velocities (N, n, joints) at ``times_s`` (N, n) of paths of as many segments each, one at least."""
    begins, durations = np.array([each.begins_s for each in paths]), np.array([each.durations_s for each in paths])
    row = np.arange(len(paths))[:, None]
    segment = np.add.reduce(begins[:, None, 1:] <= times_s[:, :, None], axis=2, dtype=np.intp)
    duration = durations[row, segment]
    share = np.minimum(np.maximum((times_s - begins[row, segment]) / duration, 0.0), 1.0)
    powers = np.array([each.powers for each in paths]).swapaxes(0, 1)[:, row, segment]
    position, velocity = _on_segment(powers, share[..., None], duration[..., None])
    done = times_s >= np.array([each.end_s for each in paths])[:, None]
    for ended in np.flatnonzero(done.any(axis=1)).tolist():
        position[ended, done[ended]], velocity[ended, done[ended]] = paths[ended].end_position, 0.0
    return position, velocity


def _on_segment(
    powers: FloatArray, s: float | FloatArray, duration: float | FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Position and velocity at the shares ``s`` of segments whose powers of s have coefficients ``powers`` (4, ...)."""
    p0, m0, c2, c3 = powers
    return p0 + s * (m0 + s * (c2 + s * c3)), (m0 + s * (2.0 * c2 + s * 3.0 * c3)) / duration


class TrajectoryFollower:
    """Desired state of one group of joints over time; times are seconds of simulated time."""

    def __init__(self, position: FloatArray, now_s: float) -> None:
        self._path = _Path.rest(position, now_s)

    def accept(self, trajectory: JointTrajectory, now_s: float, measured: JointSetpoint | None = None) -> None:
        """Replace what is running by ``trajectory``, from now and the desired state on, or a ``measured`` one."""
        start = self._path.state_at(now_s) if measured is None else (measured.position, measured.velocity)
        (self._path,) = _paths_from([start], [trajectory], np.array([now_s]))

    def desired(self, times_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the desired positions and velocities, each (n, joints), at ``times_s`` (n,)."""
        return self._path.states_at(times_s)


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


@dataclass
class _Sent:
    """A trajectory that takes effect at the step ``due``; where it is known before, with the path that the arm then
    follows and the servo targets from that step on."""

    due: int
    trajectory: JointTrajectory
    path: _Path | None = None
    targets: FloatArray | None = None


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
        self._path = _Path.rest(reported_rad, 0.0)
        self._jitter_steps = jitter_steps
        self._backlash = None
        if play_rad is not None and any_true(play_rad > 0.0):
            self._backlash = Backlash(play_rad, reported_rad - zero_error.at_start_rad)
        self._pending: list[_Sent] = []
        self._targets_from, self._targets = 0, np.zeros((0, len(ARM.joint_names)))

    def send(self, step: int, trajectory: JointTrajectory) -> None:
        """Take effect the latency after ``step``."""
        send_together([self], [step], [trajectory])

    def start(self, step: int, trajectory: JointTrajectory, measured_rad: FloatArray | None = None) -> None:
        """Obey at once, from the desired state; or, given the measured position (n,), from rest there."""
        if measured_rad is not None:
            self._path = _Path.rest(measured_rad, step * PHYSICS_STEP_S)
        self._accept(step, trajectory, None)

    def hold(self, step: int) -> None:
        """Hold the position desired at ``step``."""
        self._follow(_Path.rest(self.desired_rad(step), step * PHYSICS_STEP_S))

    def _accept(self, step: int, trajectory: JointTrajectory, measured: JointSample | None) -> None:
        now_s = step * PHYSICS_STEP_S
        start = self._path.state_at(now_s) if measured is None else (measured.position, measured.velocity)
        self._follow(*_paths_from([start], [trajectory], np.array([now_s])))

    def _follow(self, path: _Path) -> None:
        """Follow what was not known when trajectories were sent: what these then become is not known any more."""
        self._path, self._targets = path, self._targets[:0]
        for sent in self._pending:
            sent.path = None

    def plan(self, step: int, trajectory: JointTrajectory) -> _Sent:
        """Return what is sent at ``step`` with the step that it takes effect at."""
        jitter = self._jitter_steps[step // PHYSICS_STEPS_PER_PERIOD % len(self._jitter_steps)]
        due = step + self._latency_steps + jitter
        # A command does not overtake the one before.
        return _Sent(max(due, self._pending[-1].due) if self._pending else due, trajectory)

    def desired_rad(self, step: int) -> FloatArray:
        """Return the desired position (n,), as the arm would report it."""
        return self._path.state_at(step * PHYSICS_STEP_S)[0]

    def accept_due(self, step: int, stop: int) -> int:
        """Obey what has arrived by ``step``; returns the step, ``stop`` at most, to which nothing else arrives."""
        pending = self._pending
        while pending and pending[0].due <= step:
            sent = pending.pop(0)
            if sent.path is not None and sent.targets is not None and sent.due == step:
                self._path, self._targets_from, self._targets = sent.path, step, sent.targets
            else:
                self._accept(step, sent.trajectory, None if self._measured is None else self._measured())
        return min(stop, pending[0].due) if pending else stop

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
        position, velocity = self._path.states_at((step + _STEPS_AHEAD) * PHYSICS_STEP_S)
        self._targets_from = step
        zero_error_rad = self._zero_error.at((step + _STEPS_AHEAD)[:, None])
        self._targets = position + velocity * self._velocity_lead_s - zero_error_rad


def send_together(
    servos: Sequence[ArmServos], steps: Sequence[int], trajectories: Sequence[JointTrajectory]
) -> None:
    """Let each trajectory take effect its arm's latency after its step.

    What an arm follows then is known now, unless it starts from where it is measured by then; it is worked out for all
    arms in one go.
    """
    alike: dict[int, list[tuple[ArmServos, _Path, _Sent]]] = {}
    for each, step, trajectory in zip(servos, steps, trajectories, strict=True):
        before = each._pending[-1].path if each._pending else each._path
        sent = each.plan(step, trajectory)
        each._pending.append(sent)
        if before is not None and each._measured is None:
            alike.setdefault(len(trajectory.points), []).append((each, before, sent))
    for group in alike.values():
        arms, before_paths, sending = zip(*group, strict=True)
        due = np.array([each.due for each in sending])
        now_s = due * PHYSICS_STEP_S
        starts = [path.state_at(time_s) for path, time_s in zip(before_paths, now_s.tolist(), strict=True)]
        paths = _paths_from(starts, [each.trajectory for each in sending], now_s)
        steps_ahead = due[:, None] + _STEPS_AHEAD
        position, velocity = _states_together(paths, steps_ahead * PHYSICS_STEP_S)
        lead_s = np.array([each._velocity_lead_s for each in arms])[:, None]
        zero_error = ZeroError.stacked([each._zero_error for each in arms])
        drifting = ZeroError(zero_error.at_start_rad[:, None], zero_error.rate_rad_s[:, None])
        targets = position + velocity * lead_s - drifting.at(steps_ahead[:, :, None])
        for sent, path, own in zip(sending, paths, targets, strict=True):
            sent.path, sent.targets = path, own
