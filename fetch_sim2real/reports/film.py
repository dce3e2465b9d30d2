"""An episode as a video."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.evaluation.recorded_episode import Moment
from fetch_sim2real.paths import expanded
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.reports.film_strip import FilmTitle, film_strip
from fetch_sim2real.reports.video_encoder import video_encoder
from fetch_sim2real.timing import CONTROL_RATE_HZ

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
