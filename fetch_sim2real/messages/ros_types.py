"""Definitions of ROS message types that a machine need not have installed: those of ``rosbags``.

``tf2_msgs`` is in no Python package index, and Foxglove asks for the definition of every type that it is sent.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore


@cache
def ros_types() -> Typestore:
    """Return the types of ROS 2 Jazzy, read once: that takes half a second."""
    return get_typestore(Stores.ROS2_JAZZY)


def type_called(name: str) -> Any:
    """Return the class of a message type, for example ``std_msgs/msg/String``. KeyError for an unknown one."""
    return ros_types().types[name]


def serialized(message: Any) -> bytes:
    """Return ``message``, of a class of ``type_called``, as ROS sends it (CDR). rclpy publishes such bytes too."""
    return bytes(ros_types().serialize_cdr(message, message.__msgtype__))


def definition_of(name: str) -> str:
    """Return a type's definition with those of all types in it, as MCAP and Foxglove take it (``ros2msg``)."""
    text, _ = ros_types().generate_msgdef(name, ros_version=2)
    return text
