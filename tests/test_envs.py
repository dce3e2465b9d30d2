"""The Gymnasium environments: what they promise to learners, and that they are the deployed loop."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import fetch_sim2real.envs
from fetch_sim2real.envs import environment_id
from fetch_sim2real.envs.environment import FetchEnvironment
from fetch_sim2real.episode import make_loop
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.policy.default_observation import LAST_ACTIONS
from fetch_sim2real.sim.seeds import FIRST_TRAINING_SEED
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import built_in_names, find_task

ROOT = Path(__file__).resolve().parents[1]
PICTURES = pytest.mark.gl
MODES = ("state", pytest.param("rgbd", marks=PICTURES), pytest.param("asymmetric", marks=PICTURES))


@pytest.fixture(scope="module")
def push() -> Iterator[FetchEnvironment]:
    env = FetchEnvironment("push")
    yield env
    env.close()


def actions(seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    while True:
        yield rng.uniform(-1.0, 1.0, 4).astype(np.float32)


def run_episode(env: FetchEnvironment, seed: int | None) -> list[tuple[Any, ...]]:
    """What ``step`` gives until the episode is over."""
    env.reset(seed=seed)
    steps: list[tuple[Any, ...]] = []
    for action in actions(0):
        steps.append(env.step(action))
        if steps[-1][3]:
            return steps
    raise AssertionError


@pytest.mark.parametrize("task", built_in_names())
@pytest.mark.parametrize("mode", MODES)
def test_gymnasium_finds_nothing_wrong(task: str, mode: str) -> None:
    env = gymnasium.make(environment_id(task), observation_mode=mode)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check=True)
    env.close()


@pytest.mark.gl
def test_the_mode_of_what_a_robot_knows_is_sound_and_for_reach_alone() -> None:
    env = FetchEnvironment("reach", observation_mode="robot", reward_tolerance_m=0.1)
    check_env(env, skip_render_check=True)
    env.reset(seed=3)
    for action in itertools.islice(actions(1), 40):
        seen, reward, _, _, info = env.step(action)
        assert reward == env.compute_reward(seen["achieved_goal"], seen["desired_goal"], info)
        grip_m = seen["observation"][:3] * 0.1 + (0.63, 0.0, 0.84)
        np.testing.assert_allclose(seen["achieved_goal"], grip_m, atol=1e-6)
    env.close()
    for task in set(built_in_names()) - {"reach"}:
        with pytest.raises(FetchSim2RealError, match="only seen in pictures"):
            FetchEnvironment(task, observation_mode="robot")


def test_the_goal_is_marked_in_pictures_for_people() -> None:
    env = gymnasium.make(environment_id("reach"), world="nominal", render_mode="rgb_array").unwrapped
    assert isinstance(env, FetchEnvironment)
    env.reset(seed=1)
    first, again = env.render(), env.render()
    assert first is not None and first.shape == (240, 424, 3)
    np.testing.assert_array_equal(first, again)
    marked = np.all(first == (255, 220, 0), axis=-1)
    assert 20 < marked.sum() < 100
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env)
    env.close()


def test_names_that_do_not_exist_are_refused_with_those_that_do() -> None:
    with pytest.raises(FetchSim2RealError, match="pick_and_place"):
        FetchEnvironment("pushing")
    with pytest.raises(FetchSim2RealError, match="state, robot, rgbd, asymmetric"):
        FetchEnvironment("push", observation_mode="pixels")
    with pytest.raises(FetchSim2RealError, match="rgb_array"):
        FetchEnvironment("push", render_mode="human")
    with pytest.raises(FetchSim2RealError, match="randomized"):
        FetchEnvironment("push", world="randomised")


def test_an_episode_is_the_closed_loop_s(push: FetchEnvironment) -> None:
    loop = make_loop(load_world("randomized", worlds_dir()), find_task("push"), picture_every=0)
    loop.reset(3)
    first = captured = loop.next_frame()
    observation, info = push.reset(seed=3)
    assert info["seed"] == 3
    np.testing.assert_allclose(observation["desired_goal"], loop.sim.episode.goal_m, atol=1e-6)
    for action in actions(0):
        assert captured is not None
        np.testing.assert_array_equal(observation["achieved_goal"], loop.sim.achieved_goal_m.astype(np.float32))
        loop.act(action.astype(np.float64), captured)
        captured = loop.next_frame()
        observation, _, terminated, truncated, info = push.step(action)
        assert not terminated
        assert truncated == (captured is None)
        if truncated:
            break
    assert info["is_success"] == loop.sim.outcome().success
    # The first frame was taken as the episode began.
    assert first is not None
    assert (loop.sim.now_ns - first.stamp_ns) * 1e-9 == pytest.approx(loop.sim.episode_config.episode_s)


def test_an_episode_over_needs_a_reset(push: FetchEnvironment) -> None:
    run_episode(push, 0)
    with pytest.raises(FetchSim2RealError, match="reset"):
        push.step(np.zeros(4, np.float32))


def test_seeds_repeat_and_differ(push: FetchEnvironment) -> None:
    first, again, other = (run_episode(push, seed) for seed in (5, 5, 6))
    assert len(first) == len(again)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one[0]["observation"], two[0]["observation"])
        assert one[1:4] == two[1:4]
    assert not np.array_equal(first[0][0]["desired_goal"], other[0][0]["desired_goal"])


def test_episodes_without_a_seed_are_for_training_and_follow_from_the_last_seed(push: FetchEnvironment) -> None:
    drawn = []
    for seed in (1, 1, 2):
        assert push.reset(seed=seed)[1]["seed"] == seed
        drawn.append([push.reset()[1]["seed"] for _ in range(3)])
    assert drawn[0] == drawn[1]
    assert len({*drawn[0], *drawn[2]}) == 6
    assert min(*drawn[0], *drawn[2]) >= FIRST_TRAINING_SEED


def test_rewards_of_a_batch_are_those_of_its_rows(push: FetchEnvironment) -> None:
    rng = np.random.default_rng(0)
    desired = rng.normal(size=(200, 3)).astype(np.float32)
    achieved = desired + rng.normal(scale=0.03, size=(200, 3)).astype(np.float32)
    batch = push.compute_reward(achieved, desired, [{}] * 200)
    rows = [push.compute_reward(a, d, {}) for a, d in zip(achieved, desired, strict=True)]
    assert batch.tolist() == rows
    assert set(rows) == {0.0, -1.0}
    assert isinstance(rows[0], float)


def test_the_reward_is_zero_within_the_tolerance(push: FetchEnvironment) -> None:
    goal = np.array([0.6, 0.1, 0.75])
    for away_m, reward in ((0.0, 0.0), (0.999, 0.0), (1.001, -1.0)):
        assert push.compute_reward(goal + away_m * push.tolerance_m * np.eye(3)[1], goal, {}) == reward


def test_the_reward_of_a_step_is_that_of_its_goals(push: FetchEnvironment) -> None:
    for observation, reward, _, truncated, info in run_episode(push, 7):
        assert reward == push.compute_reward(observation["achieved_goal"], observation["desired_goal"], info)
        assert truncated or info["is_success"] == (reward == 0.0)


def test_a_dense_reward_is_the_distance_in_units_of_the_tolerance() -> None:
    env = FetchEnvironment("reach", observation_mode="robot", reward_tolerance_m=0.02, reward_type="dense")
    goal = env.reset(seed=3)[0]["desired_goal"]
    assert env.compute_reward(goal + np.float32([0.0, 0.03, 0.04]), goal, {}) == pytest.approx(-2.5, abs=1e-4)
    batch = env.compute_reward(np.stack([goal, goal + np.float32([0.02, 0.0, 0.0])]), np.stack([goal, goal]), {})
    assert batch == pytest.approx([0.0, -1.0], abs=1e-4)
    for _ in range(5):
        seen, reward, *_, info = env.step(np.array([1.0, 0.0, 0.0, 0.0], np.float32))
        assert reward == env.compute_reward(seen["achieved_goal"], seen["desired_goal"], info)
    env.close()
    with pytest.raises(FetchSim2RealError, match="reward_type is 'shaped', expected one of: sparse, dense"):
        FetchEnvironment("reach", reward_type="shaped")


def test_rewards_may_be_stricter_than_success() -> None:
    env = FetchEnvironment("reach", reward_tolerance_m=0.01)
    goal = np.zeros(3, np.float32)
    achieved = np.array([[0.009, 0.0, 0.0], [0.011, 0.0, 0.0]], np.float32)
    assert env.compute_reward(achieved, goal, {}).tolist() == [0.0, -1.0]
    # Straight to the goal, by what the observation says.
    observation, _ = env.reset(seed=0)
    between = 0
    for _ in range(60):
        way = observation["desired_goal"] - observation["achieved_goal"]
        observation, reward, _, _, info = env.step(np.array([*(way * 5.0), 0.0], np.float32))
        between += bool(info["is_success"]) and reward == -1.0
    assert between > 0
    assert info["distance_m"] < 0.05
    env.close()


@pytest.mark.gl
def test_pictures_come_without_anything_that_only_a_simulator_knows() -> None:
    """Gripper by measured joints, fingers and last actions beside the picture, as the deployed actor gets them."""
    env = FetchEnvironment("push", world="nominal", observation_mode="rgbd")
    asymmetric = FetchEnvironment("push", world="nominal", observation_mode="asymmetric")
    seen, more = env.reset(seed=4)[0], asymmetric.reset(seed=4)[0]
    assert set(seen) == {"observation", "desired_goal", "rgb", "depth_mm"}
    assert set(more) - set(seen) == {"state", "achieved_goal"}
    for key, value in seen.items():
        np.testing.assert_array_equal(value, more[key])
    assert seen["observation"].shape == (3 + 1 + 3 + LAST_ACTIONS * 4,)
    np.testing.assert_array_equal(seen["observation"][7:], 0.0)
    for number in range(1, LAST_ACTIONS + 1):
        seen = env.step(np.full(4, 0.1 * number, np.float32))[0]
    newest_first = 0.1 * np.arange(LAST_ACTIONS, 0, -1)
    np.testing.assert_allclose(seen["observation"][7:], np.repeat(newest_first, 4), rtol=1e-6)
    env.close()
    asymmetric.close()


def test_the_documented_example_learns_with_stable_baselines3_as_it_is() -> None:
    pytest.importorskip("stable_baselines3")
    text = (ROOT / "docs" / "environments.md").read_text(encoding="utf-8")
    example = text.split("```python\n")[1].split("```")[0]
    shorter = example.replace("5_000", "400").replace("=1_000,", "=200,").replace("range(20)", "range(1)")
    names: dict[str, Any] = {}
    exec(compile(shorter, "environments.md", "exec"), names)
    model, env = names["model"], names["env"]
    assert model.num_timesteps == 400
    assert model._n_updates >= 100
    rewards = model.replay_buffer.sample(256).rewards.numpy()
    assert set(np.unique(rewards)) == {-1.0, 0.0}
    env.close()


def test_every_task_is_registered() -> None:
    assert fetch_sim2real.envs.environment_id("pick_and_place") == "FetchSim2Real/PickAndPlace-v0"
    for task in built_in_names():
        assert gymnasium.spec(environment_id(task)).kwargs == {"task": task}
