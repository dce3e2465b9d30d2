"""Faults in the whole simulated graph, in real time: camera, policy, driver. Times are simulated ones."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from benchmarks.faults.measure import (
    TOPIC_BOUND_S,
    VALID,
    CommandedMotion,
    Measurement,
    NotMeasuredError,
    braking_began,
)
from benchmarks.rig.graph_harness import (
    SimulatedGraph,
    running,
    set_parameter,
    simulated_graph,
    values_of,
    write_untrained_bundle,
)
from benchmarks.rig.graph_motion import motion, newest_ns, start_moving
from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.errors import FetchSim2RealError, GraphError
from fetch_sim2real.messages.motion import decode_trajectory
from fetch_sim2real.ros.topics import subscribe_to
from fetch_sim2real.stack.options import CAMERA_SIM, CAMERA_SOFTWARE, SimGraphOptions
from fetch_sim2real.stack.processes import sim_graph

_TAPS: Final = (graph.JOINT_STATES, graph.SETPOINT, graph.DIAGNOSTICS)
_REST_NS: Final = 1_500_000_000
_UNDER_WAY_NS: Final = 200_000_000
_LIMIT_S: Final = 60.0
_STARTS: Final = 4
Step = Callable[[SimulatedGraph], None]


def camera_unplugged(folder: Path) -> Iterator[Measurement]:
    """The SDK loses its device."""
    return _camera("camera unplugged", "unplugged", folder)


def camera_frozen(folder: Path) -> Iterator[Measurement]:
    """The camera's stamps stop."""
    return _camera("camera frozen", "frozen", folder)


def color_only(folder: Path) -> Iterator[Measurement]:
    """Depth stops."""
    return _camera("colour only", "color_only", folder)


def depth_only(folder: Path) -> Iterator[Measurement]:
    """Colour stops."""
    return _camera("depth only", "depth_only", folder)


def policy_hangs(folder: Path) -> Iterator[Measurement]:
    """SIGSTOP, later SIGCONT."""
    return _repeated(
        "policy hangs (SIGSTOP)", folder, CAMERA_SIM, _send(graph.POLICY_NODE, signal.SIGSTOP),
        _send(graph.POLICY_NODE, signal.SIGCONT),
    )  # fmt: skip


def policy_killed(folder: Path) -> Iterator[Measurement]:
    """SIGKILL; another policy node takes its place, and the goal is stated again."""
    return _killed("policy killed (SIGKILL)", folder, graph.POLICY_NODE)


def driver_killed(folder: Path) -> Iterator[Measurement]:
    """SIGKILL; nobody brakes but the last trajectory's own end. Another driver takes its place."""
    return _killed("driver killed (SIGKILL)", folder, graph.ARM_DRIVER)


class _Driver:
    """What the driver does, by the stamp [ns] of the newest joint state that had come by then.

    ``stamp_ns``: when the last valid command was answered; ``commanded``: the trajectories for the arm.
    """

    def __init__(self, simulated: SimulatedGraph) -> None:
        self._simulated, self.stamp_ns, self.commanded = simulated, 0, CommandedMotion()
        subscribe_to(simulated.session.node, graph.SETPOINT, self._on_setpoint)
        subscribe_to(simulated.session.node, graph.ARM_TRAJECTORY, self._on_trajectory)

    def _on_trajectory(self, message: JointTrajectory) -> None:
        if self._simulated.taps[graph.JOINT_STATES].messages:
            self.commanded.add(newest_ns(self._simulated) * 1e-9, decode_trajectory(message, ARM.joint_names))

    def _on_setpoint(self, message: JointState) -> None:
        if message.header.frame_id in VALID and self._simulated.taps[graph.JOINT_STATES].messages:
            self.stamp_ns = newest_ns(self._simulated)


def _camera(name: str, fault: str, folder: Path) -> Iterator[Measurement]:
    def choose(value: str) -> Step:
        parameter = Parameter("simulated_fault", value=value)
        return lambda simulated: _must(set_parameter(simulated.session, graph.CAMERA_NODE, parameter))

    def mend(simulated: SimulatedGraph) -> None:
        choose("none")(simulated)
        simulated.session.wait_until(
            lambda: values_of(simulated.taps[graph.DIAGNOSTICS], graph.CAMERA_NODE).get("state") == "streaming",
            _LIMIT_S,
            lambda: "frames again",
        )

    return _repeated(name, folder, CAMERA_SOFTWARE, choose(fault), mend)


