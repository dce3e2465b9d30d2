"""Hindsight relabelling: which goals a transition may get, and what it earns for them."""

from __future__ import annotations

import numpy as np
import pytest

from fetch_sim2real.sim.seeds import FIRST_TRAINING_SEED
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.episode import Episode, TruthLayout
from fetch_sim2real.training.replay import HindsightReplay, ReplaySettings, Strategy
from fetch_sim2real.training.seeds import training_seeds

REACH, REACH_BLOCK, PUSH = (find_task(name) for name in ("reach", "reach_block", "push"))


def _episode(length: int, goal: tuple[float, float, float] = (9.0, 9.0, 9.0), speed: float = 1.0) -> Episode:
    """At observation t the gripper is at (t, 0, 0) m and all else reads t, so that every index shows in a batch."""
    times = np.arange(length + 1, dtype=np.float32)
    truth = np.zeros((length + 1, 7), np.float32)
    truth[:, 0] = speed * times
    column = times[:, None]
    return Episode(
        seed=0,
        state=column,
        bottleneck=column,
        shown=column,
        vector=np.tile(column, (1, 5)),
        truth=truth,
        goal=np.array(goal, np.float32),
        action=np.tile(column, (1, 4)),
        success=False,
    )


def _replay(share: float, strategy: Strategy = "future", capacity: int = 10) -> HindsightReplay:
    settings = ReplaySettings(capacity=capacity, tolerance_m=0.5, hindsight_share=share, strategy=strategy)
    return HindsightReplay(REACH, settings)


@pytest.mark.parametrize(
    ("strategy", "goals_of_step"),
    [
        ("future", {0: {1, 2, 3, 4}, 1: {2, 3, 4}, 2: {3, 4}, 3: {4}}),
        ("final", {0: {4}, 1: {4}, 2: {4}, 3: {4}}),
        ("episode", {step: {0, 1, 2, 3, 4} for step in range(4)}),
    ],
)
def test_hindsight_goals_of_an_episode_of_four_steps(
    strategy: Strategy, goals_of_step: dict[int, set[int]]
) -> None:
    replay = _replay(1.0, strategy)
    replay.add(_episode(4))
    batch = replay.sample(4000, np.random.default_rng(0))
    step, goal = batch.state[:, 0].numpy().astype(int), batch.goal[:, 0].numpy().astype(int)
    assert {t: set(goal[step == t].tolist()) for t in range(4)} == goals_of_step
    for t, goals in goals_of_step.items():
        counts = np.bincount(goal[step == t], minlength=5)[sorted(goals)]
        assert counts.min() > 0.6 * counts.sum() / len(goals), "each is equally likely"
    np.testing.assert_array_equal(batch.next_state.numpy(), batch.state.numpy() + 1)
    np.testing.assert_array_equal(batch.action[:, 0].numpy(), batch.state[:, 0].numpy())


def test_reward_is_zero_exactly_where_the_goal_is_reached_after_the_step() -> None:
    replay = _replay(1.0)
    replay.add(_episode(6))
    batch = replay.sample(1000, np.random.default_rng(1))
    reached = (batch.next_truth[:, 0] == batch.goal[:, 0]).numpy()
    assert 0.1 < reached.mean() < 0.9
    np.testing.assert_array_equal(batch.reward.numpy(), np.where(reached, 0.0, -1.0))


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
    expected = (batch.goal.numpy() - np.array(REACH.goal_centre_m)) / np.array(REACH.learning.goal_scale_m)
    np.testing.assert_allclose(batch.vector[:, :3].numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(batch.next_vector[:, :3].numpy(), expected, rtol=1e-5)
    np.testing.assert_array_equal(batch.vector[:, 3].numpy(), batch.state[:, 0].numpy())
    np.testing.assert_array_equal(batch.next_vector[:, 3].numpy(), batch.state[:, 0].numpy() + 1)
    again = replay.sample(50, np.random.default_rng(3))
    np.testing.assert_array_equal(again.vector.numpy(), batch.vector.numpy())


def test_the_oldest_episode_goes_first_and_long_episodes_weigh_more() -> None:
    replay = _replay(0.0, capacity=2)
    for goal, length in ((1.0, 2), (2.0, 2), (3.0, 8)):
        replay.add(_episode(length, (goal, 0.0, 0.0)))
    assert len(replay) == 10
    batch = replay.sample(4000, np.random.default_rng(4))
    goals = batch.goal[:, 0].numpy()
    assert set(goals) == {2.0, 3.0}
    assert np.mean(goals == 3.0) == pytest.approx(0.8, abs=0.03)
    # Episodes of different lengths lie in one array: no transition may run over the shorter one's end.
    assert batch.next_state[:, 0].numpy()[goals == 2.0].max() == 2.0


def test_episodes_in_which_nothing_moved_are_drawn_at_a_quarter_of_the_rate() -> None:
    replay = _replay(0.0)
    replay.add(_episode(5, (1.0, 0.0, 0.0)))
    replay.add(_episode(5, (2.0, 0.0, 0.0), speed=0.001))
    goals = replay.sample(4000, np.random.default_rng(5)).goal[:, 0].numpy()
    assert np.mean(goals == 2.0) == pytest.approx(0.2, abs=0.03)


def test_an_episode_is_still_if_what_has_to_be_at_the_goal_is() -> None:
    """The gripper moves, the object does not: still for a push, not for reaching to the object."""
    for learning, share in ((PUSH, 0.2), (REACH_BLOCK, 0.5)):
        replay = HindsightReplay(learning, ReplaySettings(capacity=10, hindsight_share=0.0))
        moving = _episode(5, (1.0, 0.0, 0.0))
        moving.truth[:, 3] = 0.5 * moving.truth[:, 0]
        replay.add(moving)
        replay.add(_episode(5, (2.0, 0.0, 0.0)))
        goals = replay.sample(4000, np.random.default_rng(6)).goal[:, 0].numpy()
        assert np.mean(goals == 2.0) == pytest.approx(share, abs=0.03)


def test_what_was_achieved_is_in_the_tasks_own_frame() -> None:
    truth = np.array([[0.6, 0.1, 0.9, 0.5, 0.2, 0.7, 0.0]], np.float32)
    np.testing.assert_allclose(TruthLayout(REACH).achieved_goal(truth), [[0.6, 0.1, 0.9]])
    np.testing.assert_allclose(TruthLayout(REACH_BLOCK).achieved_goal(truth), [[0.1, -0.1, 0.2]], atol=1e-6)
    np.testing.assert_allclose(TruthLayout(PUSH).achieved_goal(truth), [[0.5, 0.2, 0.7]])


def test_training_seeds_are_disjoint_from_evaluation_and_between_uses() -> None:
    streams = [training_seeds(0, name) for name in ("rollouts", "train")] + [training_seeds(1, "rollouts")]
    drawn = [{next(stream) for _ in range(500)} for stream in streams]
    assert min(map(min, drawn)) >= FIRST_TRAINING_SEED
    assert not (drawn[0] & drawn[1] or drawn[0] & drawn[2])
