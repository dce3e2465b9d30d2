"""Carry the block to a place on or above the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fetch_sim2real.tasks.base import RED_BLOCK, EpisodeConfig, LearningConfig, Task, fixed, uniform
from fetch_sim2real.tasks.scripted_baseline import CLOSED, OPEN, EstimatedState, falls, length, motion, rises

if TYPE_CHECKING:
    import torch

# Fingers that have closed this far have the object between them.
_HOLDING_M: Final = 0.034
# An object that is held may be seen this far from the grip site, and is taken to be within the second of it.
_HELD_WITHIN_M: Final = (0.090, 0.120)
_IN_HAND_M: Final = 0.02
_ABOVE_M: Final = 0.07
_PICK_GAIN: Final = 0.12


def scripted(now: EstimatedState) -> torch.Tensor:
    """Go over the object with open fingers, down, close them, carry it to the goal and hold it there."""
    import torch

    to_object = now.objects_m["block"] - now.grip_m
    sideways_m, below_m = length(to_object[:, :2]), to_object[:, 2:].abs()
    aligned = falls(sideways_m, 0.010, 0.025)
    # Fingers that have stopped on something near the object hold it, whatever the positions say in detail: between the
    # fingers little of it is seen, and by as much as a hand's height elsewhere.
    finger_m = now.finger_m[:, None]
    stopped = falls(finger_m, _HOLDING_M, _HOLDING_M + 0.005) * rises(finger_m, 0.014, 0.018)
    distance_m = length(to_object)
    held = stopped * falls(distance_m, *_HELD_WITHIN_M)
    in_hand_m = now.grip_m + to_object * (_IN_HAND_M / distance_m.clamp(min=_IN_HAND_M))
    there = torch.maximum(held, falls(sideways_m, 0.014, 0.022) * falls(below_m, 0.022, 0.034))
    lift = torch.zeros_like(to_object)
    lift[:, 2:] = _ABOVE_M * (1.0 - aligned)
    way = now.goal_m - in_hand_m
    # Along the table the object is lifted first.
    carrying = way.clone()
    far = rises(length(way[:, :2]), 0.02, 0.04)
    carrying[:, 2:] = torch.maximum(way[:, 2:], 0.02 * far + way[:, 2:] * (1.0 - far))
    step = held * carrying + (1.0 - held) * (1.0 - there) * (to_object + lift)
    finger = OPEN + (CLOSED - OPEN) * there
    return torch.cat([motion(step, _PICK_GAIN), finger], dim=-1)


TASK: Final = Task(
    name="pick_and_place",
    description="carry the block to a place on or above the table",
    target="block",
    controls_gripper=True,
    objects={"block": RED_BLOCK},
    episode=EpisodeConfig(
        episode_s=6.0,
        start_grip_m=(uniform(0.54, 0.70), uniform(-0.18, 0.18), uniform(0.82, 0.92)),
        object_x_m=uniform(0.56, 0.72),
        object_y_m=uniform(-0.20, 0.20),
        goal_m=(uniform(0.55, 0.72), uniform(-0.20, 0.20), fixed(0.745)),
        air_share=0.5,
        air_z_m=uniform(0.80, 0.92),
    ),
    learning=LearningConfig(goal_centre_m=(0.63, 0.0, 0.78), relay_steps=600_000),
    scripted=scripted,
)
