"""Pools of workers: answers belong to requests, what is sent once, and what becomes of a worker that dies."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from fetch_sim2real.common.workers import (
    LocalProcesses,
    OwnProcess,
    Pool,
    WorkerDiedError,
    Workplace,
    in_order,
)
from fetch_sim2real.errors import SetupError

Array = np.ndarray


@dataclass
class Multiplier:
    """Multiplies; dies of 13 until ``deaths`` have died, each leaving a file in ``graves``."""

    graves: Path
    deaths: int = 0

    def answer(self, shared: Array, request: int) -> tuple[Array, int]:
        if request < 0:
            raise SetupError(f"{request} is negative")
        if request == 13 and len(list(self.graves.iterdir())) < self.deaths:
            (self.graves / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return shared * request, os.getpid()

    def close(self) -> None:
        pass


class Verbose:
    """Answers at length: an answer takes a while to be sent."""

    def answer(self, shared: Path, request: int) -> bytes:
        (shared / str(request)).touch()
        return bytes(request)

    def close(self) -> None:
        pass


TWO = np.full(3, 2.0)


def test_a_workplace_is_this_process_unless_more_are_wanted(tmp_path: Path) -> None:
    make = partial(Multiplier, tmp_path)
    with closing(Workplace().pool(make)) as pool:
        assert isinstance(pool, OwnProcess)
        assert pool.submit(TWO, 3).result()[1] == os.getpid()
    with closing(Workplace(processes=1).pool(make, beside=True)) as pool:
        assert isinstance(pool, LocalProcesses)


def test_other_processes_answer_in_order_what_they_got_at_the_time_also_after_a_death(tmp_path: Path) -> None:
    mine, graves = TWO.copy(), tmp_path
    with closing(LocalProcesses(partial(Multiplier, graves, deaths=1), 2)) as pool:
        answers = in_order(pool, mine, range(20))
        first = next(answers)
        mine *= 10.0  # as a learner does that goes on
        values = [first, *answers]
        np.testing.assert_array_equal([value[0] for value, _ in values], 2.0 * np.arange(20))
        assert os.getpid() not in {pid for _, pid in values}
        assert len(list(graves.iterdir())) == 1
        np.testing.assert_array_equal(pool.submit(mine.copy(), 1).result()[0], 10.0 * TWO)


def test_what_kills_every_worker_is_named_and_errors_are_the_workers_own(tmp_path: Path) -> None:
    with closing(LocalProcesses(partial(Multiplier, tmp_path, deaths=99), 1)) as pool:
        with pytest.raises(SetupError, match="-1 is negative"):
            pool.submit(TWO, -1).result()
        with pytest.raises(WorkerDiedError, match="3 workers died while they answered 13"):
            pool.submit(TWO, 13).result()
        assert pool.submit(TWO, 2).result()[0][0] == 4.0, "the pool goes on"


@dataclass
class Reporter:
    """Answers with its process's number, through a file too."""

    file: Path

    def answer(self, shared: None, request: int) -> int:
        self.file.write_text(str(os.getpid()))
        return os.getpid()

    def close(self) -> None:
        pass


def _die_with_a_pool(file: Path) -> None:
    pool = LocalProcesses(partial(Reporter, file), 1)
    pool.submit(None, 0).result()
    os.kill(os.getpid(), signal.SIGKILL)


def test_workers_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "worker"
    owner = get_context("spawn").Process(target=_die_with_a_pool, args=(file,))
    owner.start()
    owner.join(60)
    assert owner.exitcode == -signal.SIGKILL
    with suppress(ProcessLookupError):
        worker = os.pidfd_open(int(file.read_text()))
        assert select.select([worker], [], [], 20)[0], "it goes on without its owner"
        os.close(worker)


class Counting:
    """Answers at once, and knows the most requests that were in flight."""

    in_flight = 3

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.taken = 0
        self.most = 0

    def submit(self, shared: None, request: int) -> Counting:
        self.asked.append(request)
        self.most = max(self.most, len(self.asked) - self.taken)
        return self

    def result(self) -> int:
        self.taken += 1
        return self.asked[self.taken - 1]

    def close(self) -> None:
        pass


def test_a_fixed_number_of_requests_is_in_flight() -> None:
    pool = Counting()
    asks: Pool[None, int, int] = pool

    def requests() -> Iterator[int]:
        for request in range(10):
            assert len(pool.asked) - pool.taken < 3
            yield request

    assert list(in_order(asks, None, requests())) == list(range(10))
    assert pool.most == 3


@pytest.mark.parametrize("after_s", [0.1, 0.2, 0.3, 0.4])  # one of them is in the middle, whatever the machine
def test_a_pool_closes_while_an_answer_is_being_sent(tmp_path: Path, after_s: float) -> None:
    pool, begun = LocalProcesses(Verbose, 1), tmp_path / str(200 << 20)
    pool.submit(tmp_path, 200 << 20)
    deadline_s = time.monotonic() + 60.0
    while not begun.exists():
        assert time.monotonic() < deadline_s
        time.sleep(0.001)
    time.sleep(after_s)
    close = threading.Thread(target=pool.close, daemon=True)
    close.start()
    close.join(timeout=30.0)
    assert not close.is_alive()
