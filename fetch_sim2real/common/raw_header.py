"""Stamp and frame of serialized messages, read without deserializing them."""

from __future__ import annotations

import struct
from typing import Final

# Types whose first field is a Header: its stamp follows the four bytes that state the encoding, then its frame.
HEADED_TYPES: Final = frozenset(
    {
        "diagnostic_msgs/msg/DiagnosticArray",
        "geometry_msgs/msg/PoseStamped",
        "sensor_msgs/msg/CameraInfo",
        "sensor_msgs/msg/Image",
        "sensor_msgs/msg/JointState",
        "trajectory_msgs/msg/JointTrajectory",
    }
)
# And those that begin with a bare Time.
STAMPED_TYPES: Final = HEADED_TYPES | {"rosgraph_msgs/msg/Clock"}

_ENCAPSULATION_BYTES: Final = 4
_STAMP_BYTES: Final = 8
_FRAME_AT: Final = _ENCAPSULATION_BYTES + _STAMP_BYTES


def stamp_ns_in(message: bytes) -> int | None:
    """Stamp [ns] at the front of a message of one of ``STAMPED_TYPES`` in CDR; None if it is too short for one."""
    if len(message) < _FRAME_AT:
        return None
    seconds, nanoseconds = struct.unpack_from(f"{_byte_order(message)}iI", message, _ENCAPSULATION_BYTES)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def frame_id_in(message: bytes) -> str | None:
    """Return the frame at the front of a message of one of ``HEADED_TYPES`` in CDR; None if it is too short for one."""
    if len(message) < _FRAME_AT + 4:
        return None
    (length,) = struct.unpack_from(f"{_byte_order(message)}I", message, _FRAME_AT)
    text = message[_FRAME_AT + 4 : _FRAME_AT + 4 + length]
    return None if len(text) < length else text.rstrip(b"\0").decode("utf-8", errors="replace")


def _byte_order(message: bytes) -> str:
    # The lowest bit of the second byte.
    return "<" if message[1] & 1 else ">"
