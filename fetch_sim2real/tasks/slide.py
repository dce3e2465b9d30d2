"""Strike the puck so that it stops at a place out of reach."""

from __future__ import annotations

from typing import Final

from fetch_sim2real.tasks.base import EpisodeConfig, ObjectConfig, Task, fixed, uniform

TASK: Final = Task(
    name="slide",
    description="strike the puck so that it stops at a place out of reach",
    target="puck",
    objects={
        "puck": ObjectConfig(
            shape=("cylinder",),
            half_size_m=fixed(0.03),
            height_factor=fixed(0.5),
            friction=fixed(0.10),
            yaw_deg=fixed(0.0),
        )
    },
    episode=EpisodeConfig(
        episode_s=4.0,
        start_grip_m=(uniform(0.52, 0.66), uniform(-0.15, 0.15), uniform(0.80, 0.90)),
        object_x_m=uniform(0.58, 0.66),
        object_y_m=uniform(-0.12, 0.12),
        goal_m=(uniform(0.88, 1.05), uniform(-0.25, 0.25), fixed(0.735)),
        min_start_distance_m=0.15,
    ),
)
