"""What this project's own actors see, unless told otherwise."""

from __future__ import annotations

from typing import Final

from fetch_sim2real.perception.observe import ObservationSpec, make_observation_spec
from fetch_sim2real.perception.preprocess import ImageSpec

# The part of the camera's 42.5 degrees that holds the workspace, with room for an error of the camera's pose.
IMAGE: Final = ImageSpec(size=96, fov_deg=28.0, depth_near_m=0.5, depth_far_m=1.8, channels="rgbd")
LAST_ACTIONS: Final = 3


def observation_spec(
    proprioception: bool,
    goal_centre_m: tuple[float, float, float],
    goal_scale_m: tuple[float, float, float],
    image: ImageSpec = IMAGE,
) -> ObservationSpec:
    """Return what the actor sees: image, goal, its last actions, and, with ``proprioception``, its gripper's measured
    and commanded position and its fingers."""
    return make_observation_spec(
        image,
        proprioception=proprioception,
        commanded=proprioception,
        last_actions=LAST_ACTIONS,
        goal_centre_m=goal_centre_m,
        goal_scale_m=goal_scale_m,
        grip_centre_m=(0.63, 0.0, 0.84),
        grip_scale_m=(0.1, 0.1, 0.1),
    )
