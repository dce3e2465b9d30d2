"""Where an episode begins: arm, object and goal of a task, drawn so that the task is possible and not yet solved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.common.ranges import box_of, draw3
from fetch_sim2real.errors import WorldFileError
from fetch_sim2real.graph import BLOCK_FRAME
from fetch_sim2real.sim.world_file import TaskPart, World
from fetch_sim2real.tasks.registry import Task
from fetch_sim2real.types import FloatArray

MAX_TRIES: Final = 200


@dataclass(frozen=True)
class Start:
    """Joint positions (n,), gripper (3,) and object (3,) [m] in base_link, goal (3,) [m] in the task's frame."""

    arm_rad: FloatArray
    grip_m: FloatArray
    object_m: FloatArray
    goal_m: FloatArray


def draw_start(world: World, task: Task, rng: np.random.Generator, ik: DifferentialIk, object_z_m: float) -> Start:
    """A start of ``task``. WorldFileError if the world's ranges leave no room for one."""
    part = world.task(task.name)
    for _ in range(MAX_TRIES):
        grip = draw3(part.start_grip_m, rng)
        thing = _draw_object(part, rng, object_z_m)
        goal = draw_goal(part, rng)
        apart = np.linalg.norm(grip[:2] - thing[:2]) >= part.min_grip_distance_m
        if not apart or not is_worth_starting(world, task, part, grip, thing, goal):
            continue
        arm = ik.reach(ARM.home_rad, grip)
        if arm is not None and is_possible(task, ik, arm, thing, goal):
            return Start(arm, grip, thing, goal)
    raise WorldFileError(
        f"world '{world.name}', task '{task.name}': no start and goal found in {MAX_TRIES} draws; start_grip_m must "
        f"be within the arm's reach, the gripper's goals within reach and workcell.workspace_m, and "
        f"min_start_distance_m ({part.min_start_distance_m} m) must leave room"
    )


def draw_move(world: World, task: Task, rng: np.random.Generator, ik: DifferentialIk, start: Start) -> FloatArray:
    """Where else (2,) [m] the object is put if it is moved on the way."""
    part, least_m = world.task(task.name), world.perturbation.move_block_min_distance_m
    if task.object is None:
        return start.object_m[:2]
    for _ in range(MAX_TRIES):
        moved = _draw_object(part, rng, float(start.object_m[2]))
        far_enough = np.linalg.norm(moved - start.object_m) >= least_m
        if (
            far_enough
            and is_worth_starting(world, task, part, start.grip_m, moved, start.goal_m)
            and is_possible(task, ik, start.arm_rad, moved, start.goal_m)
        ):
            return moved[:2]
    raise WorldFileError(
        f"world '{world.name}', task '{task.name}': the object cannot be moved perturbation.move_block_min_distance_m "
        f"({least_m} m) away within its region and the arm's reach"
    )


def target_goal_m(task: Task, object_m: FloatArray, goal_m: FloatArray) -> FloatArray:
    """Where the target is wanted (3,) in base_link, of a goal (3,) in the task's frame."""
    return object_m + goal_m if task.goal_frame == BLOCK_FRAME else goal_m


def _draw_object(part: TaskPart, rng: np.random.Generator, z_m: float) -> FloatArray:
    return np.array([part.object_x_m.draw(rng), part.object_y_m.draw(rng), z_m])


def draw_goal(part: TaskPart, rng: np.random.Generator) -> FloatArray:
    goal = draw3(part.goal_m, rng)
    in_air, height = rng.random() < part.air_share, part.air_z_m.draw(rng)
    if in_air:
        goal[2] = height
    return goal


def is_worth_starting(
    world: World, task: Task, part: TaskPart, grip_m: FloatArray, object_m: FloatArray, goal_m: FloatArray
) -> bool:
    """Whether the target is far enough from the goal, and the gripper's goal within its workspace."""
    wanted = target_goal_m(task, object_m, goal_m)
    target = grip_m if task.target == "gripper" else object_m
    if np.linalg.norm(wanted - target) < part.min_start_distance_m:
        return False
    if task.target == "object":
        return True
    lower, upper = box_of(world.workcell.workspace_m)
    return bool(np.all(wanted >= lower) and np.all(wanted <= upper))


def is_possible(task: Task, ik: DifferentialIk, arm_rad: FloatArray, object_m: FloatArray, goal_m: FloatArray) -> bool:
    """Whether the gripper, pointing down, can be at its goal."""
    return task.target == "object" or ik.reach(arm_rad, target_goal_m(task, object_m, goal_m)) is not None
