"""Bring the gripper to a place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fetch_sim2real.tasks.base import EpisodeConfig, LearningConfig, Task, fixed, uniform
from fetch_sim2real.tasks.scripted_baseline import CLOSED, EstimatedState, move

if TYPE_CHECKING:
    import torch

# Share of the remaining way that is gone in a period: with delays of three periods more would overshoot.
_GAIN: Final = 0.15


def scripted(now: EstimatedState) -> torch.Tensor:
    """Go straight to a place in base_link."""
    return move(now.goal_m - now.grip_m, CLOSED, _GAIN)


TASK: Final = Task(
    name="reach",
    description="bring the gripper to a place",
    episode=EpisodeConfig(
        episode_s=3.0,
        start_grip_m=(uniform(0.54, 0.70), uniform(-0.20, 0.20), uniform(0.80, 0.93)),
        object_x_m=fixed(0.0),
        object_y_m=fixed(0.0),
        goal_m=(uniform(0.50, 0.76), uniform(-0.25, 0.25), uniform(0.78, 0.95)),
    ),
    learning=LearningConfig(goal_centre_m=(0.63, 0.0, 0.85)),
    scripted=scripted,
)
