"""What a simulation publishes for its software device: messages into pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from rclpy.node import Node

from camera_node.simulated_source import SimulatedPicture
from fetch_sim2real import graph
from fetch_sim2real.messages.camera_info import decode_camera_info
from fetch_sim2real.messages.images import decode_color, decode_depth
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.ros.topics import subscribe_to

# Messages of one publisher on several topics overtake each other by less than this many frames.
_KEPT: Final = 4


class SimulationInput:
    """Collects the four messages of each stamp and hands on the picture."""

    def __init__(self, node: Node, on_picture: Callable[[SimulatedPicture], None]) -> None:
        self._on_picture = on_picture
        self._parts: dict[int, dict[str, Any]] = {}
        for topic in graph.SIM_CAMERA:
            subscribe_to(node, topic, partial(self._add, topic.name))

    def _add(self, name: str, message: Any) -> None:
        stamp_ns = decode_stamp(message.header.stamp)
        parts = self._parts.setdefault(stamp_ns, {})
        parts[name] = message
        if len(parts) == len(graph.SIM_CAMERA):
            # What is older cannot become whole in order any more.
            self._parts = {stamp: kept for stamp, kept in self._parts.items() if stamp > stamp_ns}
            self._on_picture(_picture(stamp_ns, parts))
        elif len(self._parts) > _KEPT:
            del self._parts[next(iter(self._parts))]  # not the smallest stamp: one far ahead would stay for good


def _picture(stamp_ns: int, parts: dict[str, Any]) -> SimulatedPicture:
    color, color_info, depth, depth_info = (parts[topic.name] for topic in graph.SIM_CAMERA)
    return SimulatedPicture(
        stamp_ns,
        decode_color(color),
        decode_depth(depth),
        decode_camera_info(color_info),
        decode_camera_info(depth_info),
    )
