"""The vector environment: Gymnasium's conventions, and each row what a single environment gives."""

from __future__ import annotations

from collections.abc import Iterator

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from fetch_sim2real.envs import environment_id
from fetch_sim2real.envs.environment import FetchEnvironment
from fetch_sim2real.envs.vector import FetchVectorEnvironment
from fetch_sim2real.errors import FetchSim2RealError

ROWS = 3


@pytest.fixture(scope="module")
def together() -> Iterator[FetchVectorEnvironment]:
    env = gymnasium.make_vec(environment_id("push"), num_envs=ROWS, vectorization_mode="vector_entry_point")
    assert isinstance(env, FetchVectorEnvironment)
    shorten(*env.environments)
    yield env
    env.close()


def shorten(*environments: FetchEnvironment) -> None:
    """Let their episodes be over after a second."""
    for each in environments:
        each.loop.sim.episode_config = each.loop.sim.episode_config.model_copy(update={"episode_s": 1.0})


def test_every_row_is_a_single_environment_through_autoreset(together: FetchVectorEnvironment) -> None:
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1.0, 1.0, (75, ROWS, 4)).astype(np.float32)
    begun, begun_info = together.reset(seed=40)
    steps = [together.step(each) for each in actions]
    assert begun in together.observation_space
    assert all(step[0] in together.observation_space for step in steps)
    single = FetchEnvironment("push")
    shorten(single)
    for row in range(ROWS):
        observation, info = single.reset(seed=40 + row)
        assert begun_info["seed"][row] == info["seed"] == 40 + row
        for key, value in observation.items():
            np.testing.assert_array_equal(value, begun[key][row])
        over = resets = 0
        for index, (seen, rewards, terminations, truncations, infos) in enumerate(steps):
            if over:
                observation, info = single.reset()
                reward, over = 0.0, False
                assert infos["_seed"][row] and infos["seed"][row] == info["seed"]
                resets += 1
            else:
                observation, reward, _, over, info = single.step(actions[index, row])
            assert (rewards[row], truncations[row]) == (reward, over) and not terminations[row]
            for key in ("is_success", "distance_m"):
                assert infos[key][row] == info[key]
            for key, value in observation.items():
                np.testing.assert_array_equal(value, seen[key][row])
        assert resets >= 2, "every row goes through episodes"
    single.close()


def test_it_keeps_to_gymnasium_s_conventions(together: FetchVectorEnvironment) -> None:
    assert together.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert together.spec is not None and together.spec.kwargs["vectorization_mode"] == "vector_entry_point"
    assert together.observation_space["observation"].shape[0] == together.action_space.shape[0] == ROWS
    assert together.single_action_space.shape == (4,) and together.render() is None
    first, _ = together.reset(seed=[5, 6, 5])
    kept = {key: value.copy() for key, value in first.items()}
    assert all(np.array_equal(value[0], value[2]) for value in first.values())
    seen, rewards, terminations, truncations, _ = together.step(np.zeros((ROWS, 4), np.float32))
    assert all(np.array_equal(first[key], kept[key]) for key in kept), "observations that were returned stay"
    assert (rewards.dtype, terminations.dtype, truncations.dtype) == (np.float64, np.bool_, np.bool_)
    reward = together.compute_reward(seen["achieved_goal"], seen["desired_goal"], {})
    np.testing.assert_array_equal(reward, rewards)
    drawn = [together.reset()[1]["seed"].tolist() for _ in range(2)]
    assert len({*drawn[0], *drawn[1]}) == 4, "rows of the same seed draw the same, the others do not"


def test_what_does_not_fit_is_refused(together: FetchVectorEnvironment) -> None:
    with pytest.raises(FetchSim2RealError, match="2 seeds, expected one for each of 3"):
        together.reset(seed=[1, 2])
    together.reset(seed=1)
    with pytest.raises(FetchSim2RealError, match="2 actions, expected one for each of 3"):
        together.step(np.zeros((2, 4), np.float32))
    with pytest.raises(FetchSim2RealError, match="num_envs is 0"):
        FetchVectorEnvironment(0, "push")
