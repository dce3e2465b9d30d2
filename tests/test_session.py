"""Test sessions that run at once keep out of each other's ROS graph."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import SESSION_VARIABLE, session_processes

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


def test_orphans_of_the_session_are_found() -> None:
    """A process whose parent is gone is nobody's child; it still carries the session's mark."""
    orphan_maker = "import subprocess as s; print(s.Popen(['sleep', '60'], stdout=s.DEVNULL, stderr=s.DEVNULL).pid)"
    output = subprocess.run([sys.executable, "-c", orphan_maker], capture_output=True, text=True, check=True).stdout
    found = {process.pid: process for process in session_processes(os.environ[SESSION_VARIABLE])}
    assert int(output) in found
    found[int(output)].kill()
    found[int(output)].wait(timeout=10)
