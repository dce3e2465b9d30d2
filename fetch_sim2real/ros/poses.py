"""Pose messages to arrays and back."""

from __future__ import annotations

from geometry_msgs.msg import PoseStamped

from fetch_sim2real.messages.poses import position_of
from fetch_sim2real.types import Goal

__all__ = ["goal_message", "position_of"]


def goal_message(goal: Goal) -> PoseStamped:
    """A goal for the policy: a position, in its frame."""
    message = PoseStamped()
    message.header.frame_id = goal.frame_id
    point = message.pose.position
    point.x, point.y, point.z = (float(value) for value in goal.position_m)
    message.pose.orientation.w = 1.0
    return message
