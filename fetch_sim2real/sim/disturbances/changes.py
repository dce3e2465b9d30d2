"""Unplanned changes in the middle of an episode: what is drawn for each, and what it does to the simulated world.

Each begins at a random time in the first half of the episode, unless it says otherwise. Some move objects, some are
only seen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.common.ranges import box_of
from fetch_sim2real.errors import WorldFileError
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.sim.disturbances.conditions import Conditions, Perturbation, generator
from fetch_sim2real.sim.disturbances.faults import direction
from fetch_sim2real.sim.engine import Engine, VisualShape
from fetch_sim2real.sim.randomization.appearance import LightSample
from fetch_sim2real.sim.randomization.sample import EpisodeSample, small_rotation
from fetch_sim2real.sim.randomization.start import MAX_TRIES, is_possible, is_worth_starting
from fetch_sim2real.sim.steps import steps_of
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks.base import GRIPPER
from fetch_sim2real.timing import CONTROL_RATE_HZ, PHYSICS_STEP_S
from fetch_sim2real.types import FloatArray

# Shares of an episode's length between which a change begins.
_BEGINS: Final = (0.08, 0.5)


class CameraMount:
    """Where the true camera is: as drawn, bumped once, and drifting."""

    def __init__(self, sample: EpisodeSample, engine: Engine) -> None:
        self._engine = engine
        self._base_T_camera = Pose(sample.camera.position_m, sample.camera.rotation)
        self._drifted: tuple[FloatArray, FloatArray] | None = None

    def bump(self, shift_m: FloatArray, turn: FloatArray) -> None:
        """Move it for good by ``shift_m`` (3,) in base_link, and turn it by ``turn`` (3, 3) in its own frame."""
        pose = self._base_T_camera
        self._base_T_camera = Pose(pose.position + shift_m, pose.rotation @ turn)
        self._place()

    def drift(self, shift_m: FloatArray, turn: FloatArray) -> None:
        """Say how far it has drifted by now, as ``bump`` does."""
        self._drifted = shift_m, turn
        self._place()

    def _place(self) -> None:
        pose = self._base_T_camera
        if self._drifted is not None:
            shift_m, turn = self._drifted
            pose = Pose(pose.position + shift_m, pose.rotation @ turn)
        self._engine.set_camera_pose(pose)


@dataclass(frozen=True)
class DisturbanceContext:
    """The episode that is disturbed: its world, what was drawn for it, the engine that runs it, and the camera."""

    world: World
    sample: EpisodeSample
    engine: Engine
    mount: CameraMount

    @property
    def episode_s(self) -> float:
        return self.world.episode_of(self.sample.task).episode_s

    @property
    def main_object(self) -> str:
        """The name of the object that is moved, shoved or hidden: the one that the task is about."""
        return self.sample.task.main_body

    def object_position_m(self) -> FloatArray:
        """Return where that object (3,) is now."""
        return self.engine.object_state(self.main_object).position_m


class Disturbance(Protocol):
    """One change of one episode."""

    def act(self, now_s: float) -> None:
        """Act if it is time to: called at every joint state (120 Hz), after physics and before pictures, with the time
        [s] since the start."""
        ...


def begin_s(context: DisturbanceContext, rng: np.random.Generator) -> float:
    """Draw when a change begins, since the start of the episode."""
    low, high = _BEGINS
    return float(rng.uniform(low, high)) * context.episode_s


class MovedObject:
    """The object is put where the sample says, once."""

    def __init__(self, context: DisturbanceContext) -> None:
        self._context = context
        self._begin_s = steps_of(context.sample.move_at_s) * PHYSICS_STEP_S
        self._over = False

    def act(self, now_s: float) -> None:
        if self._over or now_s < self._begin_s:
            return
        self._over = True
        sample = self._context.sample
        place_m = np.array([*sample.move_to_xy_m, self._context.object_position_m()[2]])
        self._context.engine.place_object(self._context.main_object, place_m, sample.main_object.yaw_rad)


class Shove:
    """Something pushes the object 5 to 10 cm along the table, at about half a metre a second.

    The direction is the first of some random ones that leaves it where the task's starts and goals are, and that does
    not push it into the gripper. One that is off the table at the time, in the gripper for example, is shoved once it
    is down again.
    """

    _DISTANCE_M: Final = (0.05, 0.10)
    _SPEED_M_S: Final = 0.5
    # It may be stopped by the arm; then it is not pushed for ever.
    _LONGEST_S: Final = 0.4
    _ON_TABLE_M: Final = 0.01
    _GRIPPER_REACH_M: Final = 0.12

    def __init__(self, context: DisturbanceContext, rng: np.random.Generator, at_s: float) -> None:
        """``at_s`` is since the start of the episode."""
        self._context, self._begin_s = context, at_s
        self._distance_m = float(rng.uniform(*self._DISTANCE_M))
        angles = rng.uniform(0.0, 2.0 * np.pi, 64)
        self._directions: FloatArray = np.column_stack([np.cos(angles), np.sin(angles)])
        self._low, self._high = _ground(context.world, context.sample)
        self._from_m: FloatArray | None = None
        self._direction: FloatArray = np.zeros(2)
        self._until_s = 0.0
        self._over = False

    def act(self, now_s: float) -> None:
        if self._over or now_s < self._begin_s:
            return
        if self._from_m is None and not self._begin(now_s):
            return
        assert self._from_m is not None
        engine, name = self._context.engine, self._context.main_object
        gone_m = float((self._context.object_position_m()[:2] - self._from_m) @ self._direction)
        if gone_m >= self._distance_m or now_s > self._until_s:
            engine.set_object_velocity(name, np.zeros(6))
            self._over = True
            return
        velocity = engine.object_velocity(name)
        velocity[:2] = self._SPEED_M_S * self._direction
        velocity[3:] = 0.0  # it slides, it does not topple
        engine.set_object_velocity(name, velocity)

    def _begin(self, now_s: float) -> bool:
        here, grip = self._context.object_position_m(), self._context.engine.grip_position_m()
        if here[2] > self._context.sample.main_object.position_m[2] + self._ON_TABLE_M:
            return False
        ends = here[:2] + self._distance_m * self._directions
        inside = np.all((ends >= self._low) & (ends <= self._high), axis=1)
        if not inside.any():
            return False
        to_grip = grip[:2] - here[:2]
        near = np.linalg.norm(to_grip) < self._GRIPPER_REACH_M and grip[2] < here[2] + self._GRIPPER_REACH_M
        free = inside & (self._directions @ to_grip <= 0.0) if near else inside
        self._direction = self._directions[int(np.argmax(free if free.any() else inside))]
        self._from_m = here[:2]
        self._until_s = now_s + self._LONGEST_S
        return True


def _shove(context: DisturbanceContext) -> Shove:
    rng = generator(context.sample.seed, "shove")
    return Shove(context, rng, begin_s(context, rng))


class KeepShoving:
    """The object is shoved again and again: a second after the start, then every two seconds, as long as three are
    left to make it good."""

    _FIRST_S: Final = 1.0
    _EVERY_S: Final = 2.0
    _LEFT_S: Final = 3.0

    def __init__(self, context: DisturbanceContext) -> None:
        rng = generator(context.sample.seed, "keep_shoving")
        times_s = np.arange(self._FIRST_S, context.episode_s - self._LEFT_S + 1e-9, self._EVERY_S)
        self._shoves = [Shove(context, rng, float(at_s)) for at_s in times_s]

    def act(self, now_s: float) -> None:
        for shove in self._shoves:
            shove.act(now_s)


def _ground(world: World, draw: EpisodeSample) -> tuple[FloatArray, FloatArray]:
    """Corners (2,) of where the object may be shoved to: where it starts and, if it has one, where its goals are."""
    part = world.episode_of(draw.task)
    ranges = [[part.object_x_m, part.object_y_m]]
    if draw.task.target != GRIPPER:
        ranges.append(list(part.goal_m[:2]))
    low = np.min([[axis.low for axis in pair] for pair in ranges], axis=0)
    high = np.max([[axis.high for axis in pair] for pair in ranges], axis=0)
    if draw.task.target == GRIPPER:
        # The gripper's goal goes with the object and must stay in its workspace.
        lower, upper = box_of(world.workcell.workspace_m)
        offset = draw.goal_m[:2]
        low, high = np.maximum(low, lower[:2] - offset), np.minimum(high, upper[:2] - offset)
    return low, high


_WRIST: Final = ARM.joints[-2].link


class ArmPush:
    """Somebody leans on the wrist: a horizontal force for a while."""

    _FORCE_N: Final = (15.0, 35.0)
    _DURATION_S: Final = (0.3, 0.8)

    def __init__(self, context: DisturbanceContext) -> None:
        rng = generator(context.sample.seed, "push_arm")
        self._engine = context.engine
        self._begin_s = begin_s(context, rng)
        self._end_s = self._begin_s + float(rng.uniform(*self._DURATION_S))
        angle, size = float(rng.uniform(0.0, 2.0 * np.pi)), float(rng.uniform(*self._FORCE_N))
        self._force_n = size * np.array([np.cos(angle), np.sin(angle), 0.0])

    def act(self, now_s: float) -> None:
        pushed = self._begin_s <= now_s < self._end_s
        self._engine.push_link(_WRIST, self._force_n if pushed else np.zeros(3))


class _SceneChange(ABC):
    """A change of what is seen, made once, when its time has come."""

    def __init__(self, context: DisturbanceContext, rng: np.random.Generator) -> None:
        self._context = context
        self._begin_s = begin_s(context, rng)
        self._over = False

    def act(self, now_s: float) -> None:
        if self._over or now_s < self._begin_s:
            return
        self._over = True
        self._change(self._context.engine)

    @abstractmethod
    def _change(self, engine: Engine) -> None:
        """Make it."""


class CameraBump(_SceneChange):
    """The camera's pose jumps by 0.5 to 1 cm and a degree, and stays. The stack is not told."""

    _SHIFT_M: Final = (0.005, 0.010)
    _TURN_RAD: Final = float(np.deg2rad(1.0))

    def __init__(self, context: DisturbanceContext) -> None:
        rng = generator(context.sample.seed, "bump_camera")
        super().__init__(context, rng)
        self._shift_m = float(rng.uniform(*self._SHIFT_M)) * direction(rng)
        # About an axis drawn in the frame x right, y up, z back.
        self._turn = small_rotation(np.array([1.0, -1.0, -1.0]) * (self._TURN_RAD * direction(rng)))

    def _change(self, engine: Engine) -> None:
        self._context.mount.bump(self._shift_m, self._turn)


