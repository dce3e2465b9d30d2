"""One picture of many: what the camera and the actor see in episodes of a world, beside the nominal one."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.common.picture_file import drawable
from fetch_sim2real.perception.preprocess import ImageSpec, preprocess
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks.base import Task

CAMERA_SIZE: Final = (424, 240)
# Colours of depth run from blue at the nearer to red at the farther.
_NEAR_M, _FAR_M = 0.6, 1.8
_TILE_HEIGHT_PX: Final = 168
_GAP_PX: Final = 6
_COLUMNS: Final = 2


def contact_sheet(
    nominal: World, world: World, task: Task, image: ImageSpec, first_seed: int, count: int
) -> NDArray[np.uint8]:
    """A sheet (H, W, 3) of tiles, the first one of ``nominal``, then ``count`` episodes of ``world``.

    A tile shows colour and depth as the camera gives them, then both as the actor sees them. Holes in depth are black.
    """
    tiles = [*_tiles(nominal, task, image, [first_seed], "nominal")]
    tiles += _tiles(world, task, image, range(first_seed, first_seed + count), world.name)
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % _COLUMNS)
    rows = [np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
    return np.vstack(rows)


def _tiles(world: World, task: Task, image: ImageSpec, seeds: list[int] | range, name: str) -> list[NDArray[np.uint8]]:
    sim = Simulation(world, task, CAMERA_SIZE)
    try:
        return [_tile(sim, image, seed, name) for seed in seeds]
    finally:
        sim.close()


def _tile(sim: Simulation, image: ImageSpec, seed: int, name: str) -> NDArray[np.uint8]:
    sim.reset(seed)
    captured = sim.advance_to_next_frame()
    if captured is None or captured.frame is None:
        raise RuntimeError("an episode ended before its first frame")
    frame = captured.frame
    seen = preprocess(frame, sim.camera_model, image)
    pictures = (frame.rgb, depth_colors(frame.depth_mm), seen.rgb, depth_colors(seen.depth_mm))
    parts = [_scaled(picture) for picture in pictures]
    title = drawable(f"{name} {seed}")
    cv2.putText(parts[0], title, (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
    framed = [np.pad(part, ((0, _GAP_PX), (0, _GAP_PX), (0, 0)), constant_values=255) for part in parts]
    return np.hstack(framed)


def _scaled(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    size = (round(width * _TILE_HEIGHT_PX / height), _TILE_HEIGHT_PX)
    # Pixels stay visible as such: neither depth nor noise is averaged.
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def depth_colors(depth_mm: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Depth (H, W) [mm] as colours (H, W, 3), holes black."""
    share = (depth_mm / 1000.0 - _NEAR_M) / (_FAR_M - _NEAR_M)
    colors = cv2.applyColorMap(np.rint(255.0 * np.clip(share, 0.0, 1.0)).astype(np.uint8), cv2.COLORMAP_TURBO)
    colors[depth_mm == 0] = 0
    return np.asarray(cv2.cvtColor(colors, cv2.COLOR_BGR2RGB), np.uint8)
