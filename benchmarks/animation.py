"""One disturbed episode as an animation: an actor that looks at every frame, beside the same that looked once.

    python -m benchmarks.animation push --world randomized --perturb shove --seed 3 --output docs/images/shoved.webp

Both run the same seed; the one that looked once acts on a prediction of what it would see (``open_loop``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import Image

import fetch_sim2real as fs
from fetch_sim2real.api.episode import EpisodeRecord
from fetch_sim2real.common.outputs import require_suffix
from fetch_sim2real.policy.look_rate import EVERY_FRAME, LookRate
from fetch_sim2real.reports.film_strip import Picture, color_picture
from fetch_sim2real.timing import CONTROL_PERIOD_S

_WIDTH_PX: Final = 360
_BAR_PX: Final = 26
_EVERY: Final = 3  # frames of 30 Hz
_LAST_MS: Final = 2_000
_WORDS: Final[dict[LookRate, str]] = {EVERY_FRAME: "looks 30 times a second", "once": "looked once"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both episodes and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy", help="a shipped policy's name, or a bundle's folder")
    parser.add_argument("--world", default="randomized")
    parser.add_argument("--perturb", default="shove", help="an unplanned change (docs/evaluation.md)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="a file that ends in .webp")
    asked = parser.parse_args(arguments)
    require_suffix(asked.output, (".webp",), "--output")
    records = [
        fs.run_episode(fs.load_policy(asked.policy, look=look), asked.world, asked.seed, perturb=[asked.perturb])
        for look in _WORDS
    ]
    for record, words in zip(records, _WORDS.values(), strict=True):
        print(f"{words}: {'success' if record.success else 'failure'}, {record.distance_m * 100:.1f} cm from the goal")
    sides = [_pictures(record, words) for record, words in zip(records, _WORDS.values(), strict=True)]
    # The one that ends first waits for the other.
    pairs = zip_longest(*sides)
    frames, last = [], [side[-1] for side in sides]
    for pair in pairs:
        shown = [end if picture is None else picture for picture, end in zip(pair, last, strict=True)]
        frames.append(Image.fromarray(np.hstack(shown)))
    each_ms = round(1000 * CONTROL_PERIOD_S * _EVERY)
    durations = [each_ms] * (len(frames) - 1) + [_LAST_MS]
    frames[0].save(asked.output, save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=70)
    print(f"{asked.output}: {len(frames)} frames, {asked.output.stat().st_size / 1e6:.2f} MB")
    return 0


def _pictures(record: EpisodeRecord, words: str) -> list[Picture]:
    """Return what the camera saw, captioned, and at the end how it went."""
    pictures = []
    moments = [*record.frames[::_EVERY], record.frames[-1]]
    for index, moment in enumerate(moments):
        picture = color_picture(moment, record.base_T_camera, record.tolerance_m, _WIDTH_PX)
        end = ("at the goal" if record.success else "missed") if index == len(moments) - 1 else ""
        bar = np.full((_BAR_PX, picture.shape[1], 3), 255, np.uint8)
        told = f"{words}: {end}" if end else words
        cv2.putText(bar, told, (6, _BAR_PX - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (30, 30, 30), 1, cv2.LINE_AA)
        pictures.append(np.vstack([bar, picture]))
    return pictures


if __name__ == "__main__":
    sys.exit(main())
