"""Pictures made different each time the encoder learns from them: other exposure and tint, ghosts, things in the way.

Rendering a picture takes a hundred times as long as changing it. What is added stays clear of object and gripper, so
that their labels stay true, and is never red, which the object alone is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.training.labelled_images import PoseImages
from fetch_sim2real.types import FloatArray


@dataclass(frozen=True)
class AugmentSettings:
    """How much pictures of 84 x 84 are changed; each value is the largest, or a probability where it says share."""

    exposure_factor: float = 1.3
    tint_factor: float = 1.12  # of each colour on its own
    ghost_share: float = 0.3
    ghost_weight: float = 0.25  # of another picture laid over
    patches: int = 2
    patch_px: tuple[int, int] = (6, 26)
    patch_depth_mm: tuple[int, int] = (400, 1_200)
    patch_hole_share: float = 0.3
    clear_px: float = 9.0  # between a patch and the centres of object and gripper


def augment(
    images: PoseImages, index: NDArray[np.intp], settings: AugmentSettings, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Changed copies of the pictures ``index`` (B,): rgb (B, S, S, 3) and depth [mm] (B, S, S)."""
    rgb, depth_mm = images.rgb[index].astype(np.float32), images.depth_mm[index].copy()
    rgb *= _factors(rng, (len(rgb), 1, 1, 1), settings.exposure_factor)
    rgb *= _factors(rng, (len(rgb), 1, 1, 3), settings.tint_factor)
    ghosts = np.flatnonzero(rng.random(len(rgb)) < settings.ghost_share)
    weight = rng.uniform(0.0, settings.ghost_weight, (len(ghosts), 1, 1, 1)).astype(np.float32)
    others = images.rgb[index[rng.permutation(len(index))[: len(ghosts)]]]
    rgb[ghosts] += weight * (others - rgb[ghosts])
    centers_px = np.stack([images.object_uv[index], images.grip_uv[index]], axis=1)
    for picture in range(len(rgb)):
        for _ in range(rng.integers(settings.patches + 1)):
            _put_patch(rgb[picture], depth_mm[picture], centers_px[picture], settings, rng)
    return np.clip(rgb, 0.0, 255.0).astype(np.uint8), depth_mm


def _factors(rng: np.random.Generator, shape: tuple[int, ...], largest: float) -> NDArray[np.float32]:
    return np.exp(rng.uniform(-np.log(largest), np.log(largest), shape)).astype(np.float32)


def _put_patch(
    rgb: NDArray[np.float32],
    depth_mm: NDArray[np.uint16],
    centers_px: NDArray[np.float32],
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> None:
    """Put a rectangle of one colour and depth into a picture, unless it would come too close to a centre (k, 2)."""
    size = rng.integers(*settings.patch_px, 2)
    corner: FloatArray = rng.uniform(0.0, rgb.shape[0] - size).round()
    beside = np.maximum(np.maximum(corner - centers_px, centers_px - corner - size), 0.0)
    if np.any(np.linalg.norm(beside, axis=1) < settings.clear_px):
        return
    (left, top), (right, bottom) = corner.astype(int), (corner + size).astype(int)
    color = np.sort(rng.uniform(0.0, 255.0, 3))
    # Red is not the strongest.
    rgb[top:bottom, left:right] = color[[0, 1, 2]] if rng.random() < 0.5 else color[[1, 2, 0]]
    hole = rng.random() < settings.patch_hole_share
    depth_mm[top:bottom, left:right] = 0 if hole else rng.integers(*settings.patch_depth_mm)
