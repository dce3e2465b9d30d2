"""Pictures as sensor_msgs/Image."""

from __future__ import annotations

import array
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.errors import ObservationError
from fetch_sim2real.messages.stamps import encode_stamp

if TYPE_CHECKING:
    from sensor_msgs.msg import Image

COLOR_ENCODING: Final = "rgb8"
DEPTH_ENCODING: Final = "16UC1"


def decode_color(message: Any) -> NDArray[np.uint8]:
    """Return rgb (H, W, 3) of an rgb8 message, without a copy; ObservationError for anything else."""
    pixels = _pixels(message, COLOR_ENCODING, np.dtype(np.uint8), 3)
    return pixels.reshape(message.height, message.width, 3).astype(np.uint8, copy=False)


def decode_depth(message: Any) -> NDArray[np.uint16]:
    """Return depth_mm (H, W) of a 16UC1 message, without a copy; ObservationError for anything else."""
    order = ">" if message.is_bigendian else "<"
    depth = _pixels(message, DEPTH_ENCODING, np.dtype(f"{order}u2"), 1).reshape(message.height, message.width)
    return depth.astype(np.uint16, copy=False)


def encode_color(rgb: NDArray[np.uint8], stamp_ns: int, frame_id: str) -> Image:
    """Return rgb (H, W, 3) as rgb8."""
    return _image(rgb, COLOR_ENCODING, stamp_ns, frame_id)


def encode_depth(depth_mm: NDArray[np.uint16], stamp_ns: int, frame_id: str) -> Image:
    """Return depth_mm (H, W) as 16UC1."""
    return _image(depth_mm.astype("<u2", copy=False), DEPTH_ENCODING, stamp_ns, frame_id)


def _image(pixels: NDArray[np.generic], encoding: str, stamp_ns: int, frame_id: str) -> Image:
    from sensor_msgs.msg import Image

    message = Image(encoding=encoding, is_bigendian=0)
    message.header.stamp = encode_stamp(stamp_ns)
    message.header.frame_id = frame_id
    message.height, message.width = pixels.shape[0], pixels.shape[1]
    message.step = pixels.nbytes // message.height
    # rclpy copies an array.array as one block and everything else element by element.
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(pixels).data.cast("B"))
    message.data = data
    return message


def _pixels(message: Any, encoding: str, dtype: np.dtype[np.generic], channels: int) -> NDArray[np.generic]:
    if message.encoding != encoding:
        raise ObservationError(
            f"image of encoding {message.encoding!r}, expected '{encoding}': set the camera's format accordingly"
        )
    row = message.width * channels * dtype.itemsize
    if (
        message.height < 1
        or message.width < 1
        or message.step < row
        or len(message.data) != message.step * message.height
    ):
        raise ObservationError(
            f"image of {message.width}x{message.height} with rows of {message.step} bytes holds {len(message.data)} "
            f"bytes, expected rows of at least {row}"
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    # Rows may be padded.
    return np.ascontiguousarray(rows[:, :row]).view(dtype)
