"""What a Ray worker costs beside a process on this machine: the same requests to both, in turn.

    python -m benchmarks.worker_overhead                 # 64 seeds, 16 environments a request; needs the extra 'ray'
    python -m benchmarks.worker_overhead --ray 10.0.0.1:6379 --json overhead.json

Overhead is the time from asking to having the answer, less the time that the worker itself took, per episode. Episodes
of both have to be the same bits. Ray is started for this benchmark alone unless an address is given.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from fetch_sim2real.common.workers import Pool, Workplace
from fetch_sim2real.sim.full_state import layout_of
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.relay_her import DecisionEpisode, RelayLearner, RelaySettings
from fetch_sim2real.training.relay_rollout import LAST_ACTIONS, DecisionCollector, Request, Weights
from fetch_sim2real.training.rollout import weights_of

_FIRST_SEED: Final = 2_000_000_000
Timed = tuple[float, list[DecisionEpisode]]


class TimedCollector:
    """Collects, and says how long that took [s]. See ``common.workers.Worker``."""

    def __init__(self, *arguments: Any) -> None:
        self._collector = DecisionCollector(*arguments)

    def answer(self, weights: Weights, request: Request) -> Timed:
        """Collect the episodes."""
        started = time.perf_counter()
        collected = self._collector.answer(weights, request)
        return time.perf_counter() - started, collected.episodes

    def close(self) -> None:
        """Free the environments."""
        self._collector.close()


def measure(seeds: int, environments: int, ray: str) -> dict[str, Any]:
    """Return seconds of both kinds of workers, request by request, and sizes in bytes."""
    task, settings = find_task("push"), RelaySettings()
    size = layout_of(task, LAST_ACTIONS).size
    arguments = (task.name, "randomized", environments, settings, size)
    make = partial(TimedCollector, *arguments)
    weights = weights_of(RelayLearner(size, task.skills, settings, 0).actor)
    groups = np.arange(_FIRST_SEED, _FIRST_SEED + seeds).reshape(-1, environments).tolist()
    requests = [Request(tuple(group), "exploring", settings.periods_per_decision) for group in groups]
    os.environ.setdefault("RAY_worker_niceness", "0")  # like the local process; Ray's own default is 15
    local, cluster = Workplace(processes=1), Workplace(processes=1, ray=ray)
    with cluster.connected(), closing(local.pool(make, beside=True)) as process, closing(cluster.pool(make)) as actor:
        pools: dict[str, Pool[Weights, Request, Timed]] = {"process": process, "ray": actor}
        for pool in pools.values():  # a worker is built by its first request
            pool.submit(weights, Request((_FIRST_SEED - 1,), "random", 3)).result()
        rows: list[dict[str, Any]] = []
        answer: list[DecisionEpisode] = []
        for number, request in enumerate(requests):
            row: dict[str, Any] = {}
            answers = []
            # The one that is asked first takes turns, too. New weights come with each request, as in learning.
            for name in list(pools)[:: 1 if number % 2 == 0 else -1]:
                sent = {key: value.copy() for key, value in weights.items()}
                started = time.perf_counter()
                inside_s, answer = pools[name].submit(sent, request).result()
                row[name] = {"whole_s": time.perf_counter() - started, "inside_s": inside_s}
                answers.append(answer)
            for one, other in zip(*answers, strict=True):
                for mine, its in zip(astuple(one), astuple(other), strict=True):
                    np.testing.assert_array_equal(mine, its)
            rows.append(row)
    return {
        "seeds": seeds, "environments": environments, "rows": rows,
        "weights_bytes": len(pickle.dumps(weights, 5)), "answer_bytes": len(pickle.dumps(answer, 5)),
    }  # fmt: skip


def overheads_ms(result: dict[str, Any], name: str) -> list[float]:
    """Return the overhead per episode of each request [ms]."""
    count = result["environments"]
    return [1e3 * (row[name]["whole_s"] - row[name]["inside_s"]) / count for row in result["rows"]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=64, help="a multiple of --environments")
    parser.add_argument("--environments", type=int, default=16, help="episodes a request")
    parser.add_argument("--ray", default="auto", metavar="auto|ADDRESS")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args(arguments)
    result = measure(options.seeds, options.environments, options.ray)
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name in ("process", "ray"):
        found = overheads_ms(result, name)
        whole_s = sum(row[name]["whole_s"] for row in result["rows"]) / result["seeds"]
        print(
            f"{name:8} {1e3 * whole_s:7.1f} ms an episode, of which around the work: median "
            f"{statistics.median(found):.2f}, {min(found):.2f} to {max(found):.2f} ms"
        )
    print(f"weights {result['weights_bytes']} bytes a request, answer {result['answer_bytes']} bytes a request")


if __name__ == "__main__":
    # By its name, which Ray's workers know: what is in __main__ they cannot import.
    from benchmarks import worker_overhead

    worker_overhead.main()
