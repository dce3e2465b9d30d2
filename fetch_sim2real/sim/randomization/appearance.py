"""Appearance of an episode: surfaces, colours, light, and what else lies on the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from fetch_sim2real.common.ranges import Range, Share, Varies, Vector3, draw3, rgb_of
from fetch_sim2real.common.schema import Record
from fetch_sim2real.sim.randomization.distractors import DistractorSample
from fetch_sim2real.sim.randomization.textures import SurfaceConfig, SurfaceSample, draw_surface
from fetch_sim2real.types import FloatArray

# The robot's links, the fixed ones included, in the model's order; more than it has.
MAX_LINKS = 24
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class WallConfig(SurfaceConfig):
    """A wall ``distance_m`` to the right of the robot, along -y; there in ``probability`` of the episodes."""

    probability: Probability
    distance_m: Annotated[Range, Varies(0.62, 4.0)]


class LightConfig(Record):
    """One or two directional lights and ambient light.

    ``tint`` is the saturation of each light's colour, its hue is drawn. A second light is there in
    ``second_probability`` of the episodes; each throws shadows in its share of them.
    """

    direction: Annotated[Vector3, Varies(-3.0, 3.0)]
    diffuse: Share
    ambient: Share
    specular: Share
    tint: Share
    shadow_probability: Probability
    second_probability: Probability
    second_shadow_probability: Probability
    second_diffuse: Share


class LinksConfig(Record):
    """Colour of the robot's links: a factor on each one's own, then mixed with any colour by ``tint``."""

    brightness: Annotated[Range, Varies(0.0, 3.0)]
    tint: Share


@dataclass(frozen=True)
class LightSample:
    """A directional light: direction (3,), colour (3,) times intensity."""

    direction: FloatArray
    diffuse: FloatArray
    specular: float
    shadows: bool


@dataclass(frozen=True)
class AppearanceSample:
    """Colours (3,) in 0..1, those of objects by name. ``wall_distance_m`` is None where there is no wall.

    A robot's link of colour c gets (c * brightness) (1 - tint) + color * tint, with its row of ``link_brightness``
    (MAX_LINKS,), ``link_tint`` (MAX_LINKS,) and ``link_color`` (MAX_LINKS, 3).
    """

    table: SurfaceSample
    floor: SurfaceSample
    wall: SurfaceSample
    wall_distance_m: float | None
    object_rgb: Mapping[str, FloatArray]
    link_brightness: FloatArray
    link_tint: FloatArray
    link_color: FloatArray
    ambient: FloatArray
    lights: tuple[LightSample, ...]
    distractors: tuple[DistractorSample, ...]


def draw_appearance(
    table: SurfaceConfig,
    floor: SurfaceConfig,
    wall: WallConfig,
    links: LinksConfig,
    light: LightConfig,
    main_object: tuple[str, tuple[Range, Range, Range]],
    other_objects_rgb: Mapping[str, FloatArray],
    distractors: tuple[DistractorSample, ...],
    rng: np.random.Generator,
) -> AppearanceSample:
    """Return an episode's appearance. ``main_object`` is the name and colour (HSV) of the object that the task is
    about; the colours of the others are drawn already.
    """
    with_wall = rng.random() < wall.probability
    distance = wall.distance_m.draw(rng)
    return AppearanceSample(
        table=draw_surface(table, rng),
        floor=draw_surface(floor, rng),
        wall=draw_surface(wall, rng),
        wall_distance_m=distance if with_wall else None,
        object_rgb={main_object[0]: rgb_of(draw3(main_object[1], rng)), **other_objects_rgb},
        link_brightness=np.array([links.brightness.draw(rng) for _ in range(MAX_LINKS)]),
        link_tint=np.array([links.tint.draw(rng) for _ in range(MAX_LINKS)]),
        # Yellow to violet: a link is not taken for a red block.
        link_color=np.array([rgb_of(np.array([hue, 1.0, 0.8])) for hue in rng.uniform(50.0, 290.0, MAX_LINKS)]),
        ambient=light.ambient.draw(rng) * _draw_tint(light, rng),
        lights=_draw_lights(light, rng),
        distractors=distractors,
    )


def _draw_lights(part: LightConfig, rng: np.random.Generator) -> tuple[LightSample, ...]:
    shadows, second, second_shadows = rng.random(3) < [
        part.shadow_probability,
        part.second_probability,
        part.second_shadow_probability,
    ]
    main = LightSample(
        direction=draw3(part.direction, rng),
        diffuse=part.diffuse.draw(rng) * _draw_tint(part, rng),
        specular=part.specular.draw(rng),
        shadows=bool(shadows),
    )
    other = LightSample(
        direction=draw3(part.direction, rng),
        diffuse=part.second_diffuse.draw(rng) * _draw_tint(part, rng),
        specular=part.specular.draw(rng),
        shadows=bool(second_shadows),
    )
    return (main, other) if second else (main,)


def _draw_tint(part: LightConfig, rng: np.random.Generator) -> FloatArray:
    """Colour (3,) of a light, its mean 1."""
    color = rgb_of(np.array([rng.uniform(0.0, 360.0), part.tint.draw(rng), 1.0]))
    return color / color.mean()
