"""Push the block off a belt, which turns round unannounced, to a place beside it.

The belt is a strip of the table. While the block's centre is on it, it is carried at 5 to 10 cm/s; beside it, it is
free. When the belt turns is drawn before the episode and told to nobody.
"""

from __future__ import annotations

from typing import Final

from fetch_sim2real.tasks import push
from fetch_sim2real.tasks.base import RED_BLOCK, EpisodeConfig, LearningConfig, Task, fixed, uniform
from fetch_sim2real.tasks.carrying import BeltConfig

_BLOCK: Final = "block"
BELT: Final = BeltConfig(x_m=(0.55, 0.65), y_m=(-0.28, 0.28), speed_m_s=uniform(0.05, 0.10), leg_s=uniform(0.8, 3.0))

TASK: Final = Task(
    name="intercept",
    description="push the block off a belt that turns round, to a place beside it",
    target=_BLOCK,
    objects={_BLOCK: RED_BLOCK},
    carried={_BLOCK: BELT},
    episode=EpisodeConfig(
        episode_s=8.0,
        start_grip_m=(uniform(0.52, 0.72), uniform(-0.20, 0.20), uniform(0.80, 0.92)),
        object_x_m=uniform(0.585, 0.615),
        object_y_m=uniform(-0.18, 0.18),
        # Within the tolerance of a goal the block is off the belt.
        goal_m=(uniform(0.71, 0.76), uniform(-0.18, 0.18), fixed(0.745)),
    ),
    learning=LearningConfig(goal_centre_m=(0.63, 0.0, 0.78), relay_steps=600_000),
    # Where the block is once a Kalman filter has led it, it is pushed as one at rest.
    scripted=push.scripted,
)
