"""Relay HER's learner: gradients, averages, going on, and learning from binary rewards alone."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from relay_toys import PLANAR, REACH, SKILLS, SMALL, STATE_SIZE, UNIT_M, episode, relay_episode

from fetch_sim2real.perception.observe import ACTION_SIZE
from fetch_sim2real.tasks.base import GOAL, Skill
from fetch_sim2real.training.dense import Dense, in_one_piece
from fetch_sim2real.training.relay_her import (
    Batch,
    DecisionEpisode,
    Explorer,
    RelayLearner,
    RelayReplay,
    SkillActor,
    TwinCritic,
    Ways,
)


def test_the_learning_rate_falls_towards_the_end_of_a_run() -> None:
    settings = replace(SMALL, learning_rate=1e-3, slows_from=0.6, slows_to=0.1)
    learner = RelayLearner(STATE_SIZE, SKILLS, settings, 0)
    rates = []
    for spent in (0.0, 0.6, 0.8, 1.0, 1.1):
        learner.pace(spent)
        rates.append({group["lr"] for part in learner.state_dict().values() if isinstance(part, dict)
                      for group in part.get("param_groups", ())})  # fmt: skip
    assert [min(rate) for rate in rates] == pytest.approx([1e-3, 1e-3, 5.5e-4, 1e-4, 1e-4])
    assert all(len(rate) == 1 for rate in rates), "the actor's and the critics' alike"
    RelayLearner(STATE_SIZE, SKILLS, replace(settings, slows_from=1.0), 0).pace(1.0)  # never: no division by zero


def toy_episodes(actor: SkillActor, rng: np.random.Generator, count: int) -> list[DecisionEpisode]:
    """A point for a gripper, and an object that sticks to it within 4 cm while the fingers are closed."""
    grip, thing, goal = (rng.uniform(-0.2, 0.2, (count, 3)).astype(np.float32) for _ in range(3))
    explorer = Explorer(actor, SKILLS, SMALL, rng, count)
    columns: list[list[np.ndarray]] = [[], [], [], []]
    for _ in range(21):
        state = np.concatenate([grip, thing], axis=1) / UNIT_M
        achieved, asked = np.stack([grip, thing], axis=1), np.stack([thing, goal], axis=1)
        action = explorer.decide(state, achieved, asked, range(count))
        for column, value in zip(columns, (state, grip, thing, action), strict=True):
            column.append(value.astype(np.float32))
        held = (np.linalg.norm(grip - thing, axis=1) < 0.04) & (action[:, 3] < 0.0)
        motion = (0.05 * action[:, :3]).astype(np.float32)
        grip, thing = grip + motion, thing + motion * held[:, None]
    states, grips, things, actions = (np.stack(column, axis=1) for column in columns)
    goals = np.repeat(goal[:, None], 21, axis=1)
    return [
        relay_episode(row, states[row], grips[row], things[row], goals[row], actions[row, :-1]) for row in range(count)
    ]


def test_within_seconds_the_gripper_learns_to_reach_from_binary_rewards_alone() -> None:
    learner = RelayLearner(STATE_SIZE, SKILLS, SMALL, seed=0)
    replay, rng = RelayReplay(SKILLS, SMALL, PLANAR, UNIT_M), np.random.default_rng(5)

    def reached() -> float:
        trial = np.random.default_rng(6)
        grip, thing, goal = (trial.uniform(-0.2, 0.2, (100, 3)).astype(np.float32) for _ in range(3))
        for _ in range(20):
            state, skill = np.concatenate([grip, thing], axis=1) / UNIT_M, np.full(100, REACH)
            with torch.inference_mode():
                achieved, asked = np.stack([grip, thing], axis=1), np.stack([thing, goal], axis=1)
                way = learner.actor.ways.told(goal, achieved, asked, skill)
                told = [torch.from_numpy(array.astype(np.float32)) for array in (state, way)]
                _, _, action = learner.actor(*told, torch.zeros(100, ACTION_SIZE))
            grip = grip + 0.05 * action.numpy()[:, :3]
        return float(np.mean(np.linalg.norm(grip - goal, axis=1) < 0.05))

    before = reached()
    for _ in range(30):
        for one in toy_episodes(learner.actor, rng, 16):
            replay.add(one)
        for _ in range(60):
            learner.update(replay.sample(SMALL.batch, rng))
    assert before < 0.2
    after = reached()
    assert after > 0.8, after


def test_what_is_judged_averages_the_actors_weights() -> None:
    learner, replay = RelayLearner(STATE_SIZE, SKILLS, SMALL, seed=0), RelayReplay(SKILLS, SMALL, PLANAR, UNIT_M)
    for one in toy_episodes(learner.actor, np.random.default_rng(1), 16):
        replay.add(one)
    after: list[torch.Tensor] = []
    for index in range(6 * SMALL.actor_every):
        learner.update(replay.sample(SMALL.batch, np.random.default_rng(2)))
        if index % SMALL.actor_every == 0:
            after.append(learner.actor.body.hidden[0].weight.clone())
    torch.testing.assert_close(learner.average.body.hidden[0].weight, torch.stack(after).mean(0))
    assert not torch.equal(after[0], after[-1])


class _ByAutograd:
    """The same learner in torch's own layers, losses and optimizers."""

    def __init__(self, learner: RelayLearner) -> None:
        self.settings, self.generator = learner.settings, torch.Generator()
        self.generator.set_state(learner._generator.get_state())
        self.actor = _plain(learner.actor.body)
        self.critics, self.targets = (twins(learner.critic) for _ in range(2))
        self.log_alpha = learner.log_alpha.clone().requires_grad_(True)
        rate = self.settings.learning_rate
        critics = [parameter for critic in self.critics for parameter in critic.parameters()]
        self.critic_optimizer = torch.optim.Adam(critics, rate)
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), rate)
        self.alpha_optimizer = torch.optim.Adam([self.log_alpha], rate)

    def act(self, *told: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, log_std = self.actor(torch.cat(told, -1)).chunk(2, -1)
        normal = torch.distributions.Normal(mean, (-1.5 + 3.5 * log_std.tanh()).exp())
        raw = mean + normal.stddev * torch.randn(mean.shape, generator=self.generator)
        log_prob = normal.log_prob(raw) - torch.log(1.0 - raw.tanh().square() + 1e-12)
        return raw.tanh(), log_prob.sum(-1)

    def update(self, batch: Batch, *, actor: bool) -> None:
        settings, alpha = self.settings, self.log_alpha.exp().detach()
        with torch.no_grad():
            action, log_prob = self.act(batch.next_state, batch.next_way)
            after = torch.cat([batch.next_state, batch.next_way, action], -1)
            value = torch.cat([target(after) for target in self.targets], 1).amin(1) - alpha * log_prob
            wanted = (batch.reward + settings.gamma * value).clamp(-1.0 / (1.0 - settings.gamma), 0.5)
        told = torch.cat([batch.state, batch.way], -1)
        inputs = torch.cat([told, batch.action], -1)
        self.critic_optimizer.zero_grad()
        sum((critic(inputs)[:, 0] - wanted).square().mean() for critic in self.critics).backward()
        self.critic_optimizer.step()
        if actor:
            action, log_prob = self.act(told)
            value = torch.cat([critic(torch.cat([told, action], -1)) for critic in self.critics], 1).amin(1)
            self.actor_optimizer.zero_grad()
            (alpha * log_prob - value).mean().backward()
            self.actor_optimizer.step()
            self.alpha_optimizer.zero_grad()
            (-self.log_alpha * (log_prob.detach().mean() + settings.target_entropy)).backward()
            self.alpha_optimizer.step()
        with torch.no_grad():
            for target, critic in zip(self.targets, self.critics, strict=True):
                for slow, fast in zip(target.parameters(), critic.parameters(), strict=True):
                    slow.lerp_(fast, settings.tau)


def _plain(dense: Dense) -> torch.nn.Sequential:
    parts: list[torch.nn.Module] = []
    for layer in [*dense.hidden, dense.last]:
        linear = torch.nn.Linear(*layer.weight.shape)
        linear.weight.data, linear.bias.data = layer.weight.t().clone(), layer.bias.clone()
        parts.append(linear)
        if layer is not dense.last:
            norm = torch.nn.LayerNorm(len(layer.bias))
            norm.weight.data, norm.bias.data = layer.scale.clone(), layer.shift.clone()
            parts += [norm, torch.nn.ReLU()]
    return torch.nn.Sequential(*parts)


def twins(critic: TwinCritic) -> list[torch.nn.Sequential]:
    return [_plain(critic.first), _plain(critic.second)]


def test_an_update_is_what_automatic_differentiation_makes_of_the_losses() -> None:
    replay = RelayReplay(SKILLS, SMALL, PLANAR, UNIT_M)
    replay.add(episode(0))
    learner = RelayLearner(STATE_SIZE, SKILLS, SMALL, seed=0)
    reference = _ByAutograd(learner)
    initial = reference.actor[0].weight.clone()
    for count in range(5):
        batch = replay.sample(64, np.random.default_rng(count))
        learner.update(batch)
        reference.update(batch, actor=count % SMALL.actor_every == 0)
    networks = [_plain(learner.actor.body), *twins(learner.critic), *twins(learner.target)]
    for ours, theirs in zip(networks, [reference.actor, *reference.critics, *reference.targets], strict=True):
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert (one - other).abs().max() < 1e-5
    assert learner.log_alpha.item() == pytest.approx(reference.log_alpha.item(), abs=1e-6)
    assert (reference.actor[0].weight - initial).abs().max() > 1e-3, "and something was learned"


def test_bfloat16_between_hidden_layers_changes_gradients_by_little() -> None:
    torch.manual_seed(0)
    exact = Dense(20, 64, 3, 2, torch.float32)
    whole = in_one_piece(exact.parameters())
    coarse = copy.deepcopy(exact)
    coarse.between, low = torch.bfloat16, in_one_piece(coarse.parameters())
    inputs, gradient = torch.randn(128, 20), torch.randn(128, 2)
    by_inputs = []
    for dense in (exact, coarse):
        _, tape = dense.taped(inputs)
        dense.learn(tape, gradient)
        by_inputs.append(dense.input_gradient(tape, gradient, slice(-4, None)))
    for one, other in ((whole.grad, low.grad), by_inputs):
        assert one is not None and other is not None
        assert 1e-4 < (one - other).norm() / one.norm() < 0.1


def test_an_interrupted_learner_goes_on_as_if_nothing_had_been() -> None:
    replay = RelayReplay(SKILLS, SMALL, PLANAR, UNIT_M)
    replay.add(episode(0))
    whole, first = (RelayLearner(STATE_SIZE, SKILLS, SMALL, seed=1) for _ in range(2))
    batches = [replay.sample(64, np.random.default_rng(i)) for i in range(6)]
    for batch in batches:
        whole.update(batch)
    for batch in batches[:3]:
        first.update(batch)
    second = RelayLearner(STATE_SIZE, SKILLS, SMALL, seed=2)
    second.load_state_dict(first.state_dict())
    for batch in batches[3:]:
        second.update(batch)
    for name, value in whole.actor.state_dict().items():
        assert torch.equal(value, second.actor.state_dict()[name]), name


def test_networks_are_told_the_way_to_the_goal_and_that_of_earlier_skills_that_is_left() -> None:
    chain = (*SKILLS[:1], Skill("carry", "thing", GOAL), Skill("stack", "thing", GOAL))
    achieved, asked = np.zeros((3, 3, 3), np.float32), np.zeros((3, 3, 3), np.float32)
    achieved[:, 0], asked[:, 0] = (0.1, 0.0, 0.0), (0.12, 0.5, 0.0)  # the gripper, and where it is to be
    goal, skill = np.array([[0.3, 0.0, 0.1]] * 3, np.float32), np.array([0, 1, 2])
    told = Ways(chain).told(goal, achieved, asked, skill)
    assert told.shape == (3, Ways(chain).size)
    # In decimetres; in units of 4 cm, no more than four of them; the mode.
    assert told[0] == pytest.approx([2.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    assert told[1] == pytest.approx([3.0, 0.0, 1.0, 0.5, 4.0, 0.0, 0.0, 1.0, 0.0])
    # A way to the goal is told of no other skill: in hindsight the goal is another one.
    assert told[2] == pytest.approx([3.0, 0.0, 1.0, 0.5, 4.0, 0.0, 0.0, 0.0, 1.0])
