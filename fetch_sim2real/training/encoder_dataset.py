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
from fetch_sim2real.episode import TRAINING_CAMERA_SIZE
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.policy.default_observation import IMAGE
from fetch_sim2real.sim.disturbances.conditions import NO_CONDITIONS, Conditions
from fetch_sim2real.sim.sensors.camera_timing import Captured
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.labelled_images import ImageAlbum, PoseImages
from fetch_sim2real.training.rollout import Behaviour, Collector, RolloutRequest
from fetch_sim2real.training.run_directory import RunDirectory
from fetch_sim2real.training.seeds import training_seeds
from fetch_sim2real.training.setup import Setting
from fetch_sim2real.training.state_estimator import NO_ERRORS

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
    collector: Collector, requests: Iterator[RolloutRequest], count: int, tell: Tell = lambda _: None
) -> PoseImages:
    """Collect at least ``count`` pictures of the episodes asked for.

    How many each gives depends on the collector's world.
    """
    album = ImageAlbum(collector.loop.sim, IMAGE)
    collector.watch = album.add
    while (before := len(album)) < count:
        collector.collect(next(requests))
        tell(len(album) - before)
    collector.watch = None
    return album.images()


# Shares of the pictures that are of episodes, the others are of scattered poses. Tasks with the block (or nothing) on
# the table share those of these tasks; elsewhere all are of the task itself.
_BLOCK_EPISODES: Final[Mapping[str | None, float]] = {"push": 0.33, "pick_and_place": 0.38, "reach_block": 0.08}
_SCATTERED_SHARE: Final = 1.0 - sum(_BLOCK_EPISODES.values())
_BLOCK_TASK: Final = "reach_block"  # of the scattered poses with a block
_POSES: Final = "scattered"
_PICTURE_EVERY: Final = 6
_MOVED_SHARE: Final = 0.3  # of these episodes have the object moved
# Shares of random actions in the scripted baseline's episodes that pictures are taken of.
_RANDOM_SHARES: Final = (0.05, 0.3, 0.6)


@dataclass(frozen=True)
class _Part:
    task: str | None  # None: scattered poses
    scattered_in: str
    world: str
    seed: int
    stream: str
    count: int
    path: Path


def take_pictures(
    run: RunDirectory, task: Task, world: str, seed: int, counts: Mapping[str, int], processes: int
) -> list[PoseImages]:
    """Return pictures of scattered poses and of episodes with the task's object, for each stream as many as ``counts``
    says. The episodes are those of the scripted baseline, of random actions where a task has none.

    ``run`` keeps them; what it holds is not taken again. How many ``processes`` take them makes no difference to them.
    """
    has_block = task.bodies == find_task(_BLOCK_TASK).bodies
    episodes: Mapping[str | None, float] = _BLOCK_EPISODES if has_block else {task.name: 1.0 - _SCATTERED_SHARE}
    shares, where = {**episodes, None: _SCATTERED_SHARE}, _BLOCK_TASK if has_block else task.name
    parts = [
        _Part(kind, where, world, seed, stream, max(1, round(count * share)), run.images(f"{stream}_{kind or _POSES}"))
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
    stream = f"{part.stream}-{part.task or _POSES}"
    if part.task is None:
        where = find_task(part.scattered_in)
        images = scattered_pictures(where, part.world, part.count, part.seed, stream, tell)
    else:
        setting = Setting(part.task, part.world, True, NO_ERRORS, picture_every=_PICTURE_EVERY)
        collector, _ = setting.collector()()
        images = pictures_of_episodes(collector, _episodes(find_task(part.task), part.seed, stream), part.count, tell)
        collector.loop.sim.close()
    images.save(part.path)


def _episodes(task: Task, run_seed: int, stream: str) -> Iterator[RolloutRequest]:
    rng = np.random.default_rng([run_seed, *stream.encode(), 11])
    behaviour: Behaviour = "random" if task.scripted is None else "scripted"
    for seed in training_seeds(run_seed, stream):
        conditions = Conditions(perturb=("move_block",)) if rng.random() < _MOVED_SHARE else NO_CONDITIONS
        yield RolloutRequest(seed, behaviour, conditions, float(rng.choice(_RANDOM_SHARES)))
