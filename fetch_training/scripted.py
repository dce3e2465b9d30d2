"""A baseline without learned behaviour: the actor's encoder says where things are, the scripted demonstrator acts."""

from __future__ import annotations

import numpy as np
import torch

from fetch_sim2real.observation.observe import ActionHistory, Observation
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.types import FloatArray
from fetch_training.demonstrators import Situation
from fetch_training.learning_task import LEARNING_TASKS


class ScriptedPolicy:
    """Takes a bundle's place: object and gripper as its encoder sees them, goal and fingers from its vector."""

    def __init__(self, bundle: PolicyBundle) -> None:
        self._actor = bundle.actor
        self._demonstrate = LEARNING_TASKS[bundle.manifest.task].demonstrate
        spec = bundle.manifest.observation
        self._history = ActionHistory(spec.last_actions)
        self._names = [value.name for value in spec.vector]
        self._centre = torch.tensor([value.centre for value in spec.vector])
        self._scale = torch.tensor([value.scale for value in spec.vector])
        self._seen = [value.name for value in bundle.actor.spec.auxiliary]

    @property
    def last_actions(self) -> FloatArray:
        """As ``Policy.last_actions``."""
        return self._history.recent()

    def act(self, observation: Observation) -> FloatArray:
        """The demonstrator's action (4,) in [-1, 1]."""
        image = observation.image
        with torch.inference_mode():
            bottleneck = self._actor.encode(torch.from_numpy(image.rgb)[None], torch.from_numpy(image.depth_mm)[None])
            seen = self._actor.auxiliary(bottleneck)
            told = torch.from_numpy(observation.vector)[None] * self._scale + self._centre
            action = self._demonstrate(
                Situation(
                    grip_m=seen[:, _columns(self._seen, "seen_grip")],
                    object_m=seen[:, _columns(self._seen, "seen_object")],
                    goal_m=told[:, _columns(self._names, "goal")],
                    finger_m=told[:, self._names.index("finger")],
                )
            )
        chosen: FloatArray = action[0].numpy().astype(np.float64)
        self._history.push(chosen)
        return chosen


def _columns(names: list[str], stem: str) -> list[int]:
    return [names.index(f"{stem}_{axis}") for axis in "xyz"]
