"""The pictures that an encoder learns from: which there are, and taking those that a folder does not hold yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from queue import Empty
from typing import Final

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fetch_sim2real.sim.disturbances.conditions import NO_CONDITIONS, Conditions
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.encoder_sources import Tell, pictures_of_episodes, scattered_pictures
from fetch_sim2real.training.labelled_images import PoseImages
from fetch_sim2real.training.rollout import Behaviour, RolloutRequest
from fetch_sim2real.training.run_directory import RunDirectory
from fetch_sim2real.training.seeds import training_seeds
from fetch_sim2real.training.setup import Setting
from fetch_sim2real.training.state_estimator import NO_ERRORS

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
    behaviour: Behaviour = "random" if task.scripted is None else "demonstrator"
    for seed in training_seeds(run_seed, stream):
        conditions = Conditions(perturb=("move_block",)) if rng.random() < _MOVED_SHARE else NO_CONDITIONS
        yield RolloutRequest(seed, behaviour, conditions, float(rng.choice(_RANDOM_SHARES)))
