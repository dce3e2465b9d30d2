"""The task reach_block: bring the gripper to a place given relative to a block that only the camera sees."""

from __future__ import annotations

from typing import Final

import torch

from fetch_sim2real.observation.observe import ObservationSpec, ScaledValue, make_observation_spec
from fetch_sim2real.observation.preprocess import ImageSpec
from fetch_sim2real.policy.network import ActorSpec, default_actor_spec

TASK: Final = "reach_block"
# The part of the camera's 42.5 degrees that holds the workspace, with room for an error of the camera's pose.
IMAGE: Final = ImageSpec(size=84, fov_deg=35.0, depth_near_m=0.5, depth_far_m=1.8)
ACTION_SCALE_M: Final = 0.02
# Delays are up to three periods, so these actions tell where the gripper is by now.
LAST_ACTIONS: Final = 3


# Share of the remaining way that the demonstrator goes in a period: with delays of three periods more would overshoot.
_DEMONSTRATOR_GAIN: Final = 0.15


def demonstrate(achieved_m: torch.Tensor, goal_m: torch.Tensor) -> torch.Tensor:
    """Straight towards the goal, slower as it comes near: action (B, 4) from the *true* offsets (B, 3) [m].

    Works for hindsight goals as well. It sees what no actor sees, so it can be imitated and not deployed.
    """
    step = (goal_m - achieved_m) * (_DEMONSTRATOR_GAIN / ACTION_SCALE_M)
    return torch.nn.functional.pad(step.clamp(-1.0, 1.0), (0, 1))


def observation_spec(proprioception: bool) -> ObservationSpec:
    """What the actor sees: the image, the goal's offset from the block, and, if asked for, the gripper's position."""
    return make_observation_spec(
        IMAGE,
        proprioception=proprioception,
        last_actions=LAST_ACTIONS,
        goal_centre_m=(0.0, 0.0, 0.12),
        goal_scale_m=(0.1, 0.1, 0.1),
        grip_centre_m=(0.63, 0.0, 0.87),
        grip_scale_m=(0.1, 0.1, 0.1),
    )


def actor_spec() -> ActorSpec:
    """The bottleneck is where block and gripper are: positions in base_link, learned from pictures."""
    centres = {"block": (0.63, 0.0, 0.745), "grip": (0.63, 0.0, 0.87)}
    names = [(body, axis) for body in centres for axis in range(3)]
    auxiliary = tuple(
        ScaledValue(name=f"{body}_{'xyz'[axis]}", centre=centres[body][axis], scale=0.1) for body, axis in names
    )
    return default_actor_spec(auxiliary)
