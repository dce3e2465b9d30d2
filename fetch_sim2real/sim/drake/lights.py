"""An episode's light in Drake's renderer."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from pydrake.geometry import EnvironmentMap, EquirectangularMap, LightParameter, RenderEngineVtkParams, Rgba

from fetch_sim2real.sim.drake.options import DrakeOptions
from fetch_sim2real.sim.randomization.appearance import LightSample
from fetch_sim2real.types import FloatArray

# Drake knows no ambient light. From the corners of a tetrahedron together, lights give every surface along the axes of
# base_link the same, and those between them up to three tenths less.
_AMBIENT_FROM: Final = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]) / np.sqrt(3)
_AMBIENT_SHARE: Final = np.sqrt(3) / 2
# Either all lights throw shadows or none does, but for points: one so far away lights like a directional one.
_FAR_M: Final = 300.0
_SHADOW_MAP_SIZE: Final = 1024
# Physically based materials reflect what falls on them divided by pi.
_PBR_INTENSITY: Final = np.pi
# With an environment map the lights come on top of it.
_WITH_ENVIRONMENT: Final = 0.5
_ENVIRONMENT_SIZE: Final = (64, 128)


def renderer_parameters(
    ambient: FloatArray, lights: Sequence[LightSample | None], options: DrakeOptions
) -> RenderEngineVtkParams:
    """Return a renderer's parameters: ambient light (3,), and directional lights, None for those that are off."""
    burning = [light for light in lights if light is not None]
    intensity = _PBR_INTENSITY if options.is_pbr else 1.0
    if options.environment_map:
        intensity *= _WITH_ENVIRONMENT
    made = (
        []
        if options.environment_map
        else [_far_point(each, _AMBIENT_SHARE * intensity * ambient) for each in _AMBIENT_FROM]
    )
    for light in burning:
        direction, rgb = light.direction / np.linalg.norm(light.direction), intensity * light.diffuse
        made.append(_directional(direction, rgb) if light.shadows else _far_point(-direction, rgb))
    return RenderEngineVtkParams(
        default_clear_color=np.zeros(3),
        lights=made,
        cast_shadows=any(light.shadows for light in burning),
        shadow_map_size=_SHADOW_MAP_SIZE,
        force_to_pbr=options.is_pbr,
        environment_map=_environment() if options.environment_map else None,
        exposure=1.0 if options.environment_map else None,
        backend="EGL",
    )


def _far_point(towards: FloatArray, rgb: FloatArray) -> LightParameter:
    """A light that throws no shadow, from the direction ``towards`` it."""
    brightness = max(float(np.max(rgb)), 1e-9)
    return LightParameter(
        type="point", frame="world", position=_FAR_M * towards, intensity=brightness, color=_color(rgb / brightness)
    )


def _directional(direction: FloatArray, rgb: FloatArray) -> LightParameter:
    brightness = max(float(np.max(rgb)), 1e-9)
    return LightParameter(
        type="directional", frame="world", direction=direction, intensity=brightness, color=_color(rgb / brightness)
    )


def _color(rgb: FloatArray) -> Rgba:
    red, green, blue = np.clip(rgb, 0.0, 1.0).tolist()
    return Rgba(red, green, blue)


@cache
def _environment() -> EnvironmentMap:
    """A room, grey and lit through two windows and from above, as a picture of all directions."""
    rows, columns = _ENVIRONMENT_SIZE
    up = np.linspace(1.0, -1.0, rows)[:, None]
    around = np.linspace(-np.pi, np.pi, columns)[None]
    light = 0.35 + 0.35 * np.clip(up, 0.0, 1.0) + np.zeros_like(around)
    for window in (-1.2, 1.9):
        light = light + 0.8 * ((np.abs(around - window) < 0.35) & (np.abs(up - 0.25) < 0.2))
    warm = np.clip(light[..., None] * [1.0, 0.97, 0.92], 0.0, 1.0)
    path = Path(tempfile.mkdtemp(prefix="fetch_sim2real_environment_")) / "room.png"
    cv2.imwrite(str(path), np.rint(255.0 * warm[..., ::-1]).astype(np.uint8))
    return EnvironmentMap(texture=EquirectangularMap(path=str(path)))
