"""Relay HER: hindsight on binary rewards alone, without a demonstrator, a demonstration or a shaped reward.

Read from top to bottom, this is the algorithm. A task is a chain of skills (``tasks.base.Skill``): each brings
something to a place, earlier ones prepare later ones, the last one is the task itself. To push a block, the gripper is
brought to the block, then the block to the goal. One network learns all skills from every episode, told apart by a mode
input. All learn by hindsight (Andrychowicz et al. 2017, https://arxiv.org/abs/1707.01495) with soft actor-critic
(Haarnoja et al. 2018, https://arxiv.org/abs/1812.05905). While it collects, the skill whose turn it is, the first one
until it hands over to the next, takes part of the decisions, as far as it is learned by then; so later ones begin where
there is something to learn (the idea: RHER, Luo et al. 2022, https://arxiv.org/abs/2208.00843). Reaching is learned
within minutes, and from then on most episodes move the object, which random actions hardly ever do.

Departures from these papers, all of which matter:

- A decision lasts several control periods while learning. The horizon is a third, exploration coherent. Afterwards the
  actor is asked in every period, and the mean of its last answers is done (``SteadyActor``).
- The state is the simulator's full state. Hindsight needs to know what each skill achieved and was asked, nothing else.
- The distance at which a skill hands over, 3 to 6 cm, is part of the method: a task or its chain states it.
- Exploration: squashed Gaussian noise correlated over decisions, and a share of uniformly random decisions.
- Goals that move: in hindsight they move as the asked goal did, from where they make the achieved place right.
- Layer normalization; targets clipped to what rewards of -1 and 0 allow; the actor is updated every second time; the
  temperature has a floor.
- Where gripper, object and goal are in the plane does not matter much: in half of a batch all are shifted together.
- Episodes in which nothing was brought anywhere are drawn less often: hindsight has nothing to teach the task there.
  In ``slide`` so are transitions after the puck has come to rest, where nothing can be done any more.
- ``slide`` is timed: the state has the time left, and nothing counts after the end. One that may as well strike later
  never strikes.
- Beside state and goal the networks are told the way from gripper to object, in units of 4 cm (``Ways``).
- Rewards are told by a tighter tolerance than success.
- The learning rate falls in the second half of a run.
- The actor that is judged and kept averages the learning one's weights; the learning one collects.
"""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from fetch_sim2real.common.schema import Count, PositiveFloat, Share
from fetch_sim2real.perception.observe import ACTION_SIZE
from fetch_sim2real.tasks.base import GOAL, Skill
from fetch_sim2real.training.dense import Dense, gradient_of, in_one_piece, knows_bfloat16
from fetch_sim2real.training.exploration import EXPLORATIONS, ExplorationName, Novelty
from fetch_sim2real.types import BoolArray

Float32 = NDArray[np.float32]
# Of ways, beside the state: to the goal, and within reach, where a few millimetres decide how something is struck.
_UNIT_M: Final = 0.1
_NEAR_UNIT_M: Final = 0.04
_NEAR_UNITS: Final = 4.0  # further ways are cut to this


