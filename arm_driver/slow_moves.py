"""Slow moves that the operator asks for: the driver follows them in the place of the policy's holds.

The policy stays the one commander and gives the pace: a step of the move answers each of its holds. A step is judged by
the safety filter like any command, and where the policy or the camera ceases, so does the move.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from rclpy.node import Node
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.common.validation import shortened
from fetch_sim2real.control.checks import Refusal
from fetch_sim2real.control.homing import SlowMoveFollower
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.messages.statuses import MoveStatus, encode_status
from fetch_sim2real.ros.topics import publish_to, subscribe_to
from fetch_sim2real.types import FloatArray, JointCommand, JointSetpoint

_MAX_WAYPOINTS: Final = 16


class SlowMoves:
    """The present move, if there is one. It ends with its operator: nobody who could stop it would be there."""

    def __init__(self, node: Node, is_active: Callable[[], bool]) -> None:
        """``is_active`` says whether the driver follows commands."""
        self._node, self._is_active = node, is_active
        self._status = publish_to(node, graph.MOVE_STATUS)
        self._moves = subscribe_to(node, graph.MOVE, self._on_move)
        self._follower: SlowMoveFollower | None = None
        self._policy_acts = False

    def in_place_of(self, command: JointCommand, setpoint: JointSetpoint | None) -> JointCommand:
        """Return what is to be done on ``command`` of the policy: a step of the move for a hold, or itself.

        ``setpoint`` is the arm's commanded state, from which the step goes on; None before the driver has been enabled.
        """
        self._policy_acts = not command.hold
        self.watch()
        if self._follower is None or setpoint is None:
            return command
        if self._policy_acts:
            self._end("the policy acts")
            return command
        if self._moves.get_publisher_count() == 0:
            self._end("the operator is gone")
            return command
        try:
            step = self._follower.step(setpoint, command.stamp_ns)
        except FetchSim2RealError as error:
            self._end(str(error))
            return command
        if step is None:
            self._follower = None
            self._tell("done", "")
        return step or command

    def on_refusal(self, refusal: Refusal) -> None:
        """End the move: a command that cannot be taken for what it is makes the arm brake."""
        self._end(f"a command was refused: {refusal.detail}")

    def watch(self) -> None:
        """End the move if the driver follows commands no more."""
        if not self._is_active():
            self._end("the driver is not active")

    def _on_move(self, message: JointTrajectory) -> None:
        self._end("replaced by another move")
        try:
            if not self._is_active():
                raise FetchSim2RealError("the driver is not active: enable it first")
            if self._policy_acts:
                raise FetchSim2RealError("the policy acts: hold it first")
            self._follower = SlowMoveFollower(waypoints_of(message))
        except FetchSim2RealError as error:
            self._tell("refused", str(error))
            return
        self._tell("moving", "")

    def _end(self, reason: str) -> None:
        if self._follower is not None:
            self._follower = None
            self._tell("ended", reason)

    def _tell(self, state: str, reason: str) -> None:
        self._node.get_logger().info(f"slow move: {state}" + (f": {reason}" if reason else ""))
        self._status.publish(String(data=encode_status(MoveStatus(state=state, reason=reason))))


def waypoints_of(message: JointTrajectory) -> list[FloatArray]:
    """Return the positions (n,) [rad] of a move's points; FetchSim2RealError if it is not one of the arm."""
    names = list(message.joint_names)
    if names != list(ARM.joint_names) or not 2 <= len(message.points) <= _MAX_WAYPOINTS:
        raise FetchSim2RealError(
            f"a move of joints {names} by {len(message.points)} points, expected {list(ARM.joint_names)} and 2 to "
            f"{_MAX_WAYPOINTS} points"
        )
    waypoints = [np.array(point.positions, dtype=np.float64) for point in message.points]
    if any(waypoint.shape != (len(ARM.joint_names),) or not np.all(np.isfinite(waypoint)) for waypoint in waypoints):
        given = shortened(repr([waypoint.tolist() for waypoint in waypoints]))
        raise FetchSim2RealError(
            f"a move by {given} rad, expected {len(ARM.joint_names)} finite numbers for each point"
        )
    return waypoints
