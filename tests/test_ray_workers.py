"""Workers on Ray: of two machines (nodes on this one) the second one's worker dies in mid-episode, then the machine."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fetch_sim2real.common.workers import OwnProcess, Workplace, in_order
from fetch_sim2real.errors import SetupError
from fetch_sim2real.sim.full_state import layout_of
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.relay_her import RelaySettings, SkillActor
from fetch_sim2real.training.relay_rollout import LAST_ACTIONS, Collected, DecisionCollector, Request, Weights
from fetch_sim2real.training.rollout import weights_of

# Read when Ray is imported: its ports are then on the loopback interface alone.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
ray = pytest.importorskip("ray", reason="Ray is not installed: .venv/bin/pip install -e '.[ray]'")

TASK = "reach"
SETTINGS = RelaySettings(hidden=16, layers=1)
STATE_SIZE = layout_of(find_task(TASK), LAST_ACTIONS).size
REQUESTS = [Request((2 * i + 2_000_000_000, 2 * i + 2_000_000_001), "exploring", 3) for i in range(6)]
DIES_AT_STEP = 30


class MortalCollector(DecisionCollector):
    """Dies once in mid-episode: in the middle of the first request that the worker on the node ``node`` answers."""

    def __init__(self, grave: Path, node: str) -> None:
        super().__init__(TASK, "nominal", 2, SETTINGS, STATE_SIZE)
        self._grave = grave
        self._is_mortal = ray.get_runtime_context().get_node_id() == node
        self._steps = 0
        self._step, self._runner.step = self._runner.step, self._step_or_die  # type: ignore[method-assign]

    def _step_or_die(self, *arguments: Any) -> Any:
        self._steps += 1
        if self._is_mortal and self._steps == DIES_AT_STEP and not self._grave.exists():
            self._grave.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self._step(*arguments)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # names of sockets must be short
    monkeypatch.setenv("RAY_TMPDIR", folder)
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else a busy machine never lets them run
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)  # MortalCollector is here
    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    made = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    made.second = made.add_node(**small)
    try:
        yield made
    finally:
        made.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def weights() -> Weights:
    return weights_of(SkillActor(STATE_SIZE, find_task(TASK).skills, SETTINGS))


def assert_same(found: list[Collected], expected: list[Collected]) -> None:
    """Every seed exactly once, in the order of the requests, and bit for bit."""
    mine_all, its_all = ([episode for each in answers for episode in each.episodes] for answers in (found, expected))
    seeds = [episode.seed for episode in mine_all]
    assert seeds == [seed for request in REQUESTS for seed in request.seeds]
    for one, other in zip(mine_all, its_all, strict=True):
        for mine, theirs in zip(astuple(one), astuple(other), strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
def test_episodes_are_those_of_a_local_run_whatever_dies(cluster: Any, tmp_path: Path) -> None:
    acting = weights()
    with closing(OwnProcess(partial(DecisionCollector, TASK, "nominal", 2, SETTINGS, STATE_SIZE))) as here:
        expected = list(in_order(here, acting, REQUESTS))
    workplace = Workplace(processes=2, ray=cluster.address)
    grave = tmp_path / "grave"
    make = partial(MortalCollector, grave, cluster.second.node_id)
    with workplace.connected(), closing(workplace.pool(make)) as pool:
        pool.wait_for_all()
        assert_same(list(in_order(pool, acting, REQUESTS)), expected)
        assert grave.exists(), "nobody died"
        pool.wait_for_all()
        pending = [pool.submit(acting, request) for request in REQUESTS]
        cluster.remove_node(cluster.second, allow_graceful=False)
        assert_same([each.result() for each in pending], expected)


def test_a_cluster_that_is_not_there_is_named() -> None:
    with pytest.raises(SetupError, match=r"no Ray cluster answers at '127.0.0.1:1'.*ray start"), Workplace(
        ray="127.0.0.1:1"
    ).connected():
        pass
