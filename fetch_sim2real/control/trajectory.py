"""Trajectories that always end at rest: one control period of motion, a coast, and a linear ramp to zero velocity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.common.small_arrays import any_true
from fetch_sim2real.timing import COAST_S, CONTROL_PERIOD_S
from fetch_sim2real.types import FloatArray, JointSetpoint, JointTrajectory, TrajectoryPoint

# Times this close to a point are that point: stamps are whole nanoseconds and a control period is not.
POINT_TOLERANCE_S: Final = 10e-9
# Relative slack on limits for rounding: a velocity that was cut to a limit is still within it.
ROUNDING: Final = 1e-9


def position_after_step(position: FloatArray, velocity: FloatArray, next_velocity: FloatArray) -> FloatArray:
    """Return position after one control period of constant acceleration between two velocities; shapes (..., n)."""
    return position + 0.5 * (velocity + next_velocity) * CONTROL_PERIOD_S


def braking_periods(velocity: FloatArray, acceleration: FloatArray) -> FloatArray:
    """Return how many whole periods (...,) a ramp from ``velocity`` (..., n) to rest takes within ``acceleration``.

    Whole periods, so that braking anew at the end of each period retraces the same ramp and ends exactly at rest.
    """
    share = np.abs(velocity) / (acceleration * CONTROL_PERIOD_S)
    return np.asarray(np.ceil(np.maximum.reduce(share, axis=-1) * (1.0 - ROUNDING)))


def braked_velocity(velocity: FloatArray, acceleration: FloatArray) -> FloatArray:
    """Return velocity (..., n) after one control period on the ramp to rest; keeps the direction of ``velocity``."""
    periods = np.maximum(braking_periods(velocity, acceleration), 1.0)
    return velocity * (1.0 - 1.0 / periods)[..., None]


def tail_lever_s(velocity: FloatArray, acceleration: FloatArray, coast_s: float | FloatArray) -> FloatArray:
    """Return what ``velocity`` (..., n) is multiplied with for the displacement of coast and ramp together; (...,)."""
    return np.asarray(coast_s + 0.5 * CONTROL_PERIOD_S * braking_periods(velocity, acceleration))


def stopping_trajectory(
    setpoint: JointSetpoint,
    acceleration: FloatArray,
    before: tuple[JointSetpoint, ...] = (),
    joint_names: tuple[str, ...] = ARM.joint_names,
) -> JointTrajectory:
    """Return the trajectory that reaches ``setpoint`` after a period and then, unless replaced, comes to rest.

    The setpoints ``before`` come first, a period each.
    The coast lets the next command be up to one period late before the arm slows down. The tail is a straight line in
    joint space, so braking from it stays on a path that has been checked already.
    """
    points = [TrajectoryPoint(CONTROL_PERIOD_S * (i + 1), s.position, s.velocity) for i, s in enumerate(before)]
    step_s = CONTROL_PERIOD_S * (len(before) + 1)
    (last,) = _stopping_points(step_s, setpoint.position[None], setpoint.velocity[None], acceleration)
    return JointTrajectory(joint_names, (*points, *last))


def stopping_trajectories(
    position: FloatArray, velocity: FloatArray, acceleration: FloatArray, joint_names: tuple[str, ...]
) -> list[JointTrajectory]:
    """Return ``stopping_trajectory`` of each of the setpoints ``position``, ``velocity`` (N, n), bit for bit."""
    points = _stopping_points(CONTROL_PERIOD_S, position, velocity, acceleration)
    return [JointTrajectory(joint_names, each) for each in points]


def _stopping_points(
    step_s: float, position: FloatArray, velocity: FloatArray, acceleration: FloatArray
) -> list[tuple[TrajectoryPoint, ...]]:
    """The points of each row (N, n) from that at ``step_s`` on; the only one where that is at rest."""
    coast_end_s = step_s + COAST_S
    coasted = position + velocity * COAST_S
    ramp_s, rest = _end_of_ramp(coasted, velocity, acceleration)
    still = np.zeros(velocity.shape[1])
    points: list[tuple[TrajectoryPoint, ...]] = []
    for row, (fastest, ramp) in enumerate(zip(np.abs(velocity).max(axis=1).tolist(), ramp_s.tolist(), strict=True)):
        first = TrajectoryPoint(step_s, position[row], velocity[row])
        if not fastest:
            points.append((first,))
            continue
        coast = TrajectoryPoint(coast_end_s, coasted[row], first.velocity)
        points.append((first, coast, TrajectoryPoint(coast_end_s + ramp, rest[row], still)))
    return points


def braking_trajectory(
    start: JointSetpoint, acceleration: FloatArray, joint_names: tuple[str, ...] = ARM.joint_names
) -> JointTrajectory:
    """Return the linear ramp from ``start`` to rest.

    One segment, although others could be told its first period apart: a goal that a controller takes up late, or
    sooner than the one before it, begins away from ``start``, and has the whole ramp to make up for that.
    """
    ramp_s, rest = _end_of_ramp(start.position, start.velocity, acceleration)
    return JointTrajectory(joint_names, (TrajectoryPoint(float(ramp_s), rest, np.zeros_like(rest)),))


def resting_trajectory(
    position: FloatArray, duration_s: float, joint_names: tuple[str, ...] = ARM.joint_names
) -> JointTrajectory:
    """Return the trajectory to rest at ``position`` (n,) over ``duration_s``."""
    return JointTrajectory(joint_names, (TrajectoryPoint(duration_s, position, np.zeros_like(position)),))


def time_to_rest_s(velocity: FloatArray, acceleration: FloatArray) -> float:
    """Return how long the ramp from ``velocity`` (n,) to rest takes."""
    return float(braking_periods(velocity, acceleration)) * CONTROL_PERIOD_S


def _end_of_ramp(
    position: FloatArray, velocity: FloatArray, acceleration: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """How long (...,) the ramp from each state (..., n) takes, and where (..., n) it ends."""
    ramp_s = braking_periods(velocity, acceleration) * CONTROL_PERIOD_S
    return ramp_s, position + velocity * (0.5 * ramp_s)[..., None]


def held_until(trajectory: JointTrajectory, end_s: float) -> JointTrajectory:
    """Return ``trajectory`` with a hold at its end until ``end_s`` after its start, unless it is as long."""
    last = trajectory.points[-1]
    if last.time_from_start_s >= end_s:
        return trajectory
    hold = TrajectoryPoint(end_s, last.position, np.zeros_like(last.velocity))
    return JointTrajectory(trajectory.joint_names, (*trajectory.points, hold))


def sample_trajectory(trajectory: JointTrajectory, start: JointSetpoint, elapsed_s: float) -> JointSetpoint:
    """Return state of ``trajectory`` ``elapsed_s`` after its start from ``start``: cubic Hermite between points.

    At a point (within ``POINT_TOLERANCE_S``) it is that point's own values, bit for bit. Before the start it is
    ``start``, after the last point the last position at rest.
    """
    place = _place(trajectory, start, elapsed_s)
    if isinstance(place, JointSetpoint):
        return place
    begin, end, duration_s, share = place
    return JointSetpoint(
        *_on_curve(begin.position, begin.velocity, end.position, end.velocity, duration_s, share)
    )


_Segment = tuple[JointSetpoint | TrajectoryPoint, TrajectoryPoint, float, float]


def _place(trajectory: JointTrajectory, start: JointSetpoint, elapsed_s: float) -> JointSetpoint | _Segment:
    """The state where no curve is needed, or else a segment's begin, end and duration [s], and the share of it."""
    if elapsed_s <= POINT_TOLERANCE_S:
        return start
    begin_s: float = 0.0
    begin: JointSetpoint | TrajectoryPoint = start
    for end in trajectory.points:
        end_s = end.time_from_start_s
        if abs(elapsed_s - end_s) <= POINT_TOLERANCE_S:
            return JointSetpoint(end.position, end.velocity)
        if elapsed_s < end_s:
            duration_s = end_s - begin_s
            return begin, end, duration_s, (elapsed_s - begin_s) / duration_s
        begin_s, begin = end_s, end
    return JointSetpoint.at_rest(begin.position)


