"""Child processes that are watched, and that never outlive this one. Knows nothing of ROS."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final

from fetch_sim2real.errors import GraphError

TAIL_LINES: Final = 20
_TAIL_BYTES: Final = 16384
_POLL_S: Final = 0.02
_PR_SET_PDEATHSIG: Final = 1
# Loaded here: after a fork only the simplest calls are safe.
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Child:
    """A process to run. ``environment`` is added to this process' own; stopped in ascending ``stop_rank``."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    stop_rank: int = 0
    required: bool = True


@dataclass(frozen=True)
class Patience:
    """How long [s] a child may take to end after SIGINT, and after that, after SIGTERM, before it is killed."""

    interrupt_s: float = 5.0
    terminate_s: float = 2.0


class Supervisor:
    """Starts children, notices when one ends, and ends them all: on leaving the ``with`` block, come what may.

    Each child leads a session of its own: Ctrl-C reaches this process alone, which then ends the children in order.
    Their output goes to ``<log_dir>/<name>.log``.

    Enter it from the main thread, before any other thread exists: on Linux the kernel sends SIGTERM to the children
    when the thread that started them is gone, and code that runs between fork and exec is only safe without threads.
    """

    def __init__(
        self,
        children: Sequence[Child],
        log_dir: Path,
        patience: Patience = Patience(),
        hurry: Callable[[], bool] = lambda: False,
    ) -> None:
        """``hurry`` is asked while waiting for children to end; once it says True they are killed at once."""
        self._children = tuple(children)
        self._log_dir = log_dir
        self._patience = patience
        self._hurry = hurry
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Supervisor:
        self._log_dir.mkdir(parents=True, exist_ok=True)
        try:
            for child in self._children:
                self._start(child)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def log_path(self, name: str) -> Path:
        """Return where the output of a child goes."""
        return self._log_dir / f"{name}.log"

    def pids(self) -> dict[str, int]:
        """Return the process ids of the children that were started and not yet collected."""
        return {name: process.pid for name, process in self._running.items()}

    def ended(self, name: str) -> str | None:
        """Return how a child that was started has ended, in words; None while it runs."""
        return _exit_status(self._running[name].pid)

    def check(self) -> None:
        """Raise ``GraphError`` with the end of its log if a required child has ended."""
        for child in self._children:
            process = self._running.get(child.name)
            if process is not None and child.required and (status := _exit_status(process.pid)) is not None:
                raise GraphError(
                    f"process '{child.name}' {status} while it was needed; the end of its log "
                    f"({self.log_path(child.name)}):\n{self.log_tail(child.name)}"
                )

    def wait_until(self, ready: Callable[[], bool], limit_s: float, expected: Callable[[], str]) -> None:
        """Poll ``ready`` until it is True, watching the children meanwhile.

        Raises ``GraphError`` if a required child ends, or after ``limit_s``, with ``expected()`` for what is missing.
        """
        deadline = time.monotonic() + limit_s
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise GraphError(
                    f"after {limit_s:.0f} s there is still no {expected()}; the logs are in {self._log_dir}"
                )
            time.sleep(_POLL_S)

    def log_tail(self, name: str, lines: int = TAIL_LINES) -> str:
        """Return the last lines that a child wrote."""
        try:
            with self.log_path(name).open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
                content = log.read().decode("utf-8", errors="replace")
        except OSError as error:
            return f"  (no log: {error})"
        return "\n".join(f"  {line}" for line in content.splitlines()[-lines:]) or "  (nothing was written)"

    def stop(self) -> None:
        """End all children, rank after rank: SIGINT, then SIGTERM, then SIGKILL. Returns once all are gone."""
        for rank in sorted({child.stop_rank for child in self._children}):
            names = [child.name for child in self._children if child.stop_rank == rank and child.name in self._running]
            self._end_together(names)
            for name in names:
                self._collect(name)

    def _start(self, child: Child) -> None:
        parent = os.getpid()

        def prepare() -> None:
            _tie_to_parent(parent)

        log: IO[bytes]
        with self.log_path(child.name).open("wb") as log:
            self._running[child.name] = subprocess.Popen(
                list(child.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **child.environment},
                start_new_session=True,
                preexec_fn=prepare,
            )

    def _end_together(self, names: Sequence[str]) -> None:
        for sent, limit_s in (
            (signal.SIGINT, self._patience.interrupt_s),
            (signal.SIGTERM, self._patience.terminate_s),
        ):
            for name in names:
                if not self._has_ended(name):
                    _signal_group(self._running[name].pid, sent)
            deadline = time.monotonic() + limit_s
            while not all(map(self._has_ended, names)):
                if self._hurry():
                    return
                if time.monotonic() > deadline:
                    break
                time.sleep(_POLL_S)
            else:
                return

    def _has_ended(self, name: str) -> bool:
        return _exit_status(self._running[name].pid) is not None

    def _collect(self, name: str) -> None:
        # The child's own children die with it. Until it is collected, its id cannot belong to anybody else.
        process = self._running[name]
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()
        del self._running[name]


def _tie_to_parent(parent: int) -> None:
    """Runs in the child before its program: let the kernel end it with its parent; undo what it inherited."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # the parent was faster
    # A shell that starts jobs in the background lets them ignore SIGINT, and that is inherited.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _exit_status(pid: int) -> str | None:
    """How a child ended, in words; None while it runs. It stays a zombie, so that its id keeps meaning it."""
    info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    if info is None:
        return None
    if info.si_code == os.CLD_EXITED:
        return f"ended with status {info.si_status}"
    return f"was ended by {signal.Signals(info.si_status).name}"


def _signal_group(leader: int, sent: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, sent)
