"""Moves that the operator asks for: the policy, the one commander, follows them through the driver like its own."""

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
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.messages.statuses import MoveStatus, encode_status
from fetch_sim2real.operation.slow_move import MoveFollower
from fetch_sim2real.ros.topics import publish_to, subscribe_to
from fetch_sim2real.types import FloatArray, JointCommand, JointSetpoint

_MAX_WAYPOINTS: Final = 16
# The driver's activation and the operator's message come on two topics: some frames may pass between them.
_MAX_WAITING_FRAMES: Final = 15


class Moves:
    """The present move, if there is one. It ends with its operator: nobody who could stop it would be there."""

    def __init__(self, node: Node, objection: Callable[[], str]) -> None:
        """``objection`` says why no move can begin now, empty if one can."""
        self._node, self._objection = node, objection
        self._status = publish_to(node, graph.MOVE_STATUS)
        self._moves = subscribe_to(node, graph.MOVE, self._on_move)
        self._follower: MoveFollower | None = None
        self._waiting_frames = 0

    @property
    def is_moving(self) -> bool:
        """Whether a move is going on."""
        return self._follower is not None

    def _on_move(self, message: JointTrajectory) -> None:
        self.end("replaced by another move")
        objection = self._objection()
        if objection:
            self._tell("refused", objection)
            return
        try:
            self._follower = MoveFollower(waypoints_of(message))
        except FetchSim2RealError as error:
            self._tell("refused", str(error))
            return
        self._waiting_frames = 0
        self._tell("moving", "")

    def step(self, setpoint: JointSetpoint | None, stamp_ns: int) -> JointCommand | None:
        """The next command, None for a hold. ``setpoint``: None while the driver is not active."""
        follower = self._follower
        if follower is None:
            return None
        if self._moves.get_publisher_count() == 0:
            self.end("the operator is gone")
            return None
        if setpoint is None:
            self._waiting_frames += 1
            if follower.has_begun or self._waiting_frames > _MAX_WAITING_FRAMES:
                self.end("the driver is not active")
            return None
        try:
            command = follower.step(setpoint, stamp_ns)
        except FetchSim2RealError as error:
            self.end(str(error))
            return None
        if command is None:
            self._follower = None
            self._tell("done", "")
        return command

    def end(self, reason: str) -> None:
        """End the move, if there is one."""
        if self._follower is not None:
            self._follower = None
            self._tell("ended", reason)

    def _tell(self, state: str, reason: str) -> None:
        self._node.get_logger().info(f"move: {state}" + (f": {reason}" if reason else ""))
        self._status.publish(String(data=encode_status(MoveStatus(state=state, reason=reason))))


def waypoints_of(message: JointTrajectory) -> list[FloatArray]:
    """Positions (n,) [rad] of a move's points; FetchSim2RealError if it is not one of the arm."""
    names = list(message.joint_names)
    if names != list(ARM.joint_names) or not 2 <= len(message.points) <= _MAX_WAYPOINTS:
        raise FetchSim2RealError(
            f"a move of joints {names} by {len(message.points)} points, expected {list(ARM.joint_names)} and 2 to "
            f"{_MAX_WAYPOINTS} points"
        )
    waypoints = [np.array(point.positions, dtype=np.float64) for point in message.points]
    if any(waypoint.shape != (len(ARM.joint_names),) or not np.all(np.isfinite(waypoint)) for waypoint in waypoints):
        given = shortened(repr([waypoint.tolist() for waypoint in waypoints]))
        raise FetchSim2RealError(f"a move by {given} rad, expected seven finite numbers for each point")
    return waypoints
