"""The alignment as a picture: what is expected drawn over what is seen, and how the depths differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.calibration.expected_view import NOTHING, ON_BLOCK, ON_TABLE, ROBOT, View
from fetch_sim2real.calibration.snapshot import Snapshot

Picture = NDArray[np.uint8]  # (H, W, 3), RGB

_PANEL_PX: Final = 480
_BAR_PX: Final = 30
_PAPER, _INK = (255, 255, 255), (40, 40, 40)
_EDGE_COLORS: Final = {ON_TABLE: (255, 225, 0), ROBOT: (0, 235, 255), ON_BLOCK: (255, 60, 255)}
# A step of the depth by more than this share is an edge also within the robot.
_STEP_SHARE: Final = 0.02
DIFFERENCE_RANGE_M: Final = 0.05
_NOT_COMPARED, _NO_DEPTH = (205, 205, 205), (0, 0, 0)


def overlay_picture(snapshot: Snapshot, rows: Sequence[tuple[str, View]]) -> Picture:
    """Draw one row for each title and expected view: edges over the colour picture, and depth differences beside it."""
    parts: list[Picture] = []
    for title, view in rows:
        parts += [_bar([(title, _INK)]), _row(snapshot, view)]
    return np.vstack([*parts, _legend()])


def expected_edges(view: View) -> NDArray[np.uint8]:
    """Return the kind of object whose outline passes each pixel (H, W), NOTHING elsewhere; one pixel wide."""
    edges = np.full(view.shows.shape, NOTHING, np.uint8)
    for axis in (0, 1):
        here, there = _neighbours(view.shows, axis)
        near, far = _neighbours(view.depth_m, axis)
        steps = (here != there) | (np.abs(near - far) > _STEP_SHARE * np.minimum(near, far))
        # The outline belongs to what is in front.
        kind = np.where((near <= far) & (here != NOTHING) | (there == NOTHING), here, there)
        target = _neighbours(edges, axis)[0]
        target[steps] = np.maximum(target[steps], kind[steps])
    return edges


def _neighbours(picture: NDArray[Any], axis: int) -> tuple[NDArray[Any], NDArray[Any]]:
    return (picture[:-1], picture[1:]) if axis == 0 else (picture[:, :-1], picture[:, 1:])


def difference_picture(depth_mm: NDArray[np.uint16], view: View) -> Picture:
    """Return the measured minus expected depth (H, W): blue nearer than expected, white equal, red further away."""
    difference = depth_mm * 1e-3 - view.depth_m
    share = np.clip(difference / DIFFERENCE_RANGE_M, -1.0, 1.0)
    picture = _diverging(share)
    picture[view.shows == NOTHING] = _NOT_COMPARED
    picture[depth_mm == 0] = _NO_DEPTH
    return picture


def _diverging(share: NDArray[np.float64]) -> Picture:
    fade = (255 * (1.0 - np.abs(share))).astype(np.uint8)
    full = np.full_like(fade, 255)
    red, blue = np.where(share > 0, full, fade), np.where(share < 0, full, fade)
    return np.stack([red, fade, blue], axis=-1).astype(np.uint8)


def _row(snapshot: Snapshot, view: View) -> Picture:
    height = round(view.shows.shape[0] * _PANEL_PX / view.shows.shape[1])
    size = (_PANEL_PX, height)
    color = np.ascontiguousarray(cv2.resize(snapshot.rgb, size, interpolation=cv2.INTER_AREA))
    edges = expected_edges(view)
    for kind, ink in _EDGE_COLORS.items():
        mask = cv2.resize((edges == kind).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        color[mask > 0] = ink
    difference = cv2.resize(difference_picture(snapshot.depth_mm, view), size, interpolation=cv2.INTER_NEAREST)
    gap = np.full((height, 6, 3), _PAPER, np.uint8)
    return np.hstack([color, gap, difference]).astype(np.uint8)


def _bar(texts: Sequence[tuple[str, tuple[int, int, int]]]) -> Picture:
    bar = np.full((_BAR_PX, 2 * _PANEL_PX + 6, 3), _PAPER, np.uint8)
    x = 6
    for text, ink in texts:
        (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
        cv2.putText(bar, text, (x, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, ink, 1, cv2.LINE_AA)
        x += width + 18
    return bar


def _legend() -> Picture:
    # Darker than in the picture: on paper bright yellow and cyan cannot be read.
    names = (("expected outline:", _INK), ("robot", (0, 140, 160)), ("table", (165, 140, 0)), ("block", (190, 0, 190)))
    bar = _bar(names)
    left, width = _PANEL_PX + 120, 170
    ramp = _diverging(np.tile(np.linspace(-1.0, 1.0, width), (14, 1)))
    bar[8:22, left : left + width] = ramp
    cm = round(100 * DIFFERENCE_RANGE_M)
    for text, x in ((f"{cm} cm nearer", _PANEL_PX + 6), (f"{cm} cm further", left + width + 8)):
        cv2.putText(bar, text, (x, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)
    return bar
