"""Patterns for table, floor and wall, made from a few numbers; or pictures that a world file names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator, model_validator

from fetch_sim2real.common.ranges import ColorHsv, Range, Share, Varies, draw3, rgb_of
from fetch_sim2real.common.schema import Record
from fetch_sim2real.types import FloatArray

TEXTURE_SIZE: Final = 128
_Mix = NDArray[np.float32]


def _axes() -> tuple[_Mix, _Mix]:
    axis = (np.arange(TEXTURE_SIZE, dtype=np.float32) + 0.5) / TEXTURE_SIZE
    return np.meshgrid(axis, axis)


def _smooth_noise(rng: np.random.Generator, rows: int, columns: int) -> _Mix:
    grid = rng.random((rows, columns), dtype=np.float32)
    return np.asarray(cv2.resize(grid, (TEXTURE_SIZE, TEXTURE_SIZE), interpolation=cv2.INTER_CUBIC), np.float32)


def _turned(rng: np.random.Generator) -> _Mix:
    """A coordinate along a drawn direction."""
    x, y = _axes()
    angle = rng.uniform(0.0, np.pi)
    return (x * np.cos(angle) + y * np.sin(angle)).astype(np.float32)


def _plain(rng: np.random.Generator) -> _Mix:
    return np.zeros((TEXTURE_SIZE, TEXTURE_SIZE), np.float32)


def _checker(rng: np.random.Generator) -> _Mix:
    x, y = _axes()
    count = rng.integers(2, 9)
    return ((x * count).astype(int) + (y * count).astype(int)).astype(np.float32) % 2.0


def _stripes(rng: np.random.Generator) -> _Mix:
    return (_turned(rng) * rng.uniform(3.0, 15.0) % 1.0 < rng.uniform(0.2, 0.8)).astype(np.float32)


def _gradient(rng: np.random.Generator) -> _Mix:
    along = _turned(rng)
    return (along - along.min()) / np.ptp(along)


def _noise(rng: np.random.Generator) -> _Mix:
    coarse = int(rng.integers(3, 12))
    return 0.6 * _smooth_noise(rng, coarse, coarse) + 0.4 * _smooth_noise(rng, 6 * coarse, 6 * coarse)


def _wood(rng: np.random.Generator) -> _Mix:
    x, _ = _axes()
    # Rings cut lengthwise: lines along y that wander, with fine fibres.
    rings = x * rng.uniform(3.0, 10.0) + 1.5 * _smooth_noise(rng, 3, 6)
    fibres = _smooth_noise(rng, 4, TEXTURE_SIZE)
    return (0.7 * np.abs(rings % 1.0 * 2.0 - 1.0) + 0.3 * fibres).astype(np.float32)


def _bricks(rng: np.random.Generator) -> _Mix:
    x, y = _axes()
    rows = int(rng.integers(4, 12))
    row = (y * rows).astype(int)
    joint = 0.12
    across = (x * rows / 2 + 0.5 * (row % 2)) % 1.0
    return ((across < joint / 2) | (y * rows % 1.0 < joint)).astype(np.float32)


def _dots(rng: np.random.Generator) -> _Mix:
    x, y = _axes()
    count = int(rng.integers(3, 12))
    radius = rng.uniform(0.2, 0.45)
    return (np.hypot(x * count % 1.0 - 0.5, y * count % 1.0 - 0.5) < radius).astype(np.float32)


def _waves(rng: np.random.Generator) -> _Mix:
    x, y = _axes()
    fx, fy, bend = rng.uniform(2.0, 8.0, 3)
    return (0.5 + 0.5 * np.sin(2.0 * np.pi * (fx * x + 0.3 * np.sin(bend * 2.0 * np.pi * y) + fy * y))).astype(
        np.float32
    )


def _cells(rng: np.random.Generator) -> _Mix:
    x, y = _axes()
    centres = rng.random((int(rng.integers(8, 25)), 2, 1, 1), dtype=np.float32)
    nearest = np.min(np.hypot(x - centres[:, 0], y - centres[:, 1]), axis=0)
    return (nearest / nearest.max()).astype(np.float32)


def _fractal(rng: np.random.Generator) -> _Mix:
    # As strong at each size as photographs are, on the average.
    octaves = [_smooth_noise(rng, 2**k, 2**k) - 0.5 for k in range(1, 7)]
    mixed = sum(octave / 2**k for k, octave in enumerate(octaves))
    return np.asarray(0.5 + mixed, np.float32)


def _collage(rng: np.random.Generator) -> _Mix:
    # Papers, tools, boxes: shapes of any brightness over one another, each with its own pattern.
    mix = 0.3 + 0.4 * _smooth_noise(rng, 4, 4)
    for _ in range(int(rng.integers(6, 16))):
        turned, centre = _turned(rng), rng.random(2)
        half_size, level, contrast = rng.uniform(0.04, 0.25, 2), rng.random(), rng.uniform(0.0, 0.3)
        x, y = _axes()
        inside = (np.abs(x - centre[0]) < half_size[0]) & (np.abs(y - centre[1]) < half_size[1])
        if rng.random() < 0.3:
            inside = np.hypot(x - centre[0], y - centre[1]) < half_size[0]
        pattern = level + contrast * (turned * rng.uniform(4.0, 20.0) % 1.0 - 0.5)
        mix = np.where(inside, pattern, mix)
    return mix.astype(np.float32)


FAMILIES: Final[Mapping[str, Callable[[np.random.Generator], _Mix]]] = {
    "plain": _plain,
    "checker": _checker,
    "stripes": _stripes,
    "gradient": _gradient,
    "noise": _noise,
    "wood": _wood,
    "bricks": _bricks,
    "dots": _dots,
    "waves": _waves,
    "cells": _cells,
    "fractal": _fractal,
    "collage": _collage,
}


class SurfaceConfig(Record):
    """Appearance of a surface: one of ``families`` or of the PNG files in ``images``, each as likely as another.

    A pattern mixes two colours from ``color_hsv``, the second brought to the first by 1 - ``contrast``. ``tile_m`` is
    the size on the surface after which it repeats.
    """

    color_hsv: ColorHsv
    families: tuple[str, ...]
    images: tuple[Path, ...]
    contrast: Share
    tile_m: Annotated[Range, Varies(0.02, 10.0)]

    @field_validator("families")
    @classmethod
    def _known(cls, families: tuple[str, ...]) -> tuple[str, ...]:
        for family in families:
            if family not in FAMILIES:
                raise ValueError(f"there is no texture family '{family}'; families: {', '.join(FAMILIES)}")
        return families

    @field_validator("images")
    @classmethod
    def _readable(cls, images: tuple[Path, ...]) -> tuple[Path, ...]:
        for image in images:
            _image(image)
        return images

    @model_validator(mode="after")
    def _some_choice(self) -> SurfaceConfig:
        if not self.families and not self.images:
            raise ValueError(f"no texture to choose from; name images, or families: {', '.join(FAMILIES)}")
        return self


@dataclass(frozen=True)
class SurfaceSample:
    """One surface's texture: a family's name or an image's path, two colours (3,) in 0..1, tile size and seed."""

    texture: str | Path
    first_rgb: FloatArray
    second_rgb: FloatArray
    tile_m: float
    seed: int


