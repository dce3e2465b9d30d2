"""The operator's commands beside a graph in a namespace: they find it when it is named, and say where it is if not."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")

from benchmarks.rig.graph_harness import START_LIMIT_S, running, write_untrained_bundle
from fetch_sim2real import graph
from fetch_sim2real.common.supervision import Child, Supervisor
from fetch_sim2real.errors import GraphError
from fetch_sim2real.ros.namespaces import checked_namespace, local_node_name
from fetch_sim2real.ros.session import RosSession
from fetch_sim2real.stack.options import PlacementOptions, SimGraphOptions
from fetch_sim2real.stack.processes import placed, sim_graph
from fetch_sim2real.stack.ros_environment import free_port

NAMESPACE = "left/robot"
EPISODE_S = 1.0
DISCOVERY_LIMIT_S = 40.0  # twice the middleware's lease
ELSEWHERE = f"try --namespace /{NAMESPACE}"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RosSession]:
    """A simulated graph in a namespace, whose driver has said something."""
    folder = tmp_path_factory.mktemp("namespace")
    write_untrained_bundle(folder / "policy")
    options = SimGraphOptions(policy=str(folder / "policy"), episode_s=EPISODE_S)
    with running(placed(sim_graph(options), PlacementOptions(namespace=NAMESPACE)), folder / "logs") as (_, ours):
        node = ours.node
        names = [f"/{NAMESPACE}{topic.name}" for topic in (graph.JOINT_COMMAND, graph.JOINT_STATES, graph.SETPOINT)]
        ours.wait_until(lambda: all(node.count_publishers(name) for name in names), START_LIMIT_S, lambda: str(names))
        yield ours


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fetch_sim2real.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def until(ready: Callable[[Any], bool], look: Callable[[], Any]) -> Any:
    """What ``look`` sees once it is ``ready``, or last: a new graph takes time to be known to one who comes later, and
    a node that an earlier test has killed is known until its lease runs out."""
    deadline = time.monotonic() + DISCOVERY_LIMIT_S
    while not ready(seen := look()) and time.monotonic() < deadline:
        pass
    return seen


@pytest.mark.ros
@pytest.mark.gl
@pytest.mark.slow
def test_the_graph_keeps_the_contract_where_it_is_looked_for(session: RosSession) -> None:
    command = ("check-graph", "--json", "--namespace", NAMESPACE)
    report = until(lambda report: report["ok"], lambda: json.loads(run(*command).stdout))
    assert set(report["nodes"]) == {graph.POLICY_NODE, graph.ARM_DRIVER, graph.SIM_BRIDGE}
    assert report["ok"] and report["simulated"], [each for each in report["findings"] if each["severity"] != "note"]
    nobody = "no node of the stack is running in ROS domain"
    elsewhere = until(lambda done: nobody in done.stderr, lambda: run("check-graph"))
    assert elsewhere.returncode == 1
    assert nobody in elsewhere.stderr and ELSEWHERE in elsewhere.stderr


@pytest.mark.ros
@pytest.mark.gl
@pytest.mark.slow
def test_episodes_are_run_watched_and_checked_there(session: RosSession, tmp_path: Path) -> None:
    port = free_port()
    view = [sys.executable, "-m", "fetch_sim2real.cli.main", "view", "--port", str(port), "--namespace", NAMESPACE]
    with Supervisor([Child("view", view, {})], tmp_path) as supervisor:
        supervisor.wait_until(
            lambda: {graph.ARM_DRIVER, graph.POLICY_NODE} <= set(_state(port).get("nodes", {})),
            START_LIMIT_S,
            lambda: "nodes in the view",
        )
        done = run("sim", "--attach", "--namespace", NAMESPACE, "--episodes", "1", "--json", str(tmp_path / "r.json"))
        assert done.returncode == 0, done.stderr + done.stdout
        assert json.loads((tmp_path / "r.json").read_text())["episodes"][0]["steps"] > 20
        supervisor.wait_until(lambda: bool(_shown(_state(port))), START_LIMIT_S, lambda: "picture and joints")
    checked = run("operate", "--log", str(tmp_path / "log"), "--namespace", NAMESPACE, "check", "--json")
    items = {item["name"]: item for item in json.loads(checked.stdout)}
    assert items["driver"]["state"] == items["bundle"]["state"] == items["commanders"]["state"] == "ok", items


def _state(port: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/state.json")
        said: dict[str, Any] = json.loads(connection.getresponse().read())
    except OSError:
        return {}
    finally:
        connection.close()
    return said


def _shown(said: dict[str, Any]) -> bool:
    return bool(said["pictures"]["color"] and said["joints"] and said["driver"]["decisions"])


@pytest.mark.ros
@pytest.mark.gl
@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "looked_for"),
    [
        (("sim", "--attach", "--namespace", "right"), "answer from /right/sim_bridge/get_parameters"),
        (("operate", "--namespace", "right", "--log", "{log}", "check"), "service /right/arm_driver/enable"),
    ],
)
def test_what_was_looked_for_is_named_and_where_it_may_be(
    session: RosSession, command: tuple[str, ...], looked_for: str, tmp_path: Path
) -> None:
    done = run(*(word.format(log=tmp_path / "log") for word in command))
    assert done.returncode == 1
    assert looked_for in done.stderr and ELSEWHERE in done.stderr and "Traceback" not in done.stderr


@pytest.mark.ros
@pytest.mark.gl
@pytest.mark.slow
def test_a_view_of_nothing_says_where_something_is(session: RosSession, tmp_path: Path) -> None:
    view = [sys.executable, "-m", "fetch_sim2real.cli.main", "view", "--port", "0", "--namespace", "right"]
    with Supervisor([Child("view", view, {"PYTHONUNBUFFERED": "1"})], tmp_path) as supervisor:
        supervisor.wait_until(lambda: ELSEWHERE in supervisor.log_tail("view"), 60.0, lambda: "hint")
        assert "in namespace /right of ROS domain" in supervisor.log_tail("view")


def test_namespaces_as_they_are_typed() -> None:
    for text, normal in (("", ""), ("/", ""), ("left", "/left"), ("/left/", "/left"), ("/a/b", "/a/b")):
        assert checked_namespace(text) == normal
    with pytest.raises(GraphError, match="namespace is 'a b', expected letters"):
        checked_namespace("a b")
    assert local_node_name("left/arm_driver", "/left") == "arm_driver"
    assert local_node_name("right/arm_driver", "/left") is None
    assert local_node_name("arm_driver", "") == "arm_driver"


def test_a_namespace_is_for_a_graph_that_is_there() -> None:
    for command in (("sim", "--namespace", "left"), ("operate", "--sim", "push", "--namespace", "left")):
        done = run(*command)
        assert done.returncode != 0 and "--namespace is for" in done.stderr, done.stderr
