"""What every test session needs: a ROS domain of its own, the transport that carries images, no process left behind.

The environment is set on import, before any test module imports ROS or MuJoCo, and child processes inherit it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator, Iterator
from contextlib import suppress

import psutil
import pytest

from fetch_sim2real import graph
from fetch_sim2real.stack.ros_environment import claim_domain

SESSION_VARIABLE = "FETCH_SIM2REAL_TEST_SESSION"
LEFT_BEHIND_TIME_LIMIT_S = 5.0

_DOMAIN, _LOCK = claim_domain()
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


def orphans_of(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that no longer descend from this process: nobody will end them."""
    children = {process.pid for process in psutil.Process().children(recursive=True)}
    return [process for process in processes if process.pid not in children]


def end_all(processes: list[psutil.Process]) -> str:
    """Kill these; returns them in words."""
    described = [f"{process.pid}: {' '.join(_command(process))}" for process in processes]
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    return "\n".join(described)


def _is_multiprocessing_helper(process: psutil.Process) -> bool:
    command = " ".join(_command(process))
    return "multiprocessing.resource_tracker" in command or "multiprocessing.forkserver" in command


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def attempts_again(node: str, mark: pytest.Mark) -> int:
    """How often a test that is marked flaky is tried again. ``UsageError`` where the mark does not say why."""
    reruns, reason = mark.kwargs.get("reruns"), mark.kwargs.get("reason")
    if mark.args or not isinstance(reruns, int) or reruns < 1 or not isinstance(reason, str) or not reason.strip():
        raise pytest.UsageError(
            f"{node} is marked flaky without saying why: expected @pytest.mark.flaky(reruns=1, reason='...')"
        )
    return reruns


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test fails when it fails once. Only one that is marked flaky, with the reason, is tried again (``RERUN``)."""
    for item in items:
        mark = item.get_closest_marker("flaky")
        if mark is None:
            continue
        attempts = 1 + attempts_again(item.nodeid, mark)
        if not item.get_closest_marker("timeout"):
            # It counts for all attempts together.
            item.add_marker(pytest.mark.timeout(attempts * float(config.getini("timeout"))))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A graph that a failed test has left would fail those after it, and the same one tried again."""
    report = yield
    if report.failed and item.get_closest_marker("ros"):
        orphans = orphans_of(session_processes(_SESSION))
        if orphans:
            report.sections.append(("processes it left behind (now ended)", end_all(orphans)))
    return report


@pytest.fixture(scope="session", autouse=True)
def no_process_left_behind() -> Iterator[None]:
    """Fail the session if processes that it started are still there at its end, and end them."""
    yield
    # Only processes that were already there after the last test count: give those that are ending a moment.
    _, left = psutil.wait_procs(session_processes(_SESSION), timeout=LEFT_BEHIND_TIME_LIMIT_S)
    if left:
        pytest.fail("processes left behind by tests (now ended):\n" + end_all(left), pytrace=False)
