"""MuJoCo as the simulation's engine: one compiled model, whose fields each episode changes, and its state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.mjcf import GRIP_SITE
from fetch_sim2real.common.physics import mujoco
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.sim.engine import EngineSettings, JointState, ObjectState, Rendering, VisualShape
from fetch_sim2real.sim.mujoco.appearance import Appearance
from fetch_sim2real.sim.mujoco.frames import RenderThread
from fetch_sim2real.sim.mujoco.mechanics import Mechanics
from fetch_sim2real.sim.mujoco.render import RgbdRenderer
from fetch_sim2real.sim.mujoco.scene import (
    CAMERA,
    apply_dynamics,
    object_body,
    object_joint,
    obstacle_joint,
    obstacle_names,
    place_cameras,
    scene_spec,
)
from fetch_sim2real.sim.randomization.appearance import LightSample
from fetch_sim2real.sim.randomization.objects import ObjectSample
from fetch_sim2real.sim.randomization.sample import EpisodeSample
from fetch_sim2real.tasks.base import RED_BLOCK
from fetch_sim2real.types import FloatArray

T = TypeVar("T")
# Where the parked body lies in tasks without objects.
_ASIDE_XY_M: Final = (-2.0, 0.0)
_APART_M: Final = 0.3


class _ObjectViews:
    """Where an object's state stands in MuJoCo's arrays."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, body_name: str, joint_name: str) -> None:
        joint, body = model.joint(joint_name), model.body(body_name).id
        qpos, dof = int(joint.qposadr[0]), int(joint.dofadr[0])
        # Position and quaternion (7,), linear and angular velocity (6,).
        self.qpos, self.qvel = data.qpos[qpos : qpos + 7], data.qvel[dof : dof + 6]
        # Force at the centre of mass, and torque.
        self.wrench, self.center = data.xfrc_applied[body], data.xipos[body]
        self.xpos, self.xquat, self.xmat = data.xpos[body], data.xquat[body], data.xmat[body].reshape(3, 3)

    def place(self, position_m: FloatArray, yaw_rad: float) -> None:
        """Put it there, upright and at rest."""
        self.qpos[:] = [*position_m, np.cos(yaw_rad / 2), 0.0, 0.0, np.sin(yaw_rad / 2)]
        self.qvel[:] = 0.0


