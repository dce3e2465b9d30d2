"""An episode as a small moving picture inside a page: all frames in one picture, shown one after another by CSS.

No video codec, no script: what OpenCV writes everywhere, and what every browser shows without asking anybody.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from fetch_sim2real.evaluation.recorded_episode import Moment
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.reports.film_strip import Picture, color_picture

WIDTH_PX: Final = 320
_QUALITY: Final = 40
# A WebP picture is at most 16383 pixels high.
MAX_FRAMES: Final = 64
# What the page's style sheet needs for ``clip_html``.
CLIP_CSS: Final = """
.clip { background-repeat: no-repeat; animation-name: clip; animation-iteration-count: infinite; border-radius: 6px; }
.clip:hover { animation-play-state: paused; }
@keyframes clip { from { background-position-y: 0%; } to { background-position-y: 100%; } }
@media (prefers-reduced-motion: reduce) { .clip { animation-play-state: paused; } }
"""


def clip_html(moments: Sequence[Moment], base_T_camera: Pose, tolerance_m: float, frames_per_s: float) -> str:
    """An element that plays the moments (at most MAX_FRAMES) at ``frames_per_s``, its data inside."""
    pictures = [color_picture(moment, base_T_camera, tolerance_m, WIDTH_PX) for moment in moments[:MAX_FRAMES]]
    height = pictures[0].shape[0]
    return (
        f'<div class="clip" role="img" aria-label="the episode, moving" style="width:{WIDTH_PX}px;height:{height}px;'
        f"animation-duration:{len(pictures) / frames_per_s:.2f}s;animation-timing-function:steps({len(pictures)},"
        f'jump-none);background-image:url({_webp(np.vstack(pictures))})"></div>'
    )


def _webp(picture: Picture) -> str:
    _, data = cv2.imencode(".webp", picture[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    return f"data:image/webp;base64,{base64.b64encode(data.tobytes()).decode()}"
