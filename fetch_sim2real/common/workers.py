"""Pools of workers that answer requests: in this process, in others on this machine, or on a Ray cluster.

A worker is built in the process where it works. Its answer is a pure function of the request and of what the request
comes with (weights of one version, for example), so a request can be asked again of any other worker. That is what
pools do when a worker dies: its requests cost their time once more, and none is lost or answered twice.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Final, Generic, Protocol, TypeVar

from fetch_sim2real.errors import FetchSim2RealError

SharedT = TypeVar("SharedT")
RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")
SharedC = TypeVar("SharedC", contravariant=True)
RequestC = TypeVar("RequestC", contravariant=True)
AnswerC = TypeVar("AnswerC", covariant=True)

MOST_DEATHS: Final = 3
"""A request whose workers have died so many times is not asked again: it is what kills them."""
AHEAD: Final = 2
"""Requests in flight for each worker: what it answers now, and what it goes on with without waiting for anybody."""


class WorkerDiedError(FetchSim2RealError):
    """Every worker that was asked for something died of it."""


class Worker(Protocol[SharedC, RequestC, AnswerC]):
    """Answers requests, one at a time."""

    def answer(self, shared: SharedC, request: RequestC) -> AnswerC:
        """Return the answer: the same one for the same arguments, whichever worker is asked."""
        ...

    def close(self) -> None:
        """Free what the worker holds."""
        ...


MakeWorker = Callable[[], Worker[SharedT, RequestT, AnswerT]]
"""Builds a worker in the process where it is called. Picklable."""


class Pending(Protocol[AnswerC]):
    """An answer that is on its way."""

    def result(self, timeout: float | None = None) -> AnswerC:
        """Wait for the answer and return it, or raise what the worker raised.

        After ``timeout`` [s] without it ``concurrent.futures.TimeoutError`` is raised, and it can be waited for again.
        """
        ...


class Pool(Protocol[SharedC, RequestC, AnswerC]):
    """Workers that answer requests. Answers belong to requests, whichever worker is the faster one."""

    @property
    def in_flight(self) -> int:
        """So many requests at a time keep all workers busy."""
        ...

    def submit(self, shared: SharedC, request: RequestC) -> Pending[AnswerC]:
        """Ask for an answer. ``shared`` is sent once for all requests that come with the same object in a row; it is
        taken as it is now, and must not be changed between these requests."""
        ...

    def close(self) -> None:
        """End the workers; what is asked and not answered yet never will be."""
        ...


def in_order(
    pool: Pool[SharedT, RequestT, AnswerT],
    shared: SharedT,
    requests: Iterable[RequestT],
    wait_for: Callable[[Pending[AnswerT]], AnswerT] = lambda pending: pending.result(),
) -> Iterator[AnswerT]:
    """Yield the answers in the order of the requests, with a fixed number of requests in flight.

    ``wait_for`` waits for one that is on its way, for whoever has to notice something else meanwhile.
    """
    pending: deque[Pending[AnswerT]] = deque()
    for request in requests:
        pending.append(pool.submit(shared, request))
        if len(pending) == pool.in_flight:
            yield wait_for(pending.popleft())
    while pending:
        yield wait_for(pending.popleft())


@dataclass(frozen=True)
class Workplace:
    """Where requests are answered: by so many ``processes`` on this machine (None or 1: this one), or, with ``ray``, by
    so many workers (None: one for each CPU) of the Ray cluster at that address."""

    processes: int | None = None
    ray: str | None = None

    def connected(self) -> AbstractContextManager[object]:
        """Return a context in which pools can be made. Raises ``SetupError`` if there is no such cluster."""
        if self.ray is None:
            return nullcontext()
        # Imported here: an extra that most runs go without.
        from fetch_sim2real.common.ray_workers import connected

        return connected(self.ray)

    def pool(
        self, make: MakeWorker[SharedT, RequestT, AnswerT], *, beside: bool = False
    ) -> Pool[SharedT, RequestT, AnswerT]:
        """Return a pool of workers that ``make`` builds. ``beside`` this process, which has other work meanwhile, there
        is one process at least."""
        if self.ray is not None:
            from fetch_sim2real.common.ray_workers import RayPool

            return RayPool(make, self.processes)
        processes = self.processes or 1
        return OwnProcess(make) if processes == 1 and not beside else LocalProcesses(make, processes)


HERE: Final = Workplace()


class OwnProcess(Generic[SharedT, RequestT, AnswerT]):
    """A pool of one worker in this process, which answers before ``submit`` returns."""

    in_flight: Final = 1

    def __init__(self, make: MakeWorker[SharedT, RequestT, AnswerT]) -> None:
        self._worker = make()

    def submit(self, shared: SharedT, request: RequestT) -> Future[AnswerT]:
        """See Pool."""
        done: Future[AnswerT] = Future()
        done.set_result(self._worker.answer(shared, request))
        return done

    def close(self) -> None:
        """See Pool."""
        self._worker.close()


class Sealed:
    """What requests come with, pickled: once for each version, and at once, since its owner may go on changing it."""

    def __init__(self) -> None:
        self._last: Any = None
        self._content = pickle.dumps(None)

    def of(self, shared: object) -> bytes:
        """Return ``shared`` pickled: the same bytes object for the same object as the last time."""
        if shared is not self._last:
            self._last, self._content = shared, pickle.dumps(shared, pickle.HIGHEST_PROTOCOL)
        return self._content


class Answering:
    """The worker's side of a pool between processes: unpickles what requests come with once for each version."""

    def __init__(self, make: bytes) -> None:
        # The pool's owner ends its workers; an interrupt from the keyboard comes to all of them.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._make = make
        self._worker: Worker[Any, Any, Any] | None = None
        self._content = b""
        self._shared: Any = None

    def answer(self, content: bytes, request: Any) -> Any:
        """Return the worker's answer; the first request builds the worker, so that its errors are this request's."""
        if self._worker is None:
            make = pickle.loads(self._make)
            if (torch := sys.modules.get("torch")) is not None:
                torch.set_num_threads(1)  # each worker has a core
            self._worker = make()
        if content != self._content:
            self._content, self._shared = content, pickle.loads(content)
        return self._worker.answer(self._shared, request)


