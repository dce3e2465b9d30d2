"""From a rendered image to what an RGB-D camera would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fetch_sim2real.common.ranges import draw_all
from fetch_sim2real.common.schema import Record
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.sim.sensors.color_camera import ColorCamera, ColorConfig, ColorSample
from fetch_sim2real.sim.sensors.depth_camera import DepthCamera, DepthConfig, DepthSample
from fetch_sim2real.sim.sensors.video import (
    AutoExposure,
    RowMixer,
    VideoConfig,
    VideoSample,
    compressed,
    draw_video,
)


class SensorConfig(Record):
    """The camera's colour and depth."""

    color: ColorConfig
    depth: DepthConfig
    video: VideoConfig = Field(default_factory=VideoConfig)


@dataclass(frozen=True)
class SensorSample:
    """Colour, depth and video of the episode, and the seed of its random pixels."""

    color: ColorSample
    depth: DepthSample
    video: VideoSample
    seed: int


def draw_sensor(part: SensorConfig, rng: np.random.Generator, video_rng: np.random.Generator) -> SensorSample:
    seed = int(rng.integers(2**31))
    color, depth = draw_all(ColorSample, part.color, rng), draw_all(DepthSample, part.depth, rng)
    return SensorSample(color, depth, draw_video(part.video, video_rng), seed)


class SensorModel:
    """One episode's camera. The random pixels follow from the episode's seed and the order of the frames.

    ``depth_camera`` is the depth sensor's pinhole where it is not the colour camera's.
    """

    def __init__(self, draw: SensorSample, camera: CameraModel, depth_camera: CameraModel | None = None) -> None:
        color, depth = (np.random.default_rng(child) for child in np.random.SeedSequence(draw.seed).spawn(2))
        self._color = ColorCamera(draw.color, camera, color)
        self._depth = DepthCamera(draw.depth, depth_camera or camera, depth)
        self._mixer = RowMixer(draw.video, camera.height) if draw.video.earlier_moments else None
        self._auto_exposure = AutoExposure(draw.video)
        self._jpeg_quality = draw.video.jpeg_quality

    def capture(
        self,
        rgb: NDArray[np.uint8],
        depth_m: NDArray[np.float32],
        seen_by_depth: NDArray[np.uint8] | None = None,
        earlier: Sequence[NDArray[np.uint8]] = (),
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
        """Return rgb (H, W, 3) and depth (H, W) uint16 [mm], 0 for no depth, of rendered rgb (H, W, 3) and depth (H,
        W) [m].

        ``seen_by_depth`` is the rgb that goes with the depth where that is not the same; ``earlier`` are rgb (H, W, 3)
        of the moments before, the oldest first, as many as the episode's video asks for.
        """
        depth_mm = self._depth.depth_mm(depth_m, rgb if seen_by_depth is None else seen_by_depth)
        return self._filmed(rgb, earlier), depth_mm

    def _filmed(self, rgb: NDArray[np.uint8], earlier: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        exposed = rgb if self._mixer is None else self._mixer.mix([*earlier, rgb])
        metering = self._auto_exposure
        if not metering.is_settled:
            metering.see(self._color.rgb(exposed))
        picture = self._color.rgb(exposed, metering.gain)
        metering.see(picture)
        return compressed(picture, self._jpeg_quality)
