"""When an arm began to brake, and what one repetition of a fault showed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from arm_driver.peers import WATCH_PERIOD_S
from fetch_sim2real.errors import GraphError
from fetch_sim2real.stack.heartbeat import HEARTBEAT_TIMEOUT_S
from fetch_sim2real.timing import CONTROL_PERIOD_S
from fetch_sim2real.types import FloatArray, JointTrajectory

TOPIC_BOUND_S: Final = 0.1 + CONTROL_PERIOD_S
ROSBRIDGE_BOUND_S: Final = 0.2 + CONTROL_PERIOD_S
# From the last beat, and from when the middleware tells of a node, to when the driver has looked and braked.
HEARTBEAT_BOUND_S: Final = HEARTBEAT_TIMEOUT_S + 0.03
GRAPH_BOUND_S: Final = WATCH_PERIOD_S + 0.03
VALID: Final = ("command", "limited", "paced")
# Commands that come unevenly vary the speed by a fifth. So braking is recognized where the arm stays below the first of
# these shares of the speed it had, and its beginning is where the straight ramp through both of them was at that speed.
_RAMP_SHARES: Final = (0.7, 0.3)
MOVING_RAD_S: Final = 0.05
_BEFORE_S: Final = 0.2
# Of what is commanded there is no noise: the ramp begins where the speed is last as high as this share of its largest.
_AS_FAST, _WATCHED_S, _STEP_S = 0.98, 1.5, 0.002


class NotMeasuredError(GraphError):
    """A repetition says nothing about the fault: the arm stood still, or the machine was too slow."""


@dataclass(frozen=True)
class Measurement:
    """One repetition. ``braking_s`` from the last valid command, negative if the arm braked before it.

    ``commanded_s``: when the trajectories that were sent slow down, which ``bound_s`` is for; the arm comes after them
    by its servos' lag, and in simulated worlds by a command latency.
    ``after_fault_s``: the same from the fault on: a driver that does not know of it yet still finds commands valid.
    ``stall_s``: the longest time without a sample until then. ``braking_s`` is too long by up to that.
    ``moved_alone``: the arm was commanded again before anybody enabled the driver. ``needed``: what it took to move
    again, empty if it did not. ``since_fault``: the bound is for the time from the fault on.
    """

    fault: str
    commanded_s: float
    braking_s: float
    after_fault_s: float
    stall_s: float
    bound_s: float
    state: str
    reason: str
    moved_alone: bool
    needed: str
    since_fault: bool = False

    @property
    def is_within_bound(self) -> bool:
        """Whether braking began in time."""
        return (self.after_fault_s if self.since_fault else self.commanded_s) <= self.bound_s


def braking_began(times_s: FloatArray, speeds: FloatArray, last_valid_s: float) -> tuple[float, float]:
    """Seconds from ``last_valid_s`` until the arm was slower for good, and the longest gap between samples until then.

    ``times_s`` (n,) [s], rising; ``speeds`` (n,) the fastest joint's [rad/s]. The speed to compare with is the median
    of a moment before the last valid command. Raises ``NotMeasuredError`` if the arm did not move then, or moves still
    at the end.
    """
    chosen = times_s >= last_valid_s - _BEFORE_S
    times_s, speeds = times_s[chosen] - last_valid_s, speeds[chosen]
    before = speeds[times_s <= 0.0]
    usual = float(np.median(before)) if len(before) else 0.0
    if usual < MOVING_RAD_S:
        raise NotMeasuredError(f"the arm moved at {usual:.3f} rad/s before the last valid command, not {MOVING_RAD_S}")
    upper, lower = (int(np.flatnonzero(speeds >= share * usual)[-1]) + 1 for share in _RAMP_SHARES)
    if upper >= len(times_s) or speeds[-1] > 0.2 * usual:
        raise NotMeasuredError("the arm was still moving when watching ended")
    high, low = _RAMP_SHARES
    per_speed_s = (times_s[lower] - times_s[upper]) / (high - low)
    return float(times_s[upper] - (1.0 - high) * per_speed_s), float(np.diff(times_s[: upper + 1]).max())


class CommandedMotion:
    """The speed that trajectories ask for, each of which replaces the one before it."""

    def __init__(self) -> None:
        self._sent: list[tuple[float, FloatArray, FloatArray]] = []

    def clear(self) -> None:
        """Forget what was sent."""
        self._sent.clear()

    def add(self, sent_s: float, trajectory: JointTrajectory) -> None:
        """``trajectory`` was sent at ``sent_s`` [s]."""
        times_s = np.array([0.0, *(point.time_from_start_s for point in trajectory.points)])
        first = self._velocity_at(sent_s) if self._sent else trajectory.points[0].velocity
        self._sent.append((sent_s, times_s, np.stack([first, *(point.velocity for point in trajectory.points)])))

    def braking_began(self, last_valid_s: float) -> float:
        """Seconds from ``last_valid_s`` until the fastest joint is told to slow down, for good, from its top speed.

        Raises ``NotMeasuredError`` if nothing moved then.
        """
        after_s = np.arange(0.0, _WATCHED_S, _STEP_S)
        speeds = np.array([np.abs(self._velocity_at(last_valid_s + time_s)).max() for time_s in after_s])
        if speeds.max() < MOVING_RAD_S:
            raise NotMeasuredError(f"trajectories asked for {speeds.max():.3f} rad/s at most, not {MOVING_RAD_S}")
        return float(after_s[np.flatnonzero(speeds >= _AS_FAST * speeds.max())[-1]])

    def _velocity_at(self, time_s: float) -> FloatArray:
        sent_s, times_s, velocities = next(
            (one for one in reversed(self._sent) if one[0] <= time_s), self._sent[0]
        )
        elapsed_s = time_s - sent_s
        return np.array([np.interp(elapsed_s, times_s, joint) for joint in velocities.T])
