"""What every test session needs: a ROS domain of its own, the transport that carries images, no process left behind.

The environment is set on import, before any test module imports ROS or MuJoCo, and child processes inherit it.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest

from fetch_sim2real import graph

# Domains above 101 use ports that Linux also hands out to anybody; 0 is everybody's default.
DOMAINS = range(1, 102)
SESSION_VARIABLE = "FETCH_SIM2REAL_TEST_SESSION"
LEFT_BEHIND_TIME_LIMIT_S = 5.0


def claim_domain(folder: Path, first: int) -> tuple[int, IO[str]]:
    """A ROS domain that no other test session on this machine holds, tried from ``first`` upwards, and its lock.

    The lock is the kernel's: it goes with the process, however that ends.
    """
    folder.mkdir(mode=0o777, exist_ok=True)
    for offset in range(len(DOMAINS)):
        domain = DOMAINS[(first + offset) % len(DOMAINS)]
        try:
            lock = (folder / f"{domain}.lock").open("a")
        except PermissionError:  # another user's
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        return domain, lock
    raise RuntimeError(f"all {len(DOMAINS)} ROS domains are locked in {folder}: end other test sessions first")


# The number spreads sessions of different machines on one network, where locks do not reach.
_DOMAIN, _LOCK = claim_domain(Path(tempfile.gettempdir()) / "fetch_sim2real_domains", os.getpid())
_SESSION = uuid.uuid4().hex

os.environ["ROS_DOMAIN_ID"] = str(_DOMAIN)
os.environ[graph.FASTDDS_TRANSPORT_VARIABLE] = graph.FASTDDS_TRANSPORT
os.environ[SESSION_VARIABLE] = _SESSION
os.environ.setdefault("MUJOCO_GL", "egl")
# Small networks on a machine that runs a whole graph: threads that wait for each other cost more than they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")
for _variable in ("ROS_LOCALHOST_ONLY", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
    os.environ.pop(_variable, None)


def session_processes(session: str) -> list[psutil.Process]:
    """Processes that this one started: its children, and orphans of them, which still carry the session's mark."""
    found = {process.pid: process for process in psutil.Process().children(recursive=True)}
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(SESSION_VARIABLE) == session:
                found[process.pid] = process
        except (psutil.Error, OSError):  # gone meanwhile, or not ours to look into
            continue
    # multiprocessing's helpers serve this process and end with it.
    return [process for process in found.values() if not _is_multiprocessing_helper(process)]


def _is_multiprocessing_helper(process: psutil.Process) -> bool:
    command = " ".join(_command(process))
    return "multiprocessing.resource_tracker" in command or "multiprocessing.forkserver" in command


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.fixture(scope="session", autouse=True)
def no_process_left_behind() -> Iterator[None]:
    """Fail the session if processes that it started are still there at its end, and end them."""
    yield
    # Only processes that were already there after the last test count: give those that are ending a moment.
    _, left = psutil.wait_procs(session_processes(_SESSION), timeout=LEFT_BEHIND_TIME_LIMIT_S)
    if left:
        described = [f"{process.pid}: {' '.join(_command(process))}" for process in left]
        for process in left:
            try:
                process.kill()
            except psutil.Error:
                continue
        pytest.fail("processes left behind by tests (now ended):\n" + "\n".join(described), pytrace=False)
