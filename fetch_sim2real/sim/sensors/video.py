"""What a stream of colour pictures adds to single ones: motion blur, rolling shutter, auto-exposure and compression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fetch_sim2real.common.ranges import Range, Share, Varies
from fetch_sim2real.common.schema import Record
from fetch_sim2real.tasks.base import fixed
from fetch_sim2real.timing import JOINT_STATE_EVERY_STEPS, PHYSICS_STEP_S

# Moments that a picture is mixed of are so far apart.
MOMENT_S: Final = JOINT_STATE_EVERY_STEPS * PHYSICS_STEP_S
# A row's exposure is averaged over so many instants.
_INSTANTS: Final = 9
# Mean brightness that auto-exposure goes for, and how far it can go.
_MIDDLE_GREY: Final = 0.45
_MOST_LOG_GAIN: Final = math.log(4.0)
_LEAST_BRIGHTNESS: Final = 0.02
_NO_COMPRESSION: Final = 100


class VideoConfig(Record):
    """A colour camera's video. In ``motion_probability`` of the episodes each row is exposed for ``exposure_time_s``,
    and the rows one after the other within ``readout_s``; the last ends at the frame's stamp.

    ``auto_exposure`` is the share of a wrong brightness that is made good in the end, ``auto_exposure_rate`` how much
    of it by each picture. ``jpeg_quality`` 100 is no compression.
    """

    motion_probability: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    exposure_time_s: Annotated[Range, Varies(0.0, 0.016)] = fixed(0.0)
    readout_s: Annotated[Range, Varies(0.0, 0.016)] = fixed(0.0)
    auto_exposure: Share = fixed(0.0)
    auto_exposure_rate: Share = fixed(1.0)
    jpeg_quality: Annotated[Range, Varies(5.0, 100.0)] = fixed(100.0)


@dataclass(frozen=True)
class VideoSample:
    """One episode's settings, in the units of ``VideoConfig``."""

    exposure_time_s: float
    readout_s: float
    auto_exposure: float
    auto_exposure_rate: float
    jpeg_quality: int

    @property
    def earlier_moments(self) -> int:
        """How many moments before a picture's own, ``MOMENT_S`` apart, are mixed into it."""
        return math.ceil((self.exposure_time_s + self.readout_s) / MOMENT_S)


def draw_video(part: VideoConfig, rng: np.random.Generator) -> VideoSample:
    """Draw an episode's settings."""
    moves = float(rng.random() < part.motion_probability)
    return VideoSample(
        exposure_time_s=moves * part.exposure_time_s.draw(rng),
        readout_s=moves * part.readout_s.draw(rng),
        auto_exposure=part.auto_exposure.draw(rng),
        auto_exposure_rate=part.auto_exposure_rate.draw(rng),
        jpeg_quality=round(part.jpeg_quality.draw(rng)),
    )


class RowMixer:
    """Mixes pictures of several moments, row by row, into one of a camera with rolling shutter and motion blur."""

    def __init__(self, draw: VideoSample, rows: int) -> None:
        moments = draw.earlier_moments + 1
        ends_s = np.linspace(-draw.readout_s, 0.0, rows)
        instants_s = ends_s[:, None] - np.linspace(0.0, draw.exposure_time_s, _INSTANTS)
        # Between two moments a picture is mixed of both.
        age = np.clip(-instants_s / MOMENT_S, 0.0, moments - 1)
        shares = np.maximum(0.0, 1.0 - np.abs(age[..., None] - np.arange(moments - 1, -1, -1)))
        # (moments, rows, 1, 1), the oldest first.
        self._shares = shares.mean(axis=1).T[..., None, None].astype(np.float32)

    def mix(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """Return one picture (H, W, 3) of pictures (H, W, 3), the oldest first; where older ones are missing, the
        oldest stands for them.
        """
        missing = len(self._shares) - len(pictures)
        mixed = sum(
            share * picture
            for share, picture in zip(self._shares, [pictures[0]] * missing + list(pictures), strict=True)
        )
        return np.asarray(np.rint(mixed), np.uint8)


class AutoExposure:
    """Follows the brightness of the pictures that it is shown."""

    def __init__(self, draw: VideoSample) -> None:
        self._strength, self._rate = draw.auto_exposure, draw.auto_exposure_rate
        self._log_gain: float | None = None

    @property
    def gain(self) -> float:
        """Factor on the exposure of the next picture."""
        return math.exp(self._log_gain or 0.0)

    def see(self, picture: NDArray[np.uint8]) -> None:
        """Take account of a picture (H, W, 3) that was taken with ``gain``."""
        if self._strength == 0.0:
            return
        brightness = max(float(picture.mean()) / 255.0, _LEAST_BRIGHTNESS)
        now = self._log_gain or 0.0
        wanted = self._strength * (math.log(_MIDDLE_GREY / brightness) + now)
        wanted = min(max(wanted, -_MOST_LOG_GAIN), _MOST_LOG_GAIN)
        # A camera has been on for long when an episode begins.
        self._log_gain = wanted if self._log_gain is None else now + self._rate * (wanted - now)

    @property
    def is_settled(self) -> bool:
        """False until the first picture, which is then to be taken once more."""
        return self._strength == 0.0 or self._log_gain is not None


def compressed(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return what is left of a picture (H, W, 3) after JPEG of that quality."""
    if quality >= _NO_COMPRESSION:
        return picture
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None  # it was just encoded
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
