"""What a demonstrator is told when it answers for an actor: nothing but what the actor itself is told.

Asked about true positions, it would show what the actor cannot know: one action for all that looks alike is then an
average of several, and an average of "push" and "go around" is to stand still.
"""

from __future__ import annotations

import torch

from fetch_sim2real.perception.observe import ObservationSpec
from fetch_sim2real.policy.network import Actor
from fetch_sim2real.training.demonstrators import Situation
from fetch_sim2real.training.learning_task import SEEN_GRIP, SEEN_OBJECT


def seen_situation(
    actor: Actor, bottleneck: torch.Tensor, vector: torch.Tensor, goal_m: torch.Tensor, finger_m: torch.Tensor
) -> Situation:
    """The situation as seen: ``bottleneck`` (B, b), ``vector`` (B, n); goals (B, 3) [m] in the task's goal frame.

    ``finger_m`` (B,) [m] is used by an actor that is not told: fingers are as visible as the gripper.
    """
    seen = actor.auxiliary(bottleneck)
    thing, seen_grip = seen[:, SEEN_OBJECT], seen[:, SEEN_GRIP]
    if not actor.observation.proprioception:
        return Situation(seen_grip, thing, goal_m, finger_m, torch.zeros_like(seen_grip))
    spec = actor.observation
    grip = _position(spec, vector, "grip")
    coming_m = _position(spec, vector, "commanded") - grip if spec.commanded else torch.zeros_like(grip)
    # The joints know the gripper to a few millimetres. By how much it is seen elsewhere is an error of the camera's
    # pose, which the object shares, or of the encoder alone: half of it is taken for the former.
    return Situation(grip, thing - 0.5 * (seen_grip - grip), goal_m, _measured(spec, vector, "finger"), coming_m)


def _position(spec: ObservationSpec, vector: torch.Tensor, stem: str) -> torch.Tensor:
    return torch.stack([_measured(spec, vector, f"{stem}_{axis}") for axis in "xyz"], dim=-1)


def _measured(spec: ObservationSpec, vector: torch.Tensor, name: str) -> torch.Tensor:
    index = [value.name for value in spec.vector].index(name)
    value = spec.vector[index]
    return vector[:, index] * value.scale + value.centre
