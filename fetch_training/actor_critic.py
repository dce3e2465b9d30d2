"""The asymmetric actor-critic: soft actor-critic whose critics see the full simulator state, its actor only images.

Departures from Haarnoja et al. 2018 (soft actor-critic) and Pinto et al. 2017 (asymmetric actor-critic): layer
normalization in the critics, targets clipped to the range that rewards of -1 and 0 allow (Andrychowicz et al. 2017),
a cost on changing the action from one period to the next, an encoder that is trained beforehand, and a demonstrator
that is imitated where the critics prefer its action (Nair et al. 2018's Q-filter).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fetch_sim2real.observation.observe import ACTION_SIZE
from fetch_sim2real.policy.network import Actor
from fetch_training.replay import Batch

_LOG_STD_RANGE = (-5.0, 1.0)


Demonstrator = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""achieved (B, 3), goal (B, 3) [m], both true -> action (B, 4) in [-1, 1]."""


@dataclass(frozen=True)
class LearnerSettings:
    """gamma is per control period; target_entropy is in nats for the four-dimensional action."""

    gamma: float = 0.97
    tau: float = 0.01
    learning_rate: float = 5e-4
    target_entropy: float = -4.0
    initial_alpha: float = 0.05
    # Weight on the mean squared change between successive actions.
    smoothness: float = 0.02
    # Weight on the mean squared distance to the demonstrator's action, where the critics prefer that.
    imitation: float = 5.0
    critic_hidden: int = 256


class Critic(nn.Module):
    """Q(full state, goal, action) -> (B,)."""

    def __init__(self, state_size: int, hidden: int) -> None:
        super().__init__()
        width = state_size + 3 + 3 + ACTION_SIZE
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.ReLU(),
            nn.Linear(hidden, hidden), nn.LayerNorm(hidden), nn.ReLU(),
            nn.Linear(hidden, hidden), nn.LayerNorm(hidden), nn.ReLU(),
            nn.Linear(hidden, 1),
        )  # fmt: skip

    def forward(
        self, state: torch.Tensor, achieved: torch.Tensor, goal: torch.Tensor, action: torch.Tensor
    ) -> torch.Tensor:
        """The way still to go, achieved - goal, is given beside the goal: in units of 10 cm."""
        inputs = torch.cat([state, goal * 10.0, (achieved - goal) * 10.0, action], dim=-1)
        values: torch.Tensor = self.layers(inputs).squeeze(-1)
        return values


