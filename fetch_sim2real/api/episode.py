"""One simulated episode from Python: run it, then look at its frames, plot it or watch it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from fetch_sim2real.api.policy import LoadedPolicy, load_policy
from fetch_sim2real.arm.limits import DEFAULT_PROFILE, limit_profile
from fetch_sim2real.common.picture_file import require_picture_place, write_picture
from fetch_sim2real.control.action import ACTION_SCALE_M, target_box_of
from fetch_sim2real.episode import (
    ActionSettings,
    Agent,
    Arrival,
    ClosedLoop,
    EpisodeRunner,
    EpisodeStart,
    PolicyAgent,
    Step,
)
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.evaluation.recorded_episode import Moment, spread
from fetch_sim2real.evaluation.resimulation import moment_of
from fetch_sim2real.paths import expanded, worlds_dir
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.perception.observe import ACTION_SIZE
from fetch_sim2real.policy.runtime import Sensed
from fetch_sim2real.reports.film_strip import COLUMNS, FilmTitle, film_strip, require_video_place, write_film
from fetch_sim2real.reports.panels import BLUE, ORANGE, RED, Line, Panel, panels_picture
from fetch_sim2real.sim.disturbances.conditions import conditions_of
from fetch_sim2real.sim.engine import DEFAULT_ENGINE
from fetch_sim2real.sim.simulation import Outcome, Simulation
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.stack.options import DEFAULT_CAMERA_SIZE
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.types import FloatArray

OwnPolicy = Callable[[Sensed], ArrayLike]
"""What a robot has -> an action (4,); values beyond [-1, 1] are clipped. Its method ``reset()``, if it has one, is
called where the episode begins."""

_COLUMN_PX: Final = 190
_GRAY: Final = (110, 110, 110)


@dataclass(frozen=True, eq=False)
class EpisodeRecord:
    """An episode as it went. ``goal_m`` (3,) is in ``goal_frame``; ``actions`` (N, 4) belong to the frames in order.

    ``frames`` are what the camera gave, with what was true then (``Moment``): gripper or object and goal in base_link.
    Success is the goal held for the last half second; ``distance_m`` is how far it ended from there. ``is_over`` is
    False where the episode was left after ``most_steps``. ``base_T_camera`` is the camera's true pose at the start.
    """

    policy: str
    task: str
    world: str
    seed: int
    success: bool
    distance_m: float
    is_over: bool
    goal_m: FloatArray
    goal_frame: str
    actions: FloatArray = field(repr=False)
    times_s: FloatArray = field(repr=False)
    distances_m: FloatArray = field(repr=False)
    frames: tuple[Moment, ...] = field(repr=False)
    tolerance_m: float = field(repr=False)
    base_T_camera: Pose = field(repr=False)

    def plot(self, path: str | Path) -> Path:
        """Draw frames, distance and actions over time into a picture (.png or .jpg) and return where it is.

        Without kept frames, distance and actions alone. SetupError if it cannot be written there.
        """
        place = expanded(path)
        require_picture_place(place, "plot")
        limit_m = np.full_like(self.distances_m, self.tolerance_m)
        lines = (Line("distance", self.distances_m, BLUE, 2), Line("tolerance", limit_m, _GRAY))
        names = zip(("x", "y", "z", "fingers"), (BLUE, ORANGE, RED, _GRAY), strict=True)
        actions = tuple(Line(name, self.actions[:, i], color) for i, (name, color) in enumerate(names))
        panels = (Panel("to the goal [m]", lines), Panel("action, share of a full one", actions))
        picture = panels_picture(self._title().text, self.times_s, panels)
        if self.frames:
            shown = [self.frames[index] for index in spread(range(len(self.frames)), COLUMNS)]
            strip = film_strip(shown, self.base_T_camera, self._title(), _COLUMN_PX)
            width = max(strip.shape[1], picture.shape[1])
            parts = [
                np.pad(each, ((0, 0), (0, width - each.shape[1]), (0, 0)), constant_values=255)
                for each in (strip, picture)
            ]
            picture = np.vstack(parts)
        write_picture(picture, place)
        return place

    def save_video(self, path: str | Path) -> Path:
        """Write the episode at its own speed (.mp4, .mkv or .mov) and return where it is.

        SetupError without the extra ``viz``; FetchSim2RealError where no frames were kept.
        """
        place = expanded(path)
        if not self.frames:
            raise FetchSim2RealError(
                "a video needs frames, and none of this episode were kept: run_episode(..., keep_frames=True)"
            )
        require_video_place(place, "save_video")
        write_film(self.frames, self.base_T_camera, self._title(), place)
        return place

    def _title(self) -> FilmTitle:
        text = f"{self.policy} in {self.world}, seed {self.seed}"
        if not self.is_over:
            text += f", left after {len(self.actions)} frames"
        return FilmTitle(text, self.success, self.distance_m, self.tolerance_m)


def run_episode(
    policy: str | Path | LoadedPolicy | OwnPolicy,
    world: str = "randomized",
    seed: int = 0,
    *,
    task: str | None = None,
    perturb: Sequence[str] = (),
    faults: Mapping[str, float] | None = None,
    most_steps: int | None = None,
    keep_frames: bool = True,
    engine: str = DEFAULT_ENGINE,
) -> EpisodeRecord:
    """Run the episode ``seed`` of the policy's task in ``world`` (a name, or a world file) and return how it went.

    ``policy``: a name, a folder or a loaded one, whose own memory stays as it is; or a function, with the ``task`` that
    it is for. ``perturb`` are unplanned changes (``shove``, ``move_goal``, ...), ``faults`` imperfections by name
    (docs/evaluation.md). After ``most_steps`` frames the episode is left. Frames take 0.5 MB each: leave
    ``keep_frames`` out of long loops. The same seed gives the same episode as all other tools here.

    FetchSim2RealError for names that do not exist. Pictures need OpenGL.
    """
    loaded = load_policy(policy) if isinstance(policy, str | Path) else policy
    if seed < 0:
        raise FetchSim2RealError(f"seed is {seed}, expected 0 or more: choose another episode")
    conditions = conditions_of({"perturb": list(perturb), "faults": dict(faults or {})})
    task_name = _task_of(loaded, task)
    setting, found = load_world(world, worlds_dir()), find_task(task_name)
    if isinstance(loaded, LoadedPolicy):
        settings, name = ActionSettings.of_bundle(loaded.manifest), loaded.name
        agent: Agent = PolicyAgent(loaded.fresh_runtime())
    else:
        box_m, profile = target_box_of(setting.workcell), limit_profile(DEFAULT_PROFILE)
        settings = ActionSettings(ACTION_SCALE_M, found.controls_gripper, box_m, profile)
        agent, name = _OwnAgent(loaded), getattr(loaded, "__name__", type(loaded).__name__)
    loop = ClosedLoop(Simulation(setting, found, DEFAULT_CAMERA_SIZE, engine=engine), settings)
    runner = EpisodeRunner([loop])
    seen = _Seen(keep_frames)
    try:
        (outcome,) = runner.run(agent, [EpisodeStart(seed, conditions)], seen.watch, most_steps)
        return _record(loop, outcome, name, world, seen)
    finally:
        runner.close()


def _task_of(policy: LoadedPolicy | OwnPolicy, task: str | None) -> str:
    if isinstance(policy, LoadedPolicy):
        if task not in (None, policy.task):
            raise FetchSim2RealError(f"task is '{task}', expected the policy's own, '{policy.task}': leave it out")
        return policy.task
    if not callable(policy):
        raise FetchSim2RealError(
            f"policy is a {type(policy).__name__}, expected a name, a folder, a loaded policy or a function of "
            "fetch_sim2real.Sensed that returns an action (4,)"
        )
    if task is None:
        raise FetchSim2RealError(
            "task is missing, expected the one that the function is for: run_episode(..., task='push')"
        )
    return task


class _OwnAgent:
    """A function as an agent."""

    def __init__(self, policy: OwnPolicy) -> None:
        self._policy = policy

    def reset(self, environments: Sequence[int]) -> None:
        """See Agent."""
        forget = getattr(self._policy, "reset", None)
        if callable(forget):
            forget()

    def act(self, arrivals: Sequence[Arrival]) -> FloatArray:
        """See Agent."""
        actions = [np.asarray(self._policy(arrival.sensed()), dtype=np.float64) for arrival in arrivals]
        for action in actions:
            if action.shape != (ACTION_SIZE,) or not np.all(np.isfinite(action)):
                raise FetchSim2RealError(
                    f"the function returned {np.array2string(action, threshold=8)}, expected {ACTION_SIZE} finite "
                    "numbers in [-1, 1]: gripper displacement x, y, z and fingers"
                )
        return np.clip(np.array(actions), -1.0, 1.0)


class _Seen:
    """Collects what is kept of each step."""

    def __init__(self, keep_frames: bool) -> None:
        self._keep_frames = keep_frames
        self._first_s: float | None = None
        self.moments: list[Moment] = []
        self.actions: list[FloatArray] = []
        self.times_s: list[float] = []
        self.distances_m: list[float] = []

    def watch(self, step: Step) -> None:
        """See ``EpisodeRunner.run``."""
        moment = moment_of(step.arrival)
        self._first_s = moment.time_s if self._first_s is None else self._first_s
        self.times_s.append(moment.time_s - self._first_s)
        self.distances_m.append(moment.distance_m)
        self.actions.append(step.action)
        if self._keep_frames:
            self.moments.append(replace(moment, time_s=self.times_s[-1]))


def _record(loop: ClosedLoop, outcome: Outcome, name: str, world: str, seen: _Seen) -> EpisodeRecord:
    sim, camera = loop.sim, loop.sim.episode.camera
    return EpisodeRecord(
        policy=name,
        task=sim.task.name,
        world=world,
        seed=outcome.seed,
        success=outcome.success,
        distance_m=outcome.final_distance_m,
        is_over=sim.done,
        goal_m=_frozen(sim.goal_m),
        goal_frame=sim.task.goal_frame,
        actions=_frozen(np.array(seen.actions).reshape(-1, ACTION_SIZE)),
        times_s=_frozen(seen.times_s),
        distances_m=_frozen(seen.distances_m),
        frames=tuple(seen.moments),
        tolerance_m=sim.episode_config.tolerance_m,
        base_T_camera=Pose(camera.position_m, camera.rotation),
    )


def _frozen(values: ArrayLike) -> FloatArray:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array
