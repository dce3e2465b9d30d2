"""What a camera at a given pose should see of robot, table and block, rendered from the project's own scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.common.physics import mujoco
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.sim.mujoco.render import RgbdRenderer
from fetch_sim2real.sim.mujoco.scene import CAMERA, FLOOR, TABLE, object_body, object_joint, scene_spec
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks.base import RED_BLOCK
from fetch_sim2real.types import FloatArray

_BLOCK: Final = "block"
NOTHING, ROBOT, ON_TABLE, ON_BLOCK = range(4)  # what a pixel shows; the floor and beyond are NOTHING
# MuJoCo's cameras look along -z with y up, optical frames along +z with y down.
_OPTICAL_TO_MUJOCO: Final = np.diag([1.0, -1.0, -1.0])
_OUT_OF_SIGHT_XY_M: Final = (-3.0, 0.0)


@dataclass(frozen=True)
class Setting:
    """What stands before the camera: measured arm (n,) [rad], finger opening and torso height [m].

    ``block_xy_m`` (2,) and yaw are None and 0 if there is no block, or nobody knows where.
    """

    arm_rad: FloatArray
    finger_m: float
    torso_height_m: float
    block_xy_m: tuple[float, float] | None = None
    block_yaw_rad: float = 0.0


@dataclass(frozen=True)
class View:
    """Depth (H, W) float32 [m] along the optical axis and, per pixel, one of _BLOCK: Final = "block"
NOTHING, ROBOT, ON_TABLE, ON_BLOCK."""

    depth_m: NDArray[np.float32]
    shows: NDArray[np.uint8]


class ExpectedView:
    """Renders one setting from any pose. Call ``close`` when done."""

    def __init__(self, world: World, setting: Setting, camera: CameraModel) -> None:
        """``world`` gives the table's and the block's size, ``camera`` the intrinsics of the pictures."""
        workcell = world.workcell.model_copy(update={"torso_height_m": setting.torso_height_m})
        objects = {_BLOCK: world.object_of(_BLOCK, RED_BLOCK)}
        self._model = scene_spec(world.model_copy(update={"workcell": workcell}), objects).compile()
        self._data = mujoco.MjData(self._model)
        self._place(setting)
        self._set_intrinsics(camera)
        self._kinds = self._kinds_of_geoms()
        self._renderer = RgbdRenderer(self._model, CAMERA, camera.width, camera.height)

    def _place(self, setting: Setting) -> None:
        model, data = self._model, self._data
        for names, values in ((ARM.joint_names, setting.arm_rad), (ARM.gripper_joints, [setting.finger_m] * 2)):
            for name, value in zip(names, values, strict=True):
                data.qpos[model.joint(name).qposadr[0]] = value
        at, half_yaw = model.joint(object_joint(_BLOCK)).qposadr[0], setting.block_yaw_rad / 2
        xy = _OUT_OF_SIGHT_XY_M if setting.block_xy_m is None else setting.block_xy_m
        data.qpos[at : at + 7] = [*xy, 0.0, np.cos(half_yaw), 0.0, 0.0, np.sin(half_yaw)]

    def _raise_table(self, height_m: float) -> None:
        """The table's top, and the block on it, to ``height_m``."""
        model = self._model
        model.body_pos[model.body(TABLE).id, 2] = height_m - model.geom_size[model.geom(TABLE).id, 2]
        block_z = model.joint(object_joint(_BLOCK)).qposadr[0] + 2
        self._data.qpos[block_z] = height_m + model.geom_size[model.geom(object_body(_BLOCK)).id, 2]
        mujoco.mj_kinematics(model, self._data)

    def _set_intrinsics(self, camera: CameraModel) -> None:
        model, at = self._model, self._model.camera(CAMERA).id
        # A sensor whose pixels are one unit wide. MuJoCo's principal point counts from the image's middle, and the
        # other way round: left and up.
        model.cam_sensorsize[at] = [camera.width, camera.height]
        right, down = camera.cx - (camera.width - 1) / 2, camera.cy - (camera.height - 1) / 2
        model.cam_intrinsic[at] = [camera.fx, camera.fy, -right, -down]

    def _kinds_of_geoms(self) -> NDArray[np.uint8]:
        """What each geom is, and NOTHING at the end for pixels that show none (id -1)."""
        kinds = np.full(self._model.ngeom + 1, NOTHING, np.uint8)
        for geom in range(self._model.ngeom):
            if self._model.geom_bodyid[geom] != 0:  # all that hangs on the world itself is scenery
                kinds[geom] = ROBOT
        kinds[self._model.geom(FLOOR).id] = NOTHING
        kinds[self._model.geom(TABLE).id] = ON_TABLE
        kinds[self._model.geom(object_body(_BLOCK)).id] = ON_BLOCK
        return kinds

    def render(self, base_T_camera: Pose, table_height_m: float) -> View:
        """Return the view from ``base_T_camera`` with the table's top at that height."""
        self._raise_table(table_height_m)
        model, at = self._model, self._model.camera(CAMERA).id
        model.cam_pos[at] = base_T_camera.position
        mujoco.mju_mat2Quat(model.cam_quat[at], (base_T_camera.rotation @ _OPTICAL_TO_MUJOCO).ravel())
        mujoco.mj_camlight(model, self._data)
        _, depth_m = self._renderer.render(self._data)
        return View(depth_m, self._kinds[self._renderer.render_geoms(self._data)])

    def close(self) -> None:
        """Free the renderer."""
        self._renderer.close()
