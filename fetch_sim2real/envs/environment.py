"""One task as a Gymnasium goal environment: the deployed control path behind ``reset`` and ``step``."""

from __future__ import annotations

from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from fetch_sim2real.envs.observations import (
    PICTURE_MODES,
    Observation,
    make_observation,
    observation_space,
    require_mode,
)
from fetch_sim2real.envs.view import GoalView
from fetch_sim2real.episode import Arrival, EpisodeRunner, EpisodeStart, make_loop
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.perception.observe import ACTION_SIZE, ActionHistory
from fetch_sim2real.policy.default_observation import LAST_ACTIONS
from fetch_sim2real.sim.seeds import draw_training_seed
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.timing import CONTROL_RATE_HZ
from fetch_sim2real.types import FloatArray

Goals = NDArray[np.float32]
REWARD_TYPES: Final = ("sparse", "dense")


class FetchEnvironment(gymnasium.Env[Observation, NDArray[np.float32]]):
    """Goal-conditioned, 30 Hz, never terminated, truncated when the episode's time is over.

    An observation is that of a camera frame as it comes, delayed by the camera's latency. ``step`` acts on it through
    inverse kinematics and safety filter, and runs until the next frame has come.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": CONTROL_RATE_HZ}  # noqa: RUF012

    def __init__(
        self,
        task: str,
        world: str = "randomized",
        observation_mode: str = "state",
        render_mode: str | None = None,
        reward_tolerance_m: float | None = None,
        reward_type: str = "sparse",
    ) -> None:
        """``world`` is the name of a world or the path of a world file; ``observation_mode`` see docs/environments.md;
        ``reward_tolerance_m`` is for rewards alone, None: the task's; ``reward_type`` is one of ``REWARD_TYPES``.

        FetchSim2RealError (also as WorldFileError) for unknown names. OpenGL is opened by the first ``reset`` or
        ``render`` that makes a picture, in the process that calls it.
        """
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise FetchSim2RealError(f"render_mode is '{render_mode}', expected None or 'rgb_array'")
        if reward_type not in REWARD_TYPES:
            raise FetchSim2RealError(f"reward_type is '{reward_type}', expected one of: {', '.join(REWARD_TYPES)}")
        self.render_mode = render_mode
        self._is_dense = reward_type == "dense"
        self._mode = require_mode(observation_mode)
        if self._mode == "robot" and find_task(task).objects:
            raise FetchSim2RealError(
                f"observation_mode is 'robot', but in {task} what has to be at the goal is only seen in pictures: use "
                "'rgbd' or 'asymmetric', or the task 'reach'"
            )
        loaded = load_world(world, worlds_dir())
        self.loop = make_loop(loaded, find_task(task), picture_every=int(self._mode in PICTURE_MODES))
        self._runner, self._row = EpisodeRunner([self.loop]), 0
        self.tolerance_m = self.loop.sim.episode_config.tolerance_m
        self.reward_tolerance_m = self.tolerance_m if reward_tolerance_m is None else reward_tolerance_m
        self.observation_space = observation_space(self._mode, self.loop.sim.task)
        self.action_space = spaces.Box(-1.0, 1.0, (ACTION_SIZE,), np.float32)
        self._history = ActionHistory(LAST_ACTIONS)
        self._arrival: Arrival | None = None
        self._view: GoalView | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin the episode ``seed`` and return its first frame; without a seed, an episode that evaluation never uses.

        SetupError where pictures are wanted and OpenGL cannot be opened.
        """
        super().reset(seed=seed)
        start = EpisodeStart(draw_training_seed(self.np_random) if seed is None else seed)
        self._history.reset()
        begun = self._runner.begin([start], [self._row])
        if not begun:
            raise FetchSim2RealError(
                f"the episode of {self.loop.sim.episode_config.episode_s} s ends before the camera's first frame has "
                f"come ({self.loop.sim.episode.camera_latency_s:.3f} s); make the task's episode_s longer"
            )
        self._arrival = begun[0]
        observation, info = self._observe(begun[0])
        return observation, info | {"seed": start.seed}

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Act (4,) on the last observation and wait for the next.

        ``info["is_success"]`` is whether the goal is reached now; when the episode is cut off, whether it was held for
        the whole last half second, which is what success means for this project's results.
        """
        came = self._runner.step([self.arrival()], self.choose(action)[None])
        return self.arrive(came[0] if came else None)

    # -- the parts of a step, for those who step several environments together ----------------------------------

    def join(self, runner: EpisodeRunner, row: int) -> None:
        """Be environment ``row`` of a runner that was made of several environments' loops."""
        self._runner, self._row = runner, row

    def arrival(self) -> Arrival:
        """Return the frame that the next action is for; FetchSim2RealError where no episode is under way."""
        if self._arrival is None:
            raise FetchSim2RealError("step needs an episode that is not over: call reset first")
        return self._arrival

    def choose(self, action: NDArray[np.float32]) -> FloatArray:
        """Take note of an action (4,) and return it as the loop takes it."""
        chosen = np.minimum(np.maximum(np.asarray(action, np.float64), -1.0), 1.0)
        self._history.push(chosen)
        return chosen

    def arrive(self, arrival: Arrival | None) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Return what ``step`` does, now that the next frame has come; None: the episode is over."""
        self._arrival = arrival
        if arrival is not None:
            observation, info = self._observe(arrival)
        else:
            success = self.loop.sim.outcome().success
            observation, info = self._observe(self._runner.after_end(self._row))
            info["is_success"] = success
        return observation, self._reward(observation, info), False, arrival is None, info

    def _reward(self, observation: Observation, info: dict[str, Any]) -> float:
        distance_m = info["distance_m"]
        if self._mode == "robot":  # a reward that follows from what is shown
            distance_m = _distance_m(observation["achieved_goal"], observation["desired_goal"])
        return float(self._reward_at(np.float64(distance_m)))

    def _reward_at(self, distance_m: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
        if self._is_dense:
            return np.asarray(-distance_m / self.reward_tolerance_m)
        return np.where(distance_m <= self.reward_tolerance_m, 0.0, -1.0)

    def compute_reward(self, achieved_goal: Goals, desired_goal: Goals, info: Any) -> Any:
        """Return the reward: sparse, 0 within ``reward_tolerance_m`` of the goal, else -1; dense, minus the distance in
        units of it.

        A float for goals (3,), (...) for (..., 3).
        """
        reward = self._reward_at(_distance_m(achieved_goal, desired_goal))
        return reward if reward.ndim else float(reward)

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """Return what the camera would see now (240, 424, 3), the goal marked; None without a render mode."""
        if self.render_mode is None:
            return None
        if self._view is None:
            self._view = GoalView(self.loop.sim)
        return self._view.draw()

    def close(self) -> None:
        """Free what pictures need."""
        if self._view is not None:
            self._view.close()
            self._view = None
        self.loop.sim.close()

    def _observe(self, arrival: Arrival) -> tuple[Observation, dict[str, Any]]:
        achieved = self.loop.sim.achieved_goal_m
        observation = make_observation(self._mode, arrival, self._history.recent(), achieved)
        info: dict[str, Any] = {}
        if self._mode == "rgbd":
            # Training may use it for hindsight, but no policy gets it by accident.
            info["achieved_goal"] = achieved.astype(np.float32)
        distance_m = float(_distance_m(achieved.astype(np.float32), observation["desired_goal"]))
        return observation, info | {"distance_m": distance_m, "is_success": distance_m <= self.tolerance_m}


def _distance_m(achieved_goal: Goals, desired_goal: Goals) -> NDArray[np.float64]:
    # In double precision and in one order of summing, so that one goal and a batch give the same reward.
    away = np.asarray(achieved_goal, np.float64) - np.asarray(desired_goal, np.float64)
    distance: NDArray[np.float64] = np.sqrt(away[..., 0] ** 2 + away[..., 1] ** 2 + away[..., 2] ** 2)
    return distance
