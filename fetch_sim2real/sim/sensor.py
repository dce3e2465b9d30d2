"""From a rendered image to what a depth camera would give: noise, holes, exposure, 16-bit millimetres."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.sim.episode import SensorDraw

# Beyond this a D435's depth is of no use on a table top: reported as a hole.
MAX_DEPTH_M: Final = 3.0
_MM_PER_M: Final = 1000.0


class SensorModel:
    """Adds one episode's noise. The random pixels follow from the episode's seed and the order of the frames."""

    def __init__(self, draw: SensorDraw) -> None:
        self._draw = draw
        self._rng = np.random.default_rng(draw.seed)

    def color(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Exposure and pixel noise on rgb (H, W, 3)."""
        draw = self._draw
        if draw.brightness == 1.0 and draw.color_noise == 0.0:
            return rgb
        image = rgb.astype(np.float32) * draw.brightness
        if draw.color_noise > 0.0:
            image += self._rng.standard_normal(rgb.shape, dtype=np.float32) * (255.0 * draw.color_noise)
        return np.clip(image, 0.0, 255.0).astype(np.uint8)

    def depth_mm(self, depth_m: NDArray[np.float32]) -> NDArray[np.uint16]:
        """Depth (H, W) [m] -> uint16 [mm] with noise that grows with the square of the distance; 0 is no depth."""
        draw = self._draw
        noisy = depth_m
        if draw.depth_noise_m > 0.0:
            noise = self._rng.standard_normal(depth_m.shape, dtype=np.float32)
            noisy = depth_m + noise * (draw.depth_noise_m * depth_m**2)
        valid = (noisy > 0.0) & (noisy < MAX_DEPTH_M)
        if draw.depth_dropout > 0.0:
            valid &= self._rng.random(depth_m.shape, dtype=np.float32) >= draw.depth_dropout
        return np.where(valid, np.rint(noisy * _MM_PER_M), 0.0).astype(np.uint16)
