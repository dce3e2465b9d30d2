"""Lines over time as a picture: panels one above the other, on one axis of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.common.picture_file import drawable
from fetch_sim2real.types import FloatArray

Picture = NDArray[np.uint8]  # (H, W, 3), RGB

BLUE: Final = (11, 98, 196)
ORANGE: Final = (226, 120, 20)
RED: Final = (198, 47, 47)
_WIDTH: Final = 1200
_PANEL_HEIGHT: Final = 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 20, 26, 10
_AXIS_HEIGHT: Final = 30
_INK, _FAINT, _LINE = (31, 35, 40), (101, 109, 118), (216, 222, 228)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
# A longer silence than this is no line.
_BREAK_S: Final = 0.3


@dataclass(frozen=True)
class Line:
    """``values`` (n,) over the panel's times; a thick line shows below a thin one of the same course."""

    name: str
    values: FloatArray
    color: tuple[int, int, int]
    thickness: int = 1


@dataclass(frozen=True)
class Panel:
    """Lines with one axis, whose ``label`` says quantity and unit."""

    label: str
    lines: tuple[Line, ...]


def panels_picture(title: str, times_s: FloatArray, panels: Sequence[Panel]) -> Picture:
    """Draw the picture. ``times_s`` (n,) ascending are those of every line's values."""
    head = np.full((36, _WIDTH, 3), 255, np.uint8)
    _write(head, title, 10, 24, _INK, 0.55)
    end_s = float(times_s[-1]) if len(times_s) else 1.0
    rows = [_panel(panel, times_s, max(end_s, 1e-3)) for panel in panels]
    return np.vstack([head, *rows, _time_axis(max(end_s, 1e-3))])


def _panel(panel: Panel, times_s: FloatArray, end_s: float) -> Picture:
    picture = np.full((_PANEL_HEIGHT, _WIDTH, 3), 255, np.uint8)
    values = np.concatenate([line.values for line in panel.lines]) if panel.lines else np.zeros(1)
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    if high - low < 1e-12:
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    bottom = _PANEL_HEIGHT - _BOTTOM
    for value in (low, (low + high) / 2, high):
        y = round(bottom - (bottom - _TOP) * (value - low) / (high - low))
        cv2.line(picture, (_LEFT, y), (_WIDTH - _RIGHT, y), _LINE, 1)
        _write(picture, f"{value:.3g}", _LEFT - 8, y + 4, _FAINT, 0.4, right=True)
    _write(picture, panel.label, _LEFT, 16, _INK, 0.45)
    x = _WIDTH - _RIGHT
    for line in reversed(panel.lines):
        x -= _write(picture, line.name, x, 16, line.color, 0.45, right=True) + 16
    for line in panel.lines:
        us = _LEFT + (_WIDTH - _LEFT - _RIGHT) * times_s / end_s
        vs = bottom - (bottom - _TOP) * (line.values - low) / (high - low)
        for part in _unbroken(times_s, line.values):
            points = np.stack([us[part], vs[part]], axis=1).round().astype(np.int32)
            cv2.polylines(picture, [points], False, line.color, line.thickness, cv2.LINE_AA)
    return picture


def _unbroken(times_s: FloatArray, values: FloatArray) -> list[NDArray[np.int64]]:
    """Indices of stretches without a pause and without NaN."""
    indices = np.flatnonzero(np.isfinite(values))
    breaks = np.flatnonzero((np.diff(times_s[indices]) > _BREAK_S) | (np.diff(indices) > 1)) + 1
    return [part for part in np.split(indices, breaks) if len(part)]


def _time_axis(end_s: float) -> Picture:
    picture = np.full((_AXIS_HEIGHT, _WIDTH, 3), 255, np.uint8)
    for share in np.linspace(0.0, 1.0, 7):
        x = round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * share)
        _write(picture, f"{share * end_s:.1f} s", x, 18, _FAINT, 0.4, right=share > 0.9)
    return picture


def _write(
    picture: Picture, text: str, x: int, y: int, color: tuple[int, int, int], size: float, right: bool = False
) -> int:
    """Write and return the width; ``x`` is the right end if ``right``."""
    text = drawable(text)
    (width, _), _ = cv2.getTextSize(text, _FONT, size, 1)
    cv2.putText(picture, text, (x - width if right else x, y), _FONT, size, color, 1, cv2.LINE_AA)
    return int(width)
