"""The simulated world in time: physics, joint states, RGB-D frames and commands, each with its delay."""

from __future__ import annotations

import numpy as np

from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.arm.mjcf import NOMINAL_GAINS
from fetch_sim2real.common.physics import mujoco
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.sim.disturbances.conditions import NO_CONDITIONS, Conditions
from fetch_sim2real.sim.disturbances.context import make_happenings
from fetch_sim2real.sim.disturbances.faults import with_faults
from fetch_sim2real.sim.disturbances.physical import Stage, draw_goal_change
from fetch_sim2real.sim.mujoco.appearance import Dressing
from fetch_sim2real.sim.mujoco.frames import FrameMaker
from fetch_sim2real.sim.mujoco.model_edit import apply_camera, apply_dynamics
from fetch_sim2real.sim.mujoco.state import SimState
from fetch_sim2real.sim.outcome import HOLD_S, Outcome
from fetch_sim2real.sim.randomization.sample import EpisodeDraw, draw_episode, ground_to_keep_clear
from fetch_sim2real.sim.sensors.camera_timing import Captured, Shutter
from fetch_sim2real.sim.sensors.depth_sensor import depth_sensor_model
from fetch_sim2real.sim.sensors.frame_times import frame_times
from fetch_sim2real.sim.sensors.joint_readings import JointReadings
from fetch_sim2real.sim.sensors.rgbd import SensorModel
from fetch_sim2real.sim.servos import ArmServos
from fetch_sim2real.sim.steps import first_step_after, stamp_of_step, steps_of
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks.registry import Task
from fetch_sim2real.timing import JOINT_STATE_EVERY_STEPS, PHYSICS_STEP_S, PHYSICS_STEPS_PER_PERIOD
from fetch_sim2real.types import FloatArray, JointSample, JointTrajectory, RgbdFrame


