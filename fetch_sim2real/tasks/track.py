"""Keep the gripper at a place relative to a block that is carried along a curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fetch_sim2real.graph import BLOCK_FRAME
from fetch_sim2real.tasks.base import RED_BLOCK, EpisodeConfig, LearningConfig, Task, uniform
from fetch_sim2real.tasks.carrying import LissajousConfig
from fetch_sim2real.tasks.scripted_baseline import CLOSED, EstimatedState, move

if TYPE_CHECKING:
    import torch

# Share of the remaining way that is gone in a period. The block's velocity is in no picture: the gripper lags behind.
_GAIN: Final = 0.25

CURVES: Final = LissajousConfig(
    x_m=(0.54, 0.74), y_m=(-0.22, 0.22), half_x_m=uniform(0.04, 0.07), half_y_m=uniform(0.06, 0.12), mean_m_s=0.05,
    fastest_m_s=0.10,
)  # fmt: skip


def scripted(now: EstimatedState) -> torch.Tensor:
    """Go straight to where the place is now."""
    return move(now.objects_m[BLOCK_FRAME] + now.goal_m - now.grip_m - now.coming_m, CLOSED, _GAIN)


TASK: Final = Task(
    name="track",
    description="keep the gripper at a place relative to a block that is carried along a curve",
    goal_frame=BLOCK_FRAME,
    objects={BLOCK_FRAME: RED_BLOCK},
    carried={BLOCK_FRAME: CURVES},
    episode=EpisodeConfig(
        episode_s=8.0,
        start_grip_m=(uniform(0.54, 0.70), uniform(-0.20, 0.20), uniform(0.84, 0.93)),
        object_x_m=uniform(0.56, 0.72),
        object_y_m=uniform(-0.18, 0.18),
        goal_m=(uniform(-0.05, 0.05), uniform(-0.06, 0.06), uniform(0.08, 0.16)),
        tolerance_m=0.02,
        rms_s=4.0,
    ),
    learning=LearningConfig(goal_centre_m=(0.0, 0.0, 0.12)),
    scripted=scripted,
)
