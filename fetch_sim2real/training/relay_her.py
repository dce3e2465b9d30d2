"""Relay HER: hindsight on binary rewards alone, without a demonstrator, a demonstration or a shaped reward.

Read from top to bottom, this is the algorithm. One network learns two skills from every episode, told apart by a mode
input: mode *gripper* brings the gripper to a point, mode *object* brings the object to the goal. Both learn by
hindsight (Andrychowicz et al. 2017, https://arxiv.org/abs/1707.01495) with soft actor-critic (Haarnoja et al. 2018,
https://arxiv.org/abs/1812.05905). While it collects, the learned gripper mode takes part of the decisions as long as
the gripper is away from the object, with the object's place as its goal; so the object mode begins where there is
something to learn (the idea: RHER, Luo et al. 2022, https://arxiv.org/abs/2208.00843). Reaching is learned within
minutes, and from then on most episodes move the object, which random actions hardly ever do.

Departures from these papers, all of which matter:

- A decision lasts several control periods while learning. The horizon is a third, exploration coherent. Afterwards the
  actor is asked in every period.
- The state is the simulator's full state. Hindsight needs to know where gripper, object and goal are, nothing else.
- Exploration: squashed Gaussian noise correlated over decisions, and a share of uniformly random decisions.
- Layer normalization; targets clipped to what rewards of -1 and 0 allow; the actor is updated every second time; the
  temperature has a floor.
- Where gripper, object and goal are in the plane does not matter much: in half of a batch all are shifted together.
- Episodes in which the object stayed where it was are drawn less often: hindsight has nothing to teach there.
- Rewards are told by a tighter tolerance than success.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fetch_sim2real.perception.observe import ACTION_SIZE

Float32 = NDArray[np.float32]
GRIPPER, OBJECT = 0, 1
"""The modes: which of gripper and object is to be at the goal."""
_UNIT_M: Final = 0.1  # of the way to the goal, beside the state


@dataclass(frozen=True)
class RelaySettings:
    """Everything that shapes learning. Discount, noise and shares are per decision."""

    # A decision lasts so many control periods while learning.
    periods_per_decision: int = 3
    # Exploration, and the relay: farther than this from the object [m], this share of decisions is the gripper mode's.
    relay_distance_m: float = 0.06
    relay_share: float = 0.5
    random_share: float = 0.2
    noise_correlation: float = 0.5
    # Soft actor-critic.
    hidden: int = 256
    layers: int = 3
    batch: int = 256
    learning_rate: float = 6e-4
    gamma: float = 0.965
    tau: float = 0.01
    initial_alpha: float = 0.1
    least_alpha: float = 1e-3
    target_entropy: float = -4.0
    actor_every: int = 2
    highest_target: float = 0.5
    updates_per_decision: float = 0.2
    # Hindsight.
    gripper_mode_share: float = 0.3
    hindsight_share: float = 0.8
    tolerance_m: float = 0.03
    still_weight: float = 0.2
    shift_share: float = 0.5
    shift_m: float = 0.1
    capacity: int = 4_000


# -- episodes in memory, and hindsight ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class DecisionEpisode:
    """One episode of T decisions: state (T+1, p), true gripper and object position (T+1, 3) [m] in base_link, the goal
    in force (T+1, 3) [m], action (T, 4), and whether it ended in success."""

    seed: int
    state: Float32
    grip_m: Float32
    object_m: Float32
    goal_m: Float32
    action: Float32
    success: bool

    def __len__(self) -> int:
        return len(self.action)


class Batch(NamedTuple):
    """Transitions with (relabelled) goals. ``way`` (B, 5) is what the networks are told beside the state: the way to
    the goal (3) and the mode (2)."""

    state: torch.Tensor
    way: torch.Tensor
    next_state: torch.Tensor
    next_way: torch.Tensor
    action: torch.Tensor
    reward: torch.Tensor


def way_to(goal_m: Float32, achieved_m: Float32, mode: NDArray[np.int_]) -> Float32:
    """Return what the networks are told of goal and mode (B, 5): goals and achieved positions (B, 3) [m]."""
    flags = np.zeros((len(mode), 2), np.float32)
    flags[np.arange(len(mode)), mode] = 1.0
    return np.concatenate([(goal_m - achieved_m) / _UNIT_M, flags], axis=1).astype(np.float32)


class RelayReplay:
    """Ring buffer of episodes whose transitions are drawn with goals in hindsight."""

    _MOVED_M: Final = 0.01

    def __init__(self, settings: RelaySettings, planar: Sequence[slice], planar_unit_m: float) -> None:
        """``planar`` says where in the state positions' x and y stand, in units of ``planar_unit_m``."""
        self._settings = settings
        self._planar, self._planar_unit_m = planar, planar_unit_m
        self._arrays: dict[str, Float32] = {}
        self._lengths = np.zeros(settings.capacity, np.int64)
        self._weights = np.zeros(settings.capacity)
        self._next = 0
        self.episodes = 0

    def add(self, episode: DecisionEpisode) -> bool:
        """Store an episode, over the oldest once full. Return whether its object moved."""
        columns = {
            "state": episode.state, "grip": episode.grip_m, "object": episode.object_m, "goal": episode.goal_m,
            "action": np.concatenate([episode.action, episode.action[-1:]]),
        }  # fmt: skip
        if not self._arrays:
            longest = len(episode.state) + 8
            for name, value in columns.items():
                self._arrays[name] = np.zeros((self._settings.capacity, longest, value.shape[1]), np.float32)
        row = self._next
        for name, value in columns.items():
            self._arrays[name][row, : len(value)] = value
        moved = float(np.linalg.norm(episode.object_m - episode.object_m[0], axis=1).max()) > self._MOVED_M
        self._lengths[row] = len(episode)
        self._weights[row] = len(episode) * (1.0 if moved else self._settings.still_weight)
        self._next = (row + 1) % self._settings.capacity
        self.episodes = max(self.episodes, row + 1)
        return moved

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Return ``size`` transitions.

        An example of the index arithmetic: an episode of T = 4 decisions has 5 states 0..4. Transition t = 1 goes from
        state 1 to state 2. Its goal in hindsight is what was achieved at a state drawn from 2..4.
        """
        settings = self._settings
        bounds = np.cumsum(self._weights[: self.episodes])
        row = np.searchsorted(bounds, rng.random(size) * bounds[-1], side="right").clip(max=self.episodes - 1)
        length = self._lengths[row]
        step = (rng.random(size) * length).astype(int)
        later = step + 1 + (rng.random(size) * (length - step)).astype(int)
        mode = np.where(rng.random(size) < settings.gripper_mode_share, GRIPPER, OBJECT)
        hindsight = rng.random(size) < settings.hindsight_share
        pick = self._arrays
        is_object = (mode == OBJECT)[:, None]

        def achieved(at: NDArray[np.int_]) -> Float32:
            return np.where(is_object, pick["object"][row, at], pick["grip"][row, at])

        # What each mode is really asked for: the object at the goal, the gripper at the object.
        asked = np.where(is_object, pick["goal"][row, step + 1], pick["object"][row, step + 1])
        goal = np.where(hindsight[:, None], achieved(later), asked)
        reached = np.linalg.norm(achieved(step + 1) - goal, axis=1) <= settings.tolerance_m
        state, next_state = pick["state"][row, step].copy(), pick["state"][row, step + 1].copy()
        shift = rng.uniform(-1.0, 1.0, (size, 2)) * settings.shift_m * (rng.random((size, 1)) < settings.shift_share)
        for place in self._planar:
            state[:, place] += shift / self._planar_unit_m
            next_state[:, place] += shift / self._planar_unit_m
        arrays = (
            state, way_to(goal, achieved(step), mode), next_state, way_to(goal, achieved(step + 1), mode),
            pick["action"][row, step], np.where(reached, 0.0, -1.0).astype(np.float32),
        )  # fmt: skip
        return Batch(*(torch.from_numpy(np.ascontiguousarray(array, np.float32)) for array in arrays))


# -- networks ----------------------------------------------------------------------------------------------------------


class SkillActor(nn.Module):
    """Squashed Gaussian over actions (B, 4), given state (B, p) and the way to the goal with the mode (B, 5)."""

    def __init__(self, state_size: int, settings: RelaySettings) -> None:
        super().__init__()
        width = state_size + 5
        parts: list[nn.Module] = []
        for _ in range(settings.layers):
            parts += [nn.Linear(width, settings.hidden), nn.LayerNorm(settings.hidden), nn.ReLU()]
            width = settings.hidden
        self.body = nn.Sequential(*parts, nn.Linear(width, 2 * ACTION_SIZE))

    def forward(
        self, state: torch.Tensor, way: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the action for ``noise`` (B, 4), its log probability (B,), and the deterministic action."""
        mean, log_std = self.body(torch.cat([state, way], -1)).chunk(2, -1)
        log_std = -1.5 + 3.5 * torch.tanh(log_std)  # -5 to 2
        raw = mean + log_std.exp() * noise
        action = torch.tanh(raw)
        log_prob = -0.5 * noise.square() - log_std - 0.5 * math.log(2.0 * math.pi)
        squashing = 2.0 * (math.log(2.0) - raw - nn.functional.softplus(-2.0 * raw))
        return action, (log_prob - squashing).sum(-1), torch.tanh(mean)


