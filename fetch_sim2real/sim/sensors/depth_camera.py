"""Depth as a stereo camera like RealSense's D435 gives it.

Errors are made where such a camera makes them, in disparity: noise and steps that grow with the square of the
distance, shadows beside near objects, edges that wander or fly, holes in dark and in glaring places, and a picture
that does not lie exactly on the colour picture.

The sensor stands beside the colour camera, as far apart in a D435's housing as the numbers here say. Where pictures go
through a software device, depth is rendered from there and the SDK aligns it to colour, as it does with a camera's.
Everywhere else it is rendered from the colour camera's place, which is what alignment aims at.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.common.ranges import Range, Share, Varies
from fetch_sim2real.common.schema import Record
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.sim.sensors.noise import REFERENCE_FOCAL_PX, NoiseField

# Beyond this a D435's depth is of no use on a table top: reported as a hole.
MAX_DEPTH_M: Final = 3.0
# Disparities are given in pixels of the 424 pixels wide depth stream: 87 degrees wide, imagers 50 mm apart.
BASELINE_M: Final = 0.050
DEPTH_FOCAL_PX: Final = 223.4
_PX_PER_INVERSE_M: Final = BASELINE_M * DEPTH_FOCAL_PX
# Neighbours that differ by more than this [1/m] are an edge: 3 cm at 1 m.
_EDGE_INVERSE_M: Final = 0.03
# How far from an edge the matching window still sees both sides, in reference pixels.
_EDGE_REACH_PX: Final = 1.4
_EDGE_JITTER_CELL_PX: Final = 4.0
# Share of the noise's variance that stays from frame to frame.
_FIXED_SHARE: Final = 0.5
_NEVER: Final = -1e9
_TURN_RAD: Final = np.deg2rad(0.3)  # no two sensors are mounted parallel
# Where it is in the colour camera's optical frame: to its right, seen from behind.
COLOR_T_DEPTH: Final = Pose(
    np.array([0.015, 0.0003, -0.0004]),
    np.array(
        [
            [np.cos(_TURN_RAD), 0.0, np.sin(_TURN_RAD)],
            [0.0, 1.0, 0.0],
            [-np.sin(_TURN_RAD), 0.0, np.cos(_TURN_RAD)],
        ]
    ),
)
# 87 degrees wide at 16:9, so wider than colour: seen from there, each of its pixels covers more than one.
VERTICAL_FOV_DEG: Final = 56.5


def depth_sensor_model(width: int, height: int) -> CameraModel:
    """Return the sensor's intrinsics for pictures of ``width`` x ``height``."""
    return CameraModel.from_fovy(width, height, float(np.deg2rad(VERTICAL_FOV_DEG)))


class DepthConfig(Record):
    """Ranges of a stereo camera's errors. Levels are brightness, 0..1, of the scene before exposure.

    Disparities in pixels of a 424 pixels wide depth picture; other ``_px`` in those of a 424x240 colour picture,
    whatever size is rendered: they stand for angles.
    """

    noise_px: Annotated[Range, Varies(0.0, 2.0)]
    noise_size_px: Annotated[Range, Varies(1.0, 50.0)]
    step_px: Annotated[Range, Varies(0.0, 1.0)]
    # Shadows are as wide as this many times what geometry says: matching windows widen them.
    shadow_factor: Annotated[Range, Varies(0.0, 5.0)]
    edge_jitter_px: Annotated[Range, Varies(0.0, 5.0)]
    flying_share: Share
    # Right and down.
    misalignment_px: Annotated[tuple[Range, Range], Varies(-10.0, 10.0)]
    hole_share: Share
    hole_size_px: Annotated[Range, Varies(1.0, 50.0)]
    dark_level: Share
    dark_hole_share: Share
    glare_level: Share
    glare_hole_share: Share


@dataclass(frozen=True)
class DepthSample:
    """One episode's errors, in the units of ``DepthConfig``."""

    noise_px: float
    noise_size_px: float
    step_px: float
    shadow_factor: float
    edge_jitter_px: float
    flying_share: float
    misalignment_px: tuple[float, float]
    hole_share: float
    hole_size_px: float
    dark_level: float
    dark_hole_share: float
    glare_level: float
    glare_hole_share: float


