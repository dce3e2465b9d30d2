"""What an operator does is in the bag: from the publisher to what a run says of its events."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from fetch_sim2real import graph
from fetch_sim2real.bags.reading import open_bag
from fetch_sim2real.bags.run import read_run
from fetch_sim2real.operation.log import OperationLog
from fetch_sim2real.stack.launcher import launch
from fetch_sim2real.stack.processes import NodeProcess

pytestmark = [pytest.mark.ros, pytest.mark.timeout(180)]
COMMAND_LIMIT_S: Final = 60.0


def finished_run(path: Path) -> Path:
    """A log of a run that waits for its label."""
    log = OperationLog(path)
    log.append("start", task="push", policy_sha256="abc", decisions={})
    log.append("stop", reason="a key was pressed", decisions={})
    return path


def label(log: Path) -> str:
    """What `operate label` prints."""
    command = [sys.executable, "-m", "fetch_sim2real.cli.main", "operate", "--log", str(log), "--operator", "ada"]
    command += ["label", "success", "--note", "first try"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=COMMAND_LIMIT_S).stdout


@pytest.mark.flaky(reruns=1, reason="a label waits seconds for a recorder, which a busy machine may find later")
def test_steps_and_label_are_recorded_with_who_operates(tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    from fetch_sim2real.ros.operate.event_publisher import EventPublisher
    from fetch_sim2real.ros.session import RosSession

    process = NodeProcess("recorder", graph.RECORDER, {"output": str(tmp_path / "bag")}, stop_rank=0)
    with launch([process], tmp_path / "logs") as supervisor:
        with RosSession(graph.OPERATOR, supervisor.check) as session:
            publisher = EventPublisher(session)
            # Before the recorder has been found: the publisher keeps it.
            OperationLog(tmp_path / "other.jsonl", "bob", publisher.publish).append("enable", succeeded=True)
            assert publisher.wait_for_recorder(20.0)
            OperationLog(tmp_path / "other.jsonl", "bob", publisher.publish).append("stop", reason="done")
        assert "no recorder" not in label(finished_run(tmp_path / "log.jsonl"))
        supervisor.stop()
    events = [event for _, event in read_run(open_bag(tmp_path / "bag")).events]
    assert [(event.event, event.operator) for event in events] == [
        ("enable", "bob"), ("stop", "bob"), ("label", "ada"),
    ]  # fmt: skip
    told = events[-1].detail
    assert (told["outcome"], told["note"], told["task"]) == ("success", "first try", "push")


def test_a_label_needs_no_recorder(tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    log = finished_run(tmp_path / "log.jsonl")
    assert f"no recorder is running: the label is in {log} alone" in label(log).replace("\n", "")
    assert OperationLog(log).events()[-1].operator == "ada"
