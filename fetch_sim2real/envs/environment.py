"""One task as a Gymnasium goal environment: the deployed control path behind ``reset`` and ``step``.

Rewards are ``compute_reward``'s alone, so a subclass that overrides it changes what ``step`` gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from fetch_sim2real.envs.observations import (
    PICTURE_MODES,
    Observation,
    make_observations,
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
        self.mode = require_mode(observation_mode)
        if self.mode == "robot" and find_task(task).objects:
            raise FetchSim2RealError(
                f"observation_mode is 'robot', but in {task} what has to be at the goal is only seen in pictures: use "
                "'rgbd' or 'asymmetric', or the task 'reach'"
            )
        self._task, self._world = task, load_world(world, worlds_dir())
        self._make_loop()
        self.tolerance_m = self.loop.sim.episode_config.tolerance_m
        self.reward_tolerance_m = self.tolerance_m if reward_tolerance_m is None else reward_tolerance_m
        self.observation_space = observation_space(self.mode, self.loop.sim.task)
        self.action_space = spaces.Box(-1.0, 1.0, (ACTION_SIZE,), np.float32)
        self._history = ActionHistory(LAST_ACTIONS)

    def _make_loop(self) -> None:
        """Make what cannot be copied: physics, renderer and the episode under way."""
        self.loop = make_loop(self._world, find_task(self._task), picture_every=int(self.mode in PICTURE_MODES))
        self._runner, self._row = EpisodeRunner([self.loop]), 0
        self._arrival: Arrival | None = None
        self._view: GoalView | None = None
        self._seed: int | None = None
        self._actions: list[FloatArray] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin the episode ``seed`` and return its first frame; without a seed, an episode that evaluation never uses.

        SetupError where pictures are wanted and OpenGL cannot be opened.
        """
        arrival, drawn = self.begin(seed)
        observation, info = self._observe(arrival)
        return observation, info | {"seed": drawn}

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Act (4,) on the last observation and wait for the next.

        ``info["is_success"]`` is whether the goal is reached now; when the episode is cut off, whether it was held for
        the whole last half second, which is what success means for this project's results.
        """
        arrival = self.arrival()
        chosen = within_bounds(action)
        self.remember(chosen)
        came = self._runner.step([arrival], chosen[None])
        arrival, success = self.arrive(came[0] if came else None)
        observation, info = self._observe(arrival)
        reward = float(self.rewards(observation, info))
        if success is not None:
            info["is_success"] = success
        return observation, reward, False, success is not None, info

    # -- the parts of a step, for those who step several environments together ----------------------------------

    def join(self, runner: EpisodeRunner, row: int) -> None:
        """Be environment ``row`` of a runner that was made of several environments' loops."""
        self._runner, self._row = runner, row

    def begin(self, seed: int | None) -> tuple[Arrival, int]:
        """Begin the episode ``seed``, or one that evaluation never uses; return its first frame and its seed."""
        super().reset(seed=seed)
        start = EpisodeStart(draw_training_seed(self.np_random) if seed is None else seed)
        self._history.reset()
        self._seed, self._actions = start.seed, []
        begun = self._runner.begin([start], [self._row])
        if not begun:
            raise FetchSim2RealError(
                f"the episode of {self.loop.sim.episode_config.episode_s} s ends before the camera's first frame has "
                f"come ({self.loop.sim.episode.camera_latency_s:.3f} s); make the task's episode_s longer"
            )
        self._arrival = begun[0]
        return begun[0], start.seed

    def arrival(self) -> Arrival:
        """Return the frame that the next action is for; FetchSim2RealError where no episode is under way."""
        if self._arrival is None:
            raise FetchSim2RealError("step needs an episode that is not over: call reset first")
        return self._arrival

    def remember(self, action: FloatArray) -> None:
        """Take note of an action (4,) within the bounds."""
        self._history.push(action)
        self._actions.append(action)

    def arrive(self, arrival: Arrival | None) -> tuple[Arrival, bool | None]:
        """Return the frame to be shown, now that the next one has come, and whether the episode was a success, if it is
        over; None: no other frame has come within its time.
        """
        self._arrival = arrival
        if arrival is not None:
            return arrival, None
        success = self.loop.sim.outcome().success
        return self._runner.after_end(self._row), success

    def rewards(self, observation: Observation, info: dict[str, Any]) -> Any:
        """Return ``compute_reward`` of what was observed, one row or several, and of what is said of it."""
        # Pictures alone do not show what is at the goal: there it is in the info.
        achieved = info["achieved_goal"] if self.mode == "rgbd" else observation["achieved_goal"]
        return self.compute_reward(achieved, observation["desired_goal"], info)

    def compute_reward(self, achieved_goal: Goals, desired_goal: Goals, info: Any) -> Any:
        """Return the reward: sparse, 0 within ``reward_tolerance_m`` of the goal, else -1; dense, minus the distance in
        units of it.

        A float for goals (3,), (...) for (..., 3). ``step`` gives what this returns; override it for other rewards.
        """
        distance_m = _distance_m(achieved_goal, desired_goal)
        if self._is_dense:
            reward = np.asarray(-distance_m / self.reward_tolerance_m)
        else:
            reward = np.where(distance_m <= self.reward_tolerance_m, 0.0, -1.0)
        return reward if reward.ndim else float(reward)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of, by ``copy.deepcopy`` and ``pickle``: all but physics and pictures.

        FetchSim2RealError for a row of a vector environment, whose others a copy would lack.
        """
        if len(self._runner.loops) > 1:
            raise FetchSim2RealError(
                f"environment {self._row} is stepped together with {len(self._runner.loops) - 1} others and cannot be "
                "copied: make a single environment of the same arguments and reset it to the same seed"
            )
        made_anew = ("loop", "_runner", "_row", "_arrival", "_view", "_history")
        kept = {name: value for name, value in self.__dict__.items() if name not in made_anew}
        return kept | {"_episode_config": self.loop.sim.episode_config, "_is_under_way": self._arrival is not None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make physics anew and run the episode under way once more, to the same bits: same seed, same actions."""
        kept = dict(state)
        config, is_under_way = kept.pop("_episode_config"), kept.pop("_is_under_way")
        self.__dict__.update(kept)
        self._make_loop()
        self.loop.sim.episode_config = config
        self._history = ActionHistory(LAST_ACTIONS)
        if is_under_way:
            (arrival,) = self._runner.begin([EpisodeStart(kept["_seed"])], [self._row])
            for action in kept["_actions"]:
                (arrival,) = self._runner.step([arrival], action[None])
                self._history.push(action)
            self._arrival, self._seed, self._actions = arrival, kept["_seed"], list(kept["_actions"])

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
        observations, infos = observe_together([self], [arrival])
        info = {name: value[0] if value.ndim > 1 else value[0].item() for name, value in infos.items()}
        # Of the same kind: the mode rgbd has one of its own.
        return type(observations)({name: value[0] for name, value in observations.items()}), info

    @property
    def last_actions(self) -> FloatArray:
        """The last actions (n, 4), newest first."""
        return self._history.recent()


