"""Obstacles: objects that have nothing to do with the task, can be touched, and stand where they are in the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
from pydantic import AfterValidator, Field

from fetch_sim2real.common.ranges import Range, Share, Varies, ordered, rgb_of
from fetch_sim2real.common.schema import Record
from fetch_sim2real.sim.randomization.distractors import Corridor, DistractorSample, draw_other_hue
from fetch_sim2real.sim.randomization.objects import ObjectPhysics, ObjectSample
from fetch_sim2real.tasks.base import uniform
from fetch_sim2real.types import FloatArray
from fetch_sim2real.workcell import TableConfig

MAX_OBSTACLES: Final = 3
_Count = Annotated[int, Field(ge=0, le=MAX_OBSTACLES)]
_MAX_TRIES: Final = 30
# Where along the way from object to goal, how far beside it, and how far in front of the object, towards the camera.
_WAY_SHARE: Final = (0.3, 0.7)
_BESIDE_WAY_M: Final = 0.03
_IN_FRONT_M: Final = (0.06, 0.16)
# Fingers are around the gripper's start, and may be open.
_GRIPPER_RADIUS_M: Final = 0.08


class ObstaclesConfig(Record):
    """``count`` boxes and cylinders that can be touched and pushed away: on the way of the object, in front of it as
    the camera sees it, or anywhere, each as likely.

    They stand ``gap_m`` off the task's objects and goal, fewer where there is no room, and their hue is at least
    ``hue_gap_deg`` outside of the objects'. The safety filter does not know them.
    """

    count: Annotated[tuple[_Count, _Count], AfterValidator(ordered)] = (0, 0)
    half_size_m: Annotated[Range, Varies(0.005, 0.04)] = uniform(0.012, 0.025)
    mass_kg: Annotated[Range, Varies(0.005, 5.0)] = uniform(0.05, 0.2)
    friction: Annotated[Range, Varies(0.01, 5.0)] = uniform(0.3, 0.8)
    hue_gap_deg: Annotated[float, Field(ge=15.0, le=120.0)] = 30.0
    saturation: Share = uniform(0.0, 1.0)
    value: Share = uniform(0.15, 1.0)
    gap_m: Annotated[float, Field(ge=0.0)] = 0.02


@dataclass(frozen=True)
class ObstacleSample:
    """An obstacle of one episode and its colour (3,) in 0..1."""

    object: ObjectSample
    rgb: FloatArray

    def is_clear_of(self, way: Corridor) -> bool:
        """Return whether it stands off that ground."""
        return way.has_room_for(self.object.position_m[:2], _radius_m(self.object.physics))


@dataclass(frozen=True)
class Surroundings:
    """What obstacles stand around of: places (2,) on the table in base_link, and ranges of hue that are taken."""

    objects: Mapping[str, ObjectSample]
    main: ObjectSample
    moved_xy_m: FloatArray
    grip_xy_m: FloatArray
    goal_xy_m: FloatArray
    camera_xy_m: FloatArray
    hues_deg: Sequence[Range]
    keep_clear: Sequence[Corridor]
    distractors: Sequence[DistractorSample]
    table: TableConfig
    table_height_m: float


def draw_obstacles(
    part: ObstaclesConfig, around: Surroundings, rng: np.random.Generator
) -> tuple[ObstacleSample, ...]:
    """Return as many as drawn, fewer where there is no room."""
    drawn: list[ObstacleSample] = []
    low, high = part.count
    for _ in range(int(rng.integers(low, high + 1))):
        for _ in range(_MAX_TRIES):
            obstacle = _draw_one(part, around, rng)
            if _has_room(part, around, obstacle, drawn):
                drawn.append(obstacle)
                break
    return tuple(drawn)


def _draw_one(part: ObstaclesConfig, around: Surroundings, rng: np.random.Generator) -> ObstacleSample:
    a, b, c = (part.half_size_m.draw(rng) for _ in range(3))
    is_box = rng.random() < 0.5
    physics = ObjectPhysics(
        shape="box" if is_box else "cylinder",
        half_extents_m=np.array([a, b if is_box else a, c]),
        mass_kg=part.mass_kg.draw(rng),
        friction=part.friction.draw(rng),
        drag=0.0,
        contact_time_s=0.02,
        contact_impedance=0.9,
        torsional_friction_m=0.005,
        center_m=np.zeros(3),
    )
    place = np.array([*_draw_place(around, rng), around.table_height_m + c])
    hsv = [draw_other_hue(around.hues_deg, part.hue_gap_deg, rng), part.saturation.draw(rng), part.value.draw(rng)]
    return ObstacleSample(ObjectSample(physics, place, float(rng.uniform(0.0, np.pi))), rgb_of(np.array(hsv)))


def _draw_place(around: Surroundings, rng: np.random.Generator) -> FloatArray:
    """Draw where (2,) on the table one might stand."""
    main_xy_m = around.main.position_m[:2]
    kind = int(rng.integers(3))
    shares = rng.random(2)
    if kind == 0:
        along = around.goal_xy_m - main_xy_m
        across = np.array([-along[1], along[0]]) / max(float(np.linalg.norm(along)), 1e-6)
        share = _WAY_SHARE[0] + shares[0] * (_WAY_SHARE[1] - _WAY_SHARE[0])
        on_way: FloatArray = main_xy_m + share * along + (2.0 * shares[1] - 1.0) * _BESIDE_WAY_M * across
        return on_way
    if kind == 1:
        towards = around.camera_xy_m - main_xy_m
        distance_m = _IN_FRONT_M[0] + shares[0] * (_IN_FRONT_M[1] - _IN_FRONT_M[0])
        in_front: FloatArray = main_xy_m + distance_m * towards / max(float(np.linalg.norm(towards)), 1e-6)
        return in_front
    table = around.table
    anywhere: FloatArray = np.array(table.center_xy_m) + (shares - 0.5) * np.array(table.size_xy_m)
    return anywhere


def _has_room(
    part: ObstaclesConfig, around: Surroundings, obstacle: ObstacleSample, others: Sequence[ObstacleSample]
) -> bool:
    xy_m, radius_m = obstacle.object.position_m[:2], _radius_m(obstacle.object.physics)
    on_table = np.abs(xy_m - around.table.center_xy_m) + radius_m <= 0.5 * np.array(around.table.size_xy_m)
    main_radius_m = _radius_m(around.main.physics)
    taken = [(each.position_m[:2], _radius_m(each.physics) + part.gap_m) for each in around.objects.values()]
    taken += [(around.moved_xy_m, main_radius_m + part.gap_m), (around.goal_xy_m, main_radius_m + part.gap_m)]
    taken += [(around.grip_xy_m, _GRIPPER_RADIUS_M)]
    taken += [(each.xy_m, each.radius_m) for each in around.distractors]
    taken += [(each.object.position_m[:2], _radius_m(each.object.physics)) for each in others]
    apart = all(np.linalg.norm(xy_m - place_m) > radius_m + other_m for place_m, other_m in taken)
    return bool(on_table.all()) and apart and all(obstacle.is_clear_of(way) for way in around.keep_clear)


def _radius_m(physics: ObjectPhysics) -> float:
    """Of the circle on the table that holds it."""
    half = physics.half_extents_m
    return float(np.hypot(*half[:2]) if physics.shape == "box" else half[0])
