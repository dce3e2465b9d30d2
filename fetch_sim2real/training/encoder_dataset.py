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
from fetch_sim2real.training.encoder_sources import Tell, pictures_of_episodes, scattered_pictures
from fetch_sim2real.training.labelled_images import PoseImages
from fetch_sim2real.training.rollout import RolloutRequest
from fetch_sim2real.training.run_directory import RunDirectory
from fetch_sim2real.training.seeds import training_seeds
from fetch_sim2real.training.setup import Setting
from fetch_sim2real.training.state_estimator import NO_ERRORS

# Shares of the pictures: of episodes of these tasks, the rest scattered poses.
_EPISODE_SHARES: Final = {"push": 0.33, "pick_and_place": 0.38, "reach_block": 0.08}
_SHARES: Final = {**_EPISODE_SHARES, "scattered": 1.0 - sum(_EPISODE_SHARES.values())}
_PICTURE_EVERY: Final = 6
_MOVED_SHARE: Final = 0.3  # of these episodes have the object moved
# Shares of random actions in the demonstrator's episodes that pictures are taken of.
_RANDOM_SHARES: Final = (0.05, 0.3, 0.6)


@dataclass(frozen=True)
class _Part:
    world: str
    seed: int
    stream: str
    kind: str
    count: int
    path: Path


def take_pictures(
    run: RunDirectory, world: str, seed: int, counts: Mapping[str, int], processes: int
) -> list[PoseImages]:
    """Pictures of scattered poses and of the demonstrators' episodes, for each stream as many as ``counts`` says.

    ``run`` keeps them; what it holds is not taken again. How many ``processes`` take them makes no difference to them.
    """
    parts = [
        _Part(world, seed, stream, kind, max(1, round(count * share)), run.images(f"{stream}_{kind}"))
        for stream, count in counts.items()
        for kind, share in _SHARES.items()
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
    stream = f"{part.stream}-{part.kind}"
    if part.kind == "scattered":
        images = scattered_pictures(part.world, part.count, part.seed, stream, tell)
    else:
        setting = Setting(part.kind, part.world, True, NO_ERRORS, picture_every=_PICTURE_EVERY)
        collector, _ = setting.collector()()
        images = pictures_of_episodes(collector, _demonstrations(part.seed, stream), part.count, tell)
        collector.loop.sim.close()
    images.save(part.path)


def _demonstrations(run_seed: int, stream: str) -> Iterator[RolloutRequest]:
    rng = np.random.default_rng([run_seed, *stream.encode(), 11])
    for seed in training_seeds(run_seed, stream):
        conditions = Conditions(perturb=("move_block",)) if rng.random() < _MOVED_SHARE else NO_CONDITIONS
        yield RolloutRequest(seed, "demonstrator", conditions, float(rng.choice(_RANDOM_SHARES)))
