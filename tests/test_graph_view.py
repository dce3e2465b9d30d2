"""The live view beside a simulated graph: it shows everything, changes nothing, and outlives the graph."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("rclpy")

from benchmarks.rig.graph_harness import START_LIMIT_S, run_episode, simulated_graph, write_untrained_bundle
from fetch_sim2real.common.supervision import Child, Supervisor
from fetch_sim2real.stack.options import SimGraphOptions
from fetch_sim2real.stack.ros_environment import free_port

pytestmark = [pytest.mark.ros, pytest.mark.gl, pytest.mark.slow]

SEED = 3


class View:
    """A view process, and what it serves."""

    def __init__(self, supervisor: Supervisor, port: int) -> None:
        self.supervisor = supervisor
        self.port = port

    @property
    def pid(self) -> int:
        return self.supervisor.pids()["view"]

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def state(self) -> dict[str, Any]:
        """What it knows; nothing while it is not up."""
        try:
            said: dict[str, Any] = json.loads(self.get("/state.json")[1])
        except OSError:
            return {}
        return said

    def hears(self, *nodes: str) -> bool:
        return set(nodes) <= set(self.state().get("nodes", {}))


@contextmanager
def viewing(folder: Path) -> Iterator[View]:
    port = free_port()
    command = [sys.executable, "-m", "fetch_sim2real.cli.main", "view", "--port", str(port)]
    with Supervisor([Child("view", command, {}, required=False)], folder) as supervisor:
        yield View(supervisor, port)


def missing(said: dict[str, Any]) -> list[str]:
    """What of the graph's kinds of data a view does not show."""
    shown = {
        "color": said["pictures"]["color"],
        "depth": said["pictures"]["depth"],
        "goal": said["goal"],
        "goal in the picture": said["goal_mark"]["pixel"],
        "answer to the goal": said["goal_status"].get("accepted"),
        "joints": len(said["joints"]) == 9,
        "commanded joints": said["joints"] and said["joints"][0]["commanded"] is not None,
        "decisions": said["driver"]["decisions"].keys() & {"command", "limited"},
        "latency": said["latency"]["trace_ms"],
        "driver's state": said["nodes"].get("arm_driver", {}).get("values", {}).get("state"),
        "policy": said["nodes"].get("policy_node", {}).get("values", {}).get("frame_to_answer_p50_ms"),
        "outcome": said["episodes"]["count"],
    }
    return [name for name, value in shown.items() if not value]


def test_it_shows_all_changes_nothing_and_outlives_the_graph(tmp_path: Path) -> None:
    write_untrained_bundle(tmp_path / "bundle")
    options = SimGraphOptions(policy=str(tmp_path / "bundle"), world="nominal", lockstep=True, episode_s=1.5)
    with viewing(tmp_path / "view") as view:
        with simulated_graph(options, tmp_path / "graph") as simulated:
            wait = simulated.session.wait_until
            wait(lambda: view.hears("arm_driver", "policy_node"), START_LIMIT_S, lambda: "view of the nodes")
            # It has asked the policy for its camera by then, or the goal will not be drawn.
            first = run_episode(simulated.operator, SEED)
            wait(lambda: not missing(view.state()), 10.0, lambda: f"{missing(view.state())} in the view")
            said = view.state()
            assert all(0.0 < ms < 60e3 for ms in said["latency"]["trace_ms"])
            assert said["episodes"]["last"][0]["seed"] == SEED and not said["ignored"]
            for kind in ("color", "depth"):
                assert view.get(f"/{kind}.jpg")[1].startswith(b"\xff\xd8")
            listening = [c.laddr.ip for c in psutil.Process(view.pid).net_connections("tcp") if c.status == "LISTEN"]
            assert set(listening) == {"127.0.0.1"}
            # A view that hangs, and then dies, holds nobody up.
            os.kill(view.pid, signal.SIGSTOP)
            second = run_episode(simulated.operator, SEED)
            os.kill(view.pid, signal.SIGCONT)
            assert second["setpoints_sha256"] == first["setpoints_sha256"] and second["missed"] == 0
            with viewing(tmp_path / "other") as other:
                wait(lambda: other.hears("arm_driver"), START_LIMIT_S, lambda: "second view")
                os.kill(other.pid, signal.SIGKILL)
                third = run_episode(simulated.operator, SEED)
            assert third["setpoints_sha256"] == first["setpoints_sha256"]
        view.supervisor.wait_until(
            lambda: view.state()["pictures"]["color"]["age_s"] > 1.0, 10.0, lambda: "age of the last picture"
        )
        assert view.supervisor.ended("view") is None
        os.kill(view.pid, signal.SIGINT)
        view.supervisor.wait_until(
            lambda: view.supervisor.ended("view") is not None, 10.0, lambda: "end of the view on Ctrl-C"
        )
        assert "130" in str(view.supervisor.ended("view"))
