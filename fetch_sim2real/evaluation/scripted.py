"""A baseline without learned behaviour: the actor's encoder estimates where objects are, the scripted baseline acts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.perception.observe import Observation
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.estimated_state import estimated_state
from fetch_sim2real.types import FloatArray


class ScriptedPolicy:
    """Takes a bundle's place: what its actor is told goes to the task's scripted baseline."""

    def __init__(self, bundle: PolicyBundle) -> None:
        self._actor = bundle.actor
        self._task = find_task(bundle.manifest.task)
        if self._task.scripted is None:
            raise FetchSim2RealError(f"the task '{self._task.name}' has no scripted baseline: choose another control")
        self._scripted = self._task.scripted
        goal = bundle.manifest.observation.vector[:3]
        self._goal_centre_m = torch.tensor([value.centre for value in goal])
        self._goal_scale_m = torch.tensor([value.scale for value in goal])

    def reset(self, environments: Sequence[int] | None = None) -> None:
        """Do nothing: nothing is remembered."""

    def act(self, observations: Sequence[Observation], environments: Sequence[int] | None = None) -> FloatArray:
        """See Policy: the baseline's actions; fingers that the actor is not told of count as closed."""
        images = [observation.image for observation in observations]
        vectors = torch.stack([torch.from_numpy(observation.vector) for observation in observations])
        with torch.inference_mode():
            bottleneck = self._actor.encode(
                torch.stack([torch.from_numpy(image.rgb) for image in images]),
                torch.stack([torch.from_numpy(image.depth_mm) for image in images]),
            )
            goal_m = vectors[:, :3] * self._goal_scale_m + self._goal_centre_m
            closed = torch.zeros(len(observations))
            estimated = estimated_state(self._task, self._actor, bottleneck, vectors, goal_m, closed)
            actions = self._scripted(estimated)
        chosen: FloatArray = actions.numpy().astype(np.float64)
        return chosen
