"""The encoder of videos, looked for before there is anything to encode."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from fetch_sim2real.common.outputs import require_file_place, require_suffix
from fetch_sim2real.errors import SetupError

SUFFIXES: Final = (".mp4", ".mkv", ".mov")


def video_encoder() -> Any:
    """The module ``imageio_ffmpeg``. ``SetupError`` without it, or without the program that it brings."""
    try:
        import imageio_ffmpeg

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError, OSError) as error:
        raise SetupError(f"a video needs the package imageio-ffmpeg: make venv EXTRAS=viz ({error})") from None
    return imageio_ffmpeg


def require_video_place(path: Path, option: str) -> None:
    """``SetupError`` unless a video can be encoded and written at ``path``. ``option``: what the user chose it by."""
    require_suffix(path, SUFFIXES, option)
    require_file_place(path, option)
    video_encoder()
