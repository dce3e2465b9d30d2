"""Collecting episodes in processes of their own, so that rollouts and learner each have a core.

The weights of an episode are those of the moment at which it was asked for, so a run is the same whether the worker or
the learner is the faster one.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch

from fetch_sim2real.training.episode import Episode
from fetch_sim2real.training.rollout import Collector, RolloutRequest

Weights = dict[str, torch.Tensor]
MakeCollector = Callable[[], tuple[Collector, torch.nn.Module]]
"""Builds, in the process where it is called, a collector and the module that holds all weights it acts with."""


class LocalWorker:
    """Collects when asked, in this process."""

    def __init__(self, make: MakeCollector) -> None:
        self._collector, self._module = make()

    def submit(self, weights: Weights, request: RolloutRequest) -> Future[Episode]:
        done: Future[Episode] = Future()
        self._module.load_state_dict(weights)
        done.set_result(self._collector.collect(request))
        return done

    def close(self) -> None:
        self._collector.loop.sim.close()


class ProcessWorker:
    """Collects in ``processes`` others while this one goes on: more than one is of use where many are asked for."""

    def __init__(self, make: MakeCollector, processes: int = 1) -> None:
        # Not a fork: OpenGL and torch's threads do not survive one.
        self._pool = ProcessPoolExecutor(processes, get_context("spawn"), _start, (make,))

    def submit(self, weights: Weights, request: RolloutRequest) -> Future[Episode]:
        # Copied to numpy: torch would share memory, which the learner goes on writing to.
        return self._pool.submit(_collect, {name: value.numpy().copy() for name, value in weights.items()}, request)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def make_worker(make: MakeCollector, processes: int) -> LocalWorker | ProcessWorker:
    """Return a worker with so many processes; 1 is this one, which then collects and learns in turn."""
    return LocalWorker(make) if processes == 1 else ProcessWorker(make, processes)


_STATE: dict[str, Any] = {}


def _start(make: MakeCollector) -> None:
    torch.set_num_threads(1)
    _STATE["local"] = LocalWorker(make)


def _collect(weights: dict[str, Any], request: RolloutRequest) -> Episode:
    local: LocalWorker = _STATE["local"]
    return local.submit({name: torch.from_numpy(value) for name, value in weights.items()}, request).result()
