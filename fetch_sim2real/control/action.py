"""From the actor's action to a joint command, the same in training, in simulation and on the robot.

The gripper is aimed inside of a box, a margin inside of the safety filter's room, as actors were trained.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.ik import DifferentialIk, TargetBox
from fetch_sim2real.arm.spec import ArmSpec
from fetch_sim2real.common.ranges import box_of
from fetch_sim2real.common.small_arrays import all_finite
from fetch_sim2real.common.validation import one_line, shortened
from fetch_sim2real.errors import CommandError, SetupError
from fetch_sim2real.timing import CONTROL_PERIOD_S
from fetch_sim2real.types import FloatArray, JointCommand, JointSetpoint
from fetch_sim2real.workcell import WorkcellConfig

# Gripper displacement [m] per control period of a full action, of actors that are trained here.
ACTION_SCALE_M: Final = 0.02


# How far inside of the workspace.
_MARGIN_M: Final = 0.01
# Pointing down at that height, the gripper keeps 6.5 mm over the table; the filter wants 4.
_OVER_TABLE_M: Final = 0.025


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
    """Return the command for one control period.

    ``action`` (4,) in [-1, 1]: gripper displacement per period along base_link's axes in units of ``scale_m``, and
    gripper opening. The gripper is not asked to leave ``target_box_m``, lower and upper corner (3,): actors were
    trained to stay inside of where the safety filter takes from their motion. ``setpoint`` is the arm's commanded
    state at the period's start, as the driver reported it: the driver alone owns the commanded state, so a refused or
    limited command cannot build up in the policy. ``stamp_ns`` is the stamp of the observation behind the action.
    """
    (command,) = actions_to_commands(
        action[None], [setpoint], ik, scale_m, controls_gripper, target_box_m, [stamp_ns], arm
    )
    return command


def actions_to_commands(
    actions: FloatArray,
    setpoints: Sequence[JointSetpoint],
    ik: DifferentialIk,
    scale_m: float,
    controls_gripper: bool,
    target_box_m: TargetBox,
    stamps_ns: Sequence[int],
    arm: ArmSpec = ARM,
) -> list[JointCommand]:
    """Return ``action_to_command`` of each of the actions (N, 4), bit for bit."""
    if actions.shape[1:] != (4,) or not all_finite(actions):
        wrong = next((each for each in actions if each.shape != (4,) or not all_finite(each)), actions)
        raise CommandError(f"the action is {np.array2string(np.asarray(wrong))}, expected four finite numbers")
    clipped = np.minimum(np.maximum(actions, -1.0), 1.0)
    start = np.array([setpoint.position for setpoint in setpoints])
    start_velocity = np.array([setpoint.velocity for setpoint in setpoints])
    velocity = ik.steps(start, clipped[:, :3] * scale_m, target_box_m) / CONTROL_PERIOD_S
    # Constant acceleration from the present commanded velocity to the wanted one.
    position = start + 0.5 * (start_velocity + velocity) * CONTROL_PERIOD_S
    finger_m = ((clipped[:, 3] + 1.0) / 2.0 * arm.finger_max_m).tolist()
    return [
        JointCommand(stamp_ns, position[row], velocity[row], finger_m[row] if controls_gripper else None)
        for row, stamp_ns in enumerate(stamps_ns)
    ]


def target_box_of(workcell: WorkcellConfig) -> TargetBox:
    """Return lower and upper corner (3,) [m] in base_link of where the gripper is aimed.

    That is the workspace over the table, less a margin. A table of varying height counts at its highest, as for the
    filter.
    """
    lower, upper = box_of(workcell.workspace_m)
    lower, upper = lower + _MARGIN_M, upper - _MARGIN_M
    lower[2] = max(lower[2], workcell.highest_table_m + _OVER_TABLE_M)
    return lower, upper


def common_box(trained: TargetBox, of_world: TargetBox) -> TargetBox:
    """Return what an actor's own box and its world's have in common; SetupError if that is nothing."""
    lower, upper = np.maximum(trained[0], of_world[0]), np.minimum(trained[1], of_world[1])
    if np.any(lower >= upper):
        raise SetupError(
            f"the policy aims its gripper between {_corners(trained)} m in base_link, the world leaves "
            f"{_corners(of_world)} m (workspace_m less {_MARGIN_M} m, {_OVER_TABLE_M} m over the table): nothing in "
            "common; check workcell.workspace_m and workcell.table.height_m of the world, or train for them"
        )
    return lower, upper


def box_text(box: TargetBox) -> str:
    """Return JSON for diagnostics."""
    return json.dumps([corner.tolist() for corner in box])


def box_told(text: str) -> TargetBox | None:
    """Return what ``box_text`` has written; None for an empty text. SetupError if it makes no sense."""
    if not text:
        return None
    expected = f"the policy node's world_box_m is {shortened(repr(text))}, expected two corners of three finite numbers"
    try:
        lower, upper = (np.array(corner, dtype=np.float64) for corner in json.loads(text))
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise SetupError(f"{expected}: {one_line(error)}") from None
    if lower.shape != (3,) or upper.shape != (3,) or not np.all(np.isfinite([lower, upper])):
        raise SetupError(expected)
    return lower, upper


def _corners(box: TargetBox) -> str:
    return " and ".join(str(corner.round(3).tolist()) for corner in box)
