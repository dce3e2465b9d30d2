"""Where an episode begins: arm, objects and goal of a task, drawn so that the task is possible and not yet solved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.common.ranges import box_of, draw3
from fetch_sim2real.errors import WorldFileError
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks.base import GRIPPER, EpisodeConfig, Task
from fetch_sim2real.types import FloatArray

MAX_TRIES: Final = 200
Positions = Mapping[str, FloatArray]
"""Centres (3,) [m] in base_link, by object."""


@dataclass(frozen=True)
class Start:
    """Joint positions (n,), gripper (3,) and objects (3,) [m] in base_link, goal (3,) [m] in the task's frame."""

    arm_rad: FloatArray
    grip_m: FloatArray
    objects_m: Positions
    goal_m: FloatArray


def draw_start(
    world: World, task: Task, rng: np.random.Generator, ik: DifferentialIk, rest_z_m: Mapping[str, float]
) -> Start:
    """Return a start of ``task``; ``rest_z_m`` is the height [m] of each body's centre when it lies on the table.

    Raises:
        WorldFileError: the ranges of task and world leave no room for one.
    """
    episode = world.episode_of(task)
    for _ in range(MAX_TRIES):
        grip = draw3(episode.start_grip_m, rng)
        objects = _draw_objects(task, episode, rng, rest_z_m)
        goal = task.draw_goal(episode, objects, rng)
        if not _are_apart(episode, grip, objects) or not is_worth_starting(world, task, grip, objects, goal):
            continue
        arm = ik.reach(ARM.home_rad, grip)
        if arm is not None and is_possible(task, ik, arm, objects, goal):
            return Start(arm, grip, objects, goal)
    raise WorldFileError(
        f"world '{world.name}', task '{task.name}': no start and goal found in {MAX_TRIES} draws; start_grip_m must "
        f"be within the arm's reach, the gripper's goals within reach and workcell.workspace_m, and "
        f"min_start_distance_m ({episode.min_start_distance_m} m) and min_object_distance_m "
        f"({episode.min_object_distance_m} m) must leave room"
    )


def draw_move(world: World, task: Task, rng: np.random.Generator, ik: DifferentialIk, start: Start) -> FloatArray:
    """Return where else (2,) [m] the task's main object is put if it is moved on the way."""
    name = task.main_object
    if name is None:
        return next(iter(start.objects_m.values()))[:2]
    episode, least_m = world.episode_of(task), world.perturbation.move_block_min_distance_m
    heights = {each: float(position[2]) for each, position in start.objects_m.items()}
    for _ in range(MAX_TRIES):
        moved = _draw_objects(task, episode, rng, heights)[name]
        objects = {**start.objects_m, name: moved}
        if (
            np.linalg.norm(moved - start.objects_m[name]) >= least_m
            and _objects_are_apart(episode, objects)
            and is_worth_starting(world, task, start.grip_m, objects, start.goal_m)
            and is_possible(task, ik, start.arm_rad, objects, start.goal_m)
        ):
            return moved[:2]
    raise WorldFileError(
        f"world '{world.name}', task '{task.name}': the object cannot be moved perturbation.move_block_min_distance_m "
        f"({least_m} m) away within its region and the arm's reach"
    )


def _draw_objects(
    task: Task, episode: EpisodeConfig, rng: np.random.Generator, z_m: Mapping[str, float]
) -> dict[str, FloatArray]:
    return {name: np.array([*xy_m, z_m[name]]) for name, xy_m in task.draw_objects(episode, rng).items()}


def _are_apart(episode: EpisodeConfig, grip_m: FloatArray, objects_m: Positions) -> bool:
    free = all(np.linalg.norm(grip_m[:2] - each[:2]) >= episode.min_grip_distance_m for each in objects_m.values())
    return free and _objects_are_apart(episode, objects_m)


def _objects_are_apart(episode: EpisodeConfig, objects_m: Positions) -> bool:
    pairs = combinations(objects_m.values(), 2)
    return all(np.linalg.norm(one[:2] - other[:2]) >= episode.min_object_distance_m for one, other in pairs)


def is_worth_starting(
    world: World, task: Task, grip_m: FloatArray, objects_m: Positions, goal_m: FloatArray
) -> bool:
    """Return whether the target is far enough from the goal, and the gripper's goal within its workspace."""
    wanted = task.goal_in_base(goal_m, objects_m)
    target = grip_m if task.target == GRIPPER else objects_m[task.target]
    if np.linalg.norm(wanted - target) < world.episode_of(task).min_start_distance_m:
        return False
    if task.target != GRIPPER:
        return True
    lower, upper = box_of(world.workcell.workspace_m)
    return bool(np.all(wanted >= lower) and np.all(wanted <= upper))


def is_possible(task: Task, ik: DifferentialIk, arm_rad: FloatArray, objects_m: Positions, goal_m: FloatArray) -> bool:
    """Return whether the gripper, pointing down, can be at its goal."""
    return task.target != GRIPPER or ik.reach(arm_rad, task.goal_in_base(goal_m, objects_m)) is not None