def within_bounds(actions: NDArray[np.float32]) -> FloatArray:
    """Return actions (..., 4) as the loop takes them."""
    return np.minimum(np.maximum(np.asarray(actions, np.float64), -1.0), 1.0)


def observe_together(
    environments: Sequence[FetchEnvironment], arrivals: Sequence[Arrival]
) -> tuple[Observation, dict[str, NDArray[Any]]]:
    """Return the observations of N frames and what is to be said of them, in arrays of N rows; the environments are
    alike.
    """
    first = environments[0]
    achieved_m = np.array([each.loop.sim.achieved_goal_m for each in environments])
    last_actions = np.array([each.last_actions for each in environments])
    observations = make_observations(first.mode, arrivals, last_actions, achieved_m)
    shown_m = achieved_m.astype(np.float32)
    # Training may use it for hindsight, but no policy gets it by accident.
    infos: dict[str, NDArray[Any]] = {"achieved_goal": shown_m} if first.mode == "rgbd" else {}
    distance_m = _distance_m(shown_m, observations["desired_goal"])
    return observations, infos | {"distance_m": distance_m, "is_success": distance_m <= first.tolerance_m}


def _distance_m(achieved_goal: Goals, desired_goal: Goals) -> NDArray[np.float64]:
    # In double precision and in one order of summing, so that one goal and a batch give the same reward.
    away = np.asarray(achieved_goal, np.float64) - np.asarray(desired_goal, np.float64)
    distance: NDArray[np.float64] = np.sqrt(away[..., 0] ** 2 + away[..., 1] ** 2 + away[..., 2] ** 2)
    return distance
