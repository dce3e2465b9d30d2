"""Odometry of the robot's base, where it is on a topic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from fetch_sim2real import graph
from fetch_sim2real.ros.topics import subscribe_to
from fetch_sim2real.types import BasePose


def listen_to_odometry(node: Node, on_pose: Callable[[BasePose], None]) -> str:
    """Call ``on_pose`` with every pose of the base; returns what stands against it, empty if nothing does."""

    def on_message(message: Any) -> None:
        pose = message.pose.pose
        place, turn = pose.position, pose.orientation
        on_pose(BasePose.of(place.x, place.y, (turn.x, turn.y, turn.z, turn.w)))

    try:
        subscribe_to(node, graph.ODOMETRY, on_message)
    except ModuleNotFoundError as error:
        return f"not watched: the package {error.name} is not installed"
    return ""
