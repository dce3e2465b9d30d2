"""Unplanned changes in the middle of an episode: what is drawn for each, and what it does to the simulated world.

Each begins at a random time in the first half of the episode. What is only seen is in ``visual_perturbations``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.common.physics import mujoco
from fetch_sim2real.common.ranges import box_of
from fetch_sim2real.errors import WorldFileError
from fetch_sim2real.sim.disturbances.conditions import generator
from fetch_sim2real.sim.mujoco.scene import BLOCK_JOINT
from fetch_sim2real.sim.mujoco.state import Truth
from fetch_sim2real.sim.randomization.sample import EpisodeDraw
from fetch_sim2real.sim.randomization.start import MAX_TRIES, draw_goal, is_possible, is_worth_starting, target_goal_m
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.timing import CONTROL_RATE_HZ
from fetch_sim2real.types import FloatArray

# Shares of an episode's length between which a change begins.
_BEGINS: Final = (0.08, 0.5)


@dataclass(frozen=True)
class Stage:
    """The episode that is changed: its world, what was drawn for it, and MuJoCo's model and state.

    ``before_edit`` must be called before anything in ``model`` that is seen is changed: pictures asked for earlier are
    finished first. ``truth`` says where gripper and object are now.
    """

    world: World
    draw: EpisodeDraw
    model: mujoco.MjModel
    data: mujoco.MjData
    before_edit: Callable[[], None]
    truth: Callable[[], Truth]

    @property
    def episode_s(self) -> float:
        return self.world.task(self.draw.task.name).episode_s


class Happening(Protocol):
    """One change of one episode."""

    def act(self, now_s: float) -> None:
        """Called at every joint state (120 Hz), after physics and before pictures; ``now_s`` since the start."""
        ...


def begin_s(stage: Stage, rng: np.random.Generator) -> float:
    """When a change begins, since the start of the episode."""
    low, high = _BEGINS
    return float(rng.uniform(low, high)) * stage.episode_s


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

    def __init__(self, stage: Stage) -> None:
        rng = generator(stage.draw.seed, "shove")
        self._stage = stage
        self._begin_s = begin_s(stage, rng)
        self._distance_m = float(rng.uniform(*self._DISTANCE_M))
        angles = rng.uniform(0.0, 2.0 * np.pi, 64)
        self._directions: FloatArray = np.column_stack([np.cos(angles), np.sin(angles)])
        joint = stage.model.joint(BLOCK_JOINT)
        self._qpos, self._dof = int(joint.qposadr[0]), int(joint.dofadr[0])
        self._low, self._high = _ground(stage.world, stage.draw)
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
        velocity = self._stage.data.qvel[self._dof : self._dof + 6]
        gone_m = float((self._position()[:2] - self._from_m) @ self._direction)
        if gone_m >= self._distance_m or now_s > self._until_s:
            velocity[:] = 0.0
            self._over = True
            return
        velocity[:2] = self._SPEED_M_S * self._direction
        velocity[3:] = 0.0  # it slides, it does not topple

    def _begin(self, now_s: float) -> bool:
        here, grip = self._position(), self._stage.truth().grip_m
        if here[2] > self._stage.draw.dynamics.object_rest_z_m + self._ON_TABLE_M:
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

    def _position(self) -> FloatArray:
        position: FloatArray = self._stage.data.qpos[self._qpos : self._qpos + 3].copy()
        return position


def _ground(world: World, draw: EpisodeDraw) -> tuple[FloatArray, FloatArray]:
    """Corners (2,) of where the object may be shoved to: where it starts and, if it has one, where its goals are."""
    part = world.task(draw.task.name)
    ranges = [[part.object_x_m, part.object_y_m]]
    if draw.task.target == "object":
        ranges.append(list(part.goal_m[:2]))
    low = np.min([[axis.low for axis in pair] for pair in ranges], axis=0)
    high = np.max([[axis.high for axis in pair] for pair in ranges], axis=0)
    if draw.task.target == "gripper":
        # The gripper's goal goes with the object and must stay in its workspace.
        lower, upper = box_of(world.workcell.workspace_m)
        offset = draw.goal_m[:2]
        low, high = np.maximum(low, lower[:2] - offset), np.minimum(high, upper[:2] - offset)
    return low, high


class ArmPush:
    """Somebody leans on the wrist: a horizontal force for a while."""

    _FORCE_N: Final = (15.0, 35.0)
    _DURATION_S: Final = (0.3, 0.8)
    _LINK: Final = "wrist_flex_link"

    def __init__(self, stage: Stage) -> None:
        rng = generator(stage.draw.seed, "push_arm")
        self._data = stage.data
        self._begin_s = begin_s(stage, rng)
        self._end_s = self._begin_s + float(rng.uniform(*self._DURATION_S))
        angle, size = float(rng.uniform(0.0, 2.0 * np.pi)), float(rng.uniform(*self._FORCE_N))
        self._force_n = size * np.array([np.cos(angle), np.sin(angle), 0.0])
        self._body = stage.model.body(self._LINK).id

    def act(self, now_s: float) -> None:
        pushed = self._begin_s <= now_s < self._end_s
        self._data.xfrc_applied[self._body, :3] = self._force_n if pushed else 0.0


@dataclass(frozen=True)
class GoalChange:
    """Another goal (3,) [m], in the task's goal frame, in force from the frame of this index on."""

    frame: int
    goal_m: FloatArray


def draw_goal_change(world: World, draw: EpisodeDraw, ik: DifferentialIk) -> GoalChange:
    """When and where to the goal moves: as far as a start is from its goal, and worth going to from the start."""
    rng = generator(draw.seed, "move_goal")
    task, part = draw.task, world.task(draw.task.name)
    low, high = _BEGINS
    frame = round(float(rng.uniform(low, high)) * part.episode_s * CONTROL_RATE_HZ)
    here = draw.object_position_m
    grip = ik.grip_position_m(draw.arm_start_rad)
    old = target_goal_m(task, here, draw.goal_m)
    for _ in range(MAX_TRIES):
        goal = draw_goal(part, rng)
        moved_m = float(np.linalg.norm(target_goal_m(task, here, goal) - old))
        if (
            moved_m >= part.min_start_distance_m
            and is_worth_starting(world, task, part, grip, here, goal)
            and is_possible(task, ik, draw.arm_start_rad, here, goal)
        ):
            return GoalChange(frame, goal)
    raise WorldFileError(
        f"world '{world.name}', task '{task.name}': no second goal at least {part.min_start_distance_m} m from the "
        f"first was found in {MAX_TRIES} draws; widen goal_m"
    )
