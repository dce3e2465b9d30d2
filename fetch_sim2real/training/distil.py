"""DAgger: the actor on pictures imitates the expert on true positions, on the states that the actor itself gets into.

The expert is restricted to what the camera can show (positions as old as the picture, no velocities), so there is
nothing in its action that the actor could not know but for the encoder's errors.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fetch_sim2real.policy.network import Actor
from fetch_sim2real.training.episode import Episode

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DistilSettings:
    """Passes over the transitions, batch size, learning rate."""

    epochs: int = 20
    batch: int = 256
    learning_rate: float = 3e-4


def distil(actor: Actor, expert: Actor, episodes: Sequence[Episode], settings: DistilSettings, run_seed: int) -> float:
    """Fit the head of ``actor`` to ``expert`` on the actor's episodes; returns the last mean squared error."""
    bottleneck, shown, vector = (
        torch.from_numpy(np.concatenate([getattr(episode, name) for episode in episodes]))
        for name in ("bottleneck", "shown", "vector")
    )
    expert = copy.deepcopy(expert).eval()
    with torch.inference_mode():
        wanted, _ = expert.act(shown, vector, expert.initial_state())
    wanted = wanted.clone()
    generator = torch.Generator().manual_seed(run_seed)
    optimizer = torch.optim.Adam(actor.head.parameters(), settings.learning_rate, fused=True)
    error = float("nan")
    for epoch in range(settings.epochs):
        order = torch.randperm(len(vector), generator=generator)
        total = 0.0
        for index in order.split(settings.batch):
            action, _ = actor.act(bottleneck[index], vector[index], actor.initial_state())
            loss = (action - wanted[index]).square().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(index)
        error = total / len(vector)
        if epoch in (0, settings.epochs - 1):
            _log.info("distilling, pass %d: mean squared difference of actions %.4f", epoch + 1, error)
    return error
