"""The pictures that an encoder learns from: which there are, and taking those that a folder does not hold yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from queue import Empty
from typing import Final

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.common.ranges import box_of
from fetch_sim2real.episode import TRAINING_CAMERA_SIZE, EpisodeStart
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.policy.default_observation import IMAGE
from fetch_sim2real.sim.disturbances.conditions import NO_CONDITIONS, Conditions
from fetch_sim2real.sim.sensors.camera_timing import Captured
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.labelled_images import ImageAlbum, PoseImages
from fetch_sim2real.training.relay_rollout import Weights
from fetch_sim2real.training.run_directory import RunDirectory
from fetch_sim2real.training.seeds import training_seeds
from fetch_sim2real.training.setup import Setting
from fetch_sim2real.training.state_estimator import NO_ERRORS
from fetch_sim2real.training.student import LessonCollector, LessonRequest
from fetch_sim2real.training.teacher import Expert

# A new world costs a reset; each gives this many pictures with other arm and object poses.
_PICTURES_PER_WORLD: Final = 4
# Share of pictures with the gripper close to the object, the others anywhere in the workspace.
_NEAR_SHARE: Final = 0.6
_NEAR_M: Final = np.array([0.05, 0.05, 0.06])
# Share of pictures with the object in the air between the fingers, as when it is carried.
_HELD_SHARE: Final = 0.2


Tell = Callable[[int], object]
"""Called with how many more pictures there are now."""


def scattered_pictures(
    task: Task, world_name: str, count: int, run_seed: int, stream: str, tell: Tell = lambda _: None
) -> PoseImages:
    """Render ``count`` pictures of random arm and object poses in ``task``.

    The same arguments give the same pictures.
    """
    world = load_world(world_name, worlds_dir())
    sim = Simulation(world, task, TRAINING_CAMERA_SIZE)
    album, part = ImageAlbum(sim, IMAGE), sim.episode_config
    rng = np.random.default_rng([run_seed, *stream.encode(), 1])
    seeds = training_seeds(run_seed, stream)
    lower, upper = box_of(world.workcell.workspace_m)
    arm = np.array(ARM.home_rad)
    for index in range(count):
        if index % _PICTURES_PER_WORLD == 0:
            draw = sim.reset(next(seeds))
            arm = draw.arm_start_rad
        object_m = np.array([part.object_x_m.draw(rng), part.object_y_m.draw(rng), draw.main_object.position_m[2]])
        held = rng.random() < _HELD_SHARE
        near = held or rng.random() < _NEAR_SHARE
        wanted = object_m + rng.normal(0.0, _NEAR_M) + [0.0, 0.0, 0.04] if near else rng.uniform(lower, upper)
        reached = sim.ik.reach(arm, np.clip(wanted, lower, upper))
        arm = arm if reached is None else reached
        if held:
            object_m = sim.ik.grip_position_m(arm) + rng.normal(0.0, [0.008, 0.004, 0.008])
        half_width_m = float(draw.main_object.physics.half_extents_m[0])
        finger_m = half_width_m if held else ARM.finger_max_m * float(rng.integers(2))
        frame = sim.snapshot(arm, finger_m, object_m, rng.uniform(-np.pi, np.pi))
        album.add(Captured(frame.stamp_ns, frame, sim.truth()))
        tell(1)
    sim.close()
    return album.images()


def pictures_of_episodes(
    collector: LessonCollector, weights: Weights, requests: Iterator[LessonRequest], count: int,
    tell: Tell = lambda _: None,
) -> PoseImages:  # fmt: skip
    """Collect at least ``count`` pictures of the episodes asked for.

    How many each gives depends on the collector's world.
    """
    parts: list[PoseImages] = []
    while (before := sum(len(part) for part in parts)) < count:
        _, pictures = collector.answer(weights, next(requests))
        assert pictures is not None
        parts.append(pictures)
        tell(min(len(pictures), count - before))
    return PoseImages.concatenate(parts)


_EPISODES_SHARE: Final = 0.6  # of the pictures are of the teacher's episodes, the others of scattered poses
_POSES, _EPISODES = "poses", "episodes"
_PICTURE_EVERY: Final = 6
_MOVED_SHARE: Final = 0.3  # of these episodes have the object moved
_KICKS: Final = (0.0, 0.01, 0.04)  # shares of frames at which a kick begins, in these episodes
_MOST_ENVIRONMENTS: Final = 8


@dataclass(frozen=True)
class _Part:
    kind: str
    expert: Expert
    world: str
    seed: int
    stream: str
    count: int
    path: Path


def take_pictures(
    run: RunDirectory, expert: Expert, world: str, seed: int, counts: Mapping[str, int], processes: int
) -> list[PoseImages]:
    """Return pictures of scattered poses and of episodes of ``expert``'s task, for each stream as many as ``counts``
    says.

    ``run`` keeps them; what it holds is not taken again. How many ``processes`` take them makes no difference to them.
    """
    shares = {_EPISODES: _EPISODES_SHARE, _POSES: 1.0 - _EPISODES_SHARE}
    parts = [
        _Part(kind, expert, world, seed, stream, max(1, round(count * share)), run.images(f"{stream}_{kind}"))
        for stream, count in counts.items()
        for kind, share in shares.items()
    ]
    missing = sorted((part for part in parts if not part.path.exists()), key=lambda part: -part.count)
    columns = (TextColumn("pictures"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not missing) as progress:
        bar = progress.add_task("pictures", total=sum(part.count for part in missing))
        if processes == 1:
            for part in missing:
                _take(part, lambda more: progress.advance(bar, more))
        else:
            for more in _take_beside(missing, processes):
                progress.advance(bar, more)
    return [
        PoseImages.concatenate([PoseImages.load(part.path) for part in parts if part.stream == stream])
        for stream in counts
    ]


def _take_beside(missing: list[_Part], processes: int) -> Iterator[int]:
    """Take ``missing`` in processes of their own; gives how many more there are, as they come."""
    spawn = get_context("spawn")  # not a fork: OpenGL and torch's threads do not survive one
    with spawn.Manager() as manager, ProcessPoolExecutor(processes, spawn, torch.set_num_threads, (1,)) as pool:
        taken = manager.Queue()
        futures = [pool.submit(_take, part, taken.put) for part in missing]
        while not all(future.done() for future in futures) or not taken.empty():
            try:
                yield taken.get(timeout=0.5)
            except Empty:
                failed = [future for future in wait(futures, timeout=0).done if future.exception() is not None]
                if failed:
                    pool.shutdown(cancel_futures=True)
                    failed[0].result()


def _take(part: _Part, tell: Tell) -> None:
    task, stream = find_task(part.expert.task), f"{part.stream}-{part.kind}"
    if part.kind == _POSES:
        images = scattered_pictures(task, part.world, part.count, part.seed, stream, tell)
    else:
        setting = Setting(task.name, part.world, True, NO_ERRORS, picture_every=_PICTURE_EVERY)
        environments = max(1, min(_MOST_ENVIRONMENTS, part.count // 40))  # an episode gives about as many
        collector = LessonCollector(setting, part.expert, environments, keeps_pictures=True)
        # The teacher acts all the time: what its student is like makes no difference.
        weights = {name: value.numpy() for name, value in setting.build_actor(0).state_dict().items()}
        requests = _requests(part.seed, stream, environments)
        images = pictures_of_episodes(collector, weights, requests, part.count, tell)
        collector.close()
    images.save(part.path)


def _requests(run_seed: int, stream: str, environments: int) -> Iterator[LessonRequest]:
    rng, seeds = np.random.default_rng([run_seed, *stream.encode(), 11]), training_seeds(run_seed, stream)
    moved = Conditions(perturb=("move_block",))
    while True:
        starts = tuple(
            EpisodeStart(next(seeds), moved if rng.random() < _MOVED_SHARE else NO_CONDITIONS)
            for _ in range(environments)
        )
        yield LessonRequest(starts, 1.0, float(rng.choice(_KICKS)))
