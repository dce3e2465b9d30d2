"""The simulator's full state as critics see it: never an input of an actor that is to be deployed.

The vector's layout, in this order:

======  ====================================================================================================
size    meaning
======  ====================================================================================================
3, 3    gripper and object position in base_link, from (0.63, 0, 0.80) m, in units of 0.2 m
6       first two rows of the object's rotation
6       the object's linear and angular velocity, in units of 0.2 m/s and 0.2 rad/s
1       opening of the fingers, -1 closed, 1 open
7, 7    arm: true joint positions [rad], measured joint velocities [rad/s]
7, 7    arm: commanded minus measured position [rad], commanded velocity [rad/s]
4 each  the last actions, newest first
2       latency of camera and of commands, in units of 0.1 s
3       the object: half size in units of 0.025 m, mass in units of 0.1 kg, friction
======  ====================================================================================================
"""

from __future__ import annotations

from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.episode import ClosedLoop
from fetch_sim2real.perception.observe import ACTION_SIZE, ObservationSpec
from fetch_sim2real.types import FloatArray

_CENTRES_M: Final = np.array([0.63, 0.0, 0.80, 0.63, 0.0, 0.80])
_POSITION_UNIT_M, _DELAY_UNIT_S = 0.2, 0.1
_OBJECT_SIZE_M, _OBJECT_MASS_KG = 0.025, 0.1
# All but the last actions.
_FIXED_SIZE: Final = 3 + 3 + 6 + 6 + 1 + 4 * len(ARM.joint_names) + 2 + 3


def full_state(loop: ClosedLoop, last_actions: FloatArray) -> FloatArray:
    """The full simulator state (p,) that the critic sees: positions, motion, commands, delays, the object's nature."""
    sim, draw = loop.sim, loop.sim.episode
    measured, setpoint, thing = sim.measured(), loop.setpoint, draw.dynamics.object
    state = np.empty(_FIXED_SIZE + last_actions.size)
    # Written in place: joining a dozen small arrays takes longer than all of this.
    state[0:3], state[3:6] = sim.grip_position_m, sim.block_position_m
    state[0:6] = (state[0:6] - _CENTRES_M) / _POSITION_UNIT_M
    state[6:12] = sim.object_rotation.reshape(9)[:6]
    state[12:18] = sim.object_velocity / _POSITION_UNIT_M
    state[18] = 2.0 * measured.finger_position_m / ARM.finger_max_m - 1.0
    state[19:26], state[26:33] = sim.true_arm_position(), measured.velocity
    state[33:40], state[40:47] = setpoint.position - measured.position, setpoint.velocity
    state[47:-5] = last_actions.reshape(-1)
    state[-5], state[-4] = draw.camera_latency_s / _DELAY_UNIT_S, draw.command_latency_s / _DELAY_UNIT_S
    state[-3], state[-2] = thing.half_extents_m[0] / _OBJECT_SIZE_M, thing.mass_kg / _OBJECT_MASS_KG
    state[-1] = thing.friction
    return state


def full_state_size(spec: ObservationSpec) -> int:
    """Length p of ``full_state``."""
    return _FIXED_SIZE + spec.last_actions * ACTION_SIZE


def truth_now(loop: ClosedLoop) -> FloatArray:
    """Present gripper and object position [m] and finger opening [m], (7,)."""
    truth = loop.sim.truth()
    return np.concatenate([truth.grip_m, truth.object_m, [loop.sim.measured().finger_position_m]])
