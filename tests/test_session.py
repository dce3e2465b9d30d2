"""Test sessions that run at once keep out of each other's ROS graph."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SESSION_VARIABLE, attempts_again, end_all, orphans_of, session_processes

from fetch_sim2real import graph
from fetch_sim2real.stack.ros_environment import DOMAINS, claim_domain


def test_two_sessions_get_two_domains(tmp_path: Path) -> None:
    first, first_lock = claim_domain(tmp_path, first=100)
    second, second_lock = claim_domain(tmp_path, first=100)
    assert first != second
    assert {first, second} <= set(DOMAINS)
    first_lock.close()
    third, third_lock = claim_domain(tmp_path, first=100)
    assert third == first
    second_lock.close()
    third_lock.close()


def test_this_session_is_isolated_and_carries_images() -> None:
    assert int(os.environ["ROS_DOMAIN_ID"]) in DOMAINS
    assert os.environ[graph.FASTDDS_TRANSPORT_VARIABLE] == graph.FASTDDS_TRANSPORT
    assert "ROS_LOCALHOST_ONLY" not in os.environ
    assert "ROS_AUTOMATIC_DISCOVERY_RANGE" not in os.environ


def test_orphans_of_the_session_are_found_and_ended() -> None:
    """A process whose parent is gone is nobody's child; it still carries the session's mark."""
    orphan_maker = "import subprocess as s; print(s.Popen(['sleep', '60'], stdout=s.DEVNULL, stderr=s.DEVNULL).pid)"
    output = subprocess.run([sys.executable, "-c", orphan_maker], capture_output=True, text=True, check=True).stdout
    child = subprocess.Popen(["sleep", "60"])
    found = {process.pid: process for process in session_processes(os.environ[SESSION_VARIABLE])}
    orphan = found[int(output)]
    assert orphans_of([orphan, found[child.pid]]) == [orphan]
    assert "sleep 60" in end_all([orphan, found[child.pid]])
    orphan.wait(timeout=10)
    assert child.wait(timeout=10) < 0


@pytest.mark.ros
def test_a_failed_test_is_not_tried_again_unless_it_says_why(request: pytest.FixtureRequest) -> None:
    assert not request.config.getoption("reruns", 0)
    assert request.node.get_closest_marker("flaky") is None


@pytest.mark.parametrize(
    "mark",
    [
        pytest.mark.flaky,
        pytest.mark.flaky(reruns=1),
        pytest.mark.flaky(1, reason="a deadline"),
        pytest.mark.flaky(reruns=1, reason=" "),
        pytest.mark.flaky(reruns=0, reason="a deadline"),
    ],
)
def test_a_mark_without_a_reason_stops_the_collection(mark: pytest.MarkDecorator) -> None:
    with pytest.raises(pytest.UsageError, match="some_test is marked flaky without saying why"):
        attempts_again("some_test", mark.mark)
    assert attempts_again("some_test", pytest.mark.flaky(reruns=2, reason="a deadline").mark) == 2
