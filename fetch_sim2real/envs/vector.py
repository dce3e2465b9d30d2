"""Environments of one task in one process, stepped together: the Gymnasium ``VectorEnv`` of ``FetchEnvironment``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from fetch_sim2real.envs.environment import FetchEnvironment, Goals, observe_together, within_bounds
from fetch_sim2real.envs.observations import Observation
from fetch_sim2real.episode import Arrival, EpisodeRunner
from fetch_sim2real.errors import FetchSim2RealError

_METADATA: Final = {**FetchEnvironment.metadata, "autoreset_mode": AutoresetMode.NEXT_STEP}


class FetchVectorEnvironment(VectorEnv[Observation, NDArray[np.float32], NDArray[Any]]):
    """N environments, each of which gives what a ``FetchEnvironment`` of its own gives, bit for bit.

    They are cheaper together than one after the other, because all but physics is worked out for all of them at once.
    An environment whose episode is over begins the next one at the next step, whose action it ignores.
    """

    metadata = _METADATA

    def __init__(
        self, num_envs: int, task: str, *, environment: type[FetchEnvironment] = FetchEnvironment, **arguments: Any
    ) -> None:
        """``arguments`` are those of ``FetchEnvironment``, or of the subclass ``environment`` with rewards of its own.

        FetchSim2RealError also for less than one environment.
        """
        if num_envs < 1:
            raise FetchSim2RealError(f"num_envs is {num_envs}, expected at least 1")
        self.num_envs = num_envs
        self.environments = tuple(environment(task, **arguments) for _ in range(num_envs))
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
        begun = [each.begin(own) for each, own in zip(self.environments, seeds, strict=True)]
        self._over = [False] * count
        observations, infos = self._observe([arrival for arrival, _ in begun])
        for row, (_, drawn) in enumerate(begun):
            infos = self._add_info(infos, {"seed": drawn}, row)
        return observations, infos

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[Observation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Act (N, 4); see ``FetchEnvironment.step``. Rows whose episode was over begin another one, with reward 0."""
        if len(actions) != self.num_envs:
            raise FetchSim2RealError(f"there are {len(actions)} actions, expected one for each of {self.num_envs}")
        running = [row for row, is_over in enumerate(self._over) if not is_over]
        chosen = within_bounds(actions)
        arrivals = [self.environments[row].arrival() for row in running]
        for row in running:
            self.environments[row].remember(chosen[row])
        came = {arrival.environment: arrival for arrival in self._runner.step(arrivals, chosen[running])}
        shown: list[Arrival] = []
        begun: dict[int, int] = {}
        ended: dict[int, bool] = {}
        for row, each in enumerate(self.environments):
            if self._over[row]:
                arrival, begun[row] = each.begin(None)
            else:
                arrival, success = each.arrive(came.get(row))
                if success is not None:
                    ended[row] = success
            shown.append(arrival)
        observations, infos = self._observe(shown)
        rewards = np.array(self.environments[0].rewards(observations, infos), np.float64)
        for row, seed in begun.items():
            rewards[row] = 0.0
            infos = self._add_info(infos, {"seed": seed}, row)
        truncations = np.zeros(self.num_envs, np.bool_)
        for row, success in ended.items():
            infos["is_success"][row], truncations[row] = success, True
        self._over = truncations.tolist()
        return observations, rewards, np.zeros(self.num_envs, np.bool_), truncations, infos

    def _observe(self, arrivals: Sequence[Arrival]) -> tuple[Observation, dict[str, Any]]:
        """One array of all rows for each name, new ones: what was returned before stays as it is."""
        observations, infos = observe_together(self.environments, arrivals)
        has_it = {f"_{name}": np.ones(self.num_envs, np.bool_) for name in infos}
        return observations, infos | has_it

    def __getstate__(self) -> dict[str, Any]:
        """Refuse ``copy.deepcopy`` and ``pickle``: FetchSim2RealError says what to do instead."""
        raise FetchSim2RealError(
            f"{self.num_envs} environments that are stepped together cannot be copied, since they share a runner: make "
            "another vector environment of the same arguments and reset it to the same seeds, or copy single "
            "environments"
        )

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
