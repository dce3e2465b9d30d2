"""The asymmetric actor-critic: soft actor-critic whose critics see the full simulator state, its actor only images.

Departures from Haarnoja et al. 2018 (soft actor-critic) and Pinto et al. 2017 (asymmetric actor-critic): layer
normalization in the critics, targets clipped to the range that rewards of -1 and 0 allow (Andrychowicz et al. 2017),
a cost on changing the action from one period to the next, an encoder that is trained beforehand, and imitation
of a scripted baseline, asked about what the actor sees, beside the critics' gradient. It is imitated everywhere:
critics that decide whether to imitate (the Q-filter of Nair et al. 2018) overestimated the actor's own action.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, get_args

import torch
from torch import nn

from fetch_sim2real.errors import FetchSim2RealError, SetupError
from fetch_sim2real.perception.observe import ACTION_SIZE
from fetch_sim2real.policy.network import Actor
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.training.episode import TruthLayout
from fetch_sim2real.training.estimated_state import estimated_state
from fetch_sim2real.training.replay import Batch
from fetch_sim2real.training.specs import ESTIMATED_GRIP, estimate_layout, estimate_name

_UNIT_M = 0.1


class _TwinLinear(nn.Module):
    """Two linear layers side by side: (2, B, in) -> (2, B, out)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(2, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(2, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class _TwinNorm(nn.Module):
    """Layer normalization with a scale and a shift for each of the two."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2, 1, width))
        self.shift = nn.Parameter(torch.zeros(2, 1, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(self.shift, nn.functional.layer_norm(x, x.shape[-1:]), self.scale)


class TwinCritic(nn.Module):
    """Q(full state, goal, action) -> (2, B)."""

    _centre: torch.Tensor

    def __init__(self, task: Task, state_size: int, hidden: int, layers: int = 3) -> None:
        super().__init__()
        self._truth, self._main = TruthLayout(task), task.main_object or next(iter(task.bodies))
        self.register_buffer("_centre", torch.tensor(task.goal_centre_m), persistent=False)
        width = state_size + 9 + ACTION_SIZE
        parts: list[nn.Module] = []
        for _ in range(layers):
            parts += [_TwinLinear(width, hidden), _TwinNorm(hidden), nn.ReLU()]
            width = hidden
        self.layers = nn.Sequential(*parts, _TwinLinear(width, 1))

    def context(self, state: torch.Tensor, truth: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
        """Return everything but the action (B, p + 9): beside the state the ways to the goal and to the main object.

        ``truth`` (B, k) may end with the positions: the fingers are not used.
        """
        to_object = self._truth.grip_m(truth) - self._truth.objects_m(truth)[self._main]
        achieved = self._truth.achieved_goal(truth)
        ways = torch.cat([goal - self._centre, achieved - goal, to_object], dim=-1) / _UNIT_M
        return torch.cat([state, ways], dim=-1)

    def forward(self, context: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        inputs = torch.cat([context, action], dim=-1)
        values: torch.Tensor = self.layers(inputs.expand(2, *inputs.shape)).squeeze(-1)
        return values

    def lowest(self, context: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Return the smaller of both values (B,)."""
        return self(context, action).amin(0)


_LOG_STD_RANGE = (-5.0, 1.0)


class Sampled(NamedTuple):
    """Sampled action (..., 4), its log density (...), the deterministic action (..., 4), recurrent state (B, s) after.
    """

    action: torch.Tensor
    log_prob: torch.Tensor
    mean: torch.Tensor
    state: torch.Tensor


class StochasticActor(nn.Module):
    """All that an exploring actor acts with; ``actor`` alone is what gets deployed."""

    def __init__(self, actor: Actor) -> None:
        super().__init__()
        self.actor = actor
        self.log_std = nn.Linear(actor.spec.hidden[-1], ACTION_SIZE)

    def sample(
        self, bottleneck: torch.Tensor, vector: torch.Tensor, state: torch.Tensor, noise: torch.Tensor
    ) -> Sampled:
        """Return a squashed Gaussian action with what belongs to it, on single steps or on sequences.

        ``bottleneck`` (B, b) or (B, L, b), ``vector`` likewise; ``state`` (B, s) is the recurrent state before the
        first step; ``noise`` (B, 4) or (B, L, 4) is standard normal.
        """
        features, state = self.actor.head.features(bottleneck, vector, state)
        mean = self.actor.head.out(features)
        log_std = self.log_std(features).clamp(*_LOG_STD_RANGE)
        raw = mean + log_std.exp() * noise
        log_prob = (-0.5 * noise**2 - log_std - 0.9189385).sum(-1)
        # Change of variables for tanh, in the form that does not overflow.
        log_prob = log_prob - (2.0 * (0.6931472 - raw - nn.functional.softplus(-2.0 * raw))).sum(-1)
        return Sampled(torch.tanh(raw), log_prob, torch.tanh(mean), state)


CriticSees = Literal["state", "observation"]
CRITICS_SEE: Final[tuple[CriticSees, ...]] = get_args(CriticSees)


@dataclass(frozen=True)
class LearnerSettings:
    """gamma is per control period; target_entropy is in nats for the four-dimensional action."""

    gamma: float = 0.97
    tau: float = 0.01
    learning_rate: float = 5e-4
    target_entropy: float = -4.0
    initial_alpha: float = 0.01
    # Weight on the mean squared change between successive actions.
    smoothness: float = 0.02
    # Weight on the mean squared distance to the scripted baseline's action; 0: none.
    imitation: float = 5.0
    # So many updates at first only imitate, while the critics learn what that is worth.
    imitation_only_updates: int = 8_000
    critic_hidden: int = 256
    # What the critics judge by: the full simulator state, or, for comparison, only what the actor sees too.
    critic_sees: CriticSees = "state"


class AsymmetricActorCritic:
    """Learner: two critics on the full state, the actor's head on bottleneck and vector."""

    def __init__(
        self, actor: Actor, task: Task, state_size: int, settings: LearnerSettings, seed: int
    ) -> None:
        """FetchSim2RealError where there is nothing to imitate, and ``settings`` ask for it."""
        if settings.imitation > 0.0 and task.scripted is None:
            raise FetchSim2RealError(
                f"the task '{task.name}' has no scripted baseline to imitate, and imitation is {settings.imitation:g}, "
                "expected 0"
            )
        if actor.spec.memory is not None:
            raise SetupError(
                "the actor has a memory, and this learner draws single transitions: learn it from sequences "
                "(HindsightReplay.sample_sequences), or leave actor.memory out"
            )
        self.policy = StochasticActor(actor)
        self.settings = settings
        self._task, self._truth = task, TruthLayout(task)
        self._updates = 0
        self._generator = torch.Generator().manual_seed(seed)
        if settings.critic_sees == "observation":
            state_size = actor.spec.bottleneck_size + actor.observation.vector_size
        self.critic = TwinCritic(task, state_size, settings.critic_hidden)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.log_alpha = torch.tensor(settings.initial_alpha).log().requires_grad_(True)
        rate = settings.learning_rate
        self._actor_optimizer = torch.optim.Adam(
            [*actor.head.parameters(), *self.policy.log_std.parameters()], rate, fused=True
        )
        self._critic_optimizer = torch.optim.Adam(self.critic.parameters(), rate, fused=True)
        self._alpha_optimizer = torch.optim.Adam([self.log_alpha], rate)
        names = [value.name for value in actor.observation.vector]
        self._last_action = slice(names.index("action_1_x"), names.index("action_1_x") + ACTION_SIZE)

    def update(self, batch: Batch) -> dict[str, float]:
        """Take one gradient step of critics, actor and temperature."""
        metrics = self.update_critic(batch) | self.update_actor(batch)
        with torch.no_grad():
            slow: list[torch.Tensor] = list(self.target.parameters())
            fast: list[torch.Tensor] = list(self.critic.parameters())
            torch._foreach_lerp_(slow, fast, self.settings.tau)
        return metrics

    def update_critic(self, batch: Batch) -> dict[str, float]:
        """Take one gradient step of the critics."""
        settings = self.settings
        alpha = self.log_alpha.exp().detach()
        with torch.no_grad():
            action, log_prob, _, _ = self._sample(batch.next_bottleneck, batch.next_vector, self._noise(batch))
            after = self._next_context(batch)
            value = self.target.lowest(after, action)
            target = batch.reward + settings.gamma * (value - alpha * log_prob)
            target = target.clamp(-1.0 / (1.0 - settings.gamma), 1.0)
        predicted = self.critic(self._context(batch), batch.action)
        loss = 2.0 * nn.functional.mse_loss(predicted, target.expand(predicted.shape))
        self._step(self._critic_optimizer, loss)
        return {"critic_loss": loss.item()}

    def update_actor(self, batch: Batch) -> dict[str, float]:
        """Take one gradient step of actor and temperature."""
        settings = self.settings
        alpha = self.log_alpha.exp().detach()
        action, log_prob, mean_action, _ = self._sample(batch.bottleneck, batch.vector, self._noise(batch))
        context = self._context(batch)
        change = (mean_action - batch.vector[:, self._last_action]).square().mean()
        loss = settings.smoothness * change / (1.0 - settings.gamma)
        only_imitate = settings.imitation > 0.0 and self._updates < settings.imitation_only_updates
        if settings.imitation > 0.0:
            # The sampled action at first, so that the spread shrinks to what imitation leaves open.
            away = (action if only_imitate else mean_action) - self._demonstrated(batch)
            loss = loss + settings.imitation * away.square().sum(-1).mean()
        loss = loss + alpha * log_prob.mean()
        judged: dict[str, float] = {}
        if not only_imitate:
            value = self._value(context, action)
            loss, judged["value"] = loss - value, value.item()
            self._adapt_alpha(log_prob.detach())
        self._updates += 1
        self._step(self._actor_optimizer, loss)
        return judged | {
            "alpha": float(alpha),
            "action_change": change.item(),
        }

    def imitate_first(self) -> None:
        """Let the actor only imitate for a while, as at the beginning: it has a new encoder."""
        self._updates = 0

    def _context(self, batch: Batch) -> torch.Tensor:
        if self.settings.critic_sees == "observation":
            return self._estimated_context(batch.bottleneck, batch.vector, batch.goal)
        return self.critic.context(batch.state, batch.truth, batch.goal)

    def _next_context(self, batch: Batch) -> torch.Tensor:
        if self.settings.critic_sees == "observation":
            return self._estimated_context(batch.next_bottleneck, batch.next_vector, batch.goal)
        return self.critic.context(batch.next_state, batch.next_truth, batch.goal)

    def _estimated_context(self, bottleneck: torch.Tensor, vector: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
        """What a critic without the simulator's state judges by: the actor's inputs."""
        seen = self.policy.actor.auxiliary(bottleneck)
        layout, names = estimate_layout(self._task), [estimate_name(self._task, name) for name in self._task.bodies]
        positions = torch.cat([layout.part(seen, name) for name in (ESTIMATED_GRIP, *names)], dim=-1)
        return self.critic.context(torch.cat([bottleneck, vector], dim=-1), positions, goal)

    def _value(self, context: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        self.critic.requires_grad_(False)
        value = self.critic.lowest(context, action).mean()
        self.critic.requires_grad_(True)
        return value

    def _adapt_alpha(self, log_prob: torch.Tensor) -> None:
        alpha_loss = -(self.log_alpha.exp() * (log_prob.mean() + self.settings.target_entropy))
        self._step(self._alpha_optimizer, alpha_loss)

    def _demonstrated(self, batch: Batch) -> torch.Tensor:
        """The scripted baseline's action on what the actor sees."""
        with torch.no_grad():
            finger_m = self._truth.finger_m(batch.truth)
            estimated = estimated_state(
                self._task, self.policy.actor, batch.bottleneck, batch.vector, batch.goal, finger_m
            )
            assert self._task.scripted is not None, "checked where the learner is made"
            return self._task.scripted(estimated)

    def _sample(self, bottleneck: torch.Tensor, vector: torch.Tensor, noise: torch.Tensor) -> Sampled:
        return self.policy.sample(bottleneck, vector, self.policy.actor.initial_state(len(vector)), noise)

    def _noise(self, batch: Batch) -> torch.Tensor:
        return torch.randn(batch.action.shape, generator=self._generator)

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on training: weights, optimizers, generator."""
        return {name: part.state_dict() for name, part in self._parts().items()} | {
            "log_alpha": self.log_alpha.detach().clone(),
            "generator": self._generator.get_state(),
            "updates": self._updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state_dict``."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.log_alpha.data.copy_(state["log_alpha"])
        self._generator.set_state(state["generator"])
        self._updates = int(state["updates"])

    def _parts(self) -> dict[str, Any]:
        return {
            "policy": self.policy,
            "critic": self.critic,
            "target": self.target,
            "actor_optimizer": self._actor_optimizer,
            "critic_optimizer": self._critic_optimizer,
            "alpha_optimizer": self._alpha_optimizer,
        }

    @staticmethod
    def _step(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