def draw_surface(part: SurfaceConfig, rng: np.random.Generator) -> SurfaceSample:
    first, other = rgb_of(draw3(part.color_hsv, rng)), rgb_of(draw3(part.color_hsv, rng))
    second = first + part.contrast.draw(rng) * (other - first)
    choices: tuple[str | Path, ...] = (*part.families, *part.images)
    chosen = choices[int(rng.random() * len(choices))]
    return SurfaceSample(chosen, first, second, part.tile_m.draw(rng), int(rng.integers(2**31)))


def texture_pixels(draw: SurfaceSample) -> NDArray[np.uint8]:
    """Return the texture (TEXTURE_SIZE, TEXTURE_SIZE, 3)."""
    if isinstance(draw.texture, Path):
        return _image(draw.texture)
    mix = np.clip(FAMILIES[draw.texture](np.random.default_rng(draw.seed)), 0.0, 1.0)[..., None]
    first, second = (color.astype(np.float32) for color in (draw.first_rgb, draw.second_rgb))
    return np.rint(255.0 * np.clip(first + mix * (second - first), 0.0, 1.0)).astype(np.uint8)


@lru_cache(maxsize=256)
def _image(path: Path) -> NDArray[np.uint8]:
    stored = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if stored is None:
        raise ValueError(f"texture {path} is not there or not a picture; expected a PNG, its path relative to the file")
    size = (TEXTURE_SIZE, TEXTURE_SIZE)
    pixels = cv2.cvtColor(cv2.resize(stored, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
    return np.asarray(pixels, np.uint8)
