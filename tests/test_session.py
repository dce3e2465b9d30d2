"""Test sessions that run at once keep out of each other's ROS graph."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import SESSION_VARIABLE, end_all, orphans_of, session_processes

from fetch_sim2real import graph
from fetch_sim2real.ros_domain import DOMAINS, claim_domain


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
