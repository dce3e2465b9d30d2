"""What tools that draw are told of the robot and its surroundings: description, frames and markers, as bytes.

They are made with the types of ``rosbags``, so that a machine without the ROS packages ``tf2_msgs`` and
``visualization_msgs`` can make them too: for Foxglove, which needs no ROS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from fetch_sim2real.arm.robot_tree import LinkFrame
from fetch_sim2real.graph import BASE_FRAME
from fetch_sim2real.messages.ros_types import serialized, type_called
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.types import FloatArray

Rgba = tuple[float, float, float, float]
_NS_PER_S: Final = 1_000_000_000
_ADD, _DELETE = 0, 2
# What visualization_msgs/Marker calls them.
_KINDS: Final = {"box": 1, "sphere": 2, "line": 4, "edges": 5}


@dataclass(frozen=True, eq=False)
class SceneShape:
    """Something to draw, in ``frame_id``; lengths in metres, ``rgba`` in 0..1.

    A ``box`` and a ``sphere`` have their middle at ``position_m`` (3,) and ``size_m`` (3,) across. A ``line`` goes
    through ``points_m`` (k, 3), ``edges`` join each two of them; both are ``size_m[0]`` wide.
    """

    kind: Literal["box", "sphere", "line", "edges"]
    frame_id: str
    size_m: tuple[float, float, float]
    rgba: Rgba
    position_m: FloatArray
    points_m: FloatArray


def encode_text(text: str) -> bytes:
    """Return a std_msgs/String."""
    return serialized(type_called("std_msgs/msg/String")(text))


def encode_frames(frames: Sequence[LinkFrame], stamp_ns: int) -> bytes:
    """Return a tf2_msgs/TFMessage of ``frames``, all of one stamp."""
    message = type_called("tf2_msgs/msg/TFMessage")
    return serialized(message([_transform(frame, stamp_ns) for frame in frames]))


def camera_frame(base_T_camera: Pose, frame_id: str) -> LinkFrame:
    """Return where the camera's optical frame, called ``frame_id``, is in base_link."""
    return LinkFrame(BASE_FRAME, frame_id, base_T_camera.position, base_T_camera.quaternion_xyzw)


def encode_markers(shapes: Mapping[str, SceneShape | None]) -> bytes:
    """Return a visualization_msgs/MarkerArray with one marker for each name; None takes one away that was there.

    They have stamp 0: drawn by the newest frames that a tool knows.
    """
    message = type_called("visualization_msgs/msg/MarkerArray")
    return serialized(message([_marker(name, shape) for name, shape in shapes.items()]))


def _transform(frame: LinkFrame, stamp_ns: int) -> Any:
    transform = type_called("geometry_msgs/msg/Transform")(
        _vector(frame.position_m), _quaternion(frame.quaternion_xyzw.tolist())
    )
    stamped = type_called("geometry_msgs/msg/TransformStamped")
    return stamped(_header(frame.parent, stamp_ns), frame.child, transform)


def _marker(name: str, shape: SceneShape | None) -> Any:
    drawn = shape or SceneShape("sphere", BASE_FRAME, (1.0, 1.0, 1.0), (0.0,) * 4, np.zeros(3), np.zeros((0, 3)))
    point, color = type_called("geometry_msgs/msg/Point"), type_called("std_msgs/msg/ColorRGBA")
    middle = point(*drawn.position_m.tolist())
    no_texture = type_called("sensor_msgs/msg/CompressedImage")(_header("", 0), "", np.zeros(0, np.uint8))
    return type_called("visualization_msgs/msg/Marker")(
        header=_header(drawn.frame_id, 0),
        ns=name,
        id=0,
        type=_KINDS[drawn.kind],
        action=_DELETE if shape is None else _ADD,
        pose=type_called("geometry_msgs/msg/Pose")(middle, _quaternion([0.0, 0.0, 0.0, 1.0])),
        scale=_vector(np.array(drawn.size_m)),
        color=color(*drawn.rgba),
        lifetime=type_called("builtin_interfaces/msg/Duration")(0, 0),
        frame_locked=True,
        points=[point(*row) for row in drawn.points_m.tolist()],
        colors=[],
        texture_resource="",
        texture=no_texture,
        uv_coordinates=[],
        text="",
        mesh_resource="",
        mesh_file=type_called("visualization_msgs/msg/MeshFile")("", np.zeros(0, np.uint8)),
        mesh_use_embedded_materials=False,
    )


def _header(frame_id: str, stamp_ns: int) -> Any:
    stamp = type_called("builtin_interfaces/msg/Time")(*divmod(stamp_ns, _NS_PER_S))
    return type_called("std_msgs/msg/Header")(stamp, frame_id)


def _vector(values: FloatArray) -> Any:
    return type_called("geometry_msgs/msg/Vector3")(*values.tolist())


def _quaternion(xyzw: Sequence[float]) -> Any:
    return type_called("geometry_msgs/msg/Quaternion")(*xyzw)