def _on_curve(
    begin: FloatArray,
    begin_velocity: FloatArray,
    end: FloatArray,
    end_velocity: FloatArray,
    duration_s: float | FloatArray,
    share: float | FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Position and velocity (..., n) at a share of the cubic between two states."""
    change = end - begin
    begin_slope, end_slope = begin_velocity * duration_s, end_velocity * duration_s
    quadratic = 3.0 * change - 2.0 * begin_slope - end_slope
    cubic = begin_slope + end_slope - 2.0 * change
    position = begin + share * (begin_slope + share * (quadratic + share * cubic))
    return position, (begin_slope + share * (2.0 * quadratic + 3.0 * share * cubic)) / duration_s


@dataclass(frozen=True)
class RunningTrajectory:
    """A trajectory that was sent: when, and the commanded state that it started from.

    ``steps`` is how many control periods of commanded motion it has before it coasts; 0 for one that brakes at once.
    """

    sent_ns: int
    start: JointSetpoint
    trajectory: JointTrajectory
    steps: int = 1

    def at(self, now_ns: int) -> JointSetpoint:
        """Return commanded state at ``now_ns``."""
        return sample_trajectory(self.trajectory, self.start, (now_ns - self.sent_ns) * 1e-9)

    def rest_in_s(self, now_ns: int) -> float:
        """Return how long after ``now_ns`` it has come to rest by itself; negative once it has."""
        return self.trajectory.points[-1].time_from_start_s - (now_ns - self.sent_ns) * 1e-9

    def brakes_on_path(self, now_ns: int) -> bool:
        """Return whether braking from ``at(now_ns)`` stays on this trajectory's own path.

        So it does at the end of each step, in the coast, at whole periods of the ramp, and at rest. Within a step the
        velocity still turns, and between whole periods a ramp of whole periods would overshoot the end of this one a
        little.
        """
        elapsed_s = (now_ns - self.sent_ns) * 1e-9
        step_end_s = CONTROL_PERIOD_S * self.steps
        coast_end_s = step_end_s + COAST_S if self.steps else step_end_s
        if elapsed_s < CONTROL_PERIOD_S - POINT_TOLERANCE_S:
            return not any_true(self.at(now_ns).velocity)
        if step_end_s - POINT_TOLERANCE_S <= elapsed_s <= coast_end_s:
            return True
        if elapsed_s >= self.trajectory.points[-1].time_from_start_s:
            return True
        periods = round(elapsed_s / CONTROL_PERIOD_S)
        if abs(elapsed_s - periods * CONTROL_PERIOD_S) <= POINT_TOLERANCE_S:
            return True
        return not any_true(self.at(now_ns).velocity)


def states_at(running: Sequence[RunningTrajectory], now_ns: Sequence[int]) -> tuple[FloatArray, FloatArray]:
    """Return positions and velocities (K, n) of each at its time: those of ``RunningTrajectory.at``, bit for bit."""
    joints = len(running[0].start.position)
    position, velocity = np.empty((len(running), joints)), np.empty((len(running), joints))
    rows, segments = [], []
    for row, (each, time_ns) in enumerate(zip(running, now_ns, strict=True)):
        place = _place(each.trajectory, each.start, (time_ns - each.sent_ns) * 1e-9)
        if isinstance(place, JointSetpoint):
            position[row], velocity[row] = place.position, place.velocity
        else:
            rows.append(row)
            segments.append(place)
    if segments:
        begins, ends, durations_s, shares = zip(*segments, strict=True)
        position[rows], velocity[rows] = _on_curve(
            np.array([begin.position for begin in begins]),
            np.array([begin.velocity for begin in begins]),
            np.array([end.position for end in ends]),
            np.array([end.velocity for end in ends]),
            np.array(durations_s)[:, None],
            np.array(shares)[:, None],
        )
    return position, velocity
