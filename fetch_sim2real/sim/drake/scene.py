"""The episode as Drake's renderer sees it. Bodies' poses come from outside: nothing here knows physics."""

from __future__ import annotations

import atexit
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydrake.common.value import AbstractValue
from pydrake.geometry import (
    Box,
    ClippingRange,
    ColorRenderCamera,
    DepthRange,
    DepthRenderCamera,
    FrameId,
    FramePoseVector,
    GeometryFrame,
    GeometryInstance,
    MakeRenderEngineVtk,
    PerceptionProperties,
    QueryObject,
    RenderCameraCore,
    RenderEngine,
    RenderEngineVtkParams,
    RenderLabel,
    Rgba,
    SceneGraph,
    Shape,
)
from pydrake.math import RigidTransform, RotationMatrix
from pydrake.systems.sensors import CameraInfo, ImageRgba8U

from fetch_sim2real.arm.bodies import arm_bodies
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.sim.drake.drawn_shapes import arm_part, place_of_distractor, simple_shape, tiled_surface
from fetch_sim2real.sim.drake.lights import renderer_parameters
from fetch_sim2real.sim.drake.options import DrakeOptions
from fetch_sim2real.sim.drake.plant import transform
from fetch_sim2real.sim.engine import VisualShape
from fetch_sim2real.sim.randomization.appearance import LightSample
from fetch_sim2real.sim.randomization.sample import EpisodeSample
from fetch_sim2real.sim.randomization.textures import SurfaceSample, texture_pixels
from fetch_sim2real.types import FloatArray
from fetch_sim2real.workcell import WorkcellConfig

_RENDERER: Final = "vtk"
_NEAR_M, _FAR_M = 0.05, 10.0
_FLOOR_SIZE_M: Final = (8.0, 8.0)
_WALL_SIZE_M: Final = (6.0, 3.0)
_WALL_CENTRE_XZ_M: Final = (0.6, 1.5)
_WALL_FACE_M: Final = 0.005  # from its middle, which its distance is to
# MuJoCo shows a tile of 1 m two metres wide: the same draw is to look the same.
_SHOWN_PER_TILE: Final = 2.0
# A table's sides are below its surface, which is drawn over them.
_SURFACE_ABOVE_M: Final = 5.0e-4
# Where nothing is drawn any more.
_AWAY: Final = RigidTransform([0.0, 0.0, -100.0])


@dataclass(frozen=True, eq=False)
class Shown:
    """What can change within an episode: the camera, lights, what passes, and which distractors are there."""

    base_T_camera: Pose
    lights: tuple[LightSample | None, ...]
    passers: tuple[VisualShape | None, ...]
    distractors: tuple[bool, ...]