def _must(answer: tuple[bool, str]) -> None:
    if not answer[0]:
        raise GraphError(f"the parameter was not taken: {answer[1]}")


def _send(node: str, number: signal.Signals) -> Step:
    return lambda simulated: os.kill(simulated.supervisor.pids()[node], number)


def _options(folder: Path, camera_source: str) -> SimGraphOptions:
    write_untrained_bundle(folder / "bundle")
    return SimGraphOptions(
        policy=str(folder / "bundle"), lockstep=False, episode_s=600.0, camera=camera_source
    )


def _repeated(name: str, folder: Path, camera_source: str, fail: Step, mend: Step) -> Iterator[Measurement]:
    """Measure again and again in one graph, until nobody asks for more."""
    quick = {graph.CAMERA_NODE: {"reconnect_timeout": 0.3}}
    with simulated_graph(_options(folder, camera_source), folder / "log", *_TAPS, parameters=quick) as simulated:
        last = _Driver(simulated)
        while True:
            yield _measure(simulated, last, name, fail, mend, nullcontext(), "enable")


def _killed(name: str, folder: Path, node: str) -> Iterator[Measurement]:
    """Measure once in each of many graphs."""
    for count in range(1000):
        options, place = _options(folder / f"run{count}", CAMERA_SIM), folder / f"run{count}"
        (process,) = [one for one in sim_graph(options) if one.node_name == node]
        with simulated_graph(options, place / "log", *_TAPS, may_end=[node]) as simulated:
            last = _Driver(simulated)
            another = running([process], place / "second")
            kill = _send(node, signal.SIGKILL)
            yield _measure(simulated, last, name, kill, lambda _: None, another, "new node, enable")


def _measure(
    simulated: SimulatedGraph,
    last: _Driver,
    name: str,
    fail: Step,
    mend: Step,
    replacement: AbstractContextManager[object],
    needed: str,
) -> Measurement:
    last.commanded.clear()
    _start(simulated)
    failed_ns = newest_ns(simulated)
    fail(simulated)
    rested = lambda: newest_ns(simulated) > last.stamp_ns + _REST_NS  # noqa: E731
    simulated.session.wait_until(rested, _LIMIT_S, lambda: "arm at rest")
    last_ns = last.stamp_ns
    times_s, speeds, _ = motion(simulated, last_ns - 300_000_000)
    values = _driver(simulated)
    mend(simulated)
    began_s, stall_s = braking_began(times_s, speeds, last_ns * 1e-9)
    commanded_s = last.commanded.braking_began(last_ns * 1e-9)
    after_fault_s = commanded_s + (last_ns - failed_ns) * 1e-9
    with replacement:
        before_ns = last.stamp_ns
        simulated.session.spin(1.0)
        moved_alone = last.stamp_ns != before_ns
        back = needed if _moves_again(simulated) else ""
    state, reason = values.get("state", "ended"), values.get("reason", "")
    return Measurement(
        name, commanded_s, began_s, after_fault_s, stall_s, TOPIC_BOUND_S, state, reason, moved_alone, back
    )


def _start(simulated: SimulatedGraph) -> None:
    """Let the arm move. On a busy machine commands come too late now and then: begin again."""
    for _ in range(_STARTS):
        for tap in simulated.taps.values():
            tap.messages.clear()
        try:
            start_moving(simulated)
            # So that there is a speed to compare with: the arm has only begun.
            started_ns = newest_ns(simulated)
            under_way = lambda: newest_ns(simulated) > started_ns + _UNDER_WAY_NS  # noqa: B023, E731
            simulated.session.wait_until(under_way, 20.0, lambda: "motion")
            return
        except GraphError:
            continue
    raise NotMeasuredError("the arm does not begin to move: this machine is too busy for commands at 30 Hz")


def _driver(simulated: SimulatedGraph) -> dict[str, str]:
    """What the driver says of itself from now on; nothing if it has ended."""
    simulated.taps[graph.DIAGNOSTICS].messages.clear()
    deadline = time.monotonic() + 5.0
    tap = simulated.taps[graph.DIAGNOSTICS]
    while not (values := values_of(tap, graph.ARM_DRIVER)) and time.monotonic() < deadline:
        simulated.session.spin(0.1)
    return values


def _moves_again(simulated: SimulatedGraph) -> bool:
    """Whether an enable lets the policy move the arm again, in a new episode: there it has a goal, and room."""
    try:
        _start(simulated)
    except FetchSim2RealError:
        return False
    return True
