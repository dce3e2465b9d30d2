"""Episodes in memory, and Hindsight Experience Replay's relabelling when a batch is drawn.

An example of the index arithmetic. An episode of T = 4 steps stores T + 1 = 5 observations 0..4 and 4 actions 0..3.
Transition t = 1 goes from observation 1 by action 1 to observation 2. Its hindsight goal is what was achieved at a
*future* observation f, drawn uniformly from t + 1..T = 2..4: whatever was reached after the action was taken. With
f = 2 the transition itself succeeds; with f = 4 it is a step on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Episode:
    """One episode of T steps.

    state (T+1, p): full simulator state, for the critic. bottleneck (T+1, b): encoder's outputs. vector (T+1, n): the
    actor's vector, its goal part included. achieved (T+1, 3) and goal (3,) in metres. action (T, 4).
    """

    seed: int
    state: Float32
    bottleneck: Float32
    vector: Float32
    achieved: Float32
    goal: Float32
    action: Float32
    success: bool

    def __len__(self) -> int:
        return len(self.action)


class Batch(NamedTuple):
    """A batch of transitions with (relabelled) goals; reward is 0 where the goal is reached after the step, else -1."""

    state: torch.Tensor
    next_state: torch.Tensor
    bottleneck: torch.Tensor
    next_bottleneck: torch.Tensor
    vector: torch.Tensor
    next_vector: torch.Tensor
    achieved: torch.Tensor
    next_achieved: torch.Tensor
    goal: torch.Tensor
    action: torch.Tensor
    reward: torch.Tensor


class GoalScaling(NamedTuple):
    """How the goal stands in the actor's vector: its first three numbers are (goal - centre) / scale."""

    centre: Float32
    scale: Float32


class HindsightReplay:
    """Ring buffer of episodes of one length. All randomness comes from the generator that is passed in."""

    def __init__(self, capacity: int, tolerance_m: float, scaling: GoalScaling, hindsight_share: float) -> None:
        """``hindsight_share`` of every batch gets a goal from its own future: 0.8 is four of those per true one."""
        self._episodes: list[Episode] = []
        self._capacity = capacity
        self._next = 0
        self._tolerance_m = tolerance_m
        self._scaling = scaling
        self._hindsight_share = hindsight_share

    def __len__(self) -> int:
        return sum(len(episode) for episode in self._episodes)

    def add(self, episode: Episode) -> None:
        """Store an episode, over the oldest one once full."""
        if len(self._episodes) < self._capacity:
            self._episodes.append(episode)
        else:
            self._episodes[self._next] = episode
        self._next = (self._next + 1) % self._capacity

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """``size`` transitions, uniformly over stored steps."""
        lengths = np.array([len(episode) for episode in self._episodes])
        which = rng.choice(len(lengths), size=size, p=lengths / lengths.sum())
        step = (rng.random(size) * lengths[which]).astype(int)
        future = step + 1 + (rng.random(size) * (lengths[which] - step)).astype(int)
        relabel = rng.random(size) < self._hindsight_share
        rows = [self._episodes[i] for i in which]
        goal = np.stack([e.achieved[f] if r else e.goal for e, f, r in zip(rows, future, relabel, strict=True)])
        return self._batch(rows, step, goal)

    def _batch(self, rows: list[Episode], step: NDArray[np.int_], goal: Float32) -> Batch:
        def pick(name: str, shift: int = 0) -> Float32:
            return np.stack([getattr(e, name)[t + shift] for e, t in zip(rows, step, strict=True)])

        next_achieved = pick("achieved", 1)
        solved = np.linalg.norm(next_achieved - goal, axis=1) <= self._tolerance_m
        scaled_goal = (goal - self._scaling.centre) / self._scaling.scale
        vector, next_vector = pick("vector"), pick("vector", 1)
        vector[:, :3] = next_vector[:, :3] = scaled_goal
        arrays = (
            pick("state"),
            pick("state", 1),
            pick("bottleneck"),
            pick("bottleneck", 1),
            vector,
            next_vector,
            pick("achieved"),
            next_achieved,
            goal,
            pick("action"),
            np.where(solved, 0.0, -1.0).astype(np.float32),
        )
        return Batch(*(torch.from_numpy(array) for array in arrays))
