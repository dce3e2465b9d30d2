"""Workers on a Ray cluster: one actor for each, anywhere in the cluster. The only place that imports Ray.

What requests come with goes into the object store once for each version and is fetched from there once by each machine.
An actor that dies, or whose machine does, is replaced by a new one wherever there is a free CPU; what it was asked is
asked again, first of all, of whichever worker is free.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import socket
import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import TimeoutError
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Generic, cast

from fetch_sim2real import __version__
from fetch_sim2real.common.workers import (
    AHEAD,
    MOST_DEATHS,
    Answering,
    AnswerT,
    MakeWorker,
    RequestT,
    Sealed,
    SharedT,
    worker_died,
)
from fetch_sim2real.errors import SetupError

AUTO: Final = "auto"
_ADDRESS_VARIABLE: Final = "RAY_ADDRESS"
# Ray's own switch for systems on which it is no cluster: everything listens on the loopback interface alone.
_LOOPBACK_VARIABLE: Final = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
# Else it reports to its makers.
_STATISTICS_VARIABLE: Final = "RAY_USAGE_STATS_ENABLED"
# Where `ray start` leaves the address of this machine's cluster.
_CURRENT_CLUSTER: Final = Path("ray/ray_current_cluster")
_LOCAL_STORE_BYTES: Final = 256 * 2**20
# The packages whose versions decide about the bits of an episode.
_PACKAGES: Final = ("numpy", "torch", "mujoco")
_TELL_AFTER_S: Final = 15.0
_CONNECT_LIMIT_S: Final = 5.0

_log = logging.getLogger(__name__)


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Be connected to the Ray cluster at ``address`` meanwhile.

    ``auto`` is the one that RAY_ADDRESS names, or else that of this machine, or else one of this process alone that
    nobody else can reach. Raises ``SetupError`` if Ray is not installed, or there is no cluster.
    """
    given = os.environ.get(_ADDRESS_VARIABLE, "") if address == AUTO else address
    folder = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir())
    is_own = not given and not (folder / _CURRENT_CLUSTER).exists()
    if is_own:
        # Read when Ray is imported.
        os.environ.setdefault(_LOOPBACK_VARIABLE, "0")
        os.environ.setdefault(_STATISTICS_VARIABLE, "0")
    ray = _ray()
    quietly: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if is_own:
            ray.init(
                address="local", include_dashboard=False, object_store_memory=_LOCAL_STORE_BYTES, **quietly
            )
        else:
            if given:
                _require_listener(given)
            ray.init(address=given or AUTO, **quietly)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise SetupError(
            f"no Ray cluster answers at '{given or AUTO}' ({error}): `ray status` says what runs here; `ray start "
            "--head` starts a cluster, `ray stop` forgets one that is gone"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _require_listener(address: str) -> None:
    """Raise OSError or ValueError unless something listens at ``address``: Ray itself tries for more than a minute."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("expected HOST:PORT, for example 10.0.0.1:6379")
    socket.create_connection((host, int(port)), timeout=_CONNECT_LIMIT_S).close()


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise SetupError(
            "Ray is not installed, which --ray needs: .venv/bin/pip install -e '.[ray]' (make venv EXTRAS=ray)"
        ) from None
    return ray


@cache
def fingerprint() -> dict[str, str]:
    """Return what has to be the same on all machines of a cluster, so that all give the same episodes."""
    code = hashlib.sha256()
    package = Path(__file__).parents[1]
    for source in sorted(path for pattern in ("*.py", "*.yaml") for path in package.rglob(pattern)):
        code.update(source.relative_to(package).as_posix().encode() + b"\0" + source.read_bytes())
    python = ".".join(platform.python_version_tuple()[:2])
    versions = {name: metadata.version(name) for name in _PACKAGES}
    return {"fetch-sim2real": f"{__version__}, files {code.hexdigest()[:12]}", "python": python} | versions


class _Actor(Answering):
    """What runs on the cluster."""

    def hello(self) -> tuple[str, dict[str, str]]:
        """Return the name of the machine and its ``fingerprint``."""
        return platform.node(), fingerprint()


@dataclass(eq=False)
class _Worker:
    actor: Any
    asked: int = 0


@dataclass(eq=False)
class _Asked:
    content: Any
    request: Any
    deaths: int = 0
    answer: Any = None
    error: Exception | None = None
    is_done: bool = False


class _Pending(Generic[AnswerT]):
    def __init__(self, pool: RayPool[Any, Any, AnswerT], asked: _Asked) -> None:
        self._pool, self._asked = pool, asked

    def result(self, timeout: float | None = None) -> AnswerT:
        """See ``workers.Pending``."""
        while not self._asked.is_done:
            if timeout is None:
                self._pool.wait()
            elif not self._pool._look(timeout) and not self._asked.is_done:
                raise TimeoutError
        if self._asked.error is not None:
            raise self._asked.error
        return cast(AnswerT, self._asked.answer)


class RayPool(Generic[SharedT, RequestT, AnswerT]):
    """A pool of actors of the cluster that this process is ``connected`` to, each with a CPU of its own.

    Workers join as they come up. No thread stands behind it: what comes in is seen, and what waits is handed out, when
    something is submitted or waited for.
    """

    def __init__(self, make: MakeWorker[SharedT, RequestT, AnswerT], workers: int | None = None) -> None:
        """Ask for so many ``workers``; None: one for each CPU that the cluster has now."""
        self._ray = _ray()
        self._count = workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        self.in_flight = AHEAD * self._count
        sealed = Sealed()
        self._make = self._ray.put(sealed.of(make))
        self._sealed, self._content, self._stored = Sealed(), b"", None
        self._waiting: deque[_Asked] = deque()
        self._ready: list[_Worker] = []
        self._starting: dict[Any, _Worker] = {}
        self._running: dict[Any, tuple[_Worker, _Asked]] = {}
        self._failed_starts = 0
        for _ in range(self._count):
            self._start()

    def submit(self, shared: SharedT, request: RequestT) -> _Pending[AnswerT]:
        """See Pool."""
        content = self._sealed.of(shared)
        if content is not self._content or self._stored is None:
            self._content, self._stored = content, self._ray.put(content)
        asked = _Asked(self._stored, request)
        self._waiting.append(asked)
        self._look(0.0)
        return _Pending(self, asked)

    def close(self) -> None:
        """See Pool."""
        for worker in [*self._ready, *self._starting.values()]:
            self._ray.kill(worker.actor)
        self._ready, self._starting, self._running = [], {}, {}

    def wait_for_all(self) -> None:
        """Wait until all workers are up, as whoever measures them does; a run need not."""
        while len(self._ready) < self._count:
            self.wait()

    def wait(self) -> None:
        """Wait until something has come in."""
        if not self._look(_TELL_AFTER_S) and not self._ready:
            free = self._ray.available_resources().get("CPU", 0.0)
            _log.warning("waiting for Ray: of %d workers none has started; free CPUs: %g", self._count, free)

    def _start(self) -> None:
        actor = self._ray.remote(num_cpus=1, max_restarts=0)(_Actor).remote(self._make)
        self._starting[actor.hello.remote()] = _Worker(actor)

    def _look(self, timeout_s: float) -> bool:
        """Take what has come in, waiting for the first of it, and hand out what waits. Return whether anything came."""
        references = [*self._running, *self._starting]
        came, _ = self._ray.wait(references, num_returns=1, timeout=timeout_s)
        if came:
            came, _ = self._ray.wait(references, num_returns=len(references), timeout=0.0)
        for reference in came:
            if reference in self._starting:
                self._welcome(reference)
            else:
                self._take(reference)
        while self._waiting and (free := [worker for worker in self._ready if worker.asked < AHEAD]):
            worker = min(free, key=lambda each: each.asked)
            asked = self._waiting.popleft()
            worker.asked += 1
            self._running[worker.actor.answer.remote(asked.content, asked.request)] = worker, asked
        return bool(came)

    def _welcome(self, reference: Any) -> None:
        worker = self._starting.pop(reference)
        try:
            machine, found = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._failed_starts += 1
            if self._failed_starts == MOST_DEATHS:
                raise SetupError(
                    f"workers do not start on the Ray cluster ({_first_line(error)}), expected fetch-sim2real "
                    f"{__version__} to be installed on each of its machines: docs/cluster.md"
                ) from None
            self._start()
            return
        for name, here in fingerprint().items():
            if found[name] != here:
                raise SetupError(
                    f"{name} on {machine} of the Ray cluster is {found[name]}, expected {here} as here: install the "
                    "same there, or its episodes are others"
                )
        self._failed_starts = 0
        self._ready.append(worker)

    def _take(self, reference: Any) -> None:
        worker, asked = self._running.pop(reference)
        try:
            asked.answer = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            asked.error = cause if isinstance(cause, Exception) else error
        except self._ray.exceptions.RayError as error:
            # The worker has died, or its machine with an answer that was not fetched yet.
            if isinstance(error, self._ray.exceptions.RayActorError):
                self._replace(worker)
            self._ask_again(worker, asked)
            return
        worker.asked -= 1
        asked.is_done = True

    def _replace(self, dead: _Worker) -> None:
        """Start another worker in the place of one that has died, or that cannot be reached any more."""
        if dead in self._ready:
            _log.warning("a worker has died: what it was asked is asked again of another one")
            self._ready.remove(dead)
            self._ray.kill(dead.actor)
            self._start()

    def _ask_again(self, worker: _Worker, asked: _Asked) -> None:
        worker.asked -= 1
        asked.deaths += 1
        if asked.deaths == MOST_DEATHS:
            asked.error, asked.is_done = worker_died(asked.request), True
        else:
            self._waiting.appendleft(asked)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
