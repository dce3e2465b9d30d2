"""Hindsight relabelling: which goals a transition may get, and what it earns for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fetch_sim2real.perception.observe import make_observation_spec
from fetch_sim2real.perception.preprocess import ImageSpec
from fetch_sim2real.policy.network import MemorySpec, build_actor, default_actor_spec
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


def test_a_sequence_stays_in_its_episode_and_has_the_rows_that_the_example_says() -> None:
    replay = _replay(0.0)
    replay.add(_episode(4))
    batch = replay.sample_sequences(400, 2, 2, np.random.default_rng(7))
    step = batch.steps.state[..., 0].numpy().astype(int)
    assert step.shape == (400, 4)
    begin = step[:, 2]
    assert set(begin) == {0, 1, 2}, "each beginning that leaves room"
    assert np.bincount(begin).min() > 100
    (example,) = np.unique(step[begin == 1], axis=0)
    assert example.tolist() == [0, 0, 1, 2]
    at = int(np.flatnonzero(begin == 1)[0])
    assert batch.is_reset[at].tolist() == [True, True, False, False]
    assert batch.is_learned[at].tolist() == [False, False, True, True]
    np.testing.assert_array_equal(batch.steps.next_state.numpy(), batch.steps.state.numpy() + 1)


def test_an_episode_shorter_than_a_sequence_is_not_learned_from_beyond_its_end() -> None:
    replay = _replay(0.0)
    replay.add(_episode(2))
    batch = replay.sample_sequences(20, 4, 1, np.random.default_rng(8))
    assert batch.is_learned.tolist() == [[False, True, True, False, False]] * 20
    assert batch.steps.next_state[batch.is_learned].max() == 2.0


def test_a_sequence_has_one_goal_which_was_achieved_after_it_began() -> None:
    replay = _replay(1.0)
    replay.add(_episode(6))
    batch = replay.sample_sequences(600, 3, 2, np.random.default_rng(9))
    goal, begin = batch.steps.goal[..., 0].numpy().astype(int), batch.steps.state[:, 2, 0].numpy().astype(int)
    assert np.all(goal == goal[:, :1])
    assert {t: set(goal[begin == t, 0]) for t in range(4)} == {t: set(range(t + 1, 7)) for t in range(4)}
    expected = (batch.steps.goal.numpy() - np.array(REACH.goal_centre_m)) / np.array(REACH.learning.goal_scale_m)
    np.testing.assert_allclose(batch.steps.vector[..., :3].numpy(), expected, rtol=1e-5)
    reached = batch.steps.next_state[..., 0].numpy() == goal
    np.testing.assert_array_equal(batch.steps.reward.numpy(), np.where(reached, 0.0, -1.0))


def test_burn_in_from_an_episodes_start_gives_the_state_that_the_episode_gave() -> None:
    torch.manual_seed(0)
    spec = make_observation_spec(
        ImageSpec(size=84, fov_deg=35.0, depth_near_m=0.5, depth_far_m=1.8, channels="rgbd"),
        proprioception=False, last_actions=0,
        goal_centre_m=REACH.goal_centre_m, goal_scale_m=REACH.learning.goal_scale_m,
    )  # fmt: skip
    latent = default_actor_spec((), latent=1, memory=MemorySpec(kind="gru", size=5))
    actor = build_actor(latent, spec).eval()
    replay = _replay(0.0)
    episode = _episode(6)
    replay.add(replace(episode, vector=np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)))
    batch = replay.sample_sequences(50, 2, 4, np.random.default_rng(10))
    begin = batch.steps.state[:, 4, 0].numpy().astype(int)
    scaled = (9.0 - np.array(REACH.goal_centre_m)) / np.array(REACH.learning.goal_scale_m)
    goal = torch.from_numpy(scaled.astype(np.float32))
    with torch.inference_mode():
        got = actor.unroll(batch.steps.bottleneck, batch.steps.vector, batch.is_reset)
        column = torch.arange(6.0)[None, :, None]
        whole, _ = actor.act(column, goal.expand(1, 6, 3), actor.initial_state())
        blind, _ = actor.act(column[:, 1:2], goal.expand(1, 1, 3), actor.initial_state())
    for sequence, t in enumerate(begin):
        torch.testing.assert_close(got[sequence, 4:], whole[0, t : t + 2], atol=1e-5, rtol=0)
    assert set(begin) == {0, 1, 2, 3, 4}
    assert not torch.allclose(blind[0, 0], whole[0, 1], atol=1e-5), "what came before matters"


def test_single_transitions_are_drawn_as_they_always_were() -> None:
    replay = _replay(0.5)
    for length in (3, 6):
        replay.add(_episode(length))
    batch = replay.sample(8, np.random.default_rng(11))
    rng = np.random.default_rng(11)
    row = np.searchsorted([3.0, 9.0], rng.random(8) * 9.0, side="right")
    length = np.array([3, 6])[row]
    step = (rng.random(8) * length).astype(int)
    relabel = rng.random(8) < 0.5
    goal = np.where(relabel, step + 1 + (rng.random(8) * (length - step)).astype(int), 9)
    np.testing.assert_array_equal(batch.state[:, 0].numpy(), step)
    np.testing.assert_array_equal(batch.goal[:, 0].numpy(), goal)


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