class AsymmetricActorCritic:
    """Learner: two critics on the full state, the actor's head on bottleneck and vector."""

    def __init__(
        self, actor: Actor, state_size: int, demonstrator: Demonstrator, settings: LearnerSettings, seed: int
    ) -> None:
        self.actor = actor
        self._demonstrator = demonstrator
        self._generator = torch.Generator().manual_seed(seed)
        self.settings = settings
        self.log_std = nn.Linear(actor.spec.hidden[-1], ACTION_SIZE)
        self.critics = nn.ModuleList(Critic(state_size, settings.critic_hidden) for _ in range(2))
        self.targets = copy.deepcopy(self.critics).requires_grad_(False)
        self.log_alpha = torch.tensor(settings.initial_alpha).log().requires_grad_(True)
        rate = settings.learning_rate
        self._actor_optimizer = torch.optim.Adam(
            [*actor.head.parameters(), *self.log_std.parameters()], rate, fused=True
        )
        self._critic_optimizer = torch.optim.Adam(self.critics.parameters(), rate, fused=True)
        self._alpha_optimizer = torch.optim.Adam([self.log_alpha], rate)

    def sample_action(
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

    def update(self, batch: Batch) -> dict[str, float]:
        """One gradient step of critics, actor and temperature."""
        settings = self.settings
        alpha = self.log_alpha.exp().detach()
        with torch.no_grad():
            action, log_prob, _ = self.sample_action(batch.next_bottleneck, batch.next_vector, self._noise(batch))
            value = self._lowest(self.targets, batch.next_state, batch.next_achieved, batch.goal, action)
            target = batch.reward + settings.gamma * (value - alpha * log_prob)
            target = target.clamp(-1.0 / (1.0 - settings.gamma), 1.0)
        critic_loss = torch.zeros(())
        for critic in self.critics:
            predicted = critic(batch.state, batch.achieved, batch.goal, batch.action)
            critic_loss = critic_loss + nn.functional.mse_loss(predicted, target)
        self._step(self._critic_optimizer, critic_loss)

        action, log_prob, mean_action = self.sample_action(batch.bottleneck, batch.vector, self._noise(batch))
        self.critics.requires_grad_(False)
        value = self._lowest(self.critics, batch.state, batch.achieved, batch.goal, action)
        self.critics.requires_grad_(True)
        change = (mean_action - self._previous_action(batch.vector)).square().mean()
        imitation, share = self._imitation(batch, mean_action)
        actor_loss = (alpha * log_prob - value).mean() + settings.smoothness * change * self._value_scale()
        actor_loss = actor_loss + settings.imitation * imitation
        self._step(self._actor_optimizer, actor_loss)

        alpha_loss = -(self.log_alpha.exp() * (log_prob.detach().mean() + settings.target_entropy))
        self._step(self._alpha_optimizer, alpha_loss)
        with torch.no_grad():
            slow: list[torch.Tensor] = list(self.targets.parameters())
            fast: list[torch.Tensor] = list(self.critics.parameters())
            torch._foreach_lerp_(slow, fast, settings.tau)
        return {
            "critic_loss": critic_loss.item(),
            "value": value.mean().item(),
            "alpha": float(alpha),
            "action_change": change.item(),
            "imitated_share": share,
        }

    def _imitation(self, batch: Batch, mean_action: torch.Tensor) -> tuple[torch.Tensor, float]:
        """Squared distance to the demonstrator where the critics prefer it, and the share of the batch that is."""
        shown = self._demonstrator(batch.achieved, batch.goal)
        with torch.no_grad():
            theirs, ours = (
                self._lowest(self.critics, batch.state, batch.achieved, batch.goal, action)
                for action in (shown, mean_action)
            )
            preferred = (theirs > ours).to(shown.dtype)
        distance = (mean_action - shown).square().sum(-1)
        return (preferred * distance).mean(), preferred.mean().item()

    def _noise(self, batch: Batch) -> torch.Tensor:
        return torch.randn(batch.action.shape, generator=self._generator)

    def _value_scale(self) -> float:
        return 1.0 / (1.0 - self.settings.gamma)

    def _previous_action(self, vector: torch.Tensor) -> torch.Tensor:
        """The last action within the actor's vector, which is not scaled."""
        names = [value.name for value in self.actor.observation.vector]
        first = names.index("action_1_x")
        return vector[:, first : first + ACTION_SIZE]

    @staticmethod
    def _lowest(
        critics: nn.ModuleList, state: torch.Tensor, achieved: torch.Tensor, goal: torch.Tensor, action: torch.Tensor
    ) -> torch.Tensor:
        first, second = (critic(state, achieved, goal, action) for critic in critics)
        return torch.minimum(first, second)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on training: weights, optimizers, generator."""
        return {name: part.state_dict() for name, part in self._parts().items()} | {
            "log_alpha": self.log_alpha.detach().clone(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state_dict``."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.log_alpha.data.copy_(state["log_alpha"])
        self._generator.set_state(state["generator"])

    def _parts(self) -> dict[str, Any]:
        return {
            "actor": self.actor,
            "log_std": self.log_std,
            "critics": self.critics,
            "targets": self.targets,
            "actor_optimizer": self._actor_optimizer,
            "critic_optimizer": self._critic_optimizer,
            "alpha_optimizer": self._alpha_optimizer,
        }

    @staticmethod
    def _step(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
