"""Colour as a small camera gives it: focus, vignetting, exposure, white balance, gamma and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.common.ranges import Range, Varies
from fetch_sim2real.common.schema import Record
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.sim.sensors.noise import REFERENCE_FOCAL_PX, white_noise
from fetch_sim2real.types import FloatArray

# Tangent of the angle at which `vignetting` is reached: half the height of a D435's colour picture.
_VIGNETTING_AT: Final = 0.39


class ColorConfig(Record):
    """Ranges of a colour camera's settings and errors.

    ``white_balance`` are factors on red and blue; noise is the sigma at white of a 424x240 picture's pixels, 0..1,
    ``shot_noise`` growing with the square root of brightness; ``vignetting`` is the loss at the upper edge's middle.
    """

    exposure: Annotated[Range, Varies(0.05, 5.0)]
    gamma: Annotated[Range, Varies(0.2, 5.0)]
    white_balance: Annotated[tuple[Range, Range], Varies(0.2, 3.0)]
    vignetting: Annotated[Range, Varies(0.0, 0.8)]
    blur_px: Annotated[Range, Varies(0.0, 5.0)]
    read_noise: Annotated[Range, Varies(0.0, 0.5)]
    shot_noise: Annotated[Range, Varies(0.0, 0.5)]


@dataclass(frozen=True)
class ColorSample:
    """One episode's settings, in the units of ``ColorConfig``."""

    exposure: float
    gamma: float
    white_balance: tuple[float, float]
    vignetting: float
    blur_px: float
    read_noise: float
    shot_noise: float


class ColorCamera:
    """One episode's colour camera; ``rng`` gives the noise, frame by frame."""

    def __init__(self, draw: ColorSample, camera: CameraModel, rng: np.random.Generator) -> None:
        self._rng = rng
        scale = camera.fx / REFERENCE_FOCAL_PX
        self._blur_px = draw.blur_px * scale
        self._settings = draw
        self._tone = _tone_curves(draw)
        self._shade = _vignette(draw.vignetting, camera) if draw.vignetting > 0.0 else None
        level = np.arange(256, dtype=np.float32) / 255.0
        # Larger pixels gather more light: averaged over the same angle, every resolution is equally noisy.
        sigma = 255.0 * scale * np.sqrt(draw.read_noise**2 + draw.shot_noise**2 * level)
        self._sigma = sigma.astype(np.float32) if sigma.max() > 0.0 else None

    def rgb(self, rendered: NDArray[np.uint8], gain: float = 1.0) -> NDArray[np.uint8]:
        """Return the picture (H, W, 3) of what was rendered (H, W, 3), with ``gain`` times the exposure."""
        image: NDArray[Any] = rendered
        if self._blur_px > 0.1:
            image = cv2.GaussianBlur(image, (0, 0), self._blur_px)
        if self._shade is not None:
            image = cv2.multiply(image, self._shade, dtype=cv2.CV_8U)
        tone = self._tone if gain == 1.0 else _tone_curves(self._settings, gain)
        if tone is not None:
            image = cv2.LUT(image, tone)
        if self._sigma is not None:
            noise = cv2.multiply(cv2.LUT(image, self._sigma), white_noise(image.shape, self._rng))
            image = cv2.add(image, noise, dtype=cv2.CV_8U)
        return np.asarray(image, dtype=np.uint8)


def _tone_curves(draw: ColorSample, gain: float = 1.0) -> NDArray[np.uint8] | None:
    """Exposure, white balance and gamma as a table (1, 256, 3); None if they change nothing."""
    red, blue = draw.white_balance
    exposure = gain * draw.exposure
    if exposure == draw.gamma == red == blue == 1.0:
        return None
    level = np.arange(256)[:, None] / 255.0
    curves: FloatArray = np.clip(level * exposure * np.array([red, 1.0, blue]), 0.0, 1.0) ** draw.gamma
    return np.rint(255.0 * curves).astype(np.uint8)[None]


def _vignette(loss: float, camera: CameraModel) -> NDArray[np.float32]:
    """Brightness (H, W, 3), 1 in the middle."""
    x = (np.arange(camera.width) - camera.cx) / camera.fx
    y = (np.arange(camera.height) - camera.cy) / camera.fy
    shade = 1.0 - loss * (x[None, :] ** 2 + y[:, None] ** 2) / _VIGNETTING_AT**2
    return np.repeat(np.maximum(shade, 0.0).astype(np.float32)[..., None], 3, axis=2)
