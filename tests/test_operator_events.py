"""What an operator does is in the bag: from the publisher to what a run says of its events."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fetch_sim2real import graph
from fetch_sim2real.bags.reading import open_bag
from fetch_sim2real.bags.run import read_run
from fetch_sim2real.operation.log import OperationLog
from fetch_sim2real.stack.launcher import launch
from fetch_sim2real.stack.processes import NodeProcess

pytestmark = [pytest.mark.ros, pytest.mark.timeout(120)]


def finished_run(path: Path) -> Path:
    """A log of a run that waits for its label."""
    log = OperationLog(path)
    log.append("start", task="push", policy_sha256="abc", decisions={})
    log.append("stop", reason="a key was pressed", decisions={})
    return path


def label(log: Path) -> str:
    from fetch_sim2real.cli.operate import app

    arguments = ["--log", str(log), "--operator", "ada", "label", "success", "--note", "first try"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


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
