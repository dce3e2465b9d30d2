"""The camera's topics: what it publishes, and what a simulation publishes for its software device."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from camera_node.simulated_source import SimulatedPicture
from camera_node.source import CameraDescription
from fetch_sim2real import graph
from fetch_sim2real.messages.camera_info import decode_camera_info, encode_camera_info
from fetch_sim2real.messages.images import decode_color, decode_depth, encode_color, encode_depth
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.ros.topics import publish_to, subscribe_to
from fetch_sim2real.types import RgbdFrame


class Outputs:
    """The camera's publishers."""

    def __init__(self, node: Node) -> None:
        self._color = publish_to(node, graph.COLOR)
        self._color_info = publish_to(node, graph.COLOR_INFO)
        self._depth = publish_to(node, graph.DEPTH)
        self._depth_info = publish_to(node, graph.DEPTH_INFO)
        self._last: tuple[int, Image, Image, CameraInfo] | None = None

    @property
    def are_heard(self) -> bool:
        """Whether anybody subscribes to images."""
        return self._color.get_subscription_count() > 0 or self._depth.get_subscription_count() > 0

    def frame(self, frame: RgbdFrame, camera: CameraDescription) -> None:
        """Publish a pair and its intrinsics, all of one stamp; the pixels are copied once."""
        color = encode_color(frame.rgb, frame.stamp_ns, graph.COLOR_OPTICAL_FRAME)
        depth = encode_depth(frame.depth_mm, frame.stamp_ns, graph.COLOR_OPTICAL_FRAME)
        self._last = frame.stamp_ns, color, depth, info_message(camera, frame.stamp_ns)
        self._publish(*self._last)

    def publish_again(self, stamp_ns: int) -> bool:
        """Publish the last pair once more if it is of this stamp; whether it was."""
        last = self._last
        if last is None or last[0] != stamp_ns:
            return False
        self._publish(*last)
        return True

    def _publish(self, _stamp_ns: int, color: Image, depth: Image, info: CameraInfo) -> None:
        self._color_info.publish(info)
        self._depth_info.publish(info)
        self._color.publish(color)
        self._depth.publish(depth)


def info_message(camera: CameraDescription, stamp_ns: int) -> CameraInfo:
    """Return the colour camera's intrinsics as the device knows them; the images are not rectified."""
    info = encode_camera_info(camera.camera, stamp_ns, graph.COLOR_OPTICAL_FRAME)
    info.distortion_model = camera.distortion.model
    info.d = list(camera.distortion.coefficients)
    return info


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
