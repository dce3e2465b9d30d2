"""Pictures for the page: JPEG, the goal drawn in, made only when somebody looks."""

from __future__ import annotations

import threading
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.reports.film_strip import depth_picture
from fetch_sim2real.ros.view.goal_mark import GoalMark
from fetch_sim2real.ros.view.live_state import COLOR, LiveState, Picture

_QUALITY: Final = 85
_GOAL_RGB: Final = (255, 220, 0)
_EDGE_RGB: Final = (0, 0, 0)


class PictureMaker:
    """Encodes each picture once, however many look."""

    def __init__(self, state: LiveState) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._made: dict[str, tuple[int, bytes]] = {}

    def jpeg(self, kind: str) -> bytes | None:
        """The newest picture of a kind; None before the first."""
        newest = self._state.picture(kind)
        if newest is None:
            return None
        picture, mark = newest
        with self._lock:
            number, data = self._made.get(kind, (0, b""))
            if number != picture.number:
                data = _encoded(kind, picture, mark)
                self._made[kind] = (picture.number, data)
            return data


def _encoded(kind: str, picture: Picture, mark: GoalMark) -> bytes:
    if kind == COLOR:
        rgb = np.array(picture.pixels, dtype=np.uint8)  # a copy: the message's own pixels are read-only
    else:
        rgb = depth_picture(picture.pixels.astype(np.uint16, copy=False))
    if mark.pixel is not None:
        draw_goal(rgb, mark.pixel)
    _, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return bytes(data)


def draw_goal(rgb: NDArray[np.uint8], pixel: tuple[float, float]) -> None:
    """Draw a cross with a dark edge around (u, v) into ``rgb`` (H, W, 3)."""
    at = (round(pixel[0]), round(pixel[1]))
    size = max(9, rgb.shape[1] // 24)
    for colour, thickness in ((_EDGE_RGB, 4), (_GOAL_RGB, 2)):
        cv2.drawMarker(rgb, at, colour, cv2.MARKER_CROSS, size, thickness)