@dataclass(frozen=True)
class RelaySettings:
    """Everything that shapes learning. Discount, noise and shares are per decision.

    What is possible is said beside each, for whoever reads settings (``training.relay_config``).
    """

    # A decision lasts so many control periods while learning.
    periods_per_decision: Count = 3
    # How decisions are explored by: the relay, or what to compare it with (``exploration``).
    exploration: ExplorationName = "relay"
    novelty_weight: Share = 0.1
    # The relay: this share of decisions is the earlier skill's as long as that has not handed over.
    relay_share: Share = 0.5
    random_share: Share = 0.2
    noise_correlation: Share = 0.5
    # Soft actor-critic.
    hidden: Count = 128
    layers: Count = 3
    # Of numbers between hidden layers while learning (``dense``); by itself bfloat16 where the processor knows it.
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    batch: Count = 256
    learning_rate: PositiveFloat = 6e-4
    # From this share of the run on the learning rate falls, to this part of itself at the end.
    slows_from: Share = 0.5
    slows_to: PositiveFloat = 0.1
    gamma: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.965
    tau: Share = 0.01
    initial_alpha: PositiveFloat = 0.1
    least_alpha: PositiveFloat = 1e-3
    target_entropy: float = -4.0
    actor_every: Count = 2
    highest_target: float = 0.5
    updates_per_decision: PositiveFloat = 0.5
    # Judged and kept is an average of the actor's weights: how fast it follows those that learn, an update of them.
    averaging: Share = 0.002
    # Hindsight. Earlier skills have this share of a batch together.
    earlier_skills_share: Share = 0.3
    hindsight_share: Share = 0.8
    tolerance_m: PositiveFloat = 0.03
    still_weight: PositiveFloat = 0.2
    # Of a transition after what the task moves has come to rest for good, where others have 1.
    rest_weight: PositiveFloat = 1.0
    shift_share: Share = 0.5
    shift_m: Annotated[float, Field(ge=0.0)] = 0.1
    capacity: Count = 4_000

    @property
    def between(self) -> torch.dtype:
        """The type of numbers between hidden layers, on this processor."""
        low = self.precision == "bfloat16" or (self.precision == "auto" and knows_bfloat16())
        return torch.bfloat16 if low else torch.float32


# -- episodes in memory, and hindsight ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class DecisionEpisode:
    """One episode of T decisions of M skills: state (T+1, p), where each skill's mover was and was to be (T+1, M, 3)
    [m] in base_link, whether that counts there as brought (T+1, M), action (T, 4), and whether it ended in success."""

    seed: int
    state: Float32
    achieved_m: Float32
    asked_m: Float32
    allowed: BoolArray
    action: Float32
    success: bool

    def __len__(self) -> int:
        return len(self.action)


class Batch(NamedTuple):
    """Transitions with (relabelled) goals. ``way`` (B, w) is what ``Ways`` tells the networks beside the state.
    ``goes_on`` (B,) is 0 where the next state is the end of a timed task, else 1. ``shift`` (B, 2) was added to
    positions in the states."""

    state: torch.Tensor
    way: torch.Tensor
    next_state: torch.Tensor
    next_way: torch.Tensor
    action: torch.Tensor
    reward: torch.Tensor
    goes_on: torch.Tensor
    shift: torch.Tensor


class Ways:
    """What the networks are told beside the state, (B, ``size``) with M skills: the way to the goal (3); of each skill
    that is no way to the goal, the way that it has left (3), if it is an earlier one than the present (else 0); and the
    present one as one of M modes.

    To push a block they are told the way from block to goal, and that from gripper to block on a finer scale. Both are
    differences of what the state holds, but a network learns much faster what it is told.
    """

    def __init__(self, skills: Sequence[Skill]) -> None:
        self.skills = len(skills)
        self._earlier = [number for number, skill in enumerate(skills[:-1]) if skill.to != GOAL]
        self.size = 3 + 3 * len(self._earlier) + self.skills

    def told(self, goal_m: Float32, achieved_m: Float32, asked_m: Float32, skill: NDArray[np.int_]) -> Float32:
        """Return it for goals (B, 3) of ``skill`` (B,), and where all movers are and are to be (B, M, 3) [m]."""
        every = np.arange(len(skill))
        way = np.zeros((len(skill), self.size), np.float32)
        way[:, :3] = (goal_m - achieved_m[every, skill]) / _UNIT_M
        for column, earlier in enumerate(self._earlier):
            left = ((asked_m[:, earlier] - achieved_m[:, earlier]) / _NEAR_UNIT_M).clip(-_NEAR_UNITS, _NEAR_UNITS)
            way[:, 3 + 3 * column : 6 + 3 * column] = left * (skill > earlier)[:, None]
        way[every, self.size - self.skills + skill] = 1.0
        return way