class LightSwitch(_SceneChange):
    """A lamp is switched: half of the time the main one goes down to a third, else the second one goes on or off."""

    _DIMMED: Final = 0.33
    _DIFFUSE: Final = 0.5

    def __init__(self, context: DisturbanceContext) -> None:
        rng = generator(context.sample.seed, "switch_light")
        super().__init__(context, rng)
        self._dims = bool(rng.random() < 0.5)
        sideways = rng.uniform(-0.9, 0.9, 2)
        self._direction: FloatArray = np.array([*sideways, -1.0]) / np.linalg.norm([*sideways, -1.0])

    def _change(self, engine: Engine) -> None:
        main, *second = self._context.sample.appearance.lights
        if self._dims:
            # In single precision, as renderers keep colours: episodes of earlier versions stay the same.
            dimmed = main.diffuse.astype(np.float32) * np.float32(self._DIMMED)
            engine.set_light(0, replace(main, diffuse=dimmed.astype(np.float64)))
        elif second:
            engine.set_light(1, None)
        else:
            engine.set_light(1, LightSample(self._direction, np.full(3, self._DIFFUSE), specular=0.0, shadows=False))


class PassingHand:
    """A hand on a forearm passes between camera and object, level and across the line of sight. It touches nothing."""

    _SPEED_M_S: Final = (0.35, 0.60)
    # Where it crosses the line of sight, as a share of the way from object to camera; how far it goes to each side.
    _SHARE: Final = (0.22, 0.32)
    _REACH_M: Final = 0.45
    _SKIN_RGB: Final = (0.80, 0.60, 0.48)
    _HAND_HALF_M: Final = (0.05, 0.025, 0.095)
    _ARM_RADIUS_M, _ARM_HALF_M = 0.035, 0.15

    def __init__(self, context: DisturbanceContext) -> None:
        rng = generator(context.sample.seed, "occlude")
        self._context = context
        self._begin_s = begin_s(context, rng)
        self._speed_m_s = float(rng.uniform(*self._SPEED_M_S))
        self._share = float(rng.uniform(*self._SHARE))
        self._side = 1.0 if rng.random() < 0.5 else -1.0
        self._crosses_m: FloatArray | None = None
        self._across: FloatArray = np.zeros(3)
        self._over = False

    def act(self, now_s: float) -> None:
        if self._over or now_s < self._begin_s:
            return
        if self._crosses_m is None:
            self._appear()
        assert self._crosses_m is not None
        at_m = self._speed_m_s * (now_s - self._begin_s) - self._REACH_M
        if at_m > self._REACH_M:
            self._context.engine.set_visual_shape(0, None)
            self._context.engine.set_visual_shape(1, None)
            self._over = True
            return
        hand_m = self._crosses_m + at_m * self._across
        # The forearm follows behind the hand, slightly raised.
        behind = -self._across + np.array([0.0, 0.0, 0.25])
        length_m = self._HAND_HALF_M[2] + self._ARM_HALF_M
        self._show(0, "ellipsoid", self._HAND_HALF_M, hand_m, self._across)
        arm_half_m = (self._ARM_RADIUS_M, self._ARM_RADIUS_M, self._ARM_HALF_M + self._ARM_RADIUS_M)
        arm_m = hand_m + behind / np.linalg.norm(behind) * length_m
        self._show(1, "capsule", arm_half_m, arm_m, self._across - np.array([0.0, 0.0, 0.25]))

    def _show(
        self,
        index: int,
        shape: Literal["ellipsoid", "capsule"],
        half_m: tuple[float, float, float],
        at_m: FloatArray,
        axis: FloatArray,
    ) -> None:
        shown = VisualShape(shape, half_m, at_m, _turn_z_to(axis), self._SKIN_RGB)
        self._context.engine.set_visual_shape(index, shown)

    def _appear(self) -> None:
        """Begin on one side, as seen from the camera, at the height that hides where the object is now."""
        object_m = self._context.object_position_m()
        sight = self._context.sample.camera.position_m - object_m
        self._crosses_m = object_m + self._share * sight
        across = np.cross(sight, [0.0, 0.0, 1.0])
        self._across = self._side * across / np.linalg.norm(across)


