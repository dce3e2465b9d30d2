"""Writes an episode's appearance into a compiled MuJoCo model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from fetch_sim2real.common.physics import mujoco
from fetch_sim2real.sim.engine import VisualShape
from fetch_sim2real.sim.mujoco.scene import DISTRACTORS, FLOOR, LIGHTS, PASSERS, TABLE, WALL, object_body
from fetch_sim2real.sim.randomization.appearance import AppearanceSample, LightSample
from fetch_sim2real.sim.randomization.distractors import DistractorSample
from fetch_sim2real.sim.randomization.obstacles import ObstacleSample
from fetch_sim2real.sim.randomization.textures import SurfaceSample, texture_pixels
from fetch_sim2real.types import FloatArray

_GEOM_TYPES: Final = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
}
_SHADOWS_AROUND_M: Final = np.array([0.65, 0.0, 0.75])
_LIGHT_DISTANCE_M: Final = 2.0


class Appearance:
    """Changes the appearance of one model. Textures that were changed must be uploaded before the next picture."""

    def __init__(self, model: mujoco.MjModel, objects: Iterable[str], obstacles: Sequence[str] = ()) -> None:
        """``objects`` are the names of the objects in ``model``, ``obstacles`` those of the obstacles' geoms."""
        self._model = model
        self._obstacles = tuple(obstacles)
        added = (*DISTRACTORS, *PASSERS, *self._obstacles, *map(object_body, objects))
        own = {model.geom(name).id for name in (FLOOR, TABLE, WALL, *added)}
        self._links = np.array([geom for geom in range(model.ngeom) if geom not in own])
        self._link_rgb: FloatArray = model.geom_rgba[self._links, :3].astype(np.float64)
        self._draw: AppearanceSample | None = None
        self._hideable: list[int] = []

    def apply(self, draw: AppearanceSample, obstacles: Sequence[ObstacleSample], table_height_m: float) -> None:
        """Write everything but textures into the model."""
        model, self._draw = self._model, draw
        for name, rgb in draw.object_rgb.items():
            model.geom_rgba[model.geom(object_body(name)).id, :3] = rgb
        n = len(self._links)
        tint = draw.link_tint[:n, None]
        own = np.clip(self._link_rgb * draw.link_brightness[:n, None], 0.0, 1.0)
        model.geom_rgba[self._links, :3] = own * (1.0 - tint) + draw.link_color[:n] * tint
        wall = model.geom(WALL).id
        model.geom_rgba[wall, 3] = 0.0 if draw.wall_distance_m is None else 1.0
        model.geom_pos[wall, 1] = -(draw.wall_distance_m or 0.0)
        # The headlight gives the ambient part: that of a light with shadows is missing where these fall.
        model.vis.headlight.active = 1
        model.vis.headlight.ambient[:] = draw.ambient
        model.vis.headlight.diffuse[:] = model.vis.headlight.specular[:] = 0.0
        for name in LIGHTS:
            model.light_active[model.light(name).id] = False
        for name, light in zip(LIGHTS, draw.lights, strict=False):
            self._apply_light(model.light(name).id, light)
        for name in (*DISTRACTORS, *PASSERS, *self._obstacles):
            model.geom_rgba[model.geom(name).id, 3] = 0.0
        for name, obstacle in zip(self._obstacles, obstacles, strict=False):
            model.geom_rgba[model.geom(name).id] = [*obstacle.rgb, 1.0]
        shown = (*DISTRACTORS[: len(draw.distractors)], *self._obstacles[: len(obstacles)])
        self._hideable = [model.geom(name).id for name in shown]
        for name, distractor in zip(DISTRACTORS, draw.distractors, strict=False):
            self._apply_distractor(model.geom(name).id, distractor, table_height_m)

    def paint_textures(self) -> tuple[int, ...]:
        """Paint the textures of what was applied last and return their ids."""
        if self._draw is None:
            raise RuntimeError("Appearance.apply has not been called")
        surfaces = {TABLE: self._draw.table, FLOOR: self._draw.floor, WALL: self._draw.wall}
        return tuple(self._paint(name, surface) for name, surface in surfaces.items())

    def show_distractors(self, visible: Sequence[bool]) -> None:
        """Show or hide each of those that were applied last, and each of the obstacles after them."""
        for geom, is_visible in zip(self._hideable, visible, strict=True):
            self._model.geom_rgba[geom, 3] = 1.0 if is_visible else 0.0

    def set_light(self, index: int, light: LightSample | None) -> None:
        """Switch a light to ``light``, None: off."""
        number = self._model.light(LIGHTS[index]).id
        self._model.light_active[number] = False
        if light is not None:
            self._apply_light(number, light)

    def set_visual_shape(self, index: int, shape: VisualShape | None) -> None:
        """Show what passes, None: nothing."""
        model, geom = self._model, self._model.geom(PASSERS[index]).id
        if shape is None:
            model.geom_rgba[geom, 3] = 0.0
            return
        self._apply_shape(geom, shape.shape, np.array(shape.half_extents_m))
        model.geom_pos[geom] = shape.position_m
        model.geom_quat[geom] = shape.quaternion_wxyz
        model.geom_rgba[geom] = [*shape.rgb, 1.0]

    def _apply_light(self, light: int, draw: LightSample) -> None:
        model = self._model
        model.light_active[light] = True
        direction = draw.direction / np.linalg.norm(draw.direction)
        model.light_dir[light] = direction
        # A directional light's position says only where shadows are worked out.
        model.light_pos[light] = _SHADOWS_AROUND_M - _LIGHT_DISTANCE_M * direction
        model.light_diffuse[light] = draw.diffuse
        model.light_ambient[light] = 0.0
        model.light_specular[light] = draw.specular
        model.light_castshadow[light] = draw.shadows

    def _apply_shape(self, geom: int, shape: str, half_extent_m: FloatArray) -> None:
        model = self._model
        a, b, c = half_extent_m
        model.geom_type[geom] = _GEOM_TYPES[shape]
        # MuJoCo's cylinders and capsules have radius and half length, the length without the caps.
        model.geom_size[geom] = {"cylinder": [a, c, 0.0], "capsule": [a, c - a, 0.0]}.get(shape, [a, b, c])
        model.geom_rbound[geom] = np.linalg.norm(half_extent_m)

    def _apply_distractor(self, geom: int, draw: DistractorSample, table_height_m: float) -> None:
        model = self._model
        self._apply_shape(geom, draw.shape, draw.half_extent_m)
        model.geom_pos[geom] = [*draw.xy_m, table_height_m + draw.half_extent_m[2]]
        model.geom_quat[geom] = [np.cos(draw.yaw_rad / 2), 0.0, 0.0, np.sin(draw.yaw_rad / 2)]
        model.geom_rgba[geom] = [*draw.rgb, 1.0]

    def _paint(self, name: str, draw: SurfaceSample) -> int:
        model = self._model
        material = model.mat(name).id
        texture = int(model.tex(name).id)
        pixels = texture_pixels(draw).ravel()
        start = model.tex_adr[texture]
        model.tex_data[start : start + len(pixels)] = pixels
        model.mat_texrepeat[material] = 1.0 / draw.tile_m
        return texture
