"""Distractors: objects on the table that have nothing to do with the task. They are visible and cannot be touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
from pydantic import AfterValidator, Field, field_validator

from fetch_sim2real.common.ranges import Range, Share, Varies, ordered, rgb_of
from fetch_sim2real.common.schema import Record
from fetch_sim2real.errors import WorldFileError
from fetch_sim2real.types import FloatArray

SHAPES: Final = ("box", "cylinder", "sphere", "capsule", "ellipsoid")
MAX_DISTRACTORS: Final = 5
_Count = Annotated[int, Field(ge=0, le=MAX_DISTRACTORS)]
_MAX_TRIES: Final = 30
_MAX_HUES: Final = 1000
# What stands this close in front of the block, seen from the camera, could hide it.
_VIEW_LENGTH_M: Final = 0.20
_VIEW_CLEARANCE_M: Final = 0.04


class DistractorsConfig(Record):
    """``count`` distractors with half sizes ``half_size_m``, in ``x_m`` x ``y_m``, off the block and its way.

    Their hue is at least ``hue_gap_deg`` outside the block's range: that is how the block is told from them.
    """

    count: Annotated[tuple[_Count, _Count], AfterValidator(ordered)]
    shapes: tuple[str, ...]
    half_size_m: Annotated[Range, Varies(0.005, 0.10)]
    hue_gap_deg: Annotated[float, Field(ge=15.0, le=120.0)]
    saturation: Share
    value: Share
    x_m: Range
    y_m: Range
    clearance_m: Annotated[float, Field(ge=0.0)]

    @field_validator("shapes")
    @classmethod
    def _known(cls, shapes: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [shape for shape in shapes if shape not in SHAPES]
        if unknown or not shapes:
            raise ValueError(f"got {', '.join(unknown) or 'none'}; shapes: {', '.join(SHAPES)}")
        return shapes


@dataclass(frozen=True)
class DistractorSample:
    """``half_extent_m`` (3,) along its own axes, ``xy_m`` (2,) in base_link; it stands on the table."""

    shape: str
    half_extent_m: FloatArray
    xy_m: FloatArray
    yaw_rad: float
    rgb: FloatArray

    @property
    def radius_m(self) -> float:
        """Of the circle on the table that holds it."""
        return float(np.hypot(*self.half_extent_m[:2]))


@dataclass(frozen=True)
class Corridor:
    """Ground within ``clearance_m`` of the segment between two points (2,) of the table."""

    start_xy_m: FloatArray
    end_xy_m: FloatArray
    clearance_m: float

    def is_clear_of(self, distractor: DistractorSample) -> bool:
        """Return whether the distractor stands off it."""
        return self.has_room_for(distractor.xy_m, distractor.radius_m)

    def has_room_for(self, xy_m: FloatArray, radius_m: float) -> bool:
        """Return whether a circle around ``xy_m`` (2,) is off it."""
        along = self.end_xy_m - self.start_xy_m
        length2 = float(along @ along)
        share = np.clip((xy_m - self.start_xy_m) @ along / length2, 0.0, 1.0) if length2 > 0.0 else 0.0
        gap = np.linalg.norm(xy_m - self.start_xy_m - share * along)
        return bool(gap >= self.clearance_m + radius_m)


def corridors(
    block_xy_m: FloatArray, goal_xy_m: FloatArray, camera_xy_m: FloatArray, clearance_m: float
) -> tuple[Corridor, Corridor]:
    """Return the ground to keep free: the way from block to goal, and what lies between the block and the camera."""
    towards = camera_xy_m - block_xy_m
    in_view = block_xy_m + towards * (_VIEW_LENGTH_M / max(float(np.linalg.norm(towards)), _VIEW_LENGTH_M))
    return Corridor(block_xy_m, goal_xy_m, clearance_m), Corridor(block_xy_m, in_view, _VIEW_CLEARANCE_M)


def draw_distractors(
    part: DistractorsConfig, hues_deg: Sequence[Range], keep_clear: Sequence[Corridor], rng: np.random.Generator
) -> tuple[DistractorSample, ...]:
    """Return as many as drawn, fewer where there is no room. ``hues_deg`` are those of the task's objects."""
    low, high = part.count
    drawn: list[DistractorSample] = []
    for _ in range(int(rng.integers(low, high + 1))):
        for _ in range(_MAX_TRIES):
            distractor, hue_deg = _draw_one(part, hues_deg[0], rng)
            apart = all(_is_other_hue(hue_deg, hue, part.hue_gap_deg) for hue in hues_deg[1:]) and all(
                np.linalg.norm(distractor.xy_m - other.xy_m) > distractor.radius_m + other.radius_m for other in drawn
            )
            if apart and all(corridor.is_clear_of(distractor) for corridor in keep_clear):
                drawn.append(distractor)
                break
    return tuple(drawn)


def _is_other_hue(hue_deg: float, taken_deg: Range, gap_deg: float) -> bool:
    """Return whether a hue is at least ``gap_deg`` outside a range of hues, the circle round."""
    half_width = 0.5 * (taken_deg.high - taken_deg.low)
    return abs((hue_deg - taken_deg.middle + 180.0) % 360.0 - 180.0) >= half_width + gap_deg


def draw_other_hue(taken_deg: Sequence[Range], gap_deg: float, rng: np.random.Generator) -> float:
    """Draw a hue [deg] at least ``gap_deg`` outside of ranges of hue.

    Raises:
        WorldFileError: the ranges leave none.
    """
    for _ in range(_MAX_HUES):
        hue_deg = float(rng.uniform(0.0, 360.0))
        if all(_is_other_hue(hue_deg, each, gap_deg) for each in taken_deg):
            return hue_deg
    ranges = ", ".join(f"{each.low:g}..{each.high:g}" for each in taken_deg)
    raise WorldFileError(
        f"no hue is {gap_deg:g} degrees outside of the objects' ({ranges}); make hue_gap_deg or those ranges smaller"
    )


def _draw_one(
    part: DistractorsConfig, block_hue_deg: Range, rng: np.random.Generator
) -> tuple[DistractorSample, float]:
    """Return a distractor and its hue [deg]."""
    a, b, c = (part.half_size_m.draw(rng) for _ in range(3))
    shape = part.shapes[int(rng.random() * len(part.shapes))]
    half_extent = {
        "box": [a, b, c],
        "cylinder": [a, a, c],
        "sphere": [a, a, a],
        "capsule": [a, a, a + c],
        "ellipsoid": [a, b, c],
    }[shape]
    hue = rng.uniform(block_hue_deg.high + part.hue_gap_deg, block_hue_deg.low - part.hue_gap_deg + 360.0)
    distractor = DistractorSample(
        shape=shape,
        half_extent_m=np.array(half_extent),
        xy_m=np.array([part.x_m.draw(rng), part.y_m.draw(rng)]),
        yaw_rad=float(rng.uniform(0.0, np.pi)),
        rgb=rgb_of(np.array([hue, part.saturation.draw(rng), part.value.draw(rng)])),
    )
    return distractor, float(hue)