class RenderScene:
    """Draws one episode under one set of lights. An OpenGL context belongs to the thread that makes it."""

    def __init__(
        self,
        workcell: WorkcellConfig,
        sample: EpisodeSample,
        moving: Sequence[str],
        shown: Shown,
        options: DrakeOptions,
    ) -> None:
        """``moving`` are the bodies whose poses ``place`` is given, in that order; lights and the shapes of what passes
        stay as they are in ``shown``."""
        self._scene = SceneGraph()
        self._source = self._scene.RegisterSource("pictures")
        self._count = 0
        draw = sample.appearance
        _keep_display_open()
        engine = MakeRenderEngineVtk(renderer_parameters(draw.ambient, shown.lights, options))
        self._scene.AddRenderer(_RENDERER, engine)
        self._moving = [self._frame(name) for name in moving]
        self._passers = [self._frame(f"passer_{index}") for index in range(len(shown.passers))]
        self._distractors = [self._frame(f"distractor_{index}") for index in range(len(draw.distractors))]
        self._distractor_places = [
            place_of_distractor(each, sample.dynamics.table_height_m) for each in draw.distractors
        ]
        self._add_robot(workcell.torso_height_m, sample, dict(zip(moving, self._moving, strict=True)))
        self._add_surroundings(workcell, sample)
        self._add_objects(sample, dict(zip(moving, self._moving, strict=True)))
        for frame, distractor in zip(self._distractors, draw.distractors, strict=True):
            self._add(simple_shape(distractor.shape, distractor.half_extent_m), distractor.rgb, frame)
        for frame, passer in zip(self._passers, shown.passers, strict=True):
            if passer is not None:
                self._add(simple_shape(passer.shape, np.array(passer.half_extents_m)), np.array(passer.rgb), frame)
        self._context = self._scene.CreateDefaultContext()
        port = self._scene.get_source_pose_port(self._source)
        self._poses = port.FixValue(self._context, AbstractValue.Make(FramePoseVector()))
        self._query: QueryObject = self._scene.get_query_output_port().Eval(self._context)

    # -- pictures ------------------------------------------------------------------------------------------------

    def place(self, poses: FloatArray, shown: Shown) -> None:
        """Put the moving bodies at ``poses`` (bodies, 3, 4), the rest as ``shown``."""
        vector = FramePoseVector()
        for frame, pose in zip(self._moving, poses, strict=True):
            vector.set_value(frame, RigidTransform(pose))
        for frame, passer in zip(self._passers, shown.passers, strict=True):
            vector.set_value(frame, _AWAY if passer is None else transform(passer.position_m, passer.quaternion_wxyz))
        for frame, place, is_there in zip(self._distractors, self._distractor_places, shown.distractors, strict=True):
            vector.set_value(frame, place if is_there else _AWAY)
        self._poses.GetMutableData().set_value(vector)
        self._query = self._scene.get_query_output_port().Eval(self._context)

    def color(self, camera: CameraModel, base_T_camera: Pose) -> NDArray[np.uint8]:
        """Return colour (H, W, 3)."""
        image = self._query.RenderColorImage(
            camera=ColorRenderCamera(_core(camera)), parent_frame=self._scene.world_frame_id(),
            X_PC=_transform_of(base_T_camera),
        )  # fmt: skip
        return np.ascontiguousarray(image.data[..., :3])

    def depth_m(self, camera: CameraModel, base_T_camera: Pose) -> NDArray[np.float32]:
        """Return depth (H, W) [m] along the optical axis; the far plane's where there is nothing."""
        image = self._query.RenderDepthImage(
            camera=DepthRenderCamera(_core(camera), DepthRange(_NEAR_M, _FAR_M)),
            parent_frame=self._scene.world_frame_id(), X_PC=_transform_of(base_T_camera),
        )  # fmt: skip
        return np.clip(image.data[..., 0], np.float32(_NEAR_M), np.float32(_FAR_M))

    # -- what is there -------------------------------------------------------------------------------------------

    def _frame(self, name: str) -> FrameId:
        return self._scene.RegisterFrame(self._source, GeometryFrame(name))

    def _add_robot(self, torso_height_m: float, sample: EpisodeSample, moving: Mapping[str, FrameId]) -> None:
        draw, number = sample.appearance, 0
        still: dict[str | None, RigidTransform] = {None: RigidTransform()}
        for body in arm_bodies(ARM, torso_height_m):
            if body.name not in moving:
                still[body.name] = still[body.parent] @ transform(body.position_m, body.quaternion_wxyz)
            for shape in body.shapes:
                tint, own = draw.link_tint[number], np.clip(shape.rgb * draw.link_brightness[number], 0.0, 1.0)
                rgb, number = own * (1.0 - tint) + draw.link_color[number] * tint, number + 1
                if not shape.is_drawn:
                    continue
                drawn = arm_part(shape)
                place = transform(shape.position_m, shape.quaternion_wxyz)
                if body.name not in moving:
                    place = still[body.name] @ place
                self._add(drawn, rgb, moving.get(body.name), place)

    def _add_surroundings(self, workcell: WorkcellConfig, sample: EpisodeSample) -> None:
        draw, height = sample.appearance, sample.dynamics.table_height_m
        self._add_surface(draw.floor, _FLOOR_SIZE_M, RigidTransform(), "floor")
        (x, y), size = workcell.table.center_xy_m, workcell.table.size_xy_m
        top = self._add_surface(draw.table, size, RigidTransform([x, y, height]), "table")
        below = height - _SURFACE_ABOVE_M
        self._add(Box(*size, below), top.mean(axis=(0, 1)) / 255.0, None, RigidTransform([x, y, below / 2]))
        if draw.wall_distance_m is not None:
            x, z = _WALL_CENTRE_XZ_M
            upright = RotationMatrix(np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))
            self._add_surface(
                draw.wall, _WALL_SIZE_M, RigidTransform(upright, [x, _WALL_FACE_M - draw.wall_distance_m, z]), "wall"
            )

    def _add_surface(
        self, draw: SurfaceSample, size_m: tuple[float, float], place: RigidTransform, name: str
    ) -> NDArray[np.uint8]:
        texture = texture_pixels(draw)
        self._add(tiled_surface(size_m, _SHOWN_PER_TILE * draw.tile_m, texture, name), None, None, place)
        return texture

    def _add_objects(self, sample: EpisodeSample, moving: Mapping[str, FrameId]) -> None:
        for name, each in sample.objects.items():
            self._add(
                simple_shape(each.physics.shape, each.physics.half_extents_m),
                sample.appearance.object_rgb[name],
                moving[name],
            )

    def _add(
        self, shape: Shape, rgb: FloatArray | None, frame: FrameId | None, place: RigidTransform | None = None
    ) -> None:
        """Draw ``shape`` in a colour, without one in its own, at ``place`` in a frame, without one in base_link."""
        properties = PerceptionProperties()
        properties.AddProperty("label", "id", RenderLabel.kDontCare)
        if rgb is not None:
            red, green, blue = np.clip(rgb, 0.0, 1.0).tolist()
            properties.AddProperty("phong", "diffuse", Rgba(red, green, blue))
        self._count += 1
        instance = GeometryInstance(place or RigidTransform(), shape, f"visual_{self._count}")
        instance.set_perception_properties(properties)
        if frame is None:
            self._scene.RegisterAnchoredGeometry(self._source, instance)
        else:
            self._scene.RegisterGeometry(self._source, frame, instance)


@cache
def _keep_display_open() -> RenderEngine:
    """With its last window VTK ends the process's EGL display, which is MuJoCo's too: this one is never closed."""
    engine = MakeRenderEngineVtk(RenderEngineVtkParams(backend="EGL"))
    # Its window is opened by its first picture.
    engine.RenderColorImage(ColorRenderCamera(_core(CameraModel.from_fovy(2, 2, 1.0))), ImageRgba8U(2, 2))
    # Before MuJoCo ends the display.
    atexit.register(_keep_display_open.cache_clear)
    return engine


def _core(camera: CameraModel) -> RenderCameraCore:
    # Drake counts pixels from the corner of the first one, not from its centre.
    intrinsics = CameraInfo(camera.width, camera.height, camera.fx, camera.fy, camera.cx + 0.5, camera.cy + 0.5)
    return RenderCameraCore(_RENDERER, intrinsics, ClippingRange(_NEAR_M, _FAR_M), RigidTransform())


def _transform_of(pose: Pose) -> RigidTransform:
    return RigidTransform(RotationMatrix(pose.rotation), pose.position)
