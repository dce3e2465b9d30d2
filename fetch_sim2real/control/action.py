"""From the actor's action to a joint command, the same in training, in simulation and on the robot."""

from __future__ import annotations

from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.ik import DifferentialIk, TargetBox
from fetch_sim2real.arm.spec import ArmSpec
from fetch_sim2real.common.small_arrays import all_finite
from fetch_sim2real.errors import CommandError
from fetch_sim2real.timing import CONTROL_PERIOD_S
from fetch_sim2real.types import FloatArray, JointCommand, JointSetpoint

# Gripper displacement [m] per control period of a full action, of actors that are trained here.
ACTION_SCALE_M: Final = 0.02


def action_to_command(
    action: FloatArray,
    setpoint: JointSetpoint,
    ik: DifferentialIk,
    scale_m: float,
    controls_gripper: bool,
    target_box_m: TargetBox,
    stamp_ns: int,
    arm: ArmSpec = ARM,
) -> JointCommand:
    """The command for one control period.

    ``action`` (4,) in [-1, 1]: gripper displacement per period along base_link's axes in units of ``scale_m``, and
    gripper opening. The gripper is not asked to leave ``target_box_m``, lower and upper corner (3,): actors were
    trained to stay inside of where the safety filter takes from their motion. ``setpoint`` is the arm's commanded
    state at the period's start, as the driver reported it: the driver alone owns the commanded state, so a refused or
    limited command cannot build up in the policy. ``stamp_ns`` is the stamp of the observation behind the action.
    """
    if action.shape != (4,) or not all_finite(action):
        raise CommandError(f"the action is {np.array2string(action)}, expected four finite numbers")
    clipped = np.minimum(np.maximum(action, -1.0), 1.0)
    step = ik.step(setpoint.position, clipped[:3] * scale_m, target_box_m)
    velocity = step / CONTROL_PERIOD_S
    return JointCommand(
        stamp_ns=stamp_ns,
        # Constant acceleration from the present commanded velocity to the wanted one.
        position=setpoint.position + 0.5 * (setpoint.velocity + velocity) * CONTROL_PERIOD_S,
        velocity=velocity,
        finger_position_m=float((clipped[3] + 1.0) / 2.0 * arm.finger_max_m) if controls_gripper else None,
    )
