"""Put the red block on the blue one, and let it go. Nobody has scripted it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from fetch_sim2real.tasks.base import (
    GOAL,
    GRIPPER,
    RED_BLOCK,
    EpisodeConfig,
    LearningConfig,
    ObjectConfig,
    Skill,
    Task,
    fixed,
    uniform,
)
from fetch_sim2real.types import BoolArray, FloatArray

_RED, _BLUE = "block", "blue_block"
# Let go is what fingers this far open, wider than the largest block's diagonal, or a gripper this far away cannot hold.
_OPEN_M: Final = 0.042
_AWAY_M: Final = 0.06


class StackTask(Task):
    """The red block counts as being on the blue one once nothing holds it."""

    def skills_allowed(
        self, grip_m: FloatArray, objects_m: Mapping[str, FloatArray], finger_m: FloatArray
    ) -> BoolArray:
        """See Task."""
        allowed = super().skills_allowed(grip_m, objects_m, finger_m)
        away = np.linalg.norm(grip_m - objects_m[_RED], axis=-1) >= _AWAY_M
        allowed[:, -1] = away | (finger_m >= _OPEN_M)
        return allowed


TASK: Final = StackTask(
    name="stack",
    description="put the red block on the blue one and let it go",
    target=_RED,
    goal_frame=_BLUE,
    controls_gripper=True,
    objects={
        _RED: RED_BLOCK,
        _BLUE: ObjectConfig(
            mass_kg=uniform(0.10, 0.20), color_hsv=(uniform(205.0, 230.0), fixed(0.9), uniform(0.5, 0.9))
        ),
    },
    chain=(
        Skill(GRIPPER, GRIPPER, _RED, hand_over_m=0.03),
        # Held or not: to get there is learned long before letting go is.
        Skill("carry", _RED, GOAL, hand_over_m=0.025, follows=True),
        Skill("stack", _RED, GOAL, follows=True),
    ),
    episode=EpisodeConfig(
        episode_s=10.0,
        start_grip_m=(uniform(0.54, 0.70), uniform(-0.18, 0.18), uniform(0.84, 0.92)),
        object_x_m=uniform(0.56, 0.72),
        object_y_m=uniform(-0.20, 0.20),
        goal_m=(fixed(0.0), fixed(0.0), fixed(0.05)),
        tolerance_m=0.025,
    ),
    learning=LearningConfig(goal_scale_m=(0.05, 0.05, 0.05), relay_steps=600_000),
)