class _TwinLayer(nn.Module):
    """Two linear layers side by side, normalized: (2, B, in) -> (2, B, out) in one operation."""

    def __init__(self, inputs: int, outputs: int, *, last: bool = False) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(2, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(2, 1, outputs).uniform_(-bound, bound))
        self.last = last
        if not last:
            self.scale, self.shift = nn.Parameter(torch.ones(2, 1, outputs)), nn.Parameter(torch.zeros(2, 1, outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.baddbmm(self.bias, x, self.weight)
        if self.last:
            return x
        return torch.addcmul(self.shift, nn.functional.layer_norm(x, x.shape[-1:]), self.scale).relu()


class TwinCritic(nn.Module):
    """Two values (2, B) of state, way and action."""

    def __init__(self, state_size: int, settings: RelaySettings) -> None:
        super().__init__()
        width = state_size + 5 + ACTION_SIZE
        parts: list[nn.Module] = []
        for _ in range(settings.layers):
            parts.append(_TwinLayer(width, settings.hidden))
            width = settings.hidden
        self.layers = nn.Sequential(*parts, _TwinLayer(width, 1, last=True))

    def forward(self, state: torch.Tensor, way: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        inputs = torch.cat([state, way, action], -1)
        values: torch.Tensor = self.layers(inputs.expand(2, *inputs.shape)).squeeze(-1)
        return values


# -- learning ----------------------------------------------------------------------------------------------------------


class RelayLearner:
    """Soft actor-critic on both modes at once."""

    def __init__(self, state_size: int, settings: RelaySettings, seed: int, device: str = "cpu") -> None:
        torch.manual_seed(seed)
        self.settings, self.device = settings, torch.device(device)
        self.actor = SkillActor(state_size, settings).to(self.device)
        self.critic = TwinCritic(state_size, settings).to(self.device)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.log_alpha = torch.tensor(math.log(settings.initial_alpha), device=self.device, requires_grad=True)
        self._generator = torch.Generator().manual_seed(seed)
        rate = settings.learning_rate
        self._optimizers = {
            "actor": torch.optim.Adam(self.actor.parameters(), rate, fused=True),
            "critic": torch.optim.Adam(self.critic.parameters(), rate, fused=True),
            "alpha": torch.optim.Adam([self.log_alpha], rate),
        }
        self.updates = 0

    def update(self, batch: Batch) -> None:
        """Take one gradient step of the critics and, every so often, of actor and temperature."""
        settings = self.settings
        batch = Batch(*(part.to(self.device) for part in batch))
        alpha = self.log_alpha.exp().clamp(min=settings.least_alpha).detach()
        with torch.no_grad():
            action, log_prob, _ = self.actor(batch.next_state, batch.next_way, self._noise(len(batch.reward)))
            value = self.target(batch.next_state, batch.next_way, action).amin(0) - alpha * log_prob
            target = batch.reward + settings.gamma * value
            target = target.clamp(-1.0 / (1.0 - settings.gamma), settings.highest_target)
        values = self.critic(batch.state, batch.way, batch.action)
        self._step("critic", (values - target).square().mean(1).sum())
        if self.updates % settings.actor_every == 0:
            action, log_prob, _ = self.actor(batch.state, batch.way, self._noise(len(batch.reward)))
            self.critic.requires_grad_(False)
            value = self.critic(batch.state, batch.way, action).amin(0)
            self.critic.requires_grad_(True)
            self._step("actor", (alpha * log_prob - value).mean())
            self._step("alpha", -self.log_alpha * (log_prob.detach().mean() + settings.target_entropy))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.target.parameters()), list(self.critic.parameters()), settings.tau)
        self.updates += 1

    def _noise(self, size: int) -> torch.Tensor:
        return torch.randn((size, ACTION_SIZE), generator=self._generator).to(self.device)

    def _step(self, name: str, loss: torch.Tensor) -> None:
        optimizer = self._optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on: weights, optimizers, generator, count."""
        return {name: part.state_dict() for name, part in self._parts().items()} | {
            "log_alpha": self.log_alpha.detach().cpu().clone(),
            "generator": self._generator.get_state(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state_dict``."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.log_alpha.data.copy_(state["log_alpha"])
        self._generator.set_state(state["generator"])
        self.updates = int(state["updates"])

    def _parts(self) -> dict[str, Any]:
        optimizers = {f"{name}_optimizer": optimizer for name, optimizer in self._optimizers.items()}
        return {"actor": self.actor, "critic": self.critic, "target": self.target} | optimizers


# -- exploring ---------------------------------------------------------------------------------------------------------


class Explorer:
    """Chooses the decisions of N environments while collecting: relay, correlated noise, random decisions."""

    def __init__(self, actor: SkillActor, settings: RelaySettings, rng: np.random.Generator, count: int) -> None:
        self._actor, self._settings, self._rng = actor, settings, rng
        self._noise = rng.standard_normal((count, ACTION_SIZE))

    def decide(
        self, state: Float32, grip_m: Float32, object_m: Float32, goal_m: Float32, rows: Sequence[int]
    ) -> NDArray[np.float64]:
        """Return actions (N, 4) for states (N, p) and positions (N, 3) [m] of the environments ``rows``."""
        settings, rng, count = self._settings, self._rng, len(state)
        rho = settings.noise_correlation
        self._noise = rho * self._noise + math.sqrt(1.0 - rho**2) * rng.standard_normal(self._noise.shape)
        away = np.linalg.norm(grip_m - object_m, axis=1) > settings.relay_distance_m
        gripper_takes = away & (rng.random(count) < settings.relay_share)
        mode = np.where(gripper_takes, GRIPPER, OBJECT)
        at_random = ~gripper_takes & (rng.random(count) < settings.random_share)
        random_action = rng.uniform(-1.0, 1.0, (count, ACTION_SIZE))
        achieved = np.where(gripper_takes[:, None], grip_m, object_m)
        goal = np.where(gripper_takes[:, None], object_m, goal_m)
        action = _query(self._actor, state, way_to(goal, achieved, mode), self._noise[list(rows)])
        return np.where(at_random[:, None], random_action, action)


def act_deterministically(actor: SkillActor, state: Float32, object_m: Float32, goal_m: Float32) -> NDArray[np.float64]:
    """Return the object mode's actions (N, 4) without noise."""
    mode = np.full(len(state), OBJECT)
    return _query(actor, state, way_to(goal_m, object_m, mode), None)


def _query(actor: SkillActor, state: Float32, way: Float32, noise: NDArray[np.float64] | None) -> NDArray[np.float64]:
    shape = (len(state), ACTION_SIZE)
    with torch.inference_mode():
        told = torch.zeros(shape) if noise is None else torch.from_numpy(noise.astype(np.float32))
        sampled, _, mean = actor(torch.from_numpy(state), torch.from_numpy(way), told)
    chosen: NDArray[np.float64] = (mean if noise is None else sampled).numpy().astype(np.float64)
    return chosen
