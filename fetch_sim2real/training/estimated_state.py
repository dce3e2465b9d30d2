"""The estimated state that a scripted baseline acts on: only what the actor itself observes.

Asked about true positions, it would show what the actor cannot know: one action for all that looks alike is then an
average of several, and an average of "push" and "go around" is to stand still.
"""

from __future__ import annotations

import torch

from fetch_sim2real.perception.observe import ObservationSpec
from fetch_sim2real.policy.network import Actor
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.tasks.scripted_baseline import EstimatedState
from fetch_sim2real.training.specs import ESTIMATED_GRIP, estimate_layout, estimate_name


def estimated_state(
    task: Task, actor: Actor, bottleneck: torch.Tensor, vector: torch.Tensor, goal_m: torch.Tensor,
    finger_m: torch.Tensor,
) -> EstimatedState:  # fmt: skip
    """Return the state as the actor estimates it: ``bottleneck`` (B, b), ``vector`` (B, n), goals (B, 3) [m] in the
    task's goal frame.

    ``finger_m`` (B,) [m] is used by an actor that is not told: fingers are as visible as the gripper.
    """
    estimated, layout = actor.auxiliary(bottleneck), estimate_layout(task)
    estimated_grip = layout.part(estimated, ESTIMATED_GRIP)
    objects = {name: layout.part(estimated, estimate_name(task, name)) for name in task.bodies}
    if not actor.observation.proprioception:
        return EstimatedState(estimated_grip, objects, goal_m, finger_m, torch.zeros_like(estimated_grip))
    spec = actor.observation
    grip = _position(spec, vector, "grip")
    coming_m = _position(spec, vector, "commanded") - grip if spec.commanded else torch.zeros_like(grip)
    # The joints know the gripper to a few millimetres. By how much it is seen elsewhere is an error of the camera's
    # pose, which the objects share, or of the encoder alone: half of it is taken for the former.
    shared_m = 0.5 * (estimated_grip - grip)
    objects = {name: position - shared_m for name, position in objects.items()}
    return EstimatedState(grip, objects, goal_m, _measured(spec, vector, "finger"), coming_m)


def _position(spec: ObservationSpec, vector: torch.Tensor, stem: str) -> torch.Tensor:
    return torch.stack([_measured(spec, vector, f"{stem}_{axis}") for axis in "xyz"], dim=-1)


def _measured(spec: ObservationSpec, vector: torch.Tensor, name: str) -> torch.Tensor:
    index = [value.name for value in spec.vector].index(name)
    value = spec.vector[index]
    return vector[:, index] * value.scale + value.centre
