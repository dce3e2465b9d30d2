"""The actor with a spread: a squashed Gaussian around the deployed, deterministic action."""

from __future__ import annotations

import torch
from torch import nn

from fetch_sim2real.perception.observe import ACTION_SIZE
from fetch_sim2real.policy.network import Actor

_LOG_STD_RANGE = (-5.0, 1.0)


class StochasticActor(nn.Module):
    """All that an exploring actor acts with; ``actor`` alone is what gets deployed."""

    def __init__(self, actor: Actor) -> None:
        super().__init__()
        self.actor = actor
        self.log_std = nn.Linear(actor.spec.hidden[-1], ACTION_SIZE)

    def sample(
        self, bottleneck: torch.Tensor, vector: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Squashed Gaussian action (B, 4), its log density (B,), and the deterministic action (B, 4).

        ``noise`` (B, 4) is standard normal.
        """
        features = self.actor.head.features(bottleneck, vector)
        mean = self.actor.head.out(features)
        log_std = self.log_std(features).clamp(*_LOG_STD_RANGE)
        raw = mean + log_std.exp() * noise
        log_prob = (-0.5 * noise**2 - log_std - 0.9189385).sum(-1)
        # Change of variables for tanh, in the form that does not overflow.
        log_prob = log_prob - (2.0 * (0.6931472 - raw - nn.functional.softplus(-2.0 * raw))).sum(-1)
        return torch.tanh(raw), log_prob, torch.tanh(mean)
