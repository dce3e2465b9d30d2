"""Where the gripper is aimed at most: a margin inside of the safety filter's room, as actors were trained."""

from __future__ import annotations

import json
from typing import Final

import numpy as np

from fetch_sim2real.arm.ik import TargetBox
from fetch_sim2real.common.ranges import box_of
from fetch_sim2real.common.validation import one_line, shortened
from fetch_sim2real.errors import SetupError
from fetch_sim2real.workcell import WorkcellConfig

# How far inside of the workspace.
_MARGIN_M: Final = 0.01
# Pointing down at that height, the gripper keeps 6.5 mm over the table; the filter wants 4.
_OVER_TABLE_M: Final = 0.025


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
    """What an actor's own box and its world's have in common; SetupError if that is nothing."""
    lower, upper = np.maximum(trained[0], of_world[0]), np.minimum(trained[1], of_world[1])
    if np.any(lower >= upper):
        raise SetupError(
            f"the policy aims its gripper between {_corners(trained)} m in base_link, the world leaves "
            f"{_corners(of_world)} m (workspace_m less {_MARGIN_M} m, {_OVER_TABLE_M} m over the table): nothing in "
            "common; check workcell.workspace_m and workcell.table.height_m of the world, or train for them"
        )
    return lower, upper


def box_text(box: TargetBox) -> str:
    """JSON for diagnostics."""
    return json.dumps([corner.tolist() for corner in box])


def box_told(text: str) -> TargetBox | None:
    """What ``box_text`` has written; None for an empty text. SetupError if it makes no sense."""
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
