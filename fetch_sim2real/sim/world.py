"""The simulated world in time: physics, joint states, RGB-D frames and commands, each with its delay."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

import mujoco
import numpy as np

from fetch_sim2real.observation.camera import CameraModel
from fetch_sim2real.robot.ik import DifferentialIk
from fetch_sim2real.robot.joints import ARM_JOINTS, GRIPPER_JOINTS
from fetch_sim2real.robot.model import GRIP_SITE, NOMINAL_GAINS
from fetch_sim2real.sim.controller import TrajectoryFollower
from fetch_sim2real.sim.depth_sensor import depth_sensor_model
from fetch_sim2real.sim.dressing import Dressing
from fetch_sim2real.sim.episode import EpisodeDraw, draw_episode, ground_to_keep_clear
from fetch_sim2real.sim.frames import FrameMaker, Picture
from fetch_sim2real.sim.model_edit import apply_camera, apply_dynamics
from fetch_sim2real.sim.scene import BLOCK, BLOCK_JOINT, scene_spec
from fetch_sim2real.sim.sensor import SensorModel
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks import Task
from fetch_sim2real.timing import CONTROL_RATE_HZ, JOINT_STATE_EVERY_STEPS, PHYSICS_STEP_S, PHYSICS_STEPS_PER_PERIOD
from fetch_sim2real.types import FloatArray, JointSample, JointTrajectory, RgbdFrame

# Success is the goal held for this long at the end of the episode.
HOLD_S: Final = 0.5
# Where the object lies in tasks without one.
_ASIDE_XY_M: Final = (-2.0, 0.0)
_NS_PER_STEP: Final = PHYSICS_STEP_S * 1e9
_STEPS_AHEAD: Final = np.arange(1.0, PHYSICS_STEPS_PER_PERIOD + 1)
_STEPS_PER_S: Final = CONTROL_RATE_HZ * PHYSICS_STEPS_PER_PERIOD


@dataclass(frozen=True)
class Truth:
    """What was true at a moment: gripper (3,) and object (3,) [m] in base_link. For training, never for an actor."""

    grip_m: FloatArray
    object_m: FloatArray


@dataclass(frozen=True)
class Captured:
    """A frame that became available: its stamp, the picture (None without a camera), what was true when it was taken,
    its cost and when rendering began [s, ``time.perf_counter``]."""

    stamp_ns: int
    frame: RgbdFrame | None
    truth: Truth
    render_s: float = 0.0
    render_started_s: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """How an episode ended. ``final_distance_m`` is gripper or object to goal, success as HOLD_S defines it."""

    seed: int
    success: bool
    final_distance_m: float
    steps: int


def stamp_of_step(step: int) -> int:
    """Stamp [ns] of a physics step."""
    return round(step * _NS_PER_STEP)


def _first_step_after(step: int) -> int:
    """The next episode's first step: at least a second on, so that no stamp of one is taken for the other's, and on a
    whole second, so that stamps (rounded to nanoseconds) have the same differences in every episode."""
    whole_seconds = -(-step // _STEPS_PER_S)
    return (whole_seconds + 1) * _STEPS_PER_S


def steps_of(duration_s: float) -> int:
    """Physics steps nearest to a duration [s]."""
    return round(duration_s / PHYSICS_STEP_S)


class SimWorld:
    """One simulated cell. Time advances only by ``advance_to`` and ``advance_to_next_frame``; nothing here reads a
    wall clock except to time rendering."""

    def __init__(
        self,
        world: World,
        task: Task,
        camera_size: tuple[int, int] | None,
        render_in_background: bool = False,
        picture_every: int = 1,
        separate_depth: bool = False,
    ) -> None:
        """``camera_size`` is (width, height) of the frames, None for a world without pictures (frames are empty); with
        ``picture_every`` n only every n-th frame has one.

        ``render_in_background`` lets a thread render while physics goes on; results are the same. With
        ``separate_depth`` the frames' depth is the depth sensor's own picture, not aligned to colour.
        """
        self.world = world
        self.task = task
        self._picture_every = picture_every
        self.task_part = world.task(task.name)
        self.ik = DifferentialIk(world.robot.torso_height_m)
        self.model = scene_spec(world).compile()
        self.data = mujoco.MjData(self.model)
        self._separate_depth = separate_depth
        self._frames = (
            None
            if camera_size is None
            else FrameMaker(self.model, camera_size, render_in_background, separate_depth)
        )
        self._dressing = Dressing(self.model)
        width, height = camera_size or (0, 0)
        self.camera_size = (width, height)
        self._arm_qpos = np.array([self.model.joint(name).qposadr[0] for name in ARM_JOINTS])
        self._arm_dof = np.array([self.model.joint(name).dofadr[0] for name in ARM_JOINTS])
        self._arm_servo = np.array([self.model.actuator(name).id for name in ARM_JOINTS])
        self._finger_qpos = np.array([self.model.joint(name).qposadr[0] for name in GRIPPER_JOINTS])
        self._finger_servo = np.array([self.model.actuator(name).id for name in GRIPPER_JOINTS])
        self._block_qpos = self.model.joint(BLOCK_JOINT).qposadr[0]
        self._block_dof = self.model.joint(BLOCK_JOINT).dofadr[0]
        self.step = 0
        self._episode: EpisodeDraw | None = None

    # -- episodes ------------------------------------------------------------------------------------------------

    def reset(self, seed: int, move_block: bool = False) -> EpisodeDraw:
        """Start the episode of ``seed``; with ``move_block`` the block is put elsewhere on its way."""
        draw = draw_episode(self.world, self.task, seed, self.ik)
        if self._frames is not None:
            depth_camera = depth_sensor_model(*self.camera_size) if self._separate_depth else None
            camera = draw.camera.intrinsics(*self.camera_size)
            self._frames.start_episode(SensorModel(draw.sensor, camera, depth_camera))
        apply_dynamics(self.model, draw.dynamics)
        apply_camera(self.model, draw.camera)
        self._dressing.apply(draw.looks, draw.dynamics.table_height_m)
        if self._frames is not None:
            self._frames.upload_textures(self._dressing.paint_textures())
        mujoco.mj_resetData(self.model, self.data)
        self._place_robot(draw)
        self._place_block(self._object_start_m(draw), draw.object_yaw_rad)
        mujoco.mj_forward(self.model, self.data)
        self._episode = draw
        # Servos push against speed: the reference's velocity must be added for them to follow it.
        gain = self.model.actuator_gainprm[self._arm_servo, 0]
        self._velocity_lead_s = NOMINAL_GAINS.kv / gain
        self.step = self._first_step = _first_step_after(self.step)
        self._end_step = self._first_step + steps_of(self.task_part.episode_s)
        self._latency_steps = max(0, steps_of(draw.camera_latency_s))
        self._command_steps = max(0, steps_of(draw.command_latency_s))
        self._move_step = self._first_step + steps_of(draw.move_at_s) if move_block else None
        self._arm = TrajectoryFollower(self.true_arm_position() + draw.dynamics.joint_offset_rad, self._now_s())
        self._targets_from, self._targets = self.step, np.zeros((0, len(ARM_JOINTS)))
        self._pending: list[tuple[int, JointTrajectory]] = []
        self._in_flight: list[tuple[int, Truth, Future[Picture] | None]] = []
        self._published = 0
        self._joint_records = [self._joint_record()]
        self._hold_distance_m = 0.0
        self._capture_if_due()
        return draw

    @property
    def episode(self) -> EpisodeDraw:
        if self._episode is None:
            raise RuntimeError("SimWorld.reset has not been called")
        return self._episode

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
        at = self._block_qpos
        self.data.qpos[at : at + 3] = position_m
        self.data.qpos[at + 3 : at + 7] = [np.cos(yaw_rad / 2), 0.0, 0.0, np.sin(yaw_rad / 2)]
        self.data.qvel[self._block_dof : self._block_dof + 6] = 0.0

    # -- what a robot and a camera give --------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        """Simulated time [ns]."""
        return stamp_of_step(self.step)

    def _now_s(self) -> float:
        # Since the episode's start, so that rounding is the same in every run of the same seed.
        return (self.step - self._first_step) * PHYSICS_STEP_S

    def measured(self) -> JointSample:
        """Joints as the robot reports them, joint zero errors included."""
        return self._as_measured([self._joint_record()])[0]

    def _joint_record(self) -> tuple[int, FloatArray, FloatArray]:
        """Stamp and the whole state now: all that has to be taken while physics runs."""
        return self.now_ns, self.data.qpos.copy(), self.data.qvel.copy()

    def _as_measured(self, records: list[tuple[int, FloatArray, FloatArray]]) -> list[JointSample]:
        """Several records at once, which takes little longer than one."""
        stamps = [stamp_ns for stamp_ns, _, _ in records]
        qpos = np.array([qpos for _, qpos, _ in records])
        qvel = np.array([qvel for _, _, qvel in records])
        position = qpos.take(self._arm_qpos, axis=1) + self.episode.dynamics.joint_offset_rad
        velocity = qvel.take(self._arm_dof, axis=1)
        finger_m = np.add.reduce(qpos.take(self._finger_qpos, axis=1), axis=1) / len(GRIPPER_JOINTS)
        return [JointSample(*sample) for sample in zip(stamps, position, velocity, finger_m.tolist(), strict=True)]

    @property
    def camera_model(self) -> CameraModel:
        """Intrinsics of the true camera, as its CameraInfo would state them."""
        return self.episode.camera.intrinsics(*self.camera_size)

    @property
    def depth_camera_model(self) -> CameraModel:
        """Intrinsics of the frames' depth: the colour camera's, unless depth is separate."""
        return depth_sensor_model(*self.camera_size) if self._separate_depth else self.camera_model

    # -- commands ------------------------------------------------------------------------------------------------

    def send_arm(self, trajectory: JointTrajectory) -> None:
        """A trajectory for the arm; it takes effect after the command latency."""
        self._pending.append((self.step + self._command_steps, trajectory))

    def send_fingers(self, opening_m: float) -> None:
        """Wanted opening of each finger [m]."""
        self.data.ctrl[self._finger_servo] = opening_m

    def snapshot(self, arm_rad: FloatArray, finger_m: float, block_m: FloatArray, block_yaw_rad: float) -> RgbdFrame:
        """A picture of the episode's world with arm, fingers and block put somewhere, outside of time.

        For collecting images: the episode cannot be continued afterwards.
        """
        if self._frames is None:
            raise RuntimeError("this SimWorld was made without a camera")
        self._frames.finish()
        self._dressing.hide_distractors(ground_to_keep_clear(self.world, self.task, block_m, self.episode.goal_m))
        self.data.qpos[self._arm_qpos] = arm_rad
        self.data.qpos[self._finger_qpos] = finger_m
        self._place_block(block_m, block_yaw_rad)
        mujoco.mj_kinematics(self.model, self.data)
        return self._frames.request(self.data.qpos, self.now_ns).result().frame

    def paint_textures(self) -> tuple[int, ...]:
        """Paint the episode's surfaces into the model and return the textures' ids: for a renderer of one's own."""
        return self._dressing.paint_textures()

    # -- time ----------------------------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """True once the episode's time is over."""
        return self.step >= self._end_step

    def next_publication_step(self) -> int:
        """Physics step at which the next frame becomes available, or at which the episode ends."""
        capture_step = self._first_step + self._published * PHYSICS_STEPS_PER_PERIOD
        return min(capture_step + self._latency_steps, self._end_step)

    def advance_to_next_frame(self) -> Captured | None:
        """Run until the next frame is available and return it; None when the episode's time is over first."""
        self.advance_to(self.next_publication_step())
        if self.done:
            return None
        return self.take_frame()

    def frame_after_end(self) -> Captured:
        """The frame that would come next if the episode went on: time runs past its end. Take ``outcome`` before.

        Learners estimate from it what an episode that was cut off would still have been worth.
        """
        self.advance_to(self._first_step + self._published * PHYSICS_STEPS_PER_PERIOD + self._latency_steps)
        return self.take_frame()

    def take_frame(self) -> Captured:
        """The next frame, once time has come to ``next_publication_step``."""
        self._published += 1
        stamp_ns, truth, future = self._in_flight.pop(0)
        if future is None:
            return Captured(stamp_ns, None, truth)
        picture = future.result()
        return Captured(stamp_ns, picture.frame, truth, picture.render_s, picture.started_s)

    def advance_to(self, step: int) -> None:
        """Run physics up to ``step``."""
        while self.step < step:
            self._accept_due()
            stop = min(step, self.step - self.step % JOINT_STATE_EVERY_STEPS + JOINT_STATE_EVERY_STEPS)
            for due, _ in self._pending:
                stop = min(stop, due)
            self._run(stop - self.step)
            if self.step % JOINT_STATE_EVERY_STEPS == 0:
                self._after_joint_state_step()

    def take_joint_samples(self) -> list[JointSample]:
        """Joint states (120 Hz) since the last call."""
        taken, self._joint_records = self._joint_records, []
        return self._as_measured(taken) if taken else []

    def _accept_due(self) -> None:
        while self._pending and self._pending[0][0] <= self.step:
            self._arm.accept(self._pending.pop(0)[1], self._now_s())
            self._targets = self._targets[:0]

    def _run(self, steps: int) -> None:
        first = self.step - self._targets_from
        if first + steps > len(self._targets):
            self._sample_targets()
            first = 0
        model, data, servo = self.model, self.data, self._arm_servo
        for target in self._targets[first : first + steps]:
            data.ctrl[servo] = target
            mujoco.mj_step(model, data)
        self.step += steps

    def _sample_targets(self) -> None:
        """Servo targets of the coming control period, in one go: a trajectory is mostly replaced after that time."""
        # The servo is given where the arm should be at the end of each physics step.
        times = (self.step - self._first_step + _STEPS_AHEAD) * PHYSICS_STEP_S
        position, velocity = self._arm.desired(times)
        self._targets_from = self.step
        self._targets = position + velocity * self._velocity_lead_s - self.episode.dynamics.joint_offset_rad

    def _after_joint_state_step(self) -> None:
        mujoco.mj_kinematics(self.model, self.data)
        if self._move_step is not None and self.step >= self._move_step:
            self._move_step = None
            height = self.block_position_m[2]
            self._place_block(np.array([*self.episode.move_to_xy_m, height]), self.episode.object_yaw_rad)
            mujoco.mj_kinematics(self.model, self.data)
        self._joint_records.append(self._joint_record())
        if self.step >= self._end_step - steps_of(HOLD_S):
            self._hold_distance_m = max(self._hold_distance_m, self.distance_m())
        self._capture_if_due()

    def _capture_if_due(self) -> None:
        if self.step % PHYSICS_STEPS_PER_PERIOD != 0:
            return
        index = (self.step - self._first_step) // PHYSICS_STEPS_PER_PERIOD
        future = None
        if self._frames is not None and index % self._picture_every == 0:
            future = self._frames.request(self.data.qpos, self.now_ns)
        self._in_flight.append((self.now_ns, self.truth(), future))

    # -- ground truth: for critics, evaluation and tests, never for an actor -------------------------------------

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
        position: FloatArray = self.data.site(GRIP_SITE).xpos.copy()
        return position

    @property
    def block_position_m(self) -> FloatArray:
        """True centre (3,) of the block in base_link."""
        position: FloatArray = self.data.body(BLOCK).xpos.copy()
        return position

    @property
    def block_quaternion_wxyz(self) -> FloatArray:
        """True orientation (4,) of the block in base_link, in MuJoCo's order."""
        quaternion: FloatArray = self.data.body(BLOCK).xquat.copy()
        return quaternion

    @property
    def object_rotation(self) -> FloatArray:
        """True rotation (3, 3) of the object in base_link."""
        rotation: FloatArray = self.data.body(BLOCK).xmat.reshape(3, 3).copy()
        return rotation

    @property
    def object_velocity(self) -> FloatArray:
        """True linear [m/s] and angular [rad/s] velocity (6,) of the object."""
        velocity: FloatArray = self.data.qvel[self._block_dof : self._block_dof + 6].copy()
        return velocity

    @property
    def achieved_goal_m(self) -> FloatArray:
        """What a goal is compared with (3,), in the task's goal frame: the goal that has been reached."""
        return self.task.achieved_goal(self.grip_position_m, self.block_position_m)

    def distance_m(self) -> float:
        """What is to be at the goal, from there [m]."""
        return float(np.linalg.norm(self.achieved_goal_m - self.episode.goal_m))

    def outcome(self) -> Outcome:
        """Result of the finished episode."""
        return Outcome(
            seed=self.episode.seed,
            success=self.done and self._hold_distance_m <= self.task_part.tolerance_m,
            final_distance_m=self.distance_m(),
            steps=self._published,
        )

    def close(self) -> None:
        """Free the renderer."""
        if self._frames is not None:
            self._frames.close()
