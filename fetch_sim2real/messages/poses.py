"""Goals and poses as geometry_msgs/PoseStamped, the base's as nav_msgs/Odometry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fetch_sim2real.messages.stamps import encode_stamp
from fetch_sim2real.types import BasePose, FloatArray, Goal

if TYPE_CHECKING:
    from geometry_msgs.msg import PoseStamped


def decode_position(message: Any) -> FloatArray:
    """Return the position (3,) [m] of a pose."""
    point = message.pose.position
    return np.array([point.x, point.y, point.z])


def decode_goal(message: Any) -> Goal:
    """Return the goal: the position of a pose, in its frame. Its numbers may be anything."""
    return Goal(str(message.header.frame_id), decode_position(message))


def decode_base_pose(message: Any) -> BasePose:
    """Return where odometry has the base; its numbers may be anything."""
    place, turn = message.pose.pose.position, message.pose.pose.orientation
    return BasePose.of(place.x, place.y, (turn.x, turn.y, turn.z, turn.w))


def encode_goal(goal: Goal, stamp_ns: int = 0) -> PoseStamped:
    """Return the goal as a pose without a turn."""
    return encode_pose(goal.position_m, np.array([1.0, 0.0, 0.0, 0.0]), goal.frame_id, stamp_ns)


def encode_pose(position_m: FloatArray, quaternion_wxyz: FloatArray, frame_id: str, stamp_ns: int) -> PoseStamped:
    """Return a pose: position (3,) [m] and unit quaternion (4,), w first."""
    from geometry_msgs.msg import PoseStamped

    message = PoseStamped()
    message.header.stamp = encode_stamp(stamp_ns)
    message.header.frame_id = frame_id
    point, turn = message.pose.position, message.pose.orientation
    point.x, point.y, point.z = (float(value) for value in position_m)
    turn.w, turn.x, turn.y, turn.z = (float(value) for value in quaternion_wxyz)
    return message
