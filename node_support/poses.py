"""Pose messages to arrays and back."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import PoseStamped

from fetch_sim2real.types import FloatArray, Goal


def position_of(message: PoseStamped) -> FloatArray:
    """Position (3,) [m] of a pose."""
    point = message.pose.position
    return np.array([point.x, point.y, point.z])


def goal_message(goal: Goal) -> PoseStamped:
    """A goal for the policy: a position, in its frame."""
    message = PoseStamped()
    message.header.frame_id = goal.frame_id
    point = message.pose.position
    point.x, point.y, point.z = (float(value) for value in goal.position_m)
    message.pose.orientation.w = 1.0
    return message
