"""The simulated workcell in time: physics, joint states, RGB-D frames and commands, each with its delay.

What is here is the same for every engine (``sim.engine``): latencies, sensor models, the arm's controller, unplanned
changes, and whether the goal was reached.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.sim.disturbances.changes import draw_goal_change, make_disturbances
from fetch_sim2real.sim.disturbances.conditions import NO_CONDITIONS, Conditions
from fetch_sim2real.sim.disturbances.context import CameraMount, DisturbanceContext
from fetch_sim2real.sim.disturbances.faults import with_faults
from fetch_sim2real.sim.disturbances.unrest import make_unrest
from fetch_sim2real.sim.engine import DEFAULT_ENGINE, EngineSettings, ObjectState, Rendering, Truth, find_engine
from fetch_sim2real.sim.randomization.sample import EpisodeSample, draw_episode, ground_to_keep_clear
from fetch_sim2real.sim.sensors.camera_timing import CameraTiming, Captured, Picture, frame_times
from fetch_sim2real.sim.sensors.depth_camera import depth_sensor_model
from fetch_sim2real.sim.sensors.joint_readings import JointReadings, ZeroError, finger_position_m, read_together
from fetch_sim2real.sim.sensors.rgbd import SensorModel
from fetch_sim2real.sim.servos import ArmServos, FingerServos, command_jitter_steps, send_together
from fetch_sim2real.sim.steps import first_step_after, stamp_of_step, steps_of
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.timing import JOINT_STATE_EVERY_STEPS, PHYSICS_STEP_S, PHYSICS_STEPS_PER_PERIOD
from fetch_sim2real.types import FloatArray, JointSample, JointTrajectory, RgbdFrame

# Success is the goal held for this long at the end of the episode.
HOLD_S: Final = 0.5
GRAVITY_M_S2: Final = 9.81
# What is carried comes to its carrier's velocity in two joint states, slower where the force is at its limit.
_CARRY_S: Final = 2 * JOINT_STATE_EVERY_STEPS * PHYSICS_STEP_S
# Below this velocity the pull against the table's friction is the less the slower it is.
_SLOW_M_S: Final = 0.005
# So far over where it lay nothing carries an object.
_LIFTED_M: Final = 0.01


@dataclass(frozen=True)
class Outcome:
    """How an episode ended. ``final_distance_m`` is gripper or object to goal, success as the task's EpisodeConfig has
    it; ``rms_m`` is the root mean square of that distance where the task is judged by it."""

    seed: int
    success: bool
    final_distance_m: float
    steps: int
    rms_m: float | None = None


class Simulation:
    """One simulated workcell. Time advances only by ``advance_to`` and ``advance_to_next_frame``; nothing here reads a
    wall clock except to time rendering."""

    def __init__(
        self,
        world: World,
        task: Task,
        camera_size: tuple[int, int] | None,
        render_in_background: bool = False,
        picture_every: int = 1,
        separate_depth: bool = False,
        engine: str = DEFAULT_ENGINE,
    ) -> None:
        """``camera_size`` is (width, height) of the frames, None for a world without pictures (frames are empty); with
        ``picture_every`` n only every n-th frame has one.

        ``render_in_background`` lets a thread render while physics goes on; results are the same. With
        ``separate_depth`` the frames' depth is the depth sensor's own picture, not aligned to colour. ``engine`` is
        the name of what does physics and pictures.
        """
        self.world = world
        self.task = task
        self.episode_config = world.episode_of(task)
        self.ik = DifferentialIk(world.workcell.torso_height_m)
        self.engine = find_engine(engine)(
            EngineSettings(world, task, camera_size, render_in_background, separate_depth)
        )
        self._picture_every = picture_every
        self._separate_depth = separate_depth
        self._has_camera = camera_size is not None
        width, height = camera_size or (0, 0)
        self.camera_size = (width, height)
        self.step = 0
        # Where joint states take longer than pictures: a frame is of use only with the joints of its time.
        self.least_camera_latency_s = 0.0
        self._episode: EpisodeSample | None = None
        self._goal_m: FloatArray = np.zeros(3)

    # -- episodes ------------------------------------------------------------------------------------------------

    def reset(self, seed: int, conditions: Conditions = NO_CONDITIONS) -> EpisodeSample:
        """Start the episode of ``seed`` under ``conditions``."""
        sample = with_faults(draw_episode(self.world, self.task, seed, self.ik), conditions.faults)
        self.engine.reset(sample)
        self._episode = sample
        self.step = self._first_step = first_step_after(self.step)
        self._hold_distance_m = 0.0
        context = DisturbanceContext(self.world, sample, self.engine, CameraMount(sample, self.engine))
        self._disturbances = make_disturbances(conditions, context) + make_unrest(context)
        self._goal_m = sample.goal_m
        moves_goal = "move_goal" in conditions.perturb
        self._goal_change = draw_goal_change(self.world, sample, self.ik) if moves_goal else None
        # Another goal has as much time as the first had: its time begins anew.
        anew = 0 if self._goal_change is None else self._goal_change.frame * PHYSICS_STEPS_PER_PERIOD
        self._end_step = self._first_step + anew + steps_of(self.episode_config.episode_s)
        self._hold_step = self._end_step - steps_of(self.episode_config.rms_s or HOLD_S)
        self._squares_m2: list[float] = []
        self._is_allowed = True
        self._start_arm(sample)
        self._start_camera(sample, conditions)
        self._carry()
        return sample

    def _start_arm(self, sample: EpisodeSample) -> None:
        zero_error = ZeroError(sample.dynamics.joint_offset_rad, sample.unrest.joints_rad_s)
        self._servos = ArmServos(
            self.true_arm_position() + zero_error.at_start_rad,
            zero_error,
            self.world.robot.servo_feedforward * self.engine.velocity_lead_s(),
            max(0, steps_of(sample.command_latency_s)),
            self.measured if self.world.robot.trajectories_start_from == "measured" else None,
            sample.dynamics.mechanics.joint_backlash_rad,
            command_jitter_steps(sample.interruptions),
        )
        finger_latency_s = sample.dynamics.mechanics.fingers.latency_s
        self._finger_servos = FingerServos(self.engine.set_finger_target, steps_of(finger_latency_s))
        self._readings = JointReadings(zero_error, sample.encoders, self._first_step)
        self._joint_states = [(self.step, self.engine.joints())]

    def _start_camera(self, sample: EpisodeSample, conditions: Conditions) -> None:
        if self._has_camera:
            depth_camera = depth_sensor_model(*self.camera_size) if self._separate_depth else None
            self._sensor = SensorModel(sample.sensor, sample.camera.intrinsics(*self.camera_size), depth_camera)
        times = frame_times(sample, self._first_step, self._end_step, steps_of(self.least_camera_latency_s))
        take_picture = self._take_picture if self._has_camera else None
        self._camera = CameraTiming(
            times,
            take_picture,
            self._picture_every,
            conditions.faults,
            sample.seed,
            sample.sensor.video.earlier_moments,
        )
        self._camera.take(self.step, self.engine.configuration, self.truth())

    def _take_picture(
        self,
        color: FloatArray,
        stamp_ns: int,
        depth: FloatArray | None = None,
        earlier: Sequence[FloatArray] = (),
    ) -> Future[Picture]:
        """A frame of the engine's configurations, through the sensor's imperfections."""
        sensor = self._sensor
        # Done before the frame's own picture: the engine keeps the order.
        before = [self.engine.render(each, None, _color_of) for each in earlier]

        def develop(seen: Rendering) -> Picture:
            rgbs = [each.result() for each in before]
            frame = RgbdFrame(stamp_ns, *sensor.capture(seen.rgb, seen.depth_m, seen.depth_rgb, rgbs))
            return Picture(frame, time.perf_counter() - seen.started_s, seen.started_s)

        return self.engine.render(color, depth, develop)

    @property
    def episode(self) -> EpisodeSample:
        """The episode that was started last."""
        if self._episode is None:
            raise RuntimeError("Simulation.reset has not been called")
        return self._episode

    # -- what a robot and a camera give --------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        """Simulated time [ns]."""
        return stamp_of_step(self.step)

    def measured(self) -> JointSample:
        """Return the joints as the robot reports them, errors included."""
        return measured_joints([self])[0]

    def take_joint_samples(self) -> list[JointSample]:
        """Return the joint states (120 Hz) since the last call."""
        return take_joint_samples([self])[0]

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
        """Send a trajectory to the arm; it takes effect after the command latency."""
        send_arms([self], [trajectory])

    def start_arm(self, trajectory: JointTrajectory, from_measured: bool = False) -> None:
        """Follow ``trajectory`` from now on, from the desired state or from rest at the measured position."""
        measured_rad = self.measured().position if from_measured else None
        self._servos.start(self.step - self._first_step, trajectory, measured_rad)

    def hold_arm(self) -> None:
        """Hold the present desired position."""
        self._servos.hold(self.step - self._first_step)

    def arm_error_rad(self) -> FloatArray:
        """Return the desired minus measured position (n,) [rad]."""
        return self._servos.desired_rad(self.step - self._first_step) - self.measured().position

    def send_fingers(self, opening_m: float) -> None:
        """Send the wanted opening of each finger [m]; it takes effect after the fingers' latency."""
        self._finger_servos.send(self.step - self._first_step, opening_m)

    # -- pictures outside of time --------------------------------------------------------------------------------

    def snapshot(self, arm_rad: FloatArray, finger_m: float, object_m: FloatArray, yaw_rad: float) -> RgbdFrame:
        """Render the episode's world with arm, fingers and main object put somewhere, outside of time.

        For collecting images: the episode cannot be continued afterwards.
        """
        if not self._has_camera:
            raise RuntimeError("this Simulation was made without a camera")
        objects_m = self.objects_m | {self.task.main_body: object_m}
        keep_clear = ground_to_keep_clear(self.world, self.task, objects_m, self.episode.goal_m)
        episode = self.episode
        self.engine.show_distractors(
            [all(way.is_clear_of(each) for way in keep_clear) for each in episode.appearance.distractors]
            + [all(each.is_clear_of(way) for way in keep_clear) for each in episode.obstacles]
        )
        self.engine.place_arm(arm_rad, finger_m)
        self.engine.place_object(self.task.main_body, object_m, yaw_rad)
        return self._take_picture(self.engine.configuration(), self.now_ns).result().frame

    # -- ground truth: for critics, evaluation and tests, never for an actor -------------------------------------

    def true_arm_position(self) -> FloatArray:
        """Return the true joint positions (n,) [rad], without zero errors."""
        return self.engine.joints().arm_rad

    def truth(self) -> Truth:
        """Return what is true now."""
        return Truth(self.grip_position_m, self.objects_m)

    @property
    def grip_position_m(self) -> FloatArray:
        """True position (3,) of the grip site in base_link."""
        return self.engine.grip_position_m()

    @property
    def objects_m(self) -> dict[str, FloatArray]:
        """True centres (3,) of the task's bodies in base_link, by name."""
        return {name: self.engine.object_state(name).position_m for name in self.task.bodies}

    def main_object(self) -> ObjectState:
        """Return where the object that the task is about is; the parked body where there is none."""
        return self.engine.object_state(self.task.main_body)

    @property
    def achieved_goal_m(self) -> FloatArray:
        """What a goal is compared with (3,), in the task's goal frame: the goal that has been reached."""
        return self.task.achieved_goal(self.grip_position_m, self.objects_m)

    @property
    def goal_m(self) -> FloatArray:
        """The goal in force (3,), in the task's goal frame: the episode's, until it changes."""
        return self._goal_m

    @property
    def goal_velocity_m_s(self) -> FloatArray:
        """The goal's velocity (3,) [m/s] in the task's goal frame: goals stand still here."""
        return np.zeros(3)

    def distance_m(self) -> float:
        """Return how far [m] what is to be at the goal is from there."""
        return float(np.linalg.norm(self.achieved_goal_m - self._goal_m))

    # -- time ----------------------------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """True once the episode's time is over."""
        return self.step >= self._end_step

    @property
    def time_left_s(self) -> float:
        """Time [s] until the episode is over."""
        return (self._end_step - self.step) * PHYSICS_STEP_S

    def next_publication_step(self) -> int:
        """Return the physics step at which the next frame becomes available, or at which the episode ends."""
        return min(self._camera.next_publication_step(), self._end_step)

    def advance_to_next_frame(self) -> Captured | None:
        """Run until the next frame is available and return it; None when the episode's time is over first."""
        self.advance_to(self.next_publication_step())
        if self.done:
            return None
        return self.take_frame()

    def frame_after_end(self) -> Captured:
        """Return the frame that would come next if the episode went on: time runs past its end.

        Take ``outcome`` before.

        Learners estimate from it what an episode that was cut off would still have been worth.
        """
        self.advance_to(self._camera.next_publication_step())
        return self.take_frame()

    def take_frame(self) -> Captured:
        """Return the next frame, once time has come to ``next_publication_step``."""
        if (goal_m := self.due_goal_m()) is not None:
            self._goal_m, self._goal_change = goal_m, None
        return self._camera.publish()

    def due_goal_m(self) -> FloatArray | None:
        """Return the goal (3,) [m] that comes into force with the next frame; None if it stays as it is."""
        change = self._goal_change
        return change.goal_m if change is not None and self._camera.next_index >= change.frame else None

    def advance_to(self, step: int) -> None:
        """Run physics up to ``step``."""
        first = self._first_step
        while self.step < step:
            begin, stop = self.step, min(step, self.step + PHYSICS_STEPS_PER_PERIOD)
            stop = self._servos.accept_due(begin - first, stop - first)
            stop = first + self._finger_servos.accept_due(begin - first, stop)
            targets = self._servos.targets(begin - first, stop - begin)
            while self.step < stop:
                until = min(stop, self.step - self.step % JOINT_STATE_EVERY_STEPS + JOINT_STATE_EVERY_STEPS)
                until = self._camera.stop_before(until)
                self.engine.advance(targets[self.step - begin : until - begin])
                self.step = until
                if until % JOINT_STATE_EVERY_STEPS == 0:
                    self.engine.update_poses()
                    self._after_joint_state_step()
                if self._camera.is_due(until):
                    self._camera.take(until, self.engine.configuration, self.truth())

    def _after_joint_state_step(self) -> None:
        for disturbance in self._disturbances:
            disturbance.act((self.step - self._first_step) * PHYSICS_STEP_S)
        self._carry()
        self._joint_states.append((self.step, self.engine.joints()))
        if self.step >= self._hold_step:
            distance_m = self.distance_m()
            self._hold_distance_m = max(self._hold_distance_m, distance_m)
            self._squares_m2.append(distance_m**2)
            self._is_allowed = self._is_allowed and self._allows()

    def _allows(self) -> bool:
        """Return whether what is at the goal counts as brought there."""
        grip_m, finger_m = self.grip_position_m[None], np.array([finger_position_m(self.engine.joints())])
        objects_m = {name: place_m[None] for name, place_m in self.objects_m.items()}
        return bool(self.task.skills_allowed(grip_m, objects_m, finger_m)[0, -1])

    def _carry(self) -> None:
        """Pull what is carried along towards its carrier's velocity, until the next joint state.

        The force is limited as the friction on a belt is. The table's friction, as large, works against it.
        """
        sample, engine = self.episode, self.engine
        now_s = (self.step - self._first_step) * PHYSICS_STEP_S
        for name, carrier in sample.carriers.items():
            place_m, start, force_n = engine.object_state(name).position_m, sample.objects[name], np.zeros(3)
            wanted = carrier.velocity_m_s(now_s, place_m[:2])
            if wanted is not None and place_m[2] < start.position_m[2] + _LIFTED_M:
                limit_n = start.physics.friction * start.physics.mass_kg * GRAVITY_M_S2
                missing = start.physics.mass_kg / _CARRY_S * (wanted - engine.object_velocity(name)[:2])
                missing *= min(1.0, limit_n / max(float(np.linalg.norm(missing)), 1e-9))
                force_n[:2] = missing + limit_n * wanted / max(float(np.linalg.norm(wanted)), _SLOW_M_S)
            # At its underside, as a belt does: at its middle it would topple where friction is high.
            engine.apply_force(name, force_n, place_m - [0.0, 0.0, start.physics.half_extents_m[2]])

    # -- the end -------------------------------------------------------------------------------------------------

    def outcome(self) -> Outcome:
        """Return the result of the finished episode."""
        rms_m = None
        if self.episode_config.rms_s is not None and self._squares_m2:
            rms_m = float(np.sqrt(np.mean(self._squares_m2)))
        judged_m = self._hold_distance_m if rms_m is None else rms_m
        return Outcome(
            seed=self.episode.seed,
            success=self.done and self._is_allowed and judged_m <= self.episode_config.tolerance_m,
            final_distance_m=self.distance_m(),
            steps=self._camera.published,
            rms_m=rms_m,
        )

    def close(self) -> None:
        """Free the renderer."""
        self.engine.close()


def _color_of(seen: Rendering) -> NDArray[np.uint8]:
    return seen.rgb


# -- several at once: the same as one after the other, worked out in one go --------------------------------------


def send_arms(simulations: Sequence[Simulation], trajectories: Sequence[JointTrajectory]) -> None:
    """Send a trajectory to the arm of each: ``Simulation.send_arm``."""
    servos = [each._servos for each in simulations]
    send_together(servos, [each.step - each._first_step for each in simulations], trajectories)


def measured_joints(simulations: Sequence[Simulation]) -> list[JointSample]:
    """Return ``Simulation.measured`` of each."""
    readings, steps = [each._readings for each in simulations], [each.step for each in simulations]
    return read_together(readings, steps, [each.engine.joints() for each in simulations])


def take_joint_samples(simulations: Sequence[Simulation]) -> list[list[JointSample]]:
    """Return ``Simulation.take_joint_samples`` of each."""
    states = [(each._readings, step, state) for each in simulations for step, state in each._joint_states]
    samples = iter(read_together(*zip(*states, strict=True)) if states else ())
    taken = [list(islice(samples, len(each._joint_states))) for each in simulations]
    for each in simulations:
        each._joint_states = []
    return taken
