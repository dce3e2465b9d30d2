"""Joint commands and trajectories to messages and back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from trajectory_msgs.msg import JointTrajectory as JointTrajectoryMessage
from trajectory_msgs.msg import JointTrajectoryPoint

from fetch_sim2real.arm.fetch.joints import ARM_JOINTS, COMMAND_JOINTS
from fetch_sim2real.common.validation import NAMES_SHOWN, shortened
from fetch_sim2real.errors import CommandError
from fetch_sim2real.messages.commands import command_of
from fetch_sim2real.ros.stamps import duration_message, duration_s_of, stamp_message, stamp_ns_of
from fetch_sim2real.timing import CONTROL_PERIOD_S
from fetch_sim2real.types import FloatArray, JointCommand, JointTrajectory, TrajectoryPoint

_MOST: Final = 1e6

__all__ = ["command_message", "command_of", "number_of", "trajectory_message", "trajectory_of"]


def command_message(command: JointCommand) -> JointTrajectoryMessage:
    """/joint_command: one point, or none at all for a hold. The stamp is the observation's."""
    message = JointTrajectoryMessage()
    message.header.stamp = stamp_message(command.stamp_ns)
    if command.hold:
        return message
    names: tuple[str, ...] = ARM_JOINTS
    positions = command.position.tolist()
    velocities = [] if command.velocity is None else command.velocity.tolist()
    if command.finger_position_m is not None:
        names = COMMAND_JOINTS
        positions += [command.finger_position_m] * 2
        velocities += [0.0, 0.0] if velocities else []
    message.joint_names = list(names)
    message.points = [
        JointTrajectoryPoint(
            positions=positions, velocities=velocities, time_from_start=duration_message(CONTROL_PERIOD_S)
        )
    ]
    return message


def trajectory_message(trajectory: JointTrajectory, number: int) -> JointTrajectoryMessage:
    """A trajectory that starts when it is received: its stamp is 0.

    ``number`` counts the sender's trajectories. It goes into frame_id, which means nothing to a trajectory of joints
    and which controllers ignore, and lets a simulated robot know whether what was sent to it has arrived.
    """
    message = JointTrajectoryMessage(joint_names=list(trajectory.joint_names))
    message.header.frame_id = str(number)
    message.points = [
        JointTrajectoryPoint(
            positions=point.position.tolist(),
            velocities=point.velocity.tolist(),
            time_from_start=duration_message(point.time_from_start_s),
        )
        for point in trajectory.points
    ]
    return message


def number_of(message: JointTrajectoryMessage) -> int:
    """The number that ``trajectory_message`` gave it; 0 if somebody else sent it."""
    text = message.header.frame_id
    return int(text) if text.isascii() and text.isdigit() else 0


def trajectory_of(message: JointTrajectoryMessage, joint_names: Sequence[str]) -> JointTrajectory:
    """The trajectory for ``joint_names``, in that order; CommandError if the message is for others or malformed."""
    names = tuple(message.joint_names)
    if sorted(names) != sorted(joint_names):
        raise CommandError(f"trajectory for joints {shortened(list(names), NAMES_SHOWN)}, expected {list(joint_names)}")
    if stamp_ns_of(message.header.stamp) != 0:
        raise CommandError("trajectory with a stamp, expected stamp 0: start now")
    order = [names.index(name) for name in joint_names]
    points = tuple(_point_of(point, order) for point in message.points)
    times = [0.0, *(point.time_from_start_s for point in points)]
    if not points or any(late <= early for early, late in pairwise(times)):
        raise CommandError(f"trajectory with points at {times[1:]} s, expected increasing times after 0")
    return JointTrajectory(tuple(joint_names), points)


def _point_of(point: JointTrajectoryPoint, order: list[int]) -> TrajectoryPoint:
    def ordered(values: Sequence[float], what: str) -> FloatArray:
        array = np.array(values, dtype=np.float64)
        # Written so that NaN is refused. Numbers beyond cannot be computed with, and mean nothing.
        if len(array) != len(order) or not np.all(np.abs(array) <= _MOST):
            raise CommandError(
                f"trajectory point with {what} {shortened(array.tolist(), NAMES_SHOWN)}, expected {len(order)} numbers "
                f"of at most {_MOST:g}"
            )
        return array[order]

    return TrajectoryPoint(
        time_from_start_s=duration_s_of(point.time_from_start),
        position=ordered(point.positions, "positions"),
        velocity=ordered(point.velocities, "velocities"),
    )
