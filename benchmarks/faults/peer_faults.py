"""Somebody leaves whom the arm needs, or comes who should not be there: in the graph, and at the terminal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rclpy.node import Node
from std_msgs.msg import String

from benchmarks.faults.driver_faults import Step, Trial, repeated
from benchmarks.faults.measure import GRAPH_BOUND_S, HEARTBEAT_BOUND_S, Measurement
from benchmarks.rig.driver_rig import DriverRig, topic_rig
from fetch_sim2real import graph
from fetch_sim2real.ros.topics import publish_to, subscribe_to
from fetch_sim2real.stack.heartbeat import HEARTBEAT_TIMEOUT_S

_START_S = 60.0
_NAME = "intruder"


class _Other:
    """Another node, which ``act`` gives its part in the graph."""

    def __init__(self, act: Callable[[Node], object]) -> None:
        self._act = act
        self._node: Node | None = None

    def come(self, rig: DriverRig) -> None:
        if self._node is None:
            self._node = Node(_NAME, context=rig.session.node.context)
            self._act(self._node)

    def leave(self, rig: DriverRig) -> None:
        if self._node is not None:
            self._node.destroy_node()
            self._node = None


def controller_leaves(folder: Path) -> Iterator[Measurement]:
    """The arm's controller is unloaded: it listens to its topic no more."""
    other = _Other(lambda node: subscribe_to(node, graph.ARM_TRAJECTORY, lambda message: None))

    def prepare(rig: DriverRig) -> None:
        other.come(rig)
        rig.session.spin(0.5)

    return repeated(_of_graph("arm's controller leaves", other.leave, other.come, prepare), topic_rig(folder))


def rival_appears(folder: Path) -> Iterator[Measurement]:
    """A second node publishes the arm's trajectories."""
    other = _Other(lambda node: publish_to(node, graph.ARM_TRAJECTORY))
    return repeated(_of_graph("rival on the arm's topic", other.come, other.leave), topic_rig(folder))


def second_driver(folder: Path) -> Iterator[Measurement]:
    """A second node answers commands as the driver does; of a whole one the driver sees more, and nothing earlier."""
    other = _Other(lambda node: publish_to(node, graph.SETPOINT))
    return repeated(_of_graph("second driver", other.come, other.leave), topic_rig(folder))


def _of_graph(name: str, fail: Step, mend: Step, prepare: Step = lambda rig: None) -> Trial:
    return Trial(name, GRAPH_BOUND_S, fail, mend, since_fault=True, prepare=prepare, named=_NAME)


class _Terminal:
    """Whoever enabled, in a process of their own."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._beats = 0

    def listen(self, rig: DriverRig) -> None:
        subscribe_to(rig.session.node, graph.HEARTBEAT, self._on_beat)

    def open(self, rig: DriverRig) -> None:
        if self._process is None:
            self._beats = 0
            self._process = subprocess.Popen([sys.executable, "-m", "fetch_sim2real.cli.main", "operate", "heartbeat"])
        rig.session.wait_until(lambda: self._beats > 2, _START_S, lambda: "heartbeat")

    def kill(self, _rig: DriverRig | None = None) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _on_beat(self, _message: String) -> None:
        self._beats += 1


def operator_killed(folder: Path) -> Iterator[Measurement]:
    """SIGKILL for the program of whoever enabled the driver; commands go on. The last beat came up to 0.1 s before."""
    terminal = _Terminal()

    @contextmanager
    def opened() -> Iterator[DriverRig]:
        with topic_rig(folder, stays=False) as rig:
            terminal.listen(rig)
            try:
                yield rig
            finally:
                terminal.kill()

    trial = Trial(
        "operator killed (SIGKILL)", HEARTBEAT_BOUND_S, terminal.kill, terminal.open, since_fault=True,
        drive_s=HEARTBEAT_TIMEOUT_S + 0.5, prepare=terminal.open, named="heartbeat_lost",
    )  # fmt: skip
    return repeated(trial, opened())
