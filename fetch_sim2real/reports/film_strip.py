"""An episode as a film strip: a row of frames with the goal drawn in, and the depth of each; or as a video."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.common.outputs import require_file_place, require_suffix
from fetch_sim2real.common.picture_file import drawable
from fetch_sim2real.errors import FetchSim2RealError, SetupError
from fetch_sim2real.evaluation.recorded_episode import Moment
from fetch_sim2real.paths import expanded
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.timing import CONTROL_RATE_HZ

SUFFIXES: Final = (".mp4", ".mkv", ".mov")


def video_encoder() -> Any:
    """Return the module ``imageio_ffmpeg``. ``SetupError`` without it, or without the program that it brings."""
    try:
        import imageio_ffmpeg

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError, OSError) as error:
        raise SetupError(f"a video needs the package imageio-ffmpeg: make venv EXTRAS=viz ({error})") from None
    return imageio_ffmpeg


def require_video_place(path: Path, option: str) -> None:
    """Raise ``SetupError`` unless a video can be encoded and written at ``path``.

    ``option``: what the user chose it by.
    """
    require_suffix(path, SUFFIXES, option)
    require_file_place(path, option)
    video_encoder()


Picture = NDArray[np.uint8]  # (H, W, 3), RGB

COLUMNS: Final = 6
_COLUMN_PX: Final = 300
_GAP_PX: Final = 8
_TITLE_PX: Final = 44
_CAPTION_PX: Final = 30
_LEGEND_PX: Final = 34
_PAPER: Final = (255, 255, 255)
_INK: Final = (40, 40, 40)
_FAINT: Final = (120, 120, 120)
_GOOD: Final = (20, 140, 60)
_BAD: Final = (190, 40, 40)
_GOAL: Final = (255, 220, 0)
_GRIP: Final = (0, 230, 255)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
# Depth is shown from the near end in warm colours to the far end in cold ones; black is "no depth".
_DEPTH_RANGE_M: Final = (0.6, 2.0)


@dataclass(frozen=True)
class FilmTitle:
    """What the picture says above the frames; ``tolerance_m`` decides which distances count as on the goal."""

    text: str
    success: bool
    final_distance_m: float
    tolerance_m: float


def film_strip(
    moments: Sequence[Moment], base_T_camera: Pose, title: FilmTitle, column_px: int = _COLUMN_PX
) -> Picture:
    """Draw colour above depth, one column for each moment, in order. FetchSim2RealError without moments."""
    if not moments:
        raise FetchSim2RealError("there are no frames of the episode in the bag: no picture of it can be made")
    columns = [frame_column(moment, base_T_camera, title.tolerance_m, column_px) for moment in moments]
    height = columns[0].shape[0]
    gap = np.full((height, _GAP_PX, 3), _PAPER, np.uint8)
    row = np.hstack([gap, *(part for column in columns for part in (column, gap))])
    return np.vstack([_title(title, row.shape[1]), row, _legend(row.shape[1])])


def frame_column(moment: Moment, base_T_camera: Pose, tolerance_m: float, width: int) -> Picture:
    """Draw one moment: caption, colour with goal and gripper drawn in, depth."""
    depth = _resized(depth_picture(moment.frame.depth_mm), width, cv2.INTER_NEAREST)
    color = color_picture(moment, base_T_camera, tolerance_m, width)
    return np.vstack([color, np.full((4, width, 3), _PAPER, np.uint8), depth])


def color_picture(moment: Moment, base_T_camera: Pose, tolerance_m: float, width: int) -> Picture:
    """Draw one moment: caption, colour with goal and gripper drawn in."""
    color = _resized(np.ascontiguousarray(moment.frame.rgb), width, cv2.INTER_AREA)
    scale = color.shape[1] / moment.camera.width
    camera_T_base = base_T_camera.inverse()
    for point_m, draw in ((moment.target_m, _draw_ring), (moment.goal_m, _draw_cross)):
        u, v = moment.camera.project(camera_T_base.apply(point_m))
        if np.isfinite(u) and np.isfinite(v):
            # The centre of pixel (0, 0) moves half a pixel each way when the picture is scaled.
            draw(color, round((u + 0.5) * scale - 0.5), round((v + 0.5) * scale - 0.5))
    caption = np.full((_CAPTION_PX, width, 3), _PAPER, np.uint8)
    _write(caption, f"{moment.time_s:.2f} s", 2, 21, _INK)
    on_goal = moment.distance_m <= tolerance_m
    _write(caption, f"{100 * moment.distance_m:.1f} cm", width - 2, 21, _GOOD if on_goal else _INK, right=True)
    return np.vstack([caption, color])


def depth_picture(depth_mm: NDArray[np.uint16]) -> Picture:
    """Return depth (H, W) [mm] in colours, black where there is none."""
    near, far = _DEPTH_RANGE_M
    share = np.clip((far - depth_mm.astype(np.float32) * 1e-3) / (far - near), 0.0, 1.0)
    colors = cv2.applyColorMap((255 * share).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1].copy()
    colors[depth_mm == 0] = 0
    return colors  # type: ignore[no-any-return]


def _title(title: FilmTitle, width: int) -> Picture:
    bar = np.full((_TITLE_PX, width, 3), _PAPER, np.uint8)
    verdict = f"{'success' if title.success else 'failure'}, {100 * title.final_distance_m:.1f} cm from the goal"
    _write(bar, title.text, _GAP_PX, 29, _INK, size=0.62)
    _write(bar, verdict, width - _GAP_PX, 29, _GOOD if title.success else _BAD, size=0.62, right=True)
    return bar


def _legend(width: int) -> Picture:
    bar = np.full((_LEGEND_PX, width, 3), _PAPER, np.uint8)
    middle = _LEGEND_PX // 2
    cv2.rectangle(bar, (_GAP_PX, middle - 9), (_GAP_PX + 26, middle + 9), _FAINT, -1)
    _draw_cross(bar, _GAP_PX + 13, middle)
    _write(bar, "goal", _GAP_PX + 34, middle + 5, _FAINT)
    cv2.rectangle(bar, (100, middle - 9), (126, middle + 9), _FAINT, -1)
    _draw_ring(bar, 113, middle)
    _write(bar, "gripper or block", 134, middle + 5, _FAINT)
    near, far = _DEPTH_RANGE_M
    ramp_mm = np.tile(np.linspace(near, far, 160) * 1e3, (16, 1)).astype(np.uint16)
    left = width - _GAP_PX - 160 - 60
    bar[middle - 8 : middle + 8, left : left + 160] = depth_picture(ramp_mm)
    _write(bar, f"depth {near:.1f} m", left - 6, middle + 5, _FAINT, right=True)
    _write(bar, f"{far:.1f} m", left + 166, middle + 5, _FAINT)
    return bar


def _resized(picture: Any, width: int, interpolation: int) -> Picture:
    height = round(picture.shape[0] * width / picture.shape[1])
    # Enlarging needs another interpolation than shrinking, to stay free of blocks.
    chosen = cv2.INTER_CUBIC if interpolation == cv2.INTER_AREA and width > picture.shape[1] else interpolation
    return np.ascontiguousarray(cv2.resize(picture, (width, height), interpolation=chosen))


def _draw_cross(picture: Picture, u: int, v: int) -> None:
    for color, thickness in ((_INK, 4), (_GOAL, 2)):
        cv2.line(picture, (u - 8, v), (u + 8, v), color, thickness, cv2.LINE_AA)
        cv2.line(picture, (u, v - 8), (u, v + 8), color, thickness, cv2.LINE_AA)


def _draw_ring(picture: Picture, u: int, v: int) -> None:
    for color, thickness in ((_INK, 3), (_GRIP, 1)):
        cv2.circle(picture, (u, v), 6, color, thickness, cv2.LINE_AA)


def _write(
    picture: Picture, text: str, x: int, y: int, color: tuple[int, int, int], size: float = 0.5, right: bool = False
) -> None:
    text = drawable(text)
    if right:
        (width, _), _ = cv2.getTextSize(text, _FONT, size, 1)
        x -= width
    cv2.putText(picture, text, (x, y), _FONT, size, color, 1, cv2.LINE_AA)


_WIDTH_PX: Final = 720
# Encoders want even sides.
_MULTIPLE_PX: Final = 2


def write_film(moments: Sequence[Moment], base_T_camera: Pose, title: FilmTitle, path: Path) -> None:
    """Write the episode at its own speed as H.264; the suffix of ``path`` chooses the container (.mp4).

    Raises ``SetupError`` without imageio-ffmpeg, ``FetchSim2RealError`` if the encoder fails; ``path`` stays as it is.
    """
    encoder = video_encoder()
    path = expanded(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    first = _even(film_strip(moments[:1], base_T_camera, title, _WIDTH_PX))
    height, width = first.shape[:2]
    # The encoder's own writing takes a while, and may end early.
    partial = path.with_name(f".partial-{os.getpid()}{path.suffix}")
    try:
        writer = encoder.write_frames(
            str(partial), (width, height), fps=CONTROL_RATE_HZ, macro_block_size=_MULTIPLE_PX, ffmpeg_log_level="error"
        )
        try:
            writer.send(None)
            for moment in moments:
                writer.send(np.ascontiguousarray(_even(film_strip([moment], base_T_camera, title, _WIDTH_PX))))
        finally:
            writer.close()
        if not partial.stat().st_size:
            raise OSError("the encoder wrote nothing")
        os.replace(partial, path)
    except OSError as error:
        raise FetchSim2RealError(f"the video {path} cannot be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _even(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    return picture[: height - height % _MULTIPLE_PX, : width - width % _MULTIPLE_PX]
