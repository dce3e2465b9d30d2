"""A baseline without learned behaviour: the actor's encoder says where things are, the scripted demonstrator acts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from fetch_sim2real.perception.observe import Observation
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.training.estimated_state import seen_situation
from fetch_sim2real.training.learning_task import LEARNING_TASKS
from fetch_sim2real.types import FloatArray


class ScriptedPolicy:
    """Takes a bundle's place: what its actor is told goes to the demonstrator that it has learned from."""

    def __init__(self, bundle: PolicyBundle) -> None:
        self._actor = bundle.actor
        self._demonstrate = LEARNING_TASKS[bundle.manifest.task].demonstrate
        goal = bundle.manifest.observation.vector[:3]
        self._goal_centre_m = torch.tensor([value.centre for value in goal])
        self._goal_scale_m = torch.tensor([value.scale for value in goal])

    def reset(self, environments: Sequence[int] | None = None) -> None:
        """Nothing is remembered."""

    def act(self, observations: Sequence[Observation], environments: Sequence[int] | None = None) -> FloatArray:
        """See Policy: the demonstrator's actions; fingers that the actor is not told of count as closed."""
        images = [observation.image for observation in observations]
        vectors = torch.stack([torch.from_numpy(observation.vector) for observation in observations])
        with torch.inference_mode():
            bottleneck = self._actor.encode(
                torch.stack([torch.from_numpy(image.rgb) for image in images]),
                torch.stack([torch.from_numpy(image.depth_mm) for image in images]),
            )
            goal_m = vectors[:, :3] * self._goal_scale_m + self._goal_centre_m
            closed = torch.zeros(len(observations))
            actions = self._demonstrate(seen_situation(self._actor, bottleneck, vectors, goal_m, closed))
        chosen: FloatArray = actions.numpy().astype(np.float64)
        return chosen
