"""Push the block along the table to a place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fetch_sim2real.tasks.base import RED_BLOCK, EpisodeConfig, LearningConfig, Task, fixed, uniform
from fetch_sim2real.tasks.scripted_baseline import CLOSED, EstimatedState, falls, length, move, rises

if TYPE_CHECKING:
    import torch

_BLOCK: Final = "block"
_BEHIND_M: Final = 0.065  # from the object's centre to where the closed gripper comes down behind it
_CLEAR_M: Final = 0.085  # how far above its centre the gripper passes over the object
_LOW_M: Final = 0.012  # height of the pushing gripper above the object's centre
# Never aims below this: lower down the safety filter takes from its motion.
_LOWEST_M: Final = 0.757
_PUSH_GAIN: Final = 0.2
# Slow enough that what is seen a tenth of a second late does not make the object overshoot its goal.
_PUSH_STEP_M: Final = 0.028
# Out of contact with the object from here on; how far it steps back at once until it is.
_TOUCHING_M: Final = (0.045, 0.065)
_BACK_M: Final = 0.08
# What is left of the upward motion in contact: rising against the object throws it.
_RISE_SHARE: Final = 0.1
_CONTACT_M: Final = 0.045  # along the push, between the centres of gripper and object


def _soon(now: EstimatedState) -> EstimatedState:
    """Return what will be once the motion on its way is made: the gripper elsewhere, and a block that it pushes."""
    import torch

    direction = torch.nn.functional.normalize((now.goal_m - now.objects_m[_BLOCK])[:, :2], dim=-1)
    offset = (now.grip_m - now.objects_m[_BLOCK])[:, :2]
    along = (offset * direction).sum(-1, keepdim=True)
    out_m = length(offset - along * direction)
    low = falls(now.grip_m[:, 2:] - now.goal_m[:, 2:], 0.030, 0.045)
    pushes = low * rises(-along, 0.020, 0.030) * falls(out_m, 0.025, 0.040)
    ahead = (now.coming_m[:, :2] * direction).sum(-1, keepdim=True)
    pushed_m = pushes * (along + ahead - along.clamp(min=-_CONTACT_M)).clamp(min=0.0)
    pushed = torch.nn.functional.pad(pushed_m * direction, (0, 1))
    return now._replace(grip_m=now.grip_m + now.coming_m, objects_m={_BLOCK: now.objects_m[_BLOCK] + pushed})


def scripted(now: EstimatedState) -> torch.Tensor:
    """Go over the object to the side away from the goal, come down, push, and leave it when it is there.

    One phase blends into the next, so that an actor with errors of a centimetre does not waver between two of them.
    """
    import torch

    now = _soon(now)
    way = (now.goal_m - now.objects_m[_BLOCK])[:, :2]
    left_m = length(way)
    direction = way / left_m.clamp(min=1e-6)
    offset = (now.grip_m - now.objects_m[_BLOCK])[:, :2]
    along = (offset * direction).sum(-1, keepdim=True)
    across = offset - along * direction
    # The object lies on the table, as its goal does, and the goal's height is known where the object's is only seen.
    height_m = now.goal_m[:, 2:]
    above_object = now.grip_m[:, 2:] - height_m
    # Once down behind the object, the gripper stays down unless it is clearly out of line.
    down = falls(above_object, 0.030, 0.045)
    behind = rises(-along + 0.015 * down, 0.028, 0.040)
    out_m = length(across) - 0.012 * down
    in_line = behind * falls(out_m, 0.012, 0.035)
    over_line = behind * falls(out_m, 0.020, 0.045)
    low = (height_m + _LOW_M).clamp(min=_LOWEST_M)
    height = low + (_CLEAR_M - _LOW_M) * (1.0 - over_line)
    # Pushing: ahead by what is left of the way, and back onto the line if the object slips to a side.
    ahead = direction * left_m.clamp(max=_PUSH_STEP_M) - across
    pushing = in_line * falls(above_object, 0.025, 0.050)
    # Approaching: to a place behind the object; up first where the way there would run into it.
    to_behind = -direction * _BEHIND_M - offset
    free = torch.maximum(rises(above_object, 0.035, 0.050), rises(length(offset), 0.065, 0.085))
    approaching = torch.maximum(free, in_line)
    distance_m = length(offset)
    touching = falls(distance_m, *_TOUCHING_M) * falls(above_object, 0.035, 0.050)
    back = offset / distance_m.clamp(min=1e-6) * (_BACK_M * touching)
    sideways = pushing * ahead + (1.0 - pushing) * (approaching * to_behind + (1.0 - approaching) * back)
    rise = height - now.grip_m[:, 2:]
    rise = torch.where(rise > 0.0, rise * (1.0 - (1.0 - _RISE_SHARE) * touching), rise)
    step = torch.cat([sideways, rise], dim=-1)
    # There, or nearly: stay, lest correcting a centimetre takes the object away again.
    return move(step * rises(left_m, 0.016, 0.034), CLOSED, _PUSH_GAIN)


TASK: Final = Task(
    name="push",
    description="push the block along the table to a place",
    target=_BLOCK,
    objects={_BLOCK: RED_BLOCK},
    episode=EpisodeConfig(
        episode_s=8.0,
        start_grip_m=(uniform(0.52, 0.72), uniform(-0.20, 0.20), uniform(0.80, 0.92)),
        object_x_m=uniform(0.55, 0.72),
        object_y_m=uniform(-0.20, 0.20),
        goal_m=(uniform(0.53, 0.74), uniform(-0.22, 0.22), fixed(0.745)),
    ),
    learning=LearningConfig(goal_centre_m=(0.63, 0.0, 0.78)),
    scripted=scripted,
)
