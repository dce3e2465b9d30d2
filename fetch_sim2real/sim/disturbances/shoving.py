"""Something pushes the object along the table, once or again and again."""

from __future__ import annotations

from typing import Final

import numpy as np

from fetch_sim2real.common.ranges import box_of
from fetch_sim2real.sim.disturbances.conditions import generator
from fetch_sim2real.sim.disturbances.context import DisturbanceContext, begin_s
from fetch_sim2real.sim.randomization.sample import EpisodeSample
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks.base import GRIPPER
from fetch_sim2real.types import FloatArray


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


def shove_once(context: DisturbanceContext) -> Shove:
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


