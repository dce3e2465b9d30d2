"""Homing: a slow move of the arm to a given configuration, planned clear of everything and followed step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from fetch_sim2real.arm.collision import CollisionModel
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.control.limiter import REQUIRED_CLEARANCE_M, REQUIRED_WORKSPACE_M
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.timing import CONTROL_PERIOD_S, CONTROL_RATE_HZ
from fetch_sim2real.types import FloatArray, JointCommand, JointSetpoint

# No joint is commanded faster than this, whatever the driver would allow.
SLOW_SPEED_RAD_S: Final = 0.25
ARRIVED_RAD: Final = 0.005
_SAMPLE_STEP_RAD: Final = 0.02
# More than the driver's filter asks for: it checks the stop behind each step too.
_MARGIN_M: Final = 0.002
_LIFTED_BELOW_TOP_M: Final = 0.03
_APPROACH_PER_S: Final = 3.0
_CREEP_RAD_S: Final = 0.01
# Without progress for this long something holds the arm back.
_STUCK_STEPS: Final = 2 * CONTROL_RATE_HZ
_PROGRESS_RAD: Final = 0.002


class SlowMoveError(FetchSim2RealError):
    """A slow move cannot be planned, or does not get on."""


@dataclass(frozen=True)
class SlowMove:
    """Waypoints (N, n) [rad], the first where the arm is; straight lines in joint space between them are clear."""

    waypoints: FloatArray

    @property
    def least_duration_s(self) -> float:
        """Time that it takes at ``SLOW_SPEED_RAD_S``; a driver with a speed cap takes longer."""
        return float(np.abs(np.diff(self.waypoints, axis=0)).max(axis=1).sum()) / SLOW_SPEED_RAD_S


def plan_slow_move(model: CollisionModel, ik: DifferentialIk, position: FloatArray, target: FloatArray) -> SlowMove:
    """Plan a move from ``position`` to ``target``, (n,) [rad] each: the straight line, or else with the gripper lifted.

    SlowMoveError says what is in the way if neither is clear.
    """
    ways = [np.array([position, target])]
    top_m = model.scene.workspace_upper_m[2] - _LIFTED_BELOW_TOP_M
    lifted = [ik.reach(q, np.array([*ik.grip_position_m(q)[:2], top_m])) for q in (position, target)]
    if lifted[0] is not None and lifted[1] is not None:
        ways.append(np.array([position, lifted[0], lifted[1], target]))
    obstacles = [_obstacle(model, way) for way in ways]
    for way, obstacle in zip(ways, obstacles, strict=True):
        if not obstacle:
            return SlowMove(way)
    raise SlowMoveError(
        f"no clear way from here to the start: {obstacles[0]}; move the arm by hand or with the robot's own tools"
    )


def _obstacle(model: CollisionModel, way: FloatArray) -> str:
    """What is in the way on straight lines between the waypoints (N, n); empty if nothing is."""
    if np.any(way < ARM.command_lower_rad) or np.any(way > ARM.command_upper_rad):
        return "it leaves the joints' limits"
    for begin, end in pairwise(way):
        count = 2 + int(np.abs(end - begin).max() / _SAMPLE_STEP_RAD)
        clearance = model.path_clearance(begin + np.linspace(0.0, 1.0, count)[:, None] * (end - begin))
        for name, value, required_m in (
            ("the gripper would leave its workspace", clearance.workspace, REQUIRED_WORKSPACE_M),
            ("the arm would come too close to the table", clearance.table, REQUIRED_CLEARANCE_M),
            ("the arm would come too close to the robot's body", clearance.body, REQUIRED_CLEARANCE_M),
            ("the arm would come too close to itself", clearance.itself, REQUIRED_CLEARANCE_M),
        ):
            if float(value) < required_m + _MARGIN_M:
                return f"{name} ({1e3 * float(value):.0f} mm left, {1e3 * (required_m + _MARGIN_M):.0f} mm needed)"
    return ""


class SlowMoveFollower:
    """Follows the waypoints of a move, one command for each setpoint of the driver."""

    def __init__(self, waypoints: Sequence[FloatArray]) -> None:
        """``waypoints``: (n,) [rad] each, the first where the move begins."""
        self._waypoints = [np.asarray(waypoint, dtype=np.float64) for waypoint in waypoints]
        self._next = 1
        self._least_left_rad = np.inf
        self._steps_without_progress = 0
        self.has_begun = False

    def step(self, setpoint: JointSetpoint, stamp_ns: int) -> JointCommand | None:
        """Return the command for one control period from ``setpoint``.

        None once the arm is commanded to the end, at rest.

        SlowMoveError if the arm is not where the move begins, or does not get on.
        """
        if not self.has_begun:
            off_rad = float(np.abs(setpoint.position - self._waypoints[0]).max())
            if off_rad > 10 * ARRIVED_RAD:
                raise SlowMoveError(f"the arm is {off_rad:.3f} rad from where the move was planned from: plan it anew")
            self.has_begun = True
        left = self._waypoints[self._next] - setpoint.position
        if float(np.abs(left).max()) < ARRIVED_RAD:
            if self._next == len(self._waypoints) - 1:
                return None
            self._next += 1
            self._least_left_rad = np.inf
            left = self._waypoints[self._next] - setpoint.position
        left_rad = float(np.abs(left).max())
        self._note_progress(left_rad)
        speed = min(SLOW_SPEED_RAD_S, _CREEP_RAD_S + _APPROACH_PER_S * left_rad)
        velocity = left * (speed / max(left_rad, ARRIVED_RAD))
        position = setpoint.position + 0.5 * (setpoint.velocity + velocity) * CONTROL_PERIOD_S
        return JointCommand(stamp_ns=stamp_ns, position=position, velocity=velocity)

    def _note_progress(self, left_rad: float) -> None:
        if left_rad < self._least_left_rad - _PROGRESS_RAD:
            self._least_left_rad = left_rad
            self._steps_without_progress = 0
            return
        self._steps_without_progress += 1
        if self._steps_without_progress > _STUCK_STEPS:
            raise SlowMoveError(
                f"no progress for two seconds, {left_rad:.3f} rad before its end: something holds it back"
            )