class SimWorld(SimState):
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
        super().__init__(world, task)
        self._picture_every = picture_every
        self.task_part = world.task(task.name)
        self.ik = DifferentialIk(world.workcell.torso_height_m)
        self._separate_depth = separate_depth
        self._frames = (
            None
            if camera_size is None
            else FrameMaker(self.model, camera_size, render_in_background, separate_depth)
        )
        self._dressing = Dressing(self.model)
        width, height = camera_size or (0, 0)
        self.camera_size = (width, height)
        self.step = 0
        # Where joint states take longer than pictures: a frame is of use only with the joints of its time.
        self.least_camera_latency_s = 0.0

    # -- episodes ------------------------------------------------------------------------------------------------

    def reset(
        self, seed: int, move_block: bool = False, conditions: Conditions = NO_CONDITIONS
    ) -> EpisodeDraw:
        """Start the episode of ``seed`` under ``conditions``; ``move_block`` is short for the change of that name."""
        draw = with_faults(draw_episode(self.world, self.task, seed, self.ik), conditions.faults)
        if self._frames is not None:
            depth_camera = depth_sensor_model(*self.camera_size) if self._separate_depth else None
            camera = draw.camera.intrinsics(*self.camera_size)
            self._frames.start_episode(SensorModel(draw.sensor, camera, depth_camera))
        apply_dynamics(self.model, self.data, draw.dynamics)
        apply_camera(self.model, draw.camera)
        self._dressing.apply(draw.looks, draw.dynamics.table_height_m)
        if self._frames is not None:
            self._frames.upload_textures(self._dressing.paint_textures())
        mujoco.mj_resetData(self.model, self.data)
        self._place_robot(draw)
        self._place_block(self._object_start_m(draw), draw.object_yaw_rad)
        mujoco.mj_forward(self.model, self.data)
        self._is_stale = False
        self._episode = draw
        self.step = self._first_step = first_step_after(self.step)
        self._hold_distance_m = 0.0
        moves_block = move_block or "move_block" in conditions.perturb
        self._move_step = self._first_step + steps_of(draw.move_at_s) if moves_block else None
        self._start_happenings(draw, conditions)
        # Another goal has as much time as the first had: its time begins anew.
        anew = 0 if self._goal_change is None else self._goal_change.frame * PHYSICS_STEPS_PER_PERIOD
        self._end_step = self._first_step + anew + steps_of(self.task_part.episode_s)
        self._hold_step = self._end_step - steps_of(HOLD_S)
        self._start_arm(draw)
        times = frame_times(draw, self._first_step, self._end_step, steps_of(self.least_camera_latency_s))
        self._shutter = Shutter(times, self._frames, self._picture_every, conditions.faults, seed)
        self._shutter.take(self.step, self.data.qpos, self.truth())
        return draw

    def _start_happenings(self, draw: EpisodeDraw, conditions: Conditions) -> None:
        finish = (lambda: None) if self._frames is None else self._frames.finish
        stage = Stage(self.world, draw, self.model, self.data, finish, self.truth)
        self._happenings = make_happenings(conditions, stage)
        self._goal_m = draw.goal_m
        moves_goal = "move_goal" in conditions.perturb
        self._goal_change = draw_goal_change(self.world, draw, self.ik) if moves_goal else None

    def _start_arm(self, draw: EpisodeDraw) -> None:
        zero_error_rad = draw.dynamics.joint_offset_rad
        self._servos = ArmServos(
            self.true_arm_position() + zero_error_rad,
            zero_error_rad,
            self.world.robot.servo_feedforward * NOMINAL_GAINS.kv / self.model.actuator_gainprm[self._arm_servo, 0],
            max(0, steps_of(draw.command_latency_s)),
            self.measured if self.world.robot.trajectories_start_from == "measured" else None,
        )
        qpos, qvel = self.data.qpos, self.data.qvel
        arm_rad, arm_rad_s, fingers_m = qpos[self._arm_qpos], qvel[self._arm_dof], qpos[self._finger_qpos]
        self._readings = JointReadings(
            arm_rad, arm_rad_s, fingers_m, zero_error_rad, draw.encoders, self._first_step
        )
        self._joint_samples = [self.measured()]

    # -- what a robot and a camera give --------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        """Simulated time [ns]."""
        return stamp_of_step(self.step)

    def measured(self) -> JointSample:
        """Joints as the robot reports them, errors included."""
        return self._readings.at(self.step)

    def take_joint_samples(self) -> list[JointSample]:
        """Joint states (120 Hz) since the last call."""
        taken, self._joint_samples = self._joint_samples, []
        return taken

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
        self._servos.send(self.step - self._first_step, trajectory)

    def start_arm(self, trajectory: JointTrajectory, from_measured: bool = False) -> None:
        """Follow ``trajectory`` from now on, from the desired state or from rest at the measured position."""
        measured_rad = self.measured().position if from_measured else None
        self._servos.start(self.step - self._first_step, trajectory, measured_rad)

    def hold_arm(self) -> None:
        """Hold the present desired position."""
        self._servos.hold(self.step - self._first_step)

    def arm_error_rad(self) -> FloatArray:
        """Desired minus measured position (7,) [rad]."""
        return self._servos.desired_rad(self.step - self._first_step) - self.measured().position

    def send_fingers(self, opening_m: float) -> None:
        """Wanted opening of each finger [m]."""
        self.data.ctrl[self._finger_servo] = opening_m

    # -- pictures outside of time --------------------------------------------------------------------------------

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
        self._locate()
        return self._frames.request(self.data.qpos.copy(), self.now_ns).result().frame

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
        return min(self._shutter.next_publication_step(), self._end_step)

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
        self.advance_to(self._shutter.next_publication_step())
        return self.take_frame()

    def take_frame(self) -> Captured:
        """The next frame, once time has come to ``next_publication_step``."""
        if (goal_m := self.due_goal_m()) is not None:
            self._goal_m, self._goal_change = goal_m, None
        return self._shutter.publish()

    def due_goal_m(self) -> FloatArray | None:
        """The goal (3,) that comes into force with the next frame; None if it stays as it is."""
        change = self._goal_change
        return change.goal_m if change is not None and self._shutter.next_index >= change.frame else None

    def advance_to(self, step: int) -> None:
        """Run physics up to ``step``."""
        first = self._first_step
        while self.step < step:
            stop = min(step, self.step - self.step % JOINT_STATE_EVERY_STEPS + JOINT_STATE_EVERY_STEPS)
            stop = self._shutter.stop_before(stop)
            stop = first + self._servos.accept_due(self.step - first, stop - first)
            self._run(stop - self.step)
            if self._is_stale:
                self._after_joint_state_step()
            if self._shutter.is_due(self.step):
                self._shutter.take(self.step, self.data.qpos, self.truth())

    def _run(self, steps: int) -> None:
        model, data, mj_step = self.model, self.data, mujoco.mj_step
        servo_targets = data.ctrl[self._arm_servo]
        for target in self._servos.targets(self.step - self._first_step, steps):
            servo_targets[:] = target
            mj_step(model, data)
        self.step += steps
        # Between joint states bodies are left where the last physics step began.
        self._is_stale = self.step % JOINT_STATE_EVERY_STEPS == 0

    def _after_joint_state_step(self) -> None:
        if self._move_step is not None and self.step >= self._move_step:
            self._move_step = None
            height = self.block_position_m[2]
            self._place_block(np.array([*self.episode.move_to_xy_m, height]), self.episode.object_yaw_rad)
            self._is_stale = True
        for happening in self._happenings:
            happening.act((self.step - self._first_step) * PHYSICS_STEP_S)
        self._joint_samples.append(self.measured())
        if self.step >= self._hold_step:
            self._hold_distance_m = max(self._hold_distance_m, self.distance_m())

    # -- the end -------------------------------------------------------------------------------------------------

    def outcome(self) -> Outcome:
        """Result of the finished episode."""
        return Outcome(
            seed=self.episode.seed,
            success=self.done and self._hold_distance_m <= self.task_part.tolerance_m,
            final_distance_m=self.distance_m(),
            steps=self._shutter.published,
        )

    def close(self) -> None:
        """Free the renderer."""
        if self._frames is not None:
            self._frames.close()