class MujocoEngine:
    """See ``sim.engine.Engine``.

    Looking things up by name takes longer than reading them, so that places in MuJoCo's arrays are looked up once.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._task = settings.task
        self.model = scene_spec(settings.world, settings.world.objects_of(settings.task)).compile()
        self.data = data = mujoco.MjData(self.model)
        joint, actuator = self.model.joint, self.model.actuator
        self._arm_qpos = _span([joint(name).qposadr[0] for name in ARM.joint_names])
        self._arm_dof = _span([joint(name).dofadr[0] for name in ARM.joint_names])
        self._arm_servo = _span([actuator(name).id for name in ARM.joint_names])
        self._finger_qpos = _span([joint(name).qposadr[0] for name in ARM.gripper_joints])
        self._arm_rad, self._arm_rad_s = data.qpos[self._arm_qpos], data.qvel[self._arm_dof]
        self._fingers_m, self._arm_target = data.qpos[self._finger_qpos], data.ctrl[self._arm_servo]
        self._finger_servo = _span([actuator(name).id for name in ARM.gripper_joints])
        self._grip_xpos = data.site_xpos[self.model.site(GRIP_SITE).id]
        self._objects = {
            name: _ObjectViews(self.model, data, object_body(name), object_joint(name)) for name in settings.task.bodies
        }
        obstacles = obstacle_names(settings.world)
        self._obstacles = [_ObjectViews(self.model, data, name, obstacle_joint(name)) for name in obstacles]
        # Set where bodies' places no longer follow from the joints; they are made when somebody asks.
        self._is_stale = False
        self._mechanics = Mechanics(self.model)
        self._appearance = Appearance(self.model, settings.task.bodies, obstacles)
        self._textures_version = 0
        self._pictures = (
            None
            if settings.camera_size is None
            else RenderThread(
                self.model, settings.camera_size, settings.render_in_background, settings.separate_depth
            )
        )

    # -- episodes and time ---------------------------------------------------------------------------------------

    def reset(self, sample: EpisodeSample) -> None:
        """See Engine."""
        if self._pictures is not None:
            self._pictures.open()
        apply_dynamics(self.model, self.data, self._mechanics, sample)
        place_cameras(self.model, Pose(sample.camera.position_m, sample.camera.rotation))
        self.model.cam_fovy[self.model.camera(CAMERA).id] = sample.camera.vertical_fov_deg
        self._appearance.apply(sample.appearance, sample.obstacles, sample.dynamics.table_height_m)
        self._textures_version += 1
        if self._pictures is not None:
            self._pictures.upload_textures(self._appearance.paint_textures())
        mujoco.mj_resetData(self.model, self.data)
        self.place_arm(sample.arm_start_rad, 0.0)
        self.data.ctrl[self._arm_servo] = sample.arm_start_rad
        for name, each in sample.objects.items():
            self.place_object(name, self._start_m(each), each.yaw_rad)
        self._place_obstacles([each.object for each in sample.obstacles])
        mujoco.mj_forward(self.model, self.data)
        self._is_stale = False

    def _place_obstacles(self, there: Sequence[ObjectSample]) -> None:
        for index, views in enumerate(self._obstacles):
            if index < len(there):
                views.place(there[index].position_m, there[index].yaw_rad)
            else:
                height_m = RED_BLOCK.half_size_m.middle
                views.place(np.array([_ASIDE_XY_M[0], _ASIDE_XY_M[1] + (index + 1) * _APART_M, height_m]), 0.0)

    def _start_m(self, sample: ObjectSample) -> FloatArray:
        if self._task.objects:
            return sample.position_m
        # Nothing on the table: the body lies on the floor, out of reach and out of sight.
        return np.array([*_ASIDE_XY_M, sample.physics.half_extents_m[2]])

    def advance(self, arm_targets_rad: FloatArray) -> None:
        """See Engine."""
        model, data, mj_step = self.model, self.data, mujoco.mj_step
        servo_targets = self._arm_target
        for target in arm_targets_rad:
            servo_targets[:] = target
            mj_step(model, data)
        # Bodies are left where the last physics step began.
        self._is_stale = False

    def update_poses(self) -> None:
        """See Engine."""
        self._is_stale = True

    def close(self) -> None:
        """See Engine."""
        if self._pictures is not None:
            self._pictures.close()

    # -- robot ---------------------------------------------------------------------------------------------------

    def joints(self) -> JointState:
        """See Engine."""
        return JointState(self._arm_rad.copy(), self._arm_rad_s.copy(), self._fingers_m.copy())

    def set_finger_target(self, opening_m: float) -> None:
        """See Engine."""
        self.data.ctrl[self._finger_servo] = opening_m

    def velocity_lead_s(self) -> FloatArray:
        """See Engine."""
        servos = self._arm_servo
        lead_s: FloatArray = -self.model.actuator_biasprm[servos, 2] / self.model.actuator_gainprm[servos, 0]
        return lead_s

    def place_arm(self, arm_rad: FloatArray, finger_m: float) -> None:
        """See Engine."""
        self.data.qpos[self._arm_qpos] = arm_rad
        self.data.qpos[self._finger_qpos] = finger_m
        self._is_stale = True

    # -- truth ---------------------------------------------------------------------------------------------------

    def grip_position_m(self) -> FloatArray:
        """See Engine."""
        self._locate()
        position: FloatArray = self._grip_xpos.copy()
        return position

    def object_state(self, name: str) -> ObjectState:
        """See Engine."""
        self._locate()
        views = self._objects[name]
        return ObjectState(views.xpos.copy(), views.xquat.copy(), views.xmat.copy())

    def object_velocity(self, name: str) -> FloatArray:
        """See Engine."""
        velocity: FloatArray = self._objects[name].qvel.copy()
        return velocity

    def _locate(self) -> None:
        """Make the bodies' places follow from the joints."""
        if self._is_stale:
            self._is_stale = False
            mujoco.mj_kinematics(self.model, self.data)

    # -- disturbances --------------------------------------------------------------------------------------------

    def place_object(self, name: str, position_m: FloatArray, yaw_rad: float) -> None:
        """See Engine."""
        self._objects[name].place(position_m, yaw_rad)
        self._is_stale = True

    def set_object_velocity(self, name: str, velocity: FloatArray) -> None:
        """See Engine."""
        self._objects[name].qvel[:] = velocity

    def apply_force(self, name: str, force_n: FloatArray, point_m: FloatArray) -> None:
        """See Engine."""
        self._locate()
        views = self._objects[name]
        views.wrench[:3], views.wrench[3:] = force_n, np.cross(point_m - views.center, force_n)

    def push_link(self, link: str, force_n: FloatArray) -> None:
        """See Engine."""
        self.data.xfrc_applied[self.model.body(link).id, :3] = force_n

    def set_camera_pose(self, base_T_camera: Pose) -> None:
        """See Engine."""
        self._finish_pictures()
        place_cameras(self.model, base_T_camera)

    def set_light(self, index: int, light: LightSample | None) -> None:
        """See Engine."""
        self._finish_pictures()
        self._appearance.set_light(index, light)

    def set_visual_shape(self, index: int, shape: VisualShape | None) -> None:
        """See Engine."""
        self._finish_pictures()
        self._appearance.set_visual_shape(index, shape)

    def show_distractors(self, visible: Sequence[bool]) -> None:
        """See Engine."""
        self._finish_pictures()
        self._appearance.show_distractors(visible)

    def _finish_pictures(self) -> None:
        """Pictures asked for earlier are of the model as it was."""
        if self._pictures is not None:
            self._pictures.finish()

    # -- pictures ------------------------------------------------------------------------------------------------

    def configuration(self) -> FloatArray:
        """See Engine."""
        qpos: FloatArray = self.data.qpos.copy()
        return qpos

    def render(
        self, color: FloatArray, depth: FloatArray | None, develop: Callable[[Rendering], T]
    ) -> Future[T]:
        """See Engine."""
        if self._pictures is None:
            raise RuntimeError("this engine was made without a camera")
        return self._pictures.request(color, depth, develop)

    def view(self, width: int, height: int) -> MujocoView:
        """See Engine."""
        return MujocoView(self, width, height)

    @property
    def textures_version(self) -> int:
        """A number that changes with the surfaces of an episode."""
        return self._textures_version

    def paint_textures(self) -> tuple[int, ...]:
        """Paint the episode's surfaces into the model and return the textures' ids: for a renderer of one's own."""
        return self._appearance.paint_textures()


