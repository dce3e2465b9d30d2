"""The simulator's full state as critics see it: never an input of an actor that is to be deployed."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.common.layout import Layout
from fetch_sim2real.perception.observe import ACTION_SIZE
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.types import FloatArray, JointSetpoint

_CENTRE_M: Final = np.array([0.63, 0.0, 0.80])
POSITION_UNIT_M: Final = 0.2
_DELAY_UNIT_S: Final = 0.1
_OBJECT_SIZE_M, _OBJECT_MASS_KG = 0.025, 0.1


@cache
def full_state_layout(objects: tuple[str, ...], last_actions: int, goal_moves: bool = False) -> Layout:
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
    )


def layout_of(task: Task, last_actions: int) -> Layout:
    """Return what stands where in the full state of ``task`` with so many last actions."""
    return full_state_layout(tuple(task.bodies), last_actions, task.goal_moves)


def full_state(sim: Simulation, setpoint: JointSetpoint, last_actions: FloatArray) -> FloatArray:
    """Return the full state (p,): positions, motion, commands, delays, the objects' nature.

    ``setpoint`` is the arm's commanded state, ``last_actions`` (n, 4) the last actions, newest first.
    """
    layout = layout_of(sim.task, len(last_actions))
    measured, sample = sim.measured(), sim.episode
    # Written in place: joining a dozen small arrays takes longer than all of this.
    state = np.empty(layout.size)
    state[layout["grip"]] = (sim.grip_position_m - _CENTRE_M) / POSITION_UNIT_M
    for name in sim.task.bodies:
        now, physics = sim.engine.object_state(name), sample.objects[name].physics
        state[layout[f"{name}.position"]] = (now.position_m - _CENTRE_M) / POSITION_UNIT_M
        state[layout[f"{name}.rotation"]] = now.rotation[:2].reshape(-1)
        state[layout[f"{name}.velocity"]] = sim.engine.object_velocity(name) / POSITION_UNIT_M
        state[layout[f"{name}.nature"]] = (
            physics.half_extents_m[0] / _OBJECT_SIZE_M, physics.mass_kg / _OBJECT_MASS_KG, physics.friction
        )  # fmt: skip
    state[layout["fingers"]] = 2.0 * measured.finger_position_m / ARM.finger_max_m - 1.0
    state[layout["arm"]] = sim.true_arm_position()
    state[layout["arm_velocity"]] = measured.velocity
    state[layout["tracking"]] = setpoint.position - measured.position
    state[layout["command_velocity"]] = setpoint.velocity
    state[layout["last_actions"]] = last_actions.reshape(-1)
    state[layout["latency"]] = sample.camera_latency_s / _DELAY_UNIT_S, sample.command_latency_s / _DELAY_UNIT_S
    if sim.task.goal_moves:
        state[layout["goal_velocity"]] = sim.goal_velocity_m_s / POSITION_UNIT_M
    return state
