"""A baseline without learned behaviour: the actor's encoder says where things are, the scripted demonstrator acts."""

from __future__ import annotations

import numpy as np
import torch

from fetch_sim2real.perception.observe import ActionHistory, Observation
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.training.estimated_state import seen_situation
from fetch_sim2real.training.learning_task import LEARNING_TASKS
from fetch_sim2real.types import FloatArray


class ScriptedPolicy:
    """Takes a bundle's place: what its actor is told goes to the demonstrator that it has learned from."""

    def __init__(self, bundle: PolicyBundle) -> None:
        self._actor = bundle.actor
        self._demonstrate = LEARNING_TASKS[bundle.manifest.task].demonstrate
        spec = bundle.manifest.observation
        self._history = ActionHistory(spec.last_actions)
        goal = spec.vector[:3]
        self._goal_centre_m = torch.tensor([value.centre for value in goal])
        self._goal_scale_m = torch.tensor([value.scale for value in goal])

    @property
    def last_actions(self) -> FloatArray:
        """As ``Policy.last_actions``."""
        return self._history.recent()

    def act(self, observation: Observation) -> FloatArray:
        """The demonstrator's action (4,) in [-1, 1]; fingers that the actor is not told of count as closed."""
        image, vector = observation.image, torch.from_numpy(observation.vector)[None]
        with torch.inference_mode():
            bottleneck = self._actor.encode(torch.from_numpy(image.rgb)[None], torch.from_numpy(image.depth_mm)[None])
            goal_m = vector[:, :3] * self._goal_scale_m + self._goal_centre_m
            action = self._demonstrate(seen_situation(self._actor, bottleneck, vector, goal_m, torch.zeros(1)))
        chosen: FloatArray = action[0].numpy().astype(np.float64)
        self._history.push(chosen)
        return chosen
