"""Objects of an episode: what they are made of and where they lie."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fetch_sim2real.common.ranges import Range, draw3
from fetch_sim2real.tasks.base import ObjectConfig
from fetch_sim2real.types import FloatArray


@dataclass(frozen=True)
class ObjectPhysics:
    """An object as physics knows it: half extents (3,) [m] of its box or cylinder, mass, sliding friction, drag
    [N s/m], and how its contacts give way (``tasks.base.ObjectConfig``).

    A flat box is a box here: what a world file calls it does not matter to physics. ``center_m`` (3,) is its centre of
    mass from its middle, along its own axes; ``torsional_friction_m`` is the largest moment about a contact's normal,
    divided by the normal force.
    """

    shape: Literal["box", "cylinder"]
    half_extents_m: FloatArray
    mass_kg: float
    friction: float
    drag: float
    contact_time_s: float
    contact_impedance: float
    torsional_friction_m: float
    center_m: FloatArray


@dataclass(frozen=True)
class ObjectSample:
    """An object of one episode: what it is, its centre (3,) in base_link and its turn about z at the start."""

    physics: ObjectPhysics
    position_m: FloatArray
    yaw_rad: float


def draw_physics(
    config: ObjectConfig, rng: np.random.Generator, nature_rng: np.random.Generator
) -> ObjectPhysics:
    """Return a box as ``config`` says; ``nature_rng`` draws what was not drawn in earlier versions."""
    half, height = config.half_size_m.draw(rng), config.height_factor.draw(rng)
    half_extents_m = np.array([half, half, half * height])
    return ObjectPhysics(
        half_extents_m=half_extents_m,
        mass_kg=config.mass_kg.draw(rng),
        friction=config.friction.draw(rng),
        drag=config.drag.draw(rng),
        shape="box",
        contact_time_s=config.contact_time_s.draw(rng),
        contact_impedance=config.contact_impedance.draw(rng),
        torsional_friction_m=config.torsional_friction_m.draw(nature_rng),
        center_m=half_extents_m * draw3(config.center_shift, nature_rng),
    )


def shaped(config: ObjectConfig, physics: ObjectPhysics, rng: np.random.Generator) -> ObjectPhysics:
    """Return ``physics`` in one of the shapes that ``config`` names."""
    chosen = config.shape[int(rng.integers(len(config.shape)))]
    width, height = config.slab_width_factor.draw(rng), config.slab_height_factor.draw(rng)
    if chosen == "slab":
        factors = np.array([width, width, height])
        return replace(
            physics, half_extents_m=physics.half_extents_m * factors, center_m=physics.center_m * factors
        )
    return replace(physics, shape=chosen)


def draw_color_hsv(config: ObjectConfig, rng: np.random.Generator) -> tuple[Range, Range, Range]:
    """Return the ranges that the object's colour is drawn in: of hue, saturation and value."""
    hues = config.hues_deg
    return hues[int(rng.integers(len(hues)))], config.color_hsv[1], config.color_hsv[2]
