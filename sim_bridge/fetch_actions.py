"""The action servers of a Fetch's arm and gripper, as robot_controllers implements them. Knows no ROS and no network.

From follow_joint_trajectory.cpp (melodic-devel): the loop that serves a goal looks for a newer one 50 times a second;
it then ends the old goal PREEMPTED and starts the new trajectory, timed from that moment, at the last desired position
and velocity. After a goal that ended otherwise a trajectory starts from the measured position at rest. Between goals
the last desired position is held. A path tolerance is checked all the time; a goal tolerance from the end on, and
0.6 s after it the goal is aborted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.errors import CommandError
from fetch_sim2real.rosbridge import topics as ros1
from fetch_sim2real.rosbridge.messages import ArmActionGoal, JointTolerance
from fetch_sim2real.types import FloatArray, JointTrajectory

_POLL_S: Final = 1.0 / 50.0
_SETTLE_S: Final = 0.6
# Times are computed in more than one way; what is meant to be at the same instant is.
ROUNDING_S: Final = 1e-7
_DEFAULT_GOAL_TOLERANCE_RAD: Final = 0.02
_STOPPED: Final = "Controller manager forced preemption."
_NO_POWER: Final = "Cannot execute trajectory, unable to start controller."

Finish = Callable[[str, int, int, str], None]
"""Called at a goal's end with its id, status, error code and a text."""


class Arm(Protocol):
    """What the action server moves."""

    def start(self, trajectory: JointTrajectory, from_measured: bool) -> None:
        """Follow ``trajectory`` from the desired state, or from the measured position at rest."""

    def hold(self) -> None:
        """Hold the present desired position."""

    def error_rad(self) -> FloatArray:
        """Return the desired minus measured position (n,)."""


@dataclass(frozen=True)
class _Goal:
    id: str
    trajectory: JointTrajectory
    path_tolerance_rad: FloatArray
    goal_tolerance_rad: FloatArray
    settle_s: float


class ArmAction:
    """FollowJointTrajectory for the arm. Call ``work`` at ``next_s`` and whenever measured positions are new."""

    def __init__(self, arm: Arm, finish: Finish) -> None:
        self._arm = arm
        self._finish = finish
        self._goal: _Goal | None = None
        self._next: _Goal | None = None
        self._began_s = 0.0
        self._powered = True
        self.accepted = 0

    @property
    def active_id(self) -> str:
        """The goal that is followed, empty without one."""
        return self._goal.id if self._goal else ""

    @property
    def next_s(self) -> float:
        """When this needs to work next [s]; infinity without anything to do."""
        if self._goal is None:
            return -math.inf if self._next else math.inf
        return self._poll_s if self._next else self._end_s

    @property
    def _end_s(self) -> float:
        assert self._goal is not None
        return self._began_s + self._goal.trajectory.points[-1].time_from_start_s

    def on_goal(self, now_s: float, message: ArmActionGoal) -> None:
        """Note that a goal has arrived."""
        goal_id, goal = message.goal_id.id, message.goal
        if not self._powered:
            self._finish(goal_id, ros1.ABORTED, ros1.GOAL_TOLERANCE_VIOLATED, _NO_POWER)
            return
        try:
            trajectory = ros1.trajectory_of_goal(goal, ARM.joint_names)
            path_tolerance = _tolerances(goal.path_tolerance, 0.0)
            goal_tolerance = _tolerances(goal.goal_tolerance, _DEFAULT_GOAL_TOLERANCE_RAD)
        except CommandError as error:
            self._finish(goal_id, ros1.ABORTED, ros1.INVALID_JOINTS, str(error))
            return
        if goal.trajectory.header.stamp.ns != 0 or not trajectory.points:
            self._finish(goal_id, ros1.ABORTED, ros1.INVALID_JOINTS, "this peer takes trajectories with stamp 0 only")
            return
        if self._next is not None:
            self._finish(self._next.id, ros1.RECALLED, 0, "This goal was canceled because another goal was received")
        self._next = _Goal(
            goal_id,
            trajectory,
            path_tolerance,
            goal_tolerance,
            goal.goal_time_tolerance.ns * 1e-9 + _SETTLE_S,
        )
        # The loop's phase is anybody's guess; one that is fixed in time makes it as good as random from goal to goal.
        self._poll_s = math.ceil((now_s - ROUNDING_S) / _POLL_S) * _POLL_S
        self.work(now_s)

    def work(self, now_s: float) -> None:
        """Do what is due at ``now_s`` [s]."""
        if self._goal is not None:
            self._watch(now_s, self._goal)
        if self._next is None or (self._goal is not None and now_s < self._poll_s - ROUNDING_S):
            return
        from_measured = self._goal is None
        if self._goal is not None:
            self._finish(self._goal.id, ros1.PREEMPTED, 0, "Trajectory preempted")
        self._goal, self._next = self._next, None
        self._began_s = now_s
        self.accepted += 1
        self._arm.start(self._goal.trajectory, from_measured)

    def set_power(self, powered: bool) -> None:
        """Give or take power: without it the controllers are stopped; goals end, and none is taken."""
        self._powered = powered
        if not powered:
            self.abort(0, _STOPPED)

    def abort(self, error_code: int, text: str) -> None:
        """End what is followed."""
        goal, self._goal = self._goal, None
        self._next = None
        self._arm.hold()
        if goal is not None:
            self._finish(goal.id, ros1.ABORTED, error_code, text)

    def _watch(self, now_s: float, goal: _Goal) -> None:
        error = np.abs(self._arm.error_rad())
        if _exceeds(error, goal.path_tolerance_rad):
            self.abort(ros1.PATH_TOLERANCE_VIOLATED, "Trajectory path tolerances violated (position).")
        elif now_s >= self._end_s - ROUNDING_S:
            if not _exceeds(error, goal.goal_tolerance_rad):
                self._goal = None
                self._finish(goal.id, ros1.SUCCEEDED, 0, "Trajectory succeeded.")
            elif now_s > self._end_s + goal.settle_s:
                self.abort(ros1.GOAL_TOLERANCE_VIOLATED, "Trajectory not executed within time limits.")


def _tolerances(given: list[JointTolerance], default: float) -> FloatArray:
    """Tolerances (n,) [rad]; CommandError if they are for other joints. Without any, ``default`` for all."""
    if not given:
        return np.full(len(ARM.joint_names), default)
    by_name = {tolerance.name: tolerance.position for tolerance in given}
    if sorted(by_name) != sorted(ARM.joint_names):
        raise CommandError(f"goal with tolerances for {sorted(by_name)}, expected {list(ARM.joint_names)}")
    return np.array([by_name[name] for name in ARM.joint_names])


def _exceeds(error: FloatArray, tolerance: FloatArray) -> bool:
    """Whether any joint is beyond its tolerance; 0 means none is set."""
    return bool(np.any((tolerance > 0.0) & (error > tolerance)))
