"""Environments that users change and move about: rewards of their own, copies, other processes, hindsight."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import gymnasium
import numpy as np
import pytest

from fetch_sim2real.envs import environment_id, make_env
from fetch_sim2real.envs.environment import FetchEnvironment
from fetch_sim2real.envs.vector import FetchVectorEnvironment
from fetch_sim2real.errors import FetchSim2RealError

ACTIONS = np.random.default_rng(0).uniform(-1.0, 1.0, (12, 4)).astype(np.float32)


class HeightReward(FetchEnvironment):
    """Rewarded by how high what is wanted at the goal is."""

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
        return np.asarray(achieved_goal)[..., 2] * 10.0


def test_a_subclass_s_compute_reward_is_what_step_gives() -> None:
    single = HeightReward("reach")
    single.reset(seed=40)
    alone = []
    for action in ACTIONS[:3]:
        seen, reward, *_ = single.step(action)
        assert reward == pytest.approx(10.0 * float(seen["achieved_goal"][2])) and isinstance(reward, float)
        alone.append(reward)
    single.close()
    together = FetchVectorEnvironment(2, "reach", environment=HeightReward)
    together.reset(seed=40)
    rows = [together.step(np.stack([action, action]))[1] for action in ACTIONS[:3]]
    assert [row[0] for row in rows] == alone and rows[0].dtype == np.float64
    together.close()


@pytest.mark.gl
def test_rewards_with_pictures_follow_from_what_is_true_too() -> None:
    env = HeightReward("reach", observation_mode="rgbd")
    env.reset(seed=1)
    _, reward, *_, info = env.step(ACTIONS[0])
    assert reward == pytest.approx(10.0 * float(info["achieved_goal"][2]))
    assert env.compute_reward(info["achieved_goal"], info["achieved_goal"], info) == pytest.approx(reward)
    env.close()


@pytest.mark.gl
@pytest.mark.parametrize("count", [None, 1])
def test_who_looks_for_the_achieved_goal_beside_pictures_is_told_where_it_is(count: int | None) -> None:
    env: Any = make_env("reach", observation_mode="rgbd") if count is None else make_env(
        "reach", observation_mode="rgbd", num_envs=count
    )  # fmt: skip
    seen, _ = env.reset(seed=1)
    assert "achieved_goal" not in seen
    with pytest.raises(FetchSim2RealError, match="'asymmetric'"):
        seen["achieved_goal"]
    with pytest.raises(KeyError, match="state"):
        seen["state"]
    env.close()


def goes_on_alike(first: FetchEnvironment, second: FetchEnvironment) -> bool:
    """Whether two environments give the same for the same actions, through the episode's end and into the next."""
    for action in ACTIONS[6:]:
        one, two = first.step(action), second.step(action)
        if one[1:4] != two[1:4] or any(not np.array_equal(value, two[0][name]) for name, value in one[0].items()):
            return False
    return first.reset()[1]["seed"] == second.reset()[1]["seed"]


def of_pickle(env: FetchEnvironment) -> FetchEnvironment:
    copied = pickle.loads(pickle.dumps(env))
    assert isinstance(copied, FetchEnvironment)
    return copied


@pytest.mark.parametrize("copied", [copy.deepcopy, of_pickle])
def test_a_copy_in_mid_episode_goes_on_alike(copied: Any) -> None:
    env = HeightReward("push", reward_type="dense")
    before = copied(env)
    with pytest.raises(FetchSim2RealError, match="call reset first"):
        before.step(ACTIONS[0])
    for each in (env, before):
        each.reset(seed=5)
        for action in ACTIONS[:6]:
            each.step(action)
    during = copied(env)
    assert type(during) is HeightReward and during.loop is not env.loop
    assert goes_on_alike(env, before)
    # The first one has gone on, its copy has not.
    before.reset(seed=5)
    for action in ACTIONS[:6]:
        before.step(action)
    assert goes_on_alike(during, before)
    for each in (env, before, during):
        each.close()


def test_what_cannot_be_copied_says_what_to_do() -> None:
    together = FetchVectorEnvironment(2, "reach")
    with pytest.raises(FetchSim2RealError, match="make another vector environment"):
        copy.deepcopy(together)
    with pytest.raises(FetchSim2RealError, match="make a single environment"):
        pickle.dumps(together.environments[0])
    together.close()


@pytest.mark.slow
@pytest.mark.parametrize("context", ["fork", "forkserver", "spawn"])
def test_vector_environments_work_in_processes_however_these_begin(context: str) -> None:
    single = make_env("reach")
    together = gymnasium.make_vec(
        environment_id("reach"), num_envs=2, vectorization_mode="async", vector_kwargs={"context": context}
    )
    try:
        seen, _ = together.reset(seed=40)
        steps = [together.step(np.stack([action, action])) for action in ACTIONS[:2]]
    finally:
        together.close()
    alone, _ = single.reset(seed=41)
    np.testing.assert_array_equal(seen["observation"][1], alone["observation"])
    for action, (seen, rewards, *_) in zip(ACTIONS, steps, strict=False):
        alone, reward, *_ = single.step(action)
        np.testing.assert_array_equal(seen["observation"][1], alone["observation"])
        assert rewards[1] == reward
    single.close()
