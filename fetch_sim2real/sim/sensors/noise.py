"""Random pixels with a size in angle, so that pictures of every resolution have the same statistics."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.perception.camera import CameraModel

# Sizes in pixels are those of a D435's 424x240 colour picture, whose focal length this is.
REFERENCE_FOCAL_PX: Final = 308.6
_POOL_EXTRA: Final = 1 << 19


class NoiseField:
    """Gaussian noise of unit variance, correlated over ``cell_px`` reference pixels.

    Part of it stays for the whole episode, as the noise of stereo cameras does: ``fixed_share`` of the variance.
    """

    def __init__(self, camera: CameraModel, cell_px: float, fixed_share: float, rng: np.random.Generator) -> None:
        cell = max(1.0, cell_px * camera.fx / REFERENCE_FOCAL_PX)
        self._size = (camera.width, camera.height)
        self._grid = (max(2, round(camera.height / cell)), max(2, round(camera.width / cell)))
        rows, columns = self._grid
        gain = 1.0 / np.sqrt(_mean_power(rows, camera.height) * _mean_power(columns, camera.width))
        self._fresh_gain = np.float32(gain * np.sqrt(1.0 - fixed_share))
        self._fixed = rng.standard_normal(self._grid, dtype=np.float32) * np.float32(gain * np.sqrt(fixed_share))

    def draw(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw a field (H, W)."""
        grid = rng.standard_normal(self._grid, dtype=np.float32) * self._fresh_gain + self._fixed
        return np.asarray(cv2.resize(grid, self._size, interpolation=cv2.INTER_CUBIC), np.float32)


@lru_cache(maxsize=64)
def _mean_power(cells: int, pixels: int) -> float:
    """Mean variance along one axis of white noise that is interpolated from ``cells`` to ``pixels``."""
    weights = cv2.resize(np.eye(cells, dtype=np.float32), (cells, pixels), interpolation=cv2.INTER_CUBIC)
    return float(np.mean(np.sum(np.square(weights), axis=1)))


def white_noise(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return standard normal numbers of ``shape``, read-only: a place drawn by ``rng`` in a pool that is always the
    same.

    Drawing every pixel anew would cost more than all else that is done to a picture.
    """
    count = int(np.prod(shape))
    start = int(rng.integers(_POOL_EXTRA))
    return _pool(count + _POOL_EXTRA)[start : start + count].reshape(shape)


@lru_cache(maxsize=4)
def _pool(count: int) -> NDArray[np.float32]:
    pool = np.random.default_rng(0).standard_normal(count, dtype=np.float32)
    pool.setflags(write=False)
    return pool
