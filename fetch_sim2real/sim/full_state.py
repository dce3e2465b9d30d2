"""The simulator's full state as critics see it: never an input of an actor that is to be deployed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.common.layout import Layout
from fetch_sim2real.perception.observe import ACTION_SIZE
from fetch_sim2real.sim.simulation import GRAVITY_M_S2, Simulation, measured_joints
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.types import FloatArray, JointSetpoint

_CENTRE_M: Final = np.array([0.63, 0.0, 0.80])
POSITION_UNIT_M: Final = 0.2
_DELAY_UNIT_S: Final = 0.1
_OBJECT_SIZE_M, _OBJECT_MASS_KG = 0.025, 0.1
_COASTING_UNIT_M: Final = 0.1


@cache
def full_state_layout(
    objects: tuple[str, ...], last_actions: int, goal_moves: bool = False, timed: bool = False
) -> Layout:
    """Return what stands where in ``full_state``: ``objects`` are the names of a task's bodies.

    A part of an object called block is named ``block.position``.

    ================  ==========================================================================================
    part              meaning
    ================  ==========================================================================================
    grip              gripper position in base_link, from (0.63, 0, 0.80) m, in units of 0.2 m
    <object>.position  the same of each object
    <object>.rotation  first two rows of each object's rotation
    <object>.velocity  each object's linear and angular velocity, in units of 0.2 m/s and 0.2 rad/s
    fingers           opening of the fingers, -1 closed, 1 open
    arm, arm_velocity  true joint positions [rad], measured joint velocities [rad/s]
    tracking, command_velocity  commanded minus measured position [rad], commanded velocity [rad/s]
    last_actions      the last actions, newest first
    latency           of camera and of commands, in units of 0.1 s
    <object>.nature    half size in units of 0.025 m, mass in units of 0.1 kg, friction
    goal_velocity     of goals that move, in units of 0.2 m/s; where none does there is no such part
    time_left         of tasks that are timed, 1 at the start and 0 at the end; elsewhere there is no such part
    coasting          of tasks that are timed: how far along x and y the main object would slide on by itself, by its
                      speed and friction, in units of 0.1 m
    ================  ==========================================================================================
    """
    joints = len(ARM.joint_names)
    return Layout(
        {"grip": 3}
        | {f"{name}.position": 3 for name in objects}
        | {f"{name}.rotation": 6 for name in objects}
        | {f"{name}.velocity": 6 for name in objects}
        | {"fingers": 1, "arm": joints, "arm_velocity": joints, "tracking": joints, "command_velocity": joints}
        | {"last_actions": last_actions * ACTION_SIZE, "latency": 2}
        | {f"{name}.nature": 3 for name in objects}
        | ({"goal_velocity": 3} if goal_moves else {})
        | ({"time_left": 1, "coasting": 2} if timed else {})
    )


def layout_of(task: Task, last_actions: int) -> Layout:
    """Return what stands where in the full state of ``task`` with so many last actions."""
    return full_state_layout(tuple(task.bodies), last_actions, task.goal_moves, task.timed)


def full_state(sim: Simulation, setpoint: JointSetpoint, last_actions: FloatArray) -> FloatArray:
    """Return the full state (p,): positions, motion, commands, delays, the objects' nature.

    ``setpoint`` is the arm's commanded state, ``last_actions`` (n, 4) the last actions, newest first.
    """
    state: FloatArray = full_states([sim], [setpoint], last_actions[None])[0]
    return state


def full_states(
    sims: Sequence[Simulation], setpoints: Sequence[JointSetpoint], last_actions: FloatArray
) -> FloatArray:
    """Return ``full_state`` (N, p) of simulations of one task; ``last_actions`` (N, n, 4)."""
    task = sims[0].task
    layout = layout_of(task, last_actions.shape[1])
    measured, samples = measured_joints(sims), [sim.episode for sim in sims]
    # Written in place: joining a dozen small arrays takes longer than all of this.
    state = np.empty((len(sims), layout.size))
    state[:, layout["grip"]] = (np.array([sim.grip_position_m for sim in sims]) - _CENTRE_M) / POSITION_UNIT_M
    for name in task.bodies:
        now, physics = [sim.engine.object_state(name) for sim in sims], [each.objects[name].physics for each in samples]
        place_m = np.array([each.position_m for each in now])
        state[:, layout[f"{name}.position"]] = (place_m - _CENTRE_M) / POSITION_UNIT_M
        state[:, layout[f"{name}.rotation"]] = np.array([each.rotation[:2] for each in now]).reshape(len(sims), -1)
        velocity = np.array([sim.engine.object_velocity(name) for sim in sims])
        state[:, layout[f"{name}.velocity"]] = velocity / POSITION_UNIT_M
        state[:, layout[f"{name}.nature"]] = [
            (each.half_extents_m[0] / _OBJECT_SIZE_M, each.mass_kg / _OBJECT_MASS_KG, each.friction) for each in physics
        ]
    finger_m = np.array([[each.finger_position_m] for each in measured])
    state[:, layout["fingers"]] = 2.0 * finger_m / ARM.finger_max_m - 1.0
    state[:, layout["arm"]] = [sim.true_arm_position() for sim in sims]
    state[:, layout["arm_velocity"]] = [each.velocity for each in measured]
    commanded_rad = np.array([setpoint.position for setpoint in setpoints])
    state[:, layout["tracking"]] = commanded_rad - np.array([each.position for each in measured])
    state[:, layout["command_velocity"]] = [setpoint.velocity for setpoint in setpoints]
    state[:, layout["last_actions"]] = last_actions.reshape(len(sims), -1)
    state[:, layout["latency"]] = [
        (each.camera_latency_s / _DELAY_UNIT_S, each.command_latency_s / _DELAY_UNIT_S) for each in samples
    ]
    if task.goal_moves:
        state[:, layout["goal_velocity"]] = np.array([sim.goal_velocity_m_s for sim in sims]) / POSITION_UNIT_M
    if task.timed:
        state[:, layout["time_left"]] = [[sim.time_left_s / sim.episode_config.episode_s] for sim in sims]
        state[:, layout["coasting"]] = [_coasting_m(sim) / _COASTING_UNIT_M for sim in sims]
    return state


def _coasting_m(sim: Simulation) -> FloatArray:
    """Return how far (2,) the main object would slide on a table with nothing in its way: v |v| / (2 mu g)."""
    name = sim.task.main_body
    velocity = sim.engine.object_velocity(name)[:2]
    friction = sim.episode.objects[name].physics.friction
    way_m: FloatArray = velocity * np.linalg.norm(velocity) / (2.0 * friction * GRAVITY_M_S2)
    return way_m