def _turn_z_to(axis: FloatArray) -> FloatArray:
    """Quaternion (4,) wxyz that turns z to ``axis`` (3,), which does not point down."""
    x, y, z = axis / np.linalg.norm(axis)
    quaternion = np.array([1.0 + z, -y, x, 0.0])
    unit: FloatArray = quaternion / np.linalg.norm(quaternion)
    return unit


# ``move_goal`` is the simulation's own: it changes what that keeps.
_KINDS: Final[dict[Perturbation, Callable[[DisturbanceContext], Disturbance]]] = {
    "move_block": MovedObject,
    "shove": _shove,
    "push_arm": ArmPush,
    "bump_camera": CameraBump,
    "switch_light": LightSwitch,
    "occlude": PassingHand,
    "keep_shoving": KeepShoving,
}


def make_disturbances(conditions: Conditions, context: DisturbanceContext) -> tuple[Disturbance, ...]:
    """Return what is to be called at every joint state of the episode. Without an object on the table nothing is
    shoved."""
    # Where the object is put comes first: what else happens at that time finds it there.
    kinds = sorted((kind for kind in conditions.perturb if kind in _KINDS), key=lambda kind: kind != "move_block")
    with_objects = bool(context.sample.task.objects)
    return tuple(_KINDS[kind](context) for kind in kinds if with_objects or kind not in ("shove", "keep_shoving"))


