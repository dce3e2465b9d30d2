"""Image messages to arrays."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.errors import ObservationError

COLOR_ENCODING: Final = "rgb8"
DEPTH_ENCODING: Final = "16UC1"


def color_of(message: Any) -> NDArray[np.uint8]:
    """rgb (H, W, 3) of an rgb8 message, without a copy; ObservationError for anything else."""
    pixels = _pixels(message, COLOR_ENCODING, np.dtype(np.uint8), 3)
    return pixels.reshape(message.height, message.width, 3).astype(np.uint8, copy=False)


def depth_of(message: Any) -> NDArray[np.uint16]:
    """depth_mm (H, W) of a 16UC1 message, without a copy; ObservationError for anything else."""
    order = ">" if message.is_bigendian else "<"
    depth = _pixels(message, DEPTH_ENCODING, np.dtype(f"{order}u2"), 1).reshape(message.height, message.width)
    return depth.astype(np.uint16, copy=False)


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
