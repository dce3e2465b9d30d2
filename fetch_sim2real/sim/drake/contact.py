"""How things touch in Drake: friction, how contacts give way, and shapes that touch as surfaces do."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Final

import numpy as np
from pydrake.geometry import (
    AddCompliantHydroelasticProperties,
    AddContactMaterial,
    AddRigidHydroelasticProperties,
    Box,
    Convex,
    Cylinder,
    ProximityProperties,
    Sphere,
)
from pydrake.multibody.plant import CoulombFriction

from fetch_sim2real.arm.bodies import BodyShape, TriangleMesh
from fetch_sim2real.sim.randomization.objects import ObjectPhysics
from fetch_sim2real.types import FloatArray

# Of everything but the task's objects: MuJoCo's default.
_FRICTION: Final = 1.0
# A gripper's full force of 60 N presses a finger about a third of a millimetre into a block.
_STIFFNESS_N_M: Final = 4.0e5
# Of an object's surface under hydroelastic contact, about hard rubber [Pa]; all else is rigid.
_HYDROELASTIC_MODULUS_PA: Final = 1.0e7
# Drake gives two convex shapes one point of contact, on which nothing can stand. Small spheres inside the corners of a
# box, and around the rims of a cylinder, touch where its surfaces end.
_CORNER_RADIUS_M: Final = 1.0e-3
_RIM_SPHERES: Final = 8
# The shape itself ends this much below the spheres, so that it is these that it stands on.
_RELIEF_M: Final = 5.0e-5

Placed = tuple[Box | Convex | Cylinder | Sphere, FloatArray]


def frictions(objects: Mapping[str, float]) -> tuple[float, dict[str, float]]:
    """Return coefficients of all else, and of each object by name, so that pairs have the friction that is drawn.

    In a contact an object's own friction counts, of two objects the larger one; but Drake takes the harmonic mean of
    both sides. With one object, or two whose frictions differ by less than a factor of two, every contact of theirs is
    exact; in other cases those between two objects are too slippery or too rough.
    """
    inverse = {name: 1.0 / friction for name, friction in objects.items()}
    if not inverse:
        return _FRICTION, {}
    # Harmonic means add up inverses: 2 / mu = all else's + the object's own.
    rest = 1.0 / _FRICTION if len(inverse) == 1 else max(inverse.values())
    rest = min(rest, min(inverse.values()) if len(inverse) == 1 else 1.9 * min(inverse.values()))
    return 1.0 / rest, {name: 1.0 / (2.0 * each - rest) for name, each in inverse.items()}


def surface(friction: float, time_s: float, hydroelastic: bool, is_object: bool) -> ProximityProperties:
    """Return what a surface is to contacts. ``time_s`` is a contact's relaxation time; those of both sides add up."""
    properties = ProximityProperties()
    AddContactMaterial(
        dissipation=None, point_stiffness=_STIFFNESS_N_M, friction=CoulombFriction(friction, friction),
        properties=properties,
    )  # fmt: skip
    properties.AddProperty("material", "relaxation_time", time_s)
    if hydroelastic and is_object:
        AddCompliantHydroelasticProperties(1.0, _HYDROELASTIC_MODULUS_PA, properties)
    elif hydroelastic:
        AddRigidHydroelasticProperties(0.1, properties)
    return properties


def object_shapes(physics: ObjectPhysics, hydroelastic: bool) -> list[Placed]:
    """Return shapes of an object, each with its place (3,) in the object's frame."""
    half = physics.half_extents_m
    if physics.shape == "box":
        return _box(half, hydroelastic)
    radius, half_height = float(half[0]), float(half[2])
    if hydroelastic:
        return [(Cylinder(radius, 2.0 * half_height), np.zeros(3))]
    # The rounded side stays as it is: only the ends are lowered.
    cylinder = Cylinder(radius, 2.0 * (half_height - _RELIEF_M))
    reach, height = radius - _CORNER_RADIUS_M, half_height - _CORNER_RADIUS_M
    angles = 2.0 * np.pi / _RIM_SPHERES * np.arange(_RIM_SPHERES)
    rims = [np.array([reach * np.cos(a), reach * np.sin(a), z]) for a in angles for z in (-height, height)]
    return [(cylinder, np.zeros(3)), *((Sphere(_CORNER_RADIUS_M), place) for place in rims)]


def arm_shapes(shape: BodyShape, hydroelastic: bool) -> list[Placed]:
    """Return shapes of a part of the arm, each with its place (3,) in the part's own frame."""
    if isinstance(shape.shape, TriangleMesh):
        return [(Convex(points=shape.shape.vertices_m.T, label=shape.name), np.zeros(3))]
    return _box(shape.shape, hydroelastic)


def _box(half: FloatArray, hydroelastic: bool) -> list[Placed]:
    if hydroelastic:
        return [(Box(*(2.0 * half)), np.zeros(3))]
    corners = [np.array(signs) * (half - _CORNER_RADIUS_M) for signs in product((-1.0, 1.0), repeat=3)]
    return [(Box(*(2.0 * (half - _RELIEF_M))), np.zeros(3)), *((Sphere(_CORNER_RADIUS_M), place) for place in corners)]
