"""Bring the gripper to a place relative to the block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fetch_sim2real.graph import BLOCK_FRAME
from fetch_sim2real.tasks.base import RED_BLOCK, EpisodeConfig, LearningConfig, Task, uniform
from fetch_sim2real.tasks.scripted_baseline import CLOSED, EstimatedState, move

if TYPE_CHECKING:
    import torch

# Share of the remaining way that is gone in a period: with delays of three periods more would overshoot.
_GAIN: Final = 0.15


def scripted(now: EstimatedState) -> torch.Tensor:
    """Go straight to a place given relative to the block."""
    return move(now.objects_m[BLOCK_FRAME] + now.goal_m - now.grip_m, CLOSED, _GAIN)


TASK: Final = Task(
    name="reach_block",
    description="bring the gripper to a place relative to the block",
    goal_frame=BLOCK_FRAME,
    objects={BLOCK_FRAME: RED_BLOCK},
    episode=EpisodeConfig(
        episode_s=4.0,
        start_grip_m=(uniform(0.54, 0.70), uniform(-0.20, 0.20), uniform(0.84, 0.93)),
        object_x_m=uniform(0.53, 0.73),
        object_y_m=uniform(-0.23, 0.23),
        goal_m=(uniform(-0.06, 0.06), uniform(-0.06, 0.06), uniform(0.06, 0.18)),
    ),
    learning=LearningConfig(goal_centre_m=(0.0, 0.0, 0.12)),
    scripted=scripted,
)
