"""Trajectories that always end at rest: one control period of motion, a coast, and a linear ramp to zero velocity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
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


_Powers = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


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
    step_s = CONTROL_PERIOD_S * (len(before) + 1)
    points = [TrajectoryPoint(CONTROL_PERIOD_S * (i + 1), s.position, s.velocity) for i, s in enumerate(before)]
    points.append(TrajectoryPoint(step_s, setpoint.position, setpoint.velocity))
    if any_true(setpoint.velocity):
        coasted = setpoint.position + setpoint.velocity * COAST_S
        points.append(TrajectoryPoint(step_s + COAST_S, coasted, setpoint.velocity))
        points.append(_end_of_ramp(step_s + COAST_S, JointSetpoint(coasted, setpoint.velocity), acceleration))
    return JointTrajectory(joint_names, tuple(points))


def braking_trajectory(
    start: JointSetpoint, acceleration: FloatArray, joint_names: tuple[str, ...] = ARM.joint_names
) -> JointTrajectory:
    """Return the linear ramp from ``start`` to rest.

    One segment, although others could be told its first period apart: a goal that a controller takes up late, or
    sooner than the one before it, begins away from ``start``, and has the whole ramp to make up for that.
    """
    return JointTrajectory(joint_names, (_end_of_ramp(0.0, start, acceleration),))


def resting_trajectory(
    position: FloatArray, duration_s: float, joint_names: tuple[str, ...] = ARM.joint_names
) -> JointTrajectory:
    """Return the trajectory to rest at ``position`` (n,) over ``duration_s``."""
    return JointTrajectory(joint_names, (TrajectoryPoint(duration_s, position, np.zeros_like(position)),))


def time_to_rest_s(velocity: FloatArray, acceleration: FloatArray) -> float:
    """Return how long the ramp from ``velocity`` (n,) to rest takes."""
    return float(braking_periods(velocity, acceleration)) * CONTROL_PERIOD_S


def _end_of_ramp(begin_s: float, start: JointSetpoint, acceleration: FloatArray) -> TrajectoryPoint:
    ramp_s = time_to_rest_s(start.velocity, acceleration)
    rest = start.position + start.velocity * (0.5 * ramp_s)
    return TrajectoryPoint(begin_s + ramp_s, rest, np.zeros_like(rest))


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
    if elapsed_s <= POINT_TOLERANCE_S:
        return start
    begin_s, begin = 0.0, start
    for point in trajectory.points:
        end = JointSetpoint(point.position, point.velocity)
        if abs(elapsed_s - point.time_from_start_s) <= POINT_TOLERANCE_S:
            return end
        if elapsed_s < point.time_from_start_s:
            duration_s = point.time_from_start_s - begin_s
            return _on_curve(_hermite_powers(begin, end, duration_s), duration_s, elapsed_s - begin_s)
        begin_s, begin = point.time_from_start_s, end
    return JointSetpoint.at_rest(begin.position)


def _on_curve(powers: FloatArray | _Powers, duration_s: float, t_s: float) -> JointSetpoint:
    s = t_s / duration_s
    p0, slope, quadratic, cubic = powers
    position = p0 + s * (slope + s * (quadratic + s * cubic))
    velocity = (slope + s * (2.0 * quadratic + 3.0 * s * cubic)) / duration_s
    return JointSetpoint(position, velocity)


def _hermite_powers(begin: JointSetpoint, end: JointSetpoint, duration_s: float) -> _Powers:
    """Coefficients (n,) of the powers 0 to 3 of the share of ``duration_s``."""
    change = end.position - begin.position
    begin_slope, end_slope = begin.velocity * duration_s, end.velocity * duration_s
    quadratic = 3.0 * change - 2.0 * begin_slope - end_slope
    cubic = begin_slope + end_slope - 2.0 * change
    return begin.position, begin_slope, quadratic, cubic


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
        elapsed_s = (now_ns - self.sent_ns) * 1e-9
        if self._is_in_step(elapsed_s):
            return _on_curve(self._step_powers, self.trajectory.points[0].time_from_start_s, elapsed_s)
        return sample_trajectory(self.trajectory, self.start, elapsed_s)

    def positions_at(self, times_ns: Sequence[int]) -> FloatArray:
        """Return the commanded positions (k, n) at k times: to rounding those of ``at``, but cheaper."""
        elapsed_s = [(time_ns - self.sent_ns) * 1e-9 for time_ns in times_ns]
        if not all(map(self._is_in_step, elapsed_s)):
            return np.array([self.at(time_ns).position for time_ns in times_ns])
        step_s = self.trajectory.points[0].time_from_start_s
        shares = [each / step_s for each in elapsed_s]
        return np.array([(1.0, s, s * s, s * s * s) for s in shares]) @ self._step_powers

    def rest_in_s(self, now_ns: int) -> float:
        """Return how long after ``now_ns`` it has come to rest by itself; negative once it has."""
        return self.trajectory.points[-1].time_from_start_s - (now_ns - self.sent_ns) * 1e-9

    def _is_in_step(self, elapsed_s: float) -> bool:
        """Whether that is before the first point, where a sent trajectory is asked for most."""
        return POINT_TOLERANCE_S < elapsed_s < self.trajectory.points[0].time_from_start_s - POINT_TOLERANCE_S

    @cached_property
    def _step_powers(self) -> FloatArray:
        """The step's polynomial, where almost all joint states fall: most trajectories are replaced right after it."""
        point = self.trajectory.points[0]
        end = JointSetpoint(point.position, point.velocity)
        return np.array(_hermite_powers(self.start, end, point.time_from_start_s))

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
