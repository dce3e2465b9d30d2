"""Pictures as files, and text in pictures: OpenCV behind what it takes, and what it does not survive."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.common.outputs import require_file_place, require_suffix, write_bytes
from fetch_sim2real.common.validation import escaped
from fetch_sim2real.errors import FetchSim2RealError

SUFFIXES: Final = (".png", ".jpg")
_JPEG_QUALITY: Final = 75


def require_picture_place(path: Path, option: str) -> None:
    """Raise ``SetupError`` unless a picture can be written at ``path``. ``option`` is what the user chose it by."""
    require_suffix(path, SUFFIXES, option)
    require_file_place(path, option)


def write_picture(picture: NDArray[np.uint8], path: Path) -> None:
    """Write a picture (H, W, 3), RGB, or (H, W), as the path's suffix says, in one step.

    FetchSim2RealError if it cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise FetchSim2RealError(f"the picture {path} cannot be written; expected a name like {path.stem}.png")
    suffix = path.suffix.lower()
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if suffix == ".jpg" else []
    _, data = cv2.imencode(suffix, picture[..., ::-1] if picture.ndim == 3 else picture, options)
    write_bytes(data.tobytes(), path)


def drawable(text: str) -> str:
    """Return the text as OpenCV can draw it: what is no UTF-8 ends its process."""
    return escaped(text)
