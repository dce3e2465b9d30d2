"""How relay HER explores, with the relay and with what it is compared with."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from relay_toys import BRING, PLANAR, REACH, SKILLS, SMALL, STATE_SIZE, UNIT_M, episode

from fetch_sim2real.perception.observe import ACTION_SIZE
from fetch_sim2real.tasks.base import GOAL, Skill
from fetch_sim2real.training.exploration import ExplorationName, Novelty, correlated_noise, pink_noise
from fetch_sim2real.training.relay_her import (
    Explorer,
    RelayLearner,
    RelayReplay,
    SkillActor,
    SteadyActor,
)


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
