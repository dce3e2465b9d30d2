"""Hindsight of relay HER: which goals, which transitions, how often."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from relay_toys import BRING, PLANAR, REACH, SKILLS, UNIT_M, episode, steps_of

from fetch_sim2real.training.relay_her import (
    RelayReplay,
    RelaySettings,
)


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
