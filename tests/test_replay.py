"""Hindsight relabelling: which goals a transition may get, and what it earns for them."""

from __future__ import annotations

import numpy as np
import pytest

from fetch_training.replay import Episode, GoalScaling, HindsightReplay
from fetch_training.seeds import FIRST_TRAINING_SEED, training_seeds

SCALING = GoalScaling(np.array([0.0, 0.0, 0.5], np.float32), np.array([0.1, 0.2, 0.4], np.float32))


def _episode(length: int, goal: tuple[float, float, float] = (9.0, 9.0, 9.0)) -> Episode:
    """Observation t has achieved (t, 0, 0) and state t, so that every index can be read off a batch."""
    times = np.arange(length + 1, dtype=np.float32)
    return Episode(
        seed=0,
        state=times[:, None],
        bottleneck=times[:, None],
        vector=np.tile(times[:, None], (1, 5)),
        achieved=np.stack([times, 0 * times, 0 * times], axis=1),
        goal=np.array(goal, np.float32),
        action=np.tile(times[:-1, None], (1, 4)),
        success=False,
    )


def _replay(share: float, capacity: int = 10) -> HindsightReplay:
    return HindsightReplay(capacity, tolerance_m=0.5, scaling=SCALING, hindsight_share=share)


def test_hindsight_goals_come_from_the_transitions_own_future() -> None:
    replay = _replay(1.0)
    replay.add(_episode(6))
    batch = replay.sample(4000, np.random.default_rng(0))
    step, future = batch.state[:, 0].numpy(), batch.goal[:, 0].numpy()
    assert np.all(future > step)
    assert np.all(future <= 6)
    # Uniform over t + 1..6: from step 3 the goals 4, 5 and 6 are equally likely.
    counts = np.bincount(future[step == 3].astype(int), minlength=7)[4:]
    assert counts.min() > 0.25 * counts.sum()


def test_reward_is_zero_exactly_where_the_goal_is_reached_after_the_step() -> None:
    replay = _replay(1.0)
    replay.add(_episode(6))
    batch = replay.sample(1000, np.random.default_rng(1))
    reached = (batch.next_achieved[:, 0] == batch.goal[:, 0]).numpy()
    np.testing.assert_array_equal(batch.reward.numpy(), np.where(reached, 0.0, -1.0))
    np.testing.assert_array_equal(batch.next_state.numpy(), batch.state.numpy() + 1)


def test_true_goals_keep_their_share() -> None:
    replay = _replay(0.8)
    replay.add(_episode(6))
    batch = replay.sample(5000, np.random.default_rng(2))
    assert float((batch.goal[:, 0] == 9.0).float().mean()) == pytest.approx(0.2, abs=0.02)
    assert np.all(batch.reward.numpy()[batch.goal[:, 0].numpy() == 9.0] == -1.0)


def test_the_actor_is_told_the_new_goal_in_its_own_units_and_nothing_else_changes() -> None:
    replay = _replay(1.0)
    replay.add(_episode(6))
    batch = replay.sample(50, np.random.default_rng(3))
    expected = (batch.goal.numpy() - SCALING.centre) / SCALING.scale
    np.testing.assert_allclose(batch.vector[:, :3].numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(batch.next_vector[:, :3].numpy(), expected, rtol=1e-6)
    np.testing.assert_array_equal(batch.vector[:, 3].numpy(), batch.state[:, 0].numpy())
    again = replay.sample(50, np.random.default_rng(3))
    np.testing.assert_array_equal(again.vector.numpy(), batch.vector.numpy())


def test_the_oldest_episode_goes_first_and_long_episodes_weigh_more() -> None:
    replay = _replay(0.0, capacity=2)
    for goal, length in ((1.0, 2), (2.0, 2), (3.0, 8)):
        replay.add(_episode(length, (goal, 0.0, 0.0)))
    assert len(replay) == 10
    goals = replay.sample(4000, np.random.default_rng(4)).goal[:, 0].numpy()
    assert set(goals) == {2.0, 3.0}
    assert np.mean(goals == 3.0) == pytest.approx(0.8, abs=0.03)


def test_training_seeds_are_disjoint_from_evaluation_and_between_uses() -> None:
    streams = [training_seeds(0, name) for name in ("rollouts", "train")] + [training_seeds(1, "rollouts")]
    drawn = [{next(stream) for _ in range(500)} for stream in streams]
    assert min(map(min, drawn)) >= FIRST_TRAINING_SEED
    assert not (drawn[0] & drawn[1] or drawn[0] & drawn[2])