class MujocoView:
    """See ``sim.engine.View``."""

    def __init__(self, engine: MujocoEngine, width: int, height: int) -> None:
        self._engine = engine
        self._renderer = RgbdRenderer(engine.model, CAMERA, width, height)
        # Its own: drawing must not change what physics goes on from.
        self._data = mujoco.MjData(engine.model)
        self._painted = -1

    def picture(self) -> NDArray[np.uint8]:
        """See View."""
        engine = self._engine
        if engine.textures_version != self._painted:
            self._renderer.upload_textures(engine.paint_textures())
            self._painted = engine.textures_version
        self._data.qpos[:] = engine.data.qpos
        mujoco.mj_kinematics(engine.model, self._data)
        mujoco.mj_camlight(engine.model, self._data)
        return self._renderer.render(self._data)[0]

    def close(self) -> None:
        """See View."""
        self._renderer.close()


def make_engine(settings: EngineSettings) -> MujocoEngine:
    """Return a MuJoCo engine: an ``EngineFactory``."""
    return MujocoEngine(settings)


def _span(indices: Sequence[int]) -> slice:
    """Neighbouring indices as a slice: reading and writing through it is several times faster."""
    first, count = int(indices[0]), len(indices)
    if list(indices) != list(range(first, first + count)):
        raise RuntimeError(f"the robot's joints are at {list(indices)}, expected one after the other")
    return slice(first, first + count)