@dataclass
class _Asked(Generic[AnswerT]):
    content: bytes
    request: Any
    answer: Future[AnswerT] = field(default_factory=Future)
    deaths: int = 0


class LocalProcesses(Generic[SharedT, RequestT, AnswerT]):
    """A pool of processes on this machine. When one dies, all are replaced and asked again."""

    def __init__(self, make: MakeWorker[SharedT, RequestT, AnswerT], processes: int) -> None:
        self.in_flight = AHEAD * processes
        self._make, self._processes = pickle.dumps(make, pickle.HIGHEST_PROTOCOL), processes
        self._sealed = Sealed()
        self._replacing = threading.Lock()
        self._closed = False
        self._executor = self._start()

    def submit(self, shared: SharedT, request: RequestT) -> Future[AnswerT]:
        """See Pool."""
        asked = _Asked[AnswerT](self._sealed.of(shared), request)
        executor = self._executor
        try:
            self._ask(asked, executor)
        except BrokenProcessPool:
            self._ask_another(asked, executor)
        return asked.answer

    def close(self) -> None:
        """See Pool."""
        with self._replacing:
            self._closed = True
        # Nobody waits for what they are at: an episode may take many seconds.
        self._lifeline.close()
        self._executor.shutdown(cancel_futures=True)

    def _start(self) -> ProcessPoolExecutor:
        # Not a fork: OpenGL and torch's threads do not survive one.
        context = get_context("spawn")
        line, self._lifeline = context.Pipe(duplex=False)
        return ProcessPoolExecutor(self._processes, context, _start, (self._make, line))

    def _ask(self, asked: _Asked[AnswerT], executor: ProcessPoolExecutor) -> None:
        future = executor.submit(_answer, asked.content, asked.request)
        future.add_done_callback(partial(self._settle, asked, executor))

    def _settle(self, asked: _Asked[AnswerT], executor: ProcessPoolExecutor, future: Future[AnswerT]) -> None:
        """Pass the answer on. Called in a thread of ``executor``, which may hold its locks: it is not asked here."""
        error = None if future.cancelled() else future.exception()
        if future.cancelled():
            asked.answer.cancel()
        elif error is None:
            asked.answer.set_result(future.result())
        elif not isinstance(error, BrokenProcessPool):
            asked.answer.set_exception(error)
        elif asked.deaths + 1 == MOST_DEATHS:
            asked.answer.set_exception(worker_died(asked.request))
        else:
            asked.deaths += 1
            self._ask_another(asked, executor)

    def _ask_another(self, asked: _Asked[AnswerT], broken: ProcessPoolExecutor) -> None:
        with self._replacing:
            if self._closed:
                asked.answer.cancel()
                return
            if self._executor is broken:
                self._executor = self._start()
            self._ask(asked, self._executor)


def worker_died(request: object) -> WorkerDiedError:
    """Return the error of a request that ``MOST_DEATHS`` workers have died of."""
    return WorkerDiedError(
        f"{MOST_DEATHS} workers died while they answered {request!r}: look for 'Out of memory' and 'segfault' in the "
        "machine's log (dmesg), and take fewer workers (--processes) if memory is short"
    )


class _LocalWorker(Answering):
    """A worker in a process of its own, which ends with the pool: when its owner closes the other end of ``line``, or
    is no longer there, if it was killed for example.

    It ends at once, but only while it works. A process that ended while it sends an answer would leave the owner
    waiting for the rest of it.
    """

    _LOOK_AGAIN_S: Final = 0.2

    def __init__(self, make: bytes, line: Connection) -> None:
        super().__init__(make)
        self._line, self._owner = line, os.getppid()
        self._works, self._turn = False, threading.Lock()
        threading.Thread(target=self._end_with_owner, daemon=True).start()

    def answer(self, content: bytes, request: Any) -> Any:
        """See Answering."""
        with self._turn:
            self._works = True
        try:
            return super().answer(content, request)
        finally:
            with self._turn:
                self._works = False

    def _end_with_owner(self) -> None:
        wait([self._line])
        while True:
            with self._turn:
                if self._works or os.getppid() != self._owner:
                    os._exit(0)
            # Idle or sending; an idle one is told to end by the executor.
            time.sleep(self._LOOK_AGAIN_S)


_PROCESS: dict[str, _LocalWorker] = {}


def _start(make: bytes, line: Connection) -> None:
    _PROCESS["worker"] = _LocalWorker(make, line)


def _answer(content: bytes, request: Any) -> Any:
    return _PROCESS["worker"].answer(content, request)
