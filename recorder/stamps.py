"""Stamps of serialized messages, read without deserializing them."""

from __future__ import annotations

import struct
from typing import Final

# Types whose first field is a Header or a Time: their stamp follows the four bytes that state the encoding.
STAMPED_TYPES: Final = frozenset(
    {
        "diagnostic_msgs/msg/DiagnosticArray",
        "geometry_msgs/msg/PoseStamped",
        "rosgraph_msgs/msg/Clock",
        "sensor_msgs/msg/CameraInfo",
        "sensor_msgs/msg/Image",
        "sensor_msgs/msg/JointState",
        "trajectory_msgs/msg/JointTrajectory",
    }
)
_ENCAPSULATION_BYTES: Final = 4
_LITTLE: Final = struct.Struct("<iI")
_BIG: Final = struct.Struct(">iI")


def leading_stamp_ns(message: bytes) -> int | None:
    """Stamp [ns] at the front of a message of one of ``STAMPED_TYPES`` in CDR; None if it is too short for one."""
    if len(message) < _ENCAPSULATION_BYTES + _LITTLE.size:
        return None
    # The second byte's lowest bit states the byte order.
    layout = _LITTLE if message[1] & 1 else _BIG
    seconds, nanoseconds = layout.unpack_from(message, _ENCAPSULATION_BYTES)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
