"""Image messages to arrays and back."""

from __future__ import annotations

import array

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from fetch_sim2real.messages.images import COLOR_ENCODING, DEPTH_ENCODING, color_of, depth_of
from fetch_sim2real.ros.stamps import stamp_message

__all__ = ["color_message", "color_of", "depth_message", "depth_of"]


def color_message(rgb: NDArray[np.uint8], stamp_ns: int, frame_id: str) -> Image:
    """rgb (H, W, 3) as rgb8."""
    return _message(rgb, COLOR_ENCODING, stamp_ns, frame_id)


def depth_message(depth_mm: NDArray[np.uint16], stamp_ns: int, frame_id: str) -> Image:
    """depth_mm (H, W) as 16UC1."""
    return _message(depth_mm.astype("<u2", copy=False), DEPTH_ENCODING, stamp_ns, frame_id)


def _message(pixels: NDArray[np.generic], encoding: str, stamp_ns: int, frame_id: str) -> Image:
    message = Image(encoding=encoding, is_bigendian=0)
    message.header.stamp = stamp_message(stamp_ns)
    message.header.frame_id = frame_id
    message.height, message.width = pixels.shape[0], pixels.shape[1]
    message.step = pixels.nbytes // message.height
    # rclpy copies an array.array as one block and everything else element by element.
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(pixels).data.cast("B"))
    message.data = data
    return message
