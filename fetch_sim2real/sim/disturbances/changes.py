"""Unplanned changes in the middle of an episode: what is drawn for each, and what it does to the simulated world.

Each begins at a random time in the first half of the episode, unless it says otherwise. Some move objects, some are
only seen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.errors import WorldFileError
from fetch_sim2real.sim.disturbances.conditions import Conditions, Perturbation, generator
from fetch_sim2real.sim.disturbances.context import BEGINS, Disturbance, DisturbanceContext, begin_s
from fetch_sim2real.sim.disturbances.faults import direction
from fetch_sim2real.sim.disturbances.occlusion import Hidden, PassingHand
from fetch_sim2real.sim.disturbances.shoving import KeepShoving, shove_once
from fetch_sim2real.sim.engine import Engine
from fetch_sim2real.sim.randomization.appearance import LightSample
from fetch_sim2real.sim.randomization.sample import EpisodeSample, small_rotation
from fetch_sim2real.sim.randomization.start import MAX_TRIES, is_possible, is_worth_starting
from fetch_sim2real.sim.steps import steps_of
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.timing import CONTROL_RATE_HZ, PHYSICS_STEP_S
from fetch_sim2real.types import FloatArray


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


# ``move_goal`` is the simulation's own: it changes what that keeps.
_KINDS: Final[dict[Perturbation, Callable[[DisturbanceContext], Disturbance]]] = {
    "move_block": MovedObject,
    "shove": shove_once,
    "push_arm": ArmPush,
    "bump_camera": CameraBump,
    "switch_light": LightSwitch,
    "occlude": PassingHand,
    "keep_shoving": KeepShoving,
    "hide": Hidden,
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
    low, high = BEGINS
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