class DepthCamera:
    """One episode's depth camera. ``rng`` decides what stays in the episode and then, frame by frame, the rest."""

    def __init__(self, draw: DepthSample, camera: CameraModel, rng: np.random.Generator) -> None:
        self._draw = draw
        self._rng = rng
        self._px_per_reference_px = camera.fx / REFERENCE_FOCAL_PX
        self._noise = NoiseField(camera, draw.noise_size_px, _FIXED_SHARE, rng)
        self._holes = NoiseField(camera, draw.hole_size_px, _FIXED_SHARE, rng)
        self._shadow_px_per_inverse_m = np.float32(draw.shadow_factor * BASELINE_M * camera.fx)
        self._columns = np.arange(camera.width, dtype=np.float32)
        self._thresholds = _hole_thresholds(draw)
        self._source = self._source_pixels(camera)

    def depth_mm(self, depth_m: NDArray[np.float32], rgb: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """Return measured depth (H, W) uint16 [mm], 0 where there is none, of true depth (H, W) [m] and rendered rgb
        (H, W, 3).
        """
        draw = self._draw
        inverse = 1.0 / depth_m
        holes = self._shadows(inverse) if draw.shadow_factor > 0.0 else np.zeros(depth_m.shape, np.bool_)
        if draw.flying_share > 0.0:
            inverse = self._with_flying_pixels(inverse)
        if draw.noise_px > 0.0:
            inverse = inverse + self._noise.draw(self._rng) * np.float32(draw.noise_px / _PX_PER_INVERSE_M)
        if draw.step_px > 0.0:
            step = np.float32(draw.step_px / _PX_PER_INVERSE_M)
            inverse = np.rint(inverse / step) * step
        if float(self._thresholds.max()) > _NEVER:
            grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
            holes |= self._holes.draw(self._rng) < self._thresholds[grey]
        holes |= inverse < 1.0 / MAX_DEPTH_M
        millimetres = np.rint(1000.0 / np.maximum(inverse, 1.0 / MAX_DEPTH_M)).astype(np.uint16)
        millimetres[holes] = 0
        return millimetres if self._source is None else millimetres.ravel()[self._source]

    def _shadows(self, inverse: NDArray[np.float32]) -> NDArray[np.bool_]:
        """What the second imager, to the right of the first, does not see: a strip to the left of what is near.

        ``seen_at`` is the column in the second imager. Where something further right in the first one comes out
        further left in the second, it is in front.
        """
        seen_at = self._columns - inverse * self._shadow_px_per_inverse_m
        nearest = np.minimum.accumulate(seen_at[:, ::-1], axis=1)[:, ::-1]
        shadows = np.zeros(inverse.shape, np.bool_)
        # Neighbours on one surface come out a pixel apart: half a pixel rounds the strip's width.
        shadows[:, :-1] = nearest[:, 1:] < seen_at[:, :-1] + 0.5
        return shadows

    def _with_flying_pixels(self, inverse: NDArray[np.float32]) -> NDArray[np.float32]:
        """Near edges some pixels get a depth between both sides."""
        reach = max(1, round(_EDGE_REACH_PX * self._px_per_reference_px))
        window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
        far, near = cv2.erode(inverse, window), cv2.dilate(inverse, window)
        edge = np.flatnonzero(near - far > _EDGE_INVERSE_M)
        flies, where = self._rng.random((2, len(edge)), dtype=np.float32)
        chosen = flies < self._draw.flying_share
        edge, where = edge[chosen], where[chosen]
        result: NDArray[np.float32] = inverse.copy()
        result.flat[edge] = far.flat[edge] * (1.0 - where) + near.flat[edge] * where
        return result

    def _source_pixels(self, camera: CameraModel) -> NDArray[np.intp] | None:
        """Flat index (H, W) of the pixel whose depth each pixel shows; None if each shows its own."""
        draw, scale = self._draw, self._px_per_reference_px
        right, down = (scale * offset for offset in draw.misalignment_px)
        if right == down == draw.edge_jitter_px == 0.0:
            return None
        rows, columns = np.mgrid[: camera.height, : camera.width].astype(np.float32)
        jitter = NoiseField(camera, _EDGE_JITTER_CELL_PX, 0.0, self._rng)
        columns += jitter.draw(self._rng) * np.float32(scale * draw.edge_jitter_px) - np.float32(right)
        rows += jitter.draw(self._rng) * np.float32(scale * draw.edge_jitter_px) - np.float32(down)
        row = np.clip(np.rint(rows), 0, camera.height - 1).astype(np.intp)
        column = np.clip(np.rint(columns), 0, camera.width - 1).astype(np.intp)
        return row * camera.width + column


def _hole_thresholds(draw: DepthSample) -> NDArray[np.float32]:
    """Per grey level (256,): noise of unit variance below this is a hole."""
    level = np.arange(256) / 255.0
    share = np.full(256, draw.hole_share)
    if draw.dark_level > 0.0:
        share += draw.dark_hole_share * np.clip(1.0 - level / draw.dark_level, 0.0, 1.0)
    if draw.glare_level < 1.0:
        share += draw.glare_hole_share * np.clip((level - draw.glare_level) / (1.0 - draw.glare_level), 0.0, 1.0)
    normal = NormalDist()
    return np.array([normal.inv_cdf(min(s, 0.999)) if s > 0.0 else _NEVER for s in share], np.float32)
