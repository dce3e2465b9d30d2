"""What a simulated run is asked to do, checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fetch_sim2real import paths
from fetch_sim2real.common.outputs import require_file_place, require_folder_place
from fetch_sim2real.errors import GraphError, SetupError
from fetch_sim2real.reports.film_strip import require_video_place
from fetch_sim2real.sim.engine import find_engine
from fetch_sim2real.sim.world_file import World, load_world
from fetch_sim2real.stack.options import SimGraphOptions
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.tasks.registry import find_task

# What a graph that is there already is asked for.
BRIDGE_PARAMETERS: Final = ("task", "world", "engine", "camera", "camera_source", "lockstep", "blank_image", "backend")


@dataclass(frozen=True)
class SimSettings:
    """A run: the graph, its episodes, and where its files go.

    ``folder`` None keeps nothing: no bag, no picture. ``duration_s`` asks for one episode of that length. With
    ``attach`` the graph is there already, in ``namespace``, and so are most choices about it.
    """

    graph: SimGraphOptions
    episodes: int
    command: str
    folder: Path | None
    json_file: Path | None = None
    video: Path | None = None
    duration_s: float | None = None
    attach: bool = False
    namespace: str = ""

    @property
    def policy_folder(self) -> Path:
        return paths.find_policy(self.graph.policy)

    @property
    def task(self) -> Task:
        """The task: as asked for, or else the one that the policy was trained for."""
        return find_task(self.graph.task or paths.policy_task(self.policy_folder))

    @property
    def world(self) -> World:
        """The world; with the episode's length as asked for."""
        world = load_world(self.graph.world, paths.worlds_dir())
        return world if self.duration_s is None else world.with_episode_s(self.duration_s)

    @property
    def seeds(self) -> range:
        count = 1 if self.duration_s is not None else self.episodes
        return range(self.graph.seed, self.graph.seed + count)


def checked(settings: SimSettings) -> SimSettings:
    """Return the settings with all parts that follow from others.

    Raises ``FetchSim2RealError`` for an unknown policy, world or engine, a folder in use, one that cannot be written
    to, a video that cannot be encoded, or options that exclude each other.
    """
    if settings.json_file is not None:
        require_file_place(settings.json_file, "--json")
    if settings.attach:
        return _checked_attached(settings)
    if settings.namespace:
        raise GraphError("--namespace is for --attach, a graph that a launch file started with namespace:=")
    _require_goals_known(settings)
    find_engine(settings.graph.engine)
    if settings.duration_s is not None and settings.graph.lockstep:
        raise GraphError("--duration is wall time, which lockstep does not follow: add --realtime, or use --episodes")
    settings = replace(settings, graph=replace(settings.graph, episode_s=settings.duration_s or 0.0))
    if settings.folder is None:
        if settings.video is not None:
            raise GraphError("--video is made from the recorded bag: leave --no-record out")
        return settings
    folder = paths.expanded(settings.folder).absolute()
    require_folder_place(folder, "--record")
    if settings.video is not None:
        require_video_place(settings.video, "--video")
    if folder.exists() and any(folder.iterdir()):
        raise SetupError(f"the folder {folder} is not empty, choose another: --record DIR")
    options = replace(settings.graph, record=str(folder / "bag"))
    return replace(settings, folder=folder, graph=options)


def _require_goals_known(settings: SimSettings) -> None:
    """GraphError if the policy would refuse every goal of the task that is asked for."""
    world, task = settings.world, settings.task
    trained = find_task(paths.policy_task(settings.policy_folder))
    goals, known = (world.episode_of(each).goal_m for each in (task, trained))
    apart = any(goal.low > own.high or goal.high < own.low for goal, own in zip(goals, known, strict=True))
    if task.goal_frame == trained.goal_frame and not apart:
        return
    why = "elsewhere" if apart and task.goal_frame == trained.goal_frame else f"relative to '{task.goal_frame}'"
    raise GraphError(
        f"the policy {settings.graph.policy} is trained for {trained.name}, and the goals of --task {task.name} are "
        f"{why}: it would refuse them. Leave --task out, or choose a policy for {task.name}"
    )


def _checked_attached(settings: SimSettings) -> SimSettings:
    chosen = replace(settings.graph, seed=0, move_block=False)
    if chosen != SimGraphOptions() or settings.folder or settings.video or settings.duration_s:
        raise GraphError(
            "--attach runs episodes in a graph that is there already: only --episodes, --seed, --move-block, "
            "--namespace and --json go with it; policy, world, clock and recording are arguments of `ros2 launch "
            "fetch_sim2real sim.launch.py`"
        )
    return settings


def attached(settings: SimSettings, bridge: Mapping[str, bool | str], policy: str) -> SimSettings:
    """Return the settings with what the running graph's nodes say of themselves."""
    options = replace(
        settings.graph,
        policy=policy,
        task=str(bridge["task"]),
        world=str(bridge["world"]),
        engine=str(bridge["engine"]),
        camera=str(bridge["camera_source"]),
        camera_profile=str(bridge["camera"]),
        lockstep=bool(bridge["lockstep"]),
        blank_image=bool(bridge["blank_image"]),
        backend=str(bridge["backend"]),
    )
    return replace(settings, graph=options)
