"""Strike the puck so that it stops at a place out of reach.

The gripper is aimed at x <= 0.81 m in base_link (the target box of the shipped worlds); driven straight ahead at the
height of the table it gets to 0.815 m (``nominal``; 0.816 m in ``randomized``). Goals begin at 0.92 m, so that each is
at least 10 cm beyond: the puck has to be let go. A stroke along x has 0.40 m/s at x = 0.54 m and 0.33 m/s at 0.60 m
under the default limits; the arm is slower the further it stretches. So the puck slides as on an air table: from
0.40 m/s to rest in 0.41 m and 2.0 s. ``benchmarks/slide_attainable.py`` measures the reach and says which goals some
stroke attains.
"""

from __future__ import annotations

from typing import Final

from fetch_sim2real.tasks.base import EpisodeConfig, LearningConfig, ObjectConfig, Task, fixed, uniform

TASK: Final = Task(
    name="slide",
    description="strike the puck so that it stops at a place out of reach",
    target="puck",
    objects={
        "puck": ObjectConfig(
            shape=("cylinder",),
            half_size_m=fixed(0.03),
            # High enough for a gripper that keeps clear of the highest table.
            height_factor=fixed(0.7),
            friction=fixed(0.02),
            drag=fixed(0.0),
            yaw_deg=fixed(0.0),
        )
    },
    episode=EpisodeConfig(
        episode_s=6.0,
        start_grip_m=(uniform(0.52, 0.66), uniform(-0.15, 0.15), uniform(0.80, 0.90)),
        object_x_m=uniform(0.56, 0.64),
        object_y_m=uniform(-0.12, 0.12),
        goal_m=(uniform(0.92, 1.00), uniform(-0.18, 0.18), fixed(0.741)),
        min_start_distance_m=0.15,
    ),
    learning=LearningConfig(relay_steps=900_000),
    timed=True,
)