class RelayReplay:
    """Ring buffer of episodes whose transitions are drawn with goals in hindsight."""

    _MOVED_M: Final = 0.01
    _AT_REST_M: Final = 0.001  # a decision

    def __init__(
        self,
        skills: Sequence[Skill],
        settings: RelaySettings,
        planar: Sequence[slice],
        planar_unit_m: float,
        *,
        timed: bool = False,
    ) -> None:
        """``planar`` says where in the state positions' x and y stand, in units of ``planar_unit_m``; ``timed``, that
        there is nothing after an episode's end."""
        self._settings, self._timed = settings, timed
        self._ways, self._follows = Ways(skills), np.array([skill.follows for skill in skills])
        self._planar, self._planar_unit_m = planar, planar_unit_m
        self._arrays: dict[str, NDArray[Any]] = {}
        self._lengths = np.zeros(settings.capacity, np.int64)
        self._moving = np.zeros(settings.capacity, np.int64)
        self._weights = np.zeros(settings.capacity)
        self._next = 0
        self.episodes = 0

    def add(self, episode: DecisionEpisode) -> bool:
        """Store an episode, over the oldest once full. Return whether what the last skill moves has moved."""
        columns = {
            "state": episode.state, "achieved": episode.achieved_m, "asked": episode.asked_m,
            "allowed": episode.allowed, "action": np.concatenate([episode.action, episode.action[-1:]]),
        }  # fmt: skip
        if not self._arrays:
            longest = len(episode.state) + 8
            for name, value in columns.items():
                self._arrays[name] = np.zeros((self._settings.capacity, longest, *value.shape[1:]), value.dtype)
        row = self._next
        for name, value in columns.items():
            self._arrays[name][row, : len(value)] = value
        places_m = episode.achieved_m[:, -1]
        moved = float(np.linalg.norm(places_m - places_m[0], axis=1).max()) > self._MOVED_M
        moves = np.linalg.norm(np.diff(places_m, axis=0), axis=1) > self._AT_REST_M
        length = len(episode)
        # Decisions until it rests for good: all, where it never moves.
        moving = int(np.flatnonzero(moves)[-1]) + 1 if moves.any() else length
        self._lengths[row], self._moving[row] = length, moving
        whole = moving + (length - moving) * self._settings.rest_weight
        self._weights[row] = whole * (1.0 if moved else self._settings.still_weight)
        self._next = (row + 1) % self._settings.capacity
        self.episodes = max(self.episodes, row + 1)
        return moved

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Return ``size`` transitions.

        An example of the index arithmetic: an episode of T = 4 decisions has 5 states 0..4. Transition t = 1 goes from
        state 1 to state 2. Its goal in hindsight is what was achieved at a state drawn from 2..4. Say that is 3, and
        the asked goal moves by 1 cm a decision: 1 cm short of what was achieved at 3 is the goal at 2.
        """
        settings, pick, skills = self._settings, self._arrays, len(self._follows)
        bounds = np.cumsum(self._weights[: self.episodes])
        row = np.searchsorted(bounds, rng.random(size) * bounds[-1], side="right").clip(max=self.episodes - 1)
        length, moving = self._lengths[row], self._moving[row]
        # Places on a line as long as the transitions of the episode weigh.
        place = rng.random(size) * (moving + (length - moving) * settings.rest_weight)
        at_rest = np.maximum(0.0, place - moving)
        step = np.where(at_rest > 0.0, moving + at_rest / settings.rest_weight, place).astype(int).clip(max=length - 1)
        later = step + 1 + (rng.random(size) * (length - step)).astype(int)
        earlier = rng.random(size) < settings.earlier_skills_share
        skill = np.where(earlier & (skills > 1), rng.integers(0, max(1, skills - 1), size), skills - 1)
        hindsight = (rng.random(size) < settings.hindsight_share)[:, None]
        every = np.arange(size)
        achieved, achieved_after = pick["achieved"][row, step], pick["achieved"][row, step + 1]
        asked, asked_after = pick["asked"][row, step], pick["asked"][row, step + 1]
        asked_of_skill = asked_after[every, skill]
        # How the asked goal moves, before and after step + 1.
        follows = self._follows[skill][:, None]
        moves = follows * (asked_of_skill - asked[every, skill])
        will_move = follows * (pick["asked"][row, later, skill] - asked_of_skill)
        goal_after = np.where(hindsight, pick["achieved"][row, later, skill] - will_move, asked_of_skill)
        reached = np.linalg.norm(achieved_after[every, skill] - goal_after, axis=1) <= settings.tolerance_m
        reached &= pick["allowed"][row, step + 1, skill]
        state, next_state = pick["state"][row, step], pick["state"][row, step + 1]
        shift = rng.uniform(-1.0, 1.0, (size, 2)) * (settings.shift_m / self._planar_unit_m)
        shift *= rng.random((size, 1)) < settings.shift_share
        for place in self._planar:
            state[:, place] += shift
            next_state[:, place] += shift
        arrays = (
            state, self._ways.told(goal_after - moves, achieved, asked, skill),
            next_state, self._ways.told(goal_after, achieved_after, asked_after, skill),
            pick["action"][row, step], np.where(reached, 0.0, -1.0),
            np.where(self._timed & (step + 1 == length), 0.0, 1.0), shift,
        )  # fmt: skip
        return Batch(*(torch.from_numpy(np.ascontiguousarray(array, np.float32)) for array in arrays))


# -- networks ----------------------------------------------------------------------------------------------------------


class SkillActor(nn.Module):
    """Squashed Gaussian over actions (B, 4), given state (B, p) and what ``Ways`` tells (B, w)."""

    def __init__(self, state_size: int, skills: Sequence[Skill], settings: RelaySettings) -> None:
        super().__init__()
        self.ways = Ways(skills)
        inputs = state_size + self.ways.size
        self.body = Dense(inputs, settings.hidden, settings.layers, 2 * ACTION_SIZE, settings.between)

    def forward(
        self, state: torch.Tensor, way: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the action for ``noise`` (B, 4), its log probability (B,), and the deterministic action."""
        return self.squashed(self.body(torch.cat([state, way], -1)), noise)

    @staticmethod
    def squashed(outputs: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return what ``forward`` does, of the body's outputs (B, 8)."""
        mean, log_std = outputs.chunk(2, -1)
        log_std = -1.5 + 3.5 * torch.tanh(log_std)  # -5 to 2
        raw = mean + log_std.exp() * noise
        log_prob = -0.5 * noise.square() - log_std - 0.5 * math.log(2.0 * math.pi)
        squashing = 2.0 * (math.log(2.0) - raw - nn.functional.softplus(-2.0 * raw))
        return torch.tanh(raw), (log_prob - squashing).sum(-1), torch.tanh(mean)


class TwinCritic(nn.Module):
    """Two values (2, B) of state, way and action in one row (B, p + w + 4)."""

    def __init__(self, state_size: int, skills: Sequence[Skill], settings: RelaySettings) -> None:
        super().__init__()
        shape = (state_size + Ways(skills).size + ACTION_SIZE, settings.hidden, settings.layers, 1)
        self.first, self.second = (Dense(*shape, settings.between) for _ in range(2))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the values (2, B)."""
        return torch.stack([twin.taped(inputs)[0].squeeze(1) for twin in (self.first, self.second)])

    def learn(self, inputs: torch.Tensor, target: torch.Tensor) -> None:
        """Write the gradients of the mean squared distance to values (B,), both twins' added up."""
        for twin in (self.first, self.second):
            values, tape = twin.taped(inputs)
            twin.learn(tape, (values - target[:, None]) * (2.0 / len(target)))

    def action_gradient(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the gradient (B, 4) of the smaller value by the action."""
        (value, tape), (other, other_tape) = self.first.taped(inputs), self.second.taped(inputs)
        smaller, columns = (value < other).float(), slice(-ACTION_SIZE, None)
        gradient = self.first.input_gradient(tape, smaller, columns)
        return gradient + self.second.input_gradient(other_tape, 1.0 - smaller, columns)


# -- learning ----------------------------------------------------------------------------------------------------------


class RelayLearner:
    """Soft actor-critic on all skills at once."""

    def __init__(
        self,
        state_size: int,
        skills: Sequence[Skill],
        settings: RelaySettings,
        seed: int,
        device: str = "cpu",
        places: Sequence[slice] = (),
    ) -> None:
        """``places`` says where in the state positions (3,) of gripper and objects stand: where novelty is looked for.
        """
        torch.manual_seed(seed)
        self.settings, self.device = settings, torch.device(device)
        self.actor = SkillActor(state_size, skills, settings).to(self.device)
        self.critic = TwinCritic(state_size, skills, settings).to(self.device)
        self.target = copy.deepcopy(self.critic)
        self.log_alpha = nn.Parameter(torch.tensor(math.log(settings.initial_alpha), device=self.device), False)
        self._critic, self._target = in_one_piece(self.critic.parameters()), in_one_piece(self.target.parameters())
        self.average = copy.deepcopy(self.actor)
        self._average = in_one_piece(self.average.parameters())
        # One tensor for an optimizer; the temperature stands behind the actor's weights.
        self._actor = in_one_piece([*self.actor.parameters(), self.log_alpha])
        self._generator = torch.Generator().manual_seed(seed)
        self._optimizers = {
            name: torch.optim.Adam([whole], settings.learning_rate, fused=True)
            for name, whole in (("actor", self._actor), ("critic", self._critic))
        }
        self._novelty: Novelty | None = None
        if EXPLORATIONS[settings.exploration].seeks_novelty:
            self._novelty = Novelty(places, settings.learning_rate).to(self.device)
        self.updates = 0

    def pace(self, spent: float) -> None:
        """Set the learning rate to what it is where a share ``spent`` of the run is over."""
        settings = self.settings
        over = max(0.0, min(spent, 1.0) - settings.slows_from) / max(1.0 - settings.slows_from, 1e-9)
        for optimizer in self._optimizers.values():
            optimizer.param_groups[0]["lr"] = settings.learning_rate * (1.0 + over * (settings.slows_to - 1.0))

    @torch.no_grad()
    def update(self, batch: Batch) -> None:
        """Take one gradient step of the critics and, every so often, of actor and temperature."""
        settings, size = self.settings, len(batch.reward)
        batch = Batch(*(part.to(self.device) for part in batch))
        alpha = self.log_alpha.exp().clamp(min=settings.least_alpha)
        action, log_prob, _ = self.actor(batch.next_state, batch.next_way, self._noise(size))
        value = self.target(torch.cat([batch.next_state, batch.next_way, action], -1)).amin(0) - alpha * log_prob
        target = self._reward(batch) + settings.gamma * batch.goes_on * value
        target = target.clamp(-1.0 / (1.0 - settings.gamma), settings.highest_target)
        self.critic.learn(torch.cat([batch.state, batch.way, batch.action], -1), target)
        self._optimizers["critic"].step()
        if self.updates % settings.actor_every == 0:
            told = torch.cat([batch.state, batch.way], -1)
            outputs, tape = self.actor.body.taped(told)
            with torch.enable_grad():  # of the squashed Gaussian alone: a few numbers a row
                outputs.requires_grad_(True)
                action, log_prob, _ = self.actor.squashed(outputs, self._noise(size))
            # Less of alpha * log_prob - value, on average.
            by_action = -self.critic.action_gradient(torch.cat([told, action.detach()], -1)) / size
            by_log_prob = alpha.expand(size) / size
            (gradient,) = torch.autograd.grad((action, log_prob), outputs, (by_action, by_log_prob))
            self.actor.body.learn(tape, gradient)
            gradient_of(self.log_alpha).copy_(-(log_prob.mean() + settings.target_entropy))
            self._optimizers["actor"].step()
            # At first the mean of all: what the actor began with is soon forgotten.
            follows = max(settings.averaging, 1.0 / (1 + self.updates // settings.actor_every))
            self._average.lerp_(self._actor[: len(self._average)], follows)
        self._target.lerp_(self._critic, settings.tau)
        self.updates += 1

    def _reward(self, batch: Batch) -> torch.Tensor:
        """The rewards (B,); where novelty is sought, those of the last skill with it."""
        if self._novelty is None:
            return batch.reward
        novelty, is_last = self._novelty.learn(batch.next_state, batch.shift), batch.way[:, -1]
        return batch.reward + self.settings.novelty_weight * is_last * novelty

    def _noise(self, size: int) -> torch.Tensor:
        return torch.randn((size, ACTION_SIZE), generator=self._generator).to(self.device)

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
        networks = {"actor": self.actor, "average": self.average, "critic": self.critic, "target": self.target}
        parts = networks | optimizers
        if self._novelty is not None:
            parts |= {"novelty": self._novelty, "novelty_optimizer": self._novelty.optimizer}
        return parts


# -- exploring ---------------------------------------------------------------------------------------------------------


class Explorer:
    """Chooses the decisions of N environments while collecting: relay, noise, random decisions."""

    def __init__(
        self, actor: SkillActor, skills: Sequence[Skill], settings: RelaySettings, rng: np.random.Generator, count: int
    ) -> None:
        self._actor, self._settings, self._rng = actor, settings, rng
        self._hand_over_m = np.array([skill.hand_over_m for skill in skills])
        exploration = EXPLORATIONS[settings.exploration]
        self._noise = exploration.make_noise(rng, count, settings.noise_correlation)
        self._relay_share = settings.relay_share if exploration.relays else 0.0

    def decide(
        self, state: Float32, achieved_m: Float32, asked_m: Float32, rows: Sequence[int]
    ) -> NDArray[np.float64]:
        """Return actions (N, 4) for states (N, p) and skills' positions (N, M, 3) [m] of the environments ``rows``."""
        settings, rng, count = self._settings, self._rng, len(state)
        near = np.linalg.norm(achieved_m - asked_m, axis=2) <= self._hand_over_m
        last = len(self._hand_over_m) - 1
        # The one after the latest that has handed over: what was needed for that is over, as with a block let go.
        due = (near[:, :last] * np.arange(1, last + 1)).max(1, initial=0)
        skill = np.where(rng.random(count) < self._relay_share, due, last)
        at_random = (skill == last) & (rng.random(count) < settings.random_share)
        random_action = rng.uniform(-1.0, 1.0, (count, ACTION_SIZE))
        action = _query(self._actor, state, achieved_m, asked_m, skill, next(self._noise)[list(rows)])
        return np.where(at_random[:, None], random_action, action)


def _query(
    actor: SkillActor,
    state: Float32,
    achieved_m: Float32,
    asked_m: Float32,
    skill: NDArray[np.int_],
    noise: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Return actions (N, 4) by ``skill`` (N,), with noise (N, 4) or without."""
    way = actor.ways.told(asked_m[np.arange(len(state)), skill], achieved_m, asked_m, skill)
    with torch.inference_mode():
        told = torch.from_numpy(np.zeros((len(state), ACTION_SIZE)) if noise is None else noise).float()
        sampled, _, mean = actor(torch.from_numpy(state), torch.from_numpy(way), told)
    chosen: NDArray[np.float64] = (mean if noise is None else sampled).numpy().astype(np.float64)
    return chosen


# -- afterwards --------------------------------------------------------------------------------------------------------


class SteadyActor:
    """Acts in N environments without noise: asked in every control period, it does the mean of its last answers.

    These are as many as a decision lasts periods, so that an answer has as much weight as where it was learned. What
    has learned to decide ten times a second flickers if every answer is followed at once: the fingers open and close.
    """

    def __init__(self, actor: SkillActor, answers: int, count: int) -> None:
        self._actor = actor
        self._answers: list[deque[NDArray[np.float64]]] = [deque(maxlen=answers) for _ in range(count)]

    def act(self, state: Float32, achieved_m: Float32, asked_m: Float32, rows: Sequence[int]) -> NDArray[np.float64]:
        """Return the last skill's actions (N, 4), as ``Explorer.decide``."""
        last = np.full(len(state), self._actor.ways.skills - 1)
        answers = _query(self._actor, state, achieved_m, asked_m, last, None)
        for row, answer in zip(rows, answers, strict=True):
            self._answers[row].append(answer)
        return np.array([np.mean(self._answers[row], axis=0) for row in rows])
