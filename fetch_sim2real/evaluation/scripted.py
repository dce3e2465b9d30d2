"""Baselines without learned behaviour: something estimates where objects are, the task's scripted baseline acts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.perception.observe import Observation
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.policy.runtime import NetworkPolicy
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.estimated_state import estimated_state
from fetch_sim2real.types import FloatArray


class Estimator(Protocol):
    """Says where objects and gripper are."""

    def reset(self, environments: Sequence[int] | None = None) -> None:
        """Begin new episodes there; everywhere, if None."""
        ...

    def estimate(self, observations: Sequence[Observation], environments: Sequence[int]) -> torch.Tensor:
        """Return estimated positions as the bottleneck (N, b) of the bundle's actor holds them."""
        ...


class OwnEncoder:
    """The encoder of the bundle's actor."""

    def __init__(self, bundle: PolicyBundle) -> None:
        self._policy = NetworkPolicy(bundle)

    def reset(self, environments: Sequence[int] | None = None) -> None:
        """Do nothing: nothing is remembered."""

    def estimate(self, observations: Sequence[Observation], environments: Sequence[int]) -> torch.Tensor:
        """See Estimator."""
        return self._policy.encode(observations)


class ScriptedPolicy:
    """Takes a bundle's place: what an ``estimator`` makes of its observations goes to the task's scripted baseline."""

    def __init__(self, bundle: PolicyBundle, estimator: Estimator) -> None:
        self._actor, self._estimator = bundle.network, estimator
        self._task = find_task(bundle.manifest.task)
        if self._task.scripted is None:
            raise FetchSim2RealError(f"the task '{self._task.name}' has no scripted baseline: choose another control")
        self._scripted = self._task.scripted
        goal = bundle.manifest.observation.vector[:3]
        self._goal_centre_m = torch.tensor([value.centre for value in goal])
        self._goal_scale_m = torch.tensor([value.scale for value in goal])

    def reset(self, environments: Sequence[int] | None = None) -> None:
        """See Policy."""
        self._estimator.reset(environments)

    def act(self, observations: Sequence[Observation], environments: Sequence[int] | None = None) -> FloatArray:
        """See Policy: the baseline's actions; fingers that the actor is not told of count as closed."""
        rows = range(len(observations)) if environments is None else environments
        vectors = torch.stack([torch.from_numpy(observation.vector) for observation in observations])
        with torch.inference_mode():
            bottleneck = self._estimator.estimate(observations, rows)
            goal_m = vectors[:, :3] * self._goal_scale_m + self._goal_centre_m
            closed = torch.zeros(len(observations))
            estimated = estimated_state(self._task, self._actor, bottleneck, vectors, goal_m, closed)
            actions = self._scripted(estimated)
        chosen: FloatArray = actions.numpy().astype(np.float64)
        return chosen
