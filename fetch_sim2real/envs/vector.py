"""Environments of one task in one process, stepped together: the Gymnasium ``VectorEnv`` of ``FetchEnvironment``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array
from numpy.typing import NDArray

from fetch_sim2real.envs.environment import FetchEnvironment, Goals
from fetch_sim2real.envs.observations import Observation
from fetch_sim2real.episode import EpisodeRunner
from fetch_sim2real.errors import FetchSim2RealError

_METADATA: Final = {**FetchEnvironment.metadata, "autoreset_mode": AutoresetMode.NEXT_STEP}


class FetchVectorEnvironment(VectorEnv[Observation, NDArray[np.float32], NDArray[Any]]):
    """N environments, each of which gives what a ``FetchEnvironment`` of its own gives, bit for bit.

    They are cheaper together than one after the other, because inverse kinematics' results are limited for all of them
    at once. An environment whose episode is over begins the next one at the next step, whose action it ignores.
    """

    metadata = _METADATA

    def __init__(self, num_envs: int, task: str, **arguments: Any) -> None:
        """``arguments`` are those of ``FetchEnvironment``. FetchSim2RealError also for less than one environment."""
        if num_envs < 1:
            raise FetchSim2RealError(f"num_envs is {num_envs}, expected at least 1")
        self.num_envs = num_envs
        self.environments = tuple(FetchEnvironment(task, **arguments) for _ in range(num_envs))
        self._runner = EpisodeRunner([each.loop for each in self.environments])
        for row, each in enumerate(self.environments):
            each.join(self._runner, row)
        first = self.environments[0]
        self.render_mode = first.render_mode
        self.single_observation_space, self.single_action_space = first.observation_space, first.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._over = [False] * num_envs

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode in every environment: those of ``seed``, ``seed + 1`` and so on, or of a list of seeds.

        Without seeds, episodes that evaluation never uses.
        """
        count = self.num_envs
        seeds = [None] * count if seed is None else [seed + i for i in range(count)] if isinstance(seed, int) else seed
        if len(seeds) != count:
            raise FetchSim2RealError(f"there are {len(seeds)} seeds, expected one for each of {count} environments")
        infos: dict[str, Any] = {}
        observations = []
        for row, (each, own) in enumerate(zip(self.environments, seeds, strict=True)):
            observation, info = each.reset(seed=own, options=options)
            observations.append(observation)
            infos = self._add_info(infos, info, row)
        self._over = [False] * count
        return self._stacked(observations), infos

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[Observation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Act (N, 4); see ``FetchEnvironment.step``. Rows whose episode was over begin another one, with reward 0."""
        if len(actions) != self.num_envs:
            raise FetchSim2RealError(f"there are {len(actions)} actions, expected one for each of {self.num_envs}")
        running = [row for row, is_over in enumerate(self._over) if not is_over]
        arrivals = [self.environments[row].arrival() for row in running]
        chosen = [self.environments[row].choose(actions[row]) for row in running]
        came = {arrival.environment: arrival for arrival in self._runner.step(arrivals, np.array(chosen))}
        observations = []
        infos: dict[str, Any] = {}
        rewards, truncations = np.zeros(self.num_envs), np.zeros(self.num_envs, np.bool_)
        for row, each in enumerate(self.environments):
            if self._over[row]:
                observation, info = each.reset()
            else:
                observation, rewards[row], _, truncations[row], info = each.arrive(came.get(row))
            observations.append(observation)
            infos = self._add_info(infos, info, row)
        self._over = truncations.tolist()
        return self._stacked(observations), rewards, np.zeros(self.num_envs, np.bool_), truncations, infos

    def compute_reward(self, achieved_goal: Goals, desired_goal: Goals, info: Any) -> Any:
        """Return the reward of goals (..., 3); see ``FetchEnvironment.compute_reward``."""
        return self.environments[0].compute_reward(achieved_goal, desired_goal, info)

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:  # type: ignore[override]
        """Return what each camera would see now; None without a render mode."""
        pictures = tuple(each.render() for each in self.environments)
        return None if self.render_mode is None else tuple(each for each in pictures if each is not None)

    def close_extras(self, **_: Any) -> None:
        """Free what pictures need."""
        for each in self.environments:
            each.close()

    def _stacked(self, observations: Sequence[Observation]) -> Observation:
        """One array of all rows for each name, new ones: what was returned before stays as it is."""
        space = self.single_observation_space
        out: Any = create_empty_array(space, self.num_envs)
        stacked: Any = concatenate(space, observations, out)
        return dict(stacked)