@dataclass(frozen=True)
class GoalChange:
    """Another goal (3,) [m], in the task's goal frame, in force from the frame of this index on."""

    frame: int
    goal_m: FloatArray


def draw_goal_change(world: World, sample: EpisodeSample, ik: DifferentialIk) -> GoalChange:
    """Draw when and where to the goal moves: as far as a start is from its goal, and worth going to from the start."""
    rng = generator(sample.seed, "move_goal")
    task, part = sample.task, world.episode_of(sample.task)
    low, high = _BEGINS
    frame = round(float(rng.uniform(low, high)) * part.episode_s * CONTROL_RATE_HZ)
    here = sample.objects_m
    grip = ik.grip_position_m(sample.arm_start_rad)
    old = task.goal_in_base(sample.goal_m, here)
    for _ in range(MAX_TRIES):
        goal = task.draw_goal(part, here, rng)
        moved_m = float(np.linalg.norm(task.goal_in_base(goal, here) - old))
        if (
            moved_m >= part.min_start_distance_m
            and is_worth_starting(world, task, grip, here, goal)
            and is_possible(task, ik, sample.arm_start_rad, here, goal)
        ):
            return GoalChange(frame, goal)
    raise WorldFileError(
        f"world '{world.name}', task '{task.name}': no second goal at least {part.min_start_distance_m} m from the "
        f"first was found in {MAX_TRIES} draws; widen goal_m"
    )
