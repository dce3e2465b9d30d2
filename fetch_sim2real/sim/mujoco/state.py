"""What is where in the simulated cell at a moment: for critics, evaluation and tests, never for an actor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fetch_sim2real.arm.fetch.joints import ARM_JOINTS, GRIPPER_JOINTS
from fetch_sim2real.arm.mjcf import GRIP_SITE
from fetch_sim2real.common.physics import mujoco
from fetch_sim2real.sim.mujoco.scene import BLOCK, BLOCK_JOINT, scene_spec
from fetch_sim2real.sim.randomization.sample import EpisodeDraw
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks.registry import Task
from fetch_sim2real.types import FloatArray

# Where the object lies in tasks without one.
_ASIDE_XY_M: Final = (-2.0, 0.0)


@dataclass(frozen=True)
class Truth:
    """What was true at a moment: gripper (3,) and object (3,) [m] in base_link. For training, never for an actor."""

    grip_m: FloatArray
    object_m: FloatArray


class SimState:
    """Model and state of one cell, which knows no time: where things are, and putting them somewhere.

    Looking things up by name takes longer than reading them, so that places in MuJoCo's arrays are looked up once.
    """

    def __init__(self, world: World, task: Task) -> None:
        self.world = world
        self.task = task
        self.model = scene_spec(world).compile()
        self.data = data = mujoco.MjData(self.model)
        joint, actuator = self.model.joint, self.model.actuator
        self._arm_qpos = _span([joint(name).qposadr[0] for name in ARM_JOINTS])
        self._arm_dof = _span([joint(name).dofadr[0] for name in ARM_JOINTS])
        self._arm_servo = _span([actuator(name).id for name in ARM_JOINTS])
        self._finger_qpos = _span([joint(name).qposadr[0] for name in GRIPPER_JOINTS])
        self._finger_servo = _span([actuator(name).id for name in GRIPPER_JOINTS])
        block_qpos, block_dof = joint(BLOCK_JOINT).qposadr[0], joint(BLOCK_JOINT).dofadr[0]
        self._block_qpos = data.qpos[block_qpos : block_qpos + 7]
        self._block_qvel = data.qvel[block_dof : block_dof + 6]
        block = self.model.body(BLOCK).id
        self._grip_xpos = data.site_xpos[self.model.site(GRIP_SITE).id]
        self._block_xpos, self._block_xquat = data.xpos[block], data.xquat[block]
        self._block_xmat = data.xmat[block].reshape(3, 3)
        # Set where bodies' places no longer follow from the joints; they are made when somebody asks.
        self._is_stale = False
        self._episode: EpisodeDraw | None = None
        self._goal_m: FloatArray = np.zeros(3)

    @property
    def episode(self) -> EpisodeDraw:
        """The episode that was started last."""
        if self._episode is None:
            raise RuntimeError("SimWorld.reset has not been called")
        return self._episode

    # -- putting things somewhere --------------------------------------------------------------------------------

    def _place_robot(self, draw: EpisodeDraw) -> None:
        self.data.qpos[self._arm_qpos] = draw.arm_start_rad
        self.data.qpos[self._finger_qpos] = 0.0
        self.data.ctrl[self._arm_servo] = draw.arm_start_rad

    def _object_start_m(self, draw: EpisodeDraw) -> FloatArray:
        if self.task.object is not None:
            return draw.object_position_m
        # Nothing on the table: the object lies on the floor, out of reach and out of sight.
        return np.array([*_ASIDE_XY_M, draw.dynamics.object.half_extents_m[2]])

    def _place_block(self, position_m: FloatArray, yaw_rad: float) -> None:
        self._block_qpos[:3] = position_m
        self._block_qpos[3:] = [np.cos(yaw_rad / 2), 0.0, 0.0, np.sin(yaw_rad / 2)]
        self._block_qvel[:] = 0.0

    def _locate(self) -> None:
        """Make the bodies' places follow from the joints."""
        self._is_stale = False
        mujoco.mj_kinematics(self.model, self.data)

    # -- ground truth --------------------------------------------------------------------------------------------

    def true_arm_position(self) -> FloatArray:
        """True joint positions (7,), without zero errors."""
        position: FloatArray = self.data.qpos[self._arm_qpos].copy()
        return position

    def truth(self) -> Truth:
        """What is true now."""
        return Truth(self.grip_position_m, self.block_position_m)

    @property
    def grip_position_m(self) -> FloatArray:
        """True position (3,) of the grip site in base_link."""
        if self._is_stale:
            self._locate()
        position: FloatArray = self._grip_xpos.copy()
        return position

    @property
    def block_position_m(self) -> FloatArray:
        """True centre (3,) of the block in base_link."""
        if self._is_stale:
            self._locate()
        position: FloatArray = self._block_xpos.copy()
        return position

    @property
    def block_quaternion_wxyz(self) -> FloatArray:
        """True orientation (4,) of the block in base_link, in MuJoCo's order."""
        if self._is_stale:
            self._locate()
        quaternion: FloatArray = self._block_xquat.copy()
        return quaternion

    @property
    def object_rotation(self) -> FloatArray:
        """True rotation (3, 3) of the object in base_link."""
        if self._is_stale:
            self._locate()
        rotation: FloatArray = self._block_xmat.copy()
        return rotation

    @property
    def object_velocity(self) -> FloatArray:
        """True linear [m/s] and angular [rad/s] velocity (6,) of the object."""
        velocity: FloatArray = self._block_qvel.copy()
        return velocity

    @property
    def achieved_goal_m(self) -> FloatArray:
        """What a goal is compared with (3,), in the task's goal frame: the goal that has been reached."""
        return self.task.achieved_goal(self.grip_position_m, self.block_position_m)

    @property
    def goal_m(self) -> FloatArray:
        """The goal in force (3,), in the task's goal frame: the episode's, until it changes."""
        return self._goal_m

    def distance_m(self) -> float:
        """What is to be at the goal, from there [m]."""
        return float(np.linalg.norm(self.achieved_goal_m - self._goal_m))


def _span(indices: Sequence[int]) -> slice:
    """Neighbouring indices as a slice: reading and writing through it is several times faster."""
    first, count = int(indices[0]), len(indices)
    if list(indices) != list(range(first, first + count)):
        raise RuntimeError(f"the robot's joints are at {list(indices)}, expected one after the other")
    return slice(first, first + count)
