"""From a rendered image to what an RGB-D camera would give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.common.ranges import draw_all
from fetch_sim2real.common.schema import Record
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.sim.sensors.color_camera import ColorCamera, ColorConfig, ColorSample
from fetch_sim2real.sim.sensors.depth_camera import DepthCamera, DepthConfig, DepthSample


class SensorConfig(Record):
    """The camera's colour and depth."""

    color: ColorConfig
    depth: DepthConfig


@dataclass(frozen=True)
class SensorSample:
    """Colour and depth of the episode, and the seed of its random pixels."""

    color: ColorSample
    depth: DepthSample
    seed: int


def draw_sensor(part: SensorConfig, rng: np.random.Generator) -> SensorSample:
    seed = int(rng.integers(2**31))
    return SensorSample(draw_all(ColorSample, part.color, rng), draw_all(DepthSample, part.depth, rng), seed)


class SensorModel:
    """One episode's camera. The random pixels follow from the episode's seed and the order of the frames.

    ``depth_camera`` is the depth sensor's pinhole where it is not the colour camera's.
    """

    def __init__(self, draw: SensorSample, camera: CameraModel, depth_camera: CameraModel | None = None) -> None:
        color, depth = (np.random.default_rng(child) for child in np.random.SeedSequence(draw.seed).spawn(2))
        self._color = ColorCamera(draw.color, camera, color)
        self._depth = DepthCamera(draw.depth, depth_camera or camera, depth)

    def capture(
        self, rgb: NDArray[np.uint8], depth_m: NDArray[np.float32], seen_by_depth: NDArray[np.uint8] | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
        """Return rgb (H, W, 3) and depth (H, W) uint16 [mm], 0 for no depth, of rendered rgb (H, W, 3) and depth (H,
        W) [m].

        ``seen_by_depth`` is the rgb that goes with the depth where that is not the same.
        """
        return self._color.rgb(rgb), self._depth.depth_mm(depth_m, rgb if seen_by_depth is None else seen_by_depth)
