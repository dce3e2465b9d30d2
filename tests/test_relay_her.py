"""Relay HER: hindsight in both modes, the hand-over while exploring, and learning from binary rewards alone."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.perception.observe import ACTION_SIZE
from fetch_sim2real.tasks.base import GOAL, Skill
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.dense import Dense, in_one_piece
from fetch_sim2real.training.exploration import ExplorationName, Novelty, correlated_noise, pink_noise
from fetch_sim2real.training.relay_her import (
    Batch,
    DecisionEpisode,
    Explorer,
    RelayLearner,
    RelayReplay,
    RelaySettings,
    SkillActor,
    SteadyActor,
    TwinCritic,
    Ways,
)

STATE_SIZE = 6
PLANAR = (slice(0, 2), slice(3, 5))
UNIT_M = 0.2
SMALL = RelaySettings(hidden=32, layers=2, batch=64, precision="float32")
SKILLS = (Skill("gripper", "gripper", "thing", hand_over_m=0.06), Skill("thing", "thing", GOAL))
REACH, BRING = 0, 1


def relay_episode(
    seed: int, state: np.ndarray, grip: np.ndarray, thing: np.ndarray, goal: np.ndarray, action: np.ndarray
) -> DecisionEpisode:
    achieved, asked = np.stack([grip, thing], axis=1), np.stack([thing, goal], axis=1)
    columns = (column.astype(np.float32) for column in (state, achieved, asked))
    return DecisionEpisode(seed, *columns, np.ones(achieved.shape[:2], bool), action.astype(np.float32), False)


def episode(seed: int, steps: int = 6, *, moves: bool = True) -> DecisionEpisode:
    rng = np.random.default_rng(seed)
    grip, thing = (np.cumsum(rng.normal(0.0, 0.05, (steps + 1, 3)), axis=0) for _ in range(2))
    if not moves:
        thing[:] = thing[0]
    goal = np.tile(rng.normal(0.0, 0.2, 3), (steps + 1, 1))
    action = rng.uniform(-1.0, 1.0, (steps, ACTION_SIZE))
    return relay_episode(seed, np.concatenate([grip, thing], axis=1) / UNIT_M, grip, thing, goal, action)


def steps_of(batch: Batch, one: DecisionEpisode) -> np.ndarray:
    """Which transition of the episode each row is."""
    return (batch.action.numpy()[:, None] == one.action[None]).all(-1).argmax(1)


def test_goals_in_hindsight_are_what_was_reached_later_and_true_goals_are_what_each_skill_is_for() -> None:
    settings = RelaySettings(shift_share=0.0)
    replay, one = RelayReplay(SKILLS, settings, PLANAR, UNIT_M), episode(0)
    replay.add(one)
    batch = replay.sample(4_000, np.random.default_rng(1))
    step, skill = steps_of(batch, one), batch.way[:, -2:].argmax(1).numpy()
    goal = one.achieved_m[step, skill] + 0.1 * batch.way[:, :3].numpy()
    goal_after = one.achieved_m[step + 1, skill] + 0.1 * batch.next_way[:, :3].numpy()
    assert goal == pytest.approx(goal_after, abs=1e-6)
    later = one.achieved_m[:, skill].swapaxes(0, 1)
    distance = np.linalg.norm(later - goal[:, None], axis=-1)
    is_later = (distance < 1e-5) & (np.arange(len(one) + 1)[None] > step[:, None])
    is_asked = np.linalg.norm(one.asked_m[step + 1, skill] - goal, axis=1) < 1e-5
    assert (is_later.any(1) | is_asked).all()
    assert 0.75 < is_later.any(1).mean() < 0.85
    assert 0.25 < (skill == REACH).mean() < 0.35
    reached = np.linalg.norm(one.achieved_m[step + 1, skill] - goal, axis=1) <= settings.tolerance_m
    assert (batch.reward.numpy() == np.where(reached, 0.0, -1.0)).all()
    assert 0.1 < reached.mean() < 0.9


def test_a_goal_in_hindsight_moves_as_the_asked_one_does() -> None:
    skills = (SKILLS[0], replace(SKILLS[1], follows=True))
    replay, one = RelayReplay(skills, RelaySettings(shift_share=0.0, hindsight_share=1.0), PLANAR, UNIT_M), episode(0)
    one.asked_m[:, BRING] = np.random.default_rng(1).normal(0.0, 0.2, (len(one) + 1, 3))
    replay.add(one)
    batch = replay.sample(2_000, np.random.default_rng(2))
    step, brings = steps_of(batch, one), batch.way[:, -2 + BRING].numpy() == 1.0
    assert 0.65 < brings.mean() < 0.75
    ways = np.stack([batch.way[:, :3], batch.next_way[:, :3]], axis=1)
    goals = one.achieved_m[:, BRING][step[:, None] + [0, 1]] + 0.1 * ways
    # Along the asked goal's path, so that the place at a later state is reached there.
    offset = goals - one.asked_m[:, BRING][step[:, None] + [0, 1]]
    at_later = (one.achieved_m - one.asked_m)[:, BRING]
    is_later = np.linalg.norm(at_later - offset[:, :1], axis=-1) < 1e-5
    assert (is_later & (np.arange(len(one) + 1) > step[:, None])).any(1)[brings].all()
    assert offset[brings, 0] == pytest.approx(offset[brings, 1], abs=1e-5)


def test_where_it_is_not_allowed_nothing_counts_as_brought() -> None:
    replay, one = RelayReplay(SKILLS, RelaySettings(shift_share=0.0), PLANAR, UNIT_M), episode(0)
    one.allowed[3, BRING] = False
    replay.add(one)
    batch = replay.sample(2_000, np.random.default_rng(2))
    step, skill = steps_of(batch, one), batch.way[:, -2:].argmax(1).numpy()
    reached = batch.reward.numpy() == 0.0
    assert not reached[(step == 2) & (skill == BRING)].any()
    assert reached[(step == 2) & (skill == REACH)].any() and reached[(step == 3) & (skill == BRING)].any()


def test_a_chain_of_one_skill_is_all_of_a_batch_and_earlier_ones_of_a_longer_chain_share_theirs() -> None:
    one = episode(0)
    for skills, shares in ((SKILLS[1:], [1.0]), (SKILLS[:1] * 2 + SKILLS[1:], [0.15, 0.15, 0.7])):
        replay = RelayReplay(skills, RelaySettings(), PLANAR, UNIT_M)
        pick = [REACH] * (len(skills) - 1) + [BRING]
        replay.add(
            replace(
                one, achieved_m=one.achieved_m[:, pick], asked_m=one.asked_m[:, pick], allowed=one.allowed[:, pick]
            )
        )
        way = replay.sample(4_000, np.random.default_rng(3)).way.numpy()
        assert way[:, -len(skills) :].mean(0) == pytest.approx(shares, abs=0.03)


def test_a_shift_moves_positions_in_the_plane_alone() -> None:
    replay = RelayReplay(SKILLS, RelaySettings(shift_share=1.0), PLANAR, UNIT_M)
    one = episode(0)
    replay.add(one)
    batch = replay.sample(100, np.random.default_rng(2))
    step = steps_of(batch, one)
    moved = (batch.state.numpy() - one.state[step]) * UNIT_M
    assert np.abs(moved[:, [2, 5]]).max() == 0.0
    assert np.abs(moved[:, :2] - moved[:, 3:5]).max() < 1e-6
    assert 0.05 < np.abs(moved[:, :2]).max() <= 0.1 + 1e-6
    assert np.allclose((batch.next_state.numpy() - one.state[step + 1]) * UNIT_M, moved, atol=1e-6)


def test_episodes_in_which_nothing_moved_are_drawn_less_often() -> None:
    replay = RelayReplay(SKILLS, RelaySettings(shift_share=0.0), PLANAR, UNIT_M)
    moving, still = episode(0), episode(1, moves=False)
    assert replay.add(moving) and not replay.add(still)
    drawn = replay.sample(6_000, np.random.default_rng(3)).action.numpy()
    of_still = (drawn[:, None] == still.action[None]).all(-1).any(1).mean()
    assert 0.14 < of_still < 0.20  # 0.2 of 1.2


def test_transitions_after_the_thing_has_come_to_rest_are_drawn_less_often() -> None:
    one = episode(0)
    one.achieved_m[4:, BRING] = one.achieved_m[4, BRING]
    replay = RelayReplay(SKILLS, RelaySettings(rest_weight=0.25), PLANAR, UNIT_M)
    replay.add(one)
    share = np.bincount(steps_of(replay.sample(8_000, np.random.default_rng(1)), one), minlength=6) / 8_000
    assert share == pytest.approx(np.array([1.0, 1.0, 1.0, 1.0, 0.25, 0.25]) / 4.5, abs=0.02)


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


class _Telling(SkillActor):
    """Acts by its mode: 0.5 in every coordinate for the first skill, -0.5 for all others."""

    def forward(
        self, state: torch.Tensor, way: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        action = (way[:, -2 + REACH] - 0.5)[:, None].expand(-1, ACTION_SIZE)
        return action, torch.zeros(len(state)), action


def test_half_of_the_decisions_are_the_first_skills_that_has_not_handed_over() -> None:
    count = 4_000
    explorer = Explorer(_Telling(STATE_SIZE, SKILLS, SMALL), SKILLS, SMALL, np.random.default_rng(4), count)
    state, achieved = np.zeros((count, STATE_SIZE), np.float32), np.zeros((count, 2, 3), np.float32)
    for away_m, share in ((0.2, 0.5), (0.01, 0.0)):
        asked = achieved.copy()
        asked[:, REACH, 0], asked[:, BRING, 0] = away_m, 0.5
        chosen = explorer.decide(state, achieved, asked, range(count))
        by_first, by_last = (chosen == 0.5).all(1).mean(), (chosen == -0.5).all(1).mean()
        assert by_first == pytest.approx(share, abs=0.03)
        # A fifth of the last skill's decisions is random.
        assert by_last == pytest.approx(0.8 * (1.0 - share), abs=0.03)


class _Numbered(SkillActor):
    """Acts by its mode: 0.1 for the first skill, 0.2 for the second, and so on."""

    def forward(
        self, state: torch.Tensor, way: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        number = 0.1 * (1.0 + way[:, -self.ways.skills:].argmax(1).float())
        return number[:, None].expand(-1, ACTION_SIZE), torch.zeros(len(state)), number


@pytest.mark.parametrize(
    ("near", "due"),
    [((False, False), 0), ((True, False), 1), ((True, True), 2), ((False, True), 2)],
    ids=["nothing done", "gripper there", "block there", "block there and let go"],
)
def test_skills_take_over_from_each_other_along_a_chain(near: tuple[bool, bool], due: int) -> None:
    carry, stack = Skill("carry", "block", GOAL, 0.03), Skill("stack", "block", GOAL)
    chain = (Skill("gripper", "gripper", "block", 0.03), carry, stack)
    settings = replace(SMALL, relay_share=1.0, random_share=0.0)
    explorer = Explorer(_Numbered(STATE_SIZE, chain, SMALL), chain, settings, np.random.default_rng(4), 5)
    state, achieved = np.zeros((5, STATE_SIZE), np.float32), np.zeros((5, 3, 3), np.float32)
    asked = achieved + np.where([*near, near[1]], 0.0, 0.2).astype(np.float32)[:, None]
    assert explorer.decide(state, achieved, asked, range(5)) == pytest.approx(0.1 * (1 + due))


@pytest.mark.parametrize("name", ["none", "pink", "rnd"])
def test_without_the_relay_all_decisions_are_the_last_skills(name: ExplorationName) -> None:
    settings, count = replace(SMALL, exploration=name, random_share=0.0), 100
    explorer = Explorer(_Telling(STATE_SIZE, SKILLS, SMALL), SKILLS, settings, np.random.default_rng(4), count)
    state, achieved = np.zeros((count, STATE_SIZE), np.float32), np.zeros((count, 2, 3), np.float32)
    assert (explorer.decide(state, achieved, achieved + 0.2, range(count)) == -0.5).all()


def test_pink_noise_is_as_strong_as_white_and_has_as_much_power_in_every_octave() -> None:
    series = np.stack(list(islice(pink_noise(np.random.default_rng(0), 500), 128)))
    assert series.std() == pytest.approx(1.0, abs=0.05)
    power = (np.abs(np.fft.rfft(series, axis=0)) ** 2).mean((1, 2))
    low, high = power[2:4].sum(), power[32:64].sum()
    assert low == pytest.approx(high, rel=0.25)
    white = np.stack(list(islice(correlated_noise(np.random.default_rng(0), 500, 0.0), 128)))
    assert abs((white[1:] * white[:-1]).mean()) < 0.02 < (series[1:] * series[:-1]).mean()


def test_what_was_often_seen_is_not_novel_whatever_it_is_shifted_by() -> None:
    torch.manual_seed(0)
    novelty, rng = Novelty((slice(0, 3), slice(3, 6)), 3e-3), torch.Generator().manual_seed(0)

    def seen(*, far: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
        state, shift = 0.3 * torch.randn(64, STATE_SIZE, generator=rng), torch.randn(64, 2, generator=rng)
        state[:, 5] += far  # a lifted thing
        state[:, 0:2] += shift
        state[:, 3:5] += shift
        return state, shift

    with torch.no_grad():
        first = novelty.learn(*seen()).mean()
        for _ in range(80):
            usual = novelty.learn(*seen()).mean()
        unusual = novelty.learn(*seen(far=2.0)).mean()
    assert usual < 0.3 * first and unusual > 3.0 * usual


class _Pointing(SkillActor):
    """Acts by the way to the goal."""

    def forward(
        self, state: torch.Tensor, way: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        action = way[:, :1].expand(-1, ACTION_SIZE)
        return action, torch.zeros(len(state)), action


def test_what_a_finished_actor_does_is_the_mean_of_its_last_answers_in_each_environment() -> None:
    actor = _Pointing(STATE_SIZE, SKILLS, SMALL)
    steady = SteadyActor(actor, 2, 3)
    grip, thing = np.zeros((3, 3), np.float32), np.zeros((3, 3), np.float32)

    def act(goal: float, rows: list[int]) -> list[float]:
        achieved = np.stack([grip, thing], axis=1)[rows]
        asked = np.stack([thing, np.full((3, 3), goal, np.float32)], axis=1)[rows]
        return steady.act(np.zeros((len(rows), STATE_SIZE), np.float32), achieved, asked, rows)[:, 0].tolist()

    assert act(0.02, [0, 1, 2]) == pytest.approx([0.2, 0.2, 0.2])
    assert act(0.04, [0, 2]) == pytest.approx([0.3, 0.3])
    assert act(0.06, [0, 1, 2]) == pytest.approx([0.5, 0.4, 0.5])


def test_novelty_is_a_reward_of_the_last_skill_alone_and_of_learning_alone() -> None:
    settings = replace(SMALL, exploration="rnd", novelty_weight=0.5)
    replay = RelayReplay(SKILLS, settings, PLANAR, UNIT_M)
    replay.add(episode(0))
    batch = replay.sample(64, np.random.default_rng(1))
    assert set(batch.reward.tolist()) == {-1.0, 0.0}
    learner = RelayLearner(STATE_SIZE, SKILLS, settings, seed=0, places=(slice(0, 3), slice(3, 6)))
    with torch.no_grad():
        added = learner._reward(batch) - batch.reward
    brings = batch.way[:, -2 + BRING] == 1.0
    assert (added[brings] > 0.0).all() and (added[~brings] == 0.0).all()
    again = RelayLearner(STATE_SIZE, SKILLS, settings, seed=1, places=(slice(0, 3), slice(3, 6)))
    again.load_state_dict(learner.state_dict())
    with torch.no_grad():
        assert torch.equal(again._reward(batch), learner._reward(batch))


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


def test_every_task_has_a_chain_of_skills() -> None:
    chains = {name: find_task(name).skills for name in ("push", "pick_and_place", "reach", "reach_block")}
    assert chains["push"][0] == Skill("gripper", "gripper", "block", hand_over_m=0.06)
    assert chains["pick_and_place"][0].hand_over_m == 0.03, "what is gripped has to be between the fingers"
    assert chains["pick_and_place"][1] == Skill("block", "block", GOAL)
    assert chains["reach"] == (Skill("gripper", "gripper", GOAL),)
    assert chains["reach_block"] == (Skill("gripper", "gripper", GOAL, follows=True),)


def test_positions_of_skills_are_in_base_link_whatever_frame_goals_are_in() -> None:
    grip, block, goal = np.array([[0.6, 0.0, 0.9]]), np.array([[0.7, 0.1, 0.7]]), np.array([[0.0, 0.05, 0.1]])
    task = find_task("reach_block")
    assert task.skills_achieved_m(grip, {"block": block}) == pytest.approx(grip[:, None])
    assert task.skills_asked_m(goal, {"block": block}) == pytest.approx((block + goal)[:, None])
    task = find_task("push")
    assert task.skills_achieved_m(grip, {"block": block}) == pytest.approx(np.stack([grip, block], axis=1))
    assert task.skills_asked_m(goal, {"block": block}) == pytest.approx(np.stack([block, goal], axis=1))
    assert task.skills_allowed(grip, {"block": block}, np.zeros(1)).all()


def test_a_chain_names_what_there_is() -> None:
    with pytest.raises(FetchSim2RealError, match="skill 'put': mover is 'brick', expected gripper, block"):
        replace(find_task("push"), chain=(Skill("put", "brick", GOAL),))
