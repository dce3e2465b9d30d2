"""Episodes in memory, and Hindsight Experience Replay's relabelling when a batch is drawn.

An example of the index arithmetic. An episode of T = 4 steps stores T + 1 = 5 observations 0..4 and 4 actions 0..3.
Transition t = 1 goes from observation 1 by action 1 to observation 2. By the strategy *future* its hindsight goal is
what was achieved at an observation f drawn uniformly from t + 1..T = 2..4: whatever was reached after the action was
taken. With f = 2 the transition itself succeeds; with f = 4 it is a step on the way. *final* always takes f = T;
*episode* draws f from 0..T.

Actors with memory learn from sequences. One of length L = 2 with a burn-in of 2 that begins at transition t = 1 of that
episode has the rows

    row          0   1   2   3
    transition   -   0   1   2
    is_reset     x   x            the state before the row is the initial one
    is_learned           x   x

The burn-in only brings the actor's state up to date: nothing is learned from it. Here it reaches over the episode's
start, so its first row is no transition; the reset of row 1 wipes what the actor makes of it. A sequence has one goal,
by hindsight one that was achieved after its transition t, f in 2..4 here: a goal that changed on the way would be a
memory that no episode can give. An episode shorter than L ends with rows that are not learned from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fetch_sim2real.tasks.base import Task
from fetch_sim2real.training.episode import ARRAYS, Episode, Float32, TruthLayout

Strategy = Literal["future", "final", "episode"]


class Batch(NamedTuple):
    """A batch of transitions with (relabelled) goals; reward is 0 where the goal is reached after the step, else -1."""

    state: torch.Tensor
    next_state: torch.Tensor
    bottleneck: torch.Tensor
    next_bottleneck: torch.Tensor
    vector: torch.Tensor
    next_vector: torch.Tensor
    truth: torch.Tensor
    next_truth: torch.Tensor
    goal: torch.Tensor
    action: torch.Tensor
    reward: torch.Tensor


class SequenceBatch(NamedTuple):
    """B sequences of T = burn-in + length transitions, all of one episode and one goal each.

    ``steps``: as ``Batch``, with (B, T, ...) where that has (B, ...). ``is_reset`` (B, T): the actor's state before
    this row is the initial one. ``is_learned`` (B, T): the row is a transition to learn from.
    """

    steps: Batch
    is_reset: torch.Tensor
    is_learned: torch.Tensor


@dataclass(frozen=True)
class ReplaySettings:
    """``hindsight_share`` of every batch gets a goal from its own episode: 0.5 is one of those per true one.

    ``still_weight``: how often, relative to others, episodes are drawn in which what has to be at the goal never moved;
    hindsight has nothing to teach there.
    """

    capacity: int = 2_000
    tolerance_m: float = 0.03
    hindsight_share: float = 0.5
    strategy: Strategy = "future"
    still_weight: float = 0.25


_MOVED_M = 0.01


class HindsightReplay:
    """Ring buffer of episodes. All randomness comes from the generator that is passed in."""

    def __init__(self, task: Task, settings: ReplaySettings) -> None:
        self._task, self._truth = task, TruthLayout(task)
        self._settings = settings
        self._arrays: dict[str, Float32] = {}
        self._goals = np.zeros((settings.capacity, 3), np.float32)
        self._lengths = np.zeros(settings.capacity, np.int64)
        self._weights = np.zeros(settings.capacity)
        self._next = 0
        self.episodes = 0

    def __len__(self) -> int:
        return int(self._lengths.sum())

    def add(self, episode: Episode) -> None:
        """Store an episode, over the oldest one once full."""
        if not self._arrays:
            # A delay of the camera costs an episode its last frames; the longest has a few more than the first.
            longest = len(episode) + 1 + 8
            for name in ARRAYS:
                width = getattr(episode, name).shape[1]
                self._arrays[name] = np.zeros((self._settings.capacity, longest, width), np.float32)
        row, length = self._next, len(episode)
        for name, stored in self._arrays.items():
            stored[row, : length + 1] = getattr(episode, name)
        self._goals[row] = episode.goal
        self._lengths[row] = length
        achieved = self._truth.achieved_goal(episode.truth)
        moved = float(np.linalg.norm(achieved - achieved[0], axis=1).max()) > _MOVED_M
        self._weights[row] = length * (1.0 if moved else self._settings.still_weight)
        self._next = (row + 1) % self._settings.capacity
        self.episodes = max(self.episodes, row + 1)

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Return ``size`` transitions."""
        row = self._draw_episodes(size, rng)
        step = (rng.random(size) * self._lengths[row]).astype(int)
        return self._batch(row, step, self._draw_goals(row, step, rng))

    def sample_sequences(self, size: int, length: int, burn_in: int, rng: np.random.Generator) -> SequenceBatch:
        """Return ``size`` sequences of ``length`` transitions, after up to ``burn_in`` ones that come before them.

        Their first transitions are uniform among those that leave room for ``length``.
        """
        row = self._draw_episodes(size, rng)
        longest = self._lengths[row]
        begin = (rng.random(size) * np.maximum(longest - length + 1, 1)).astype(int)
        goal = self._draw_goals(row, begin, rng)
        step = begin[:, None] + np.arange(-burn_in, length)
        is_transition = (step >= 0) & (step < longest[:, None])
        known = np.clip(step, 0, longest[:, None] - 1)
        return SequenceBatch(
            self._batch(row[:, None], known, goal[:, None]),
            torch.from_numpy(step <= 0),
            torch.from_numpy(is_transition & (step >= begin[:, None])),
        )

    def _draw_episodes(self, size: int, rng: np.random.Generator) -> NDArray[np.int_]:
        """Rows (size,) of episodes, by their weights."""
        bounds = np.cumsum(self._weights[: self.episodes])
        row = np.searchsorted(bounds, rng.random(size) * bounds[-1], side="right")
        return np.minimum(row, self.episodes - 1)

    def _draw_goals(self, row: NDArray[np.int_], step: NDArray[np.int_], rng: np.random.Generator) -> Float32:
        """Goals (size, 3): of the episode, or by hindsight of what was achieved after ``step``."""
        relabel = rng.random(len(row)) < self._settings.hindsight_share
        hindsight = self._hindsight_step(step, self._lengths[row], rng.random(len(row)))
        achieved = self._truth.achieved_goal(self._arrays["truth"][row, hindsight])
        goals: Float32 = np.where(relabel[:, None], achieved, self._goals[row])
        return goals

    def _hindsight_step(
        self, step: NDArray[np.int_], length: NDArray[np.int_], share: NDArray[np.float64]
    ) -> NDArray[np.int_]:
        if self._settings.strategy == "future":
            return step + 1 + (share * (length - step)).astype(int)
        if self._settings.strategy == "final":
            return length
        return (share * (length + 1)).astype(int)

    def _batch(self, row: NDArray[np.int_], step: NDArray[np.int_], goal: Float32) -> Batch:
        def pick(name: str, shift: int = 0) -> Float32:
            return self._arrays[name][row, step + shift]

        next_truth = pick("truth", 1)
        goal = np.broadcast_to(goal, (*next_truth.shape[:-1], 3))
        distance = np.linalg.norm(self._truth.achieved_goal(next_truth) - goal, axis=-1)
        scaled = (goal - np.array(self._task.goal_centre_m)) / np.array(self._task.learning.goal_scale_m)
        vector, next_vector = pick("vector"), pick("vector", 1)
        vector[..., :3] = next_vector[..., :3] = scaled
        arrays = (
            pick("state"),
            pick("state", 1),
            pick("bottleneck"),
            pick("bottleneck", 1),
            vector,
            next_vector,
            pick("truth"),
            next_truth,
            goal.astype(np.float32),
            pick("action"),
            np.where(distance <= self._settings.tolerance_m, 0.0, -1.0).astype(np.float32),
        )
        return Batch(*(torch.from_numpy(array) for array in arrays))
