"""Nodes that die or are told to end while the arm moves in real time: it comes to rest, and stays there."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from deadlines import BRAKES_IN_TIME

from benchmarks.rig.graph_harness import SimulatedGraph, running, simulated_graph, values_of, write_untrained_bundle
from benchmarks.rig.graph_motion import (
    AT_REST_RAD_S,
    COMMAND_TIMEOUT_S,
    REALTIME_FACTOR,
    SETTLED_AFTER_S,
    STOPPED_AFTER_S,
    assert_brakes_to_rest,
    motion,
    newest_ns,
    run_on,
    start_moving,
    wait_until_moving,
)
from fetch_sim2real import graph
from fetch_sim2real.ros.main_loop import END_LIMIT_S
from fetch_sim2real.stack.options import SimGraphOptions
from fetch_sim2real.stack.processes import sim_graph
from fetch_sim2real.timing import CONTROL_PERIOD_S

pytestmark = [pytest.mark.ros, pytest.mark.gl]


def options(folder: Path) -> SimGraphOptions:
    write_untrained_bundle(folder / "bundle")
    policy = str(folder / "bundle")
    return SimGraphOptions(policy=policy, lockstep=False, realtime_factor=REALTIME_FACTOR, episode_s=60.0)


def kill(simulated: SimulatedGraph, name: str) -> int:
    """SIGKILL; the simulated time of it [ns]: no command was sent later."""
    simulated.session.spin(0.0)
    os.kill(simulated.supervisor.pids()[name], signal.SIGKILL)
    simulated.session.spin(SETTLED_AFTER_S)
    return newest_ns(simulated)


@BRAKES_IN_TIME
def test_death_of_the_policy_brakes_the_arm(tmp_path: Path) -> None:
    taps = (graph.JOINT_STATES, graph.SETPOINT, graph.ARM_TRAJECTORY, graph.DIAGNOSTICS)
    with simulated_graph(options(tmp_path), tmp_path / "log", *taps, may_end=[graph.POLICY_NODE]) as simulated:
        start_moving(simulated)
        killed_ns = kill(simulated, graph.POLICY_NODE)
        assert_brakes_to_rest(simulated, killed_ns, COMMAND_TIMEOUT_S + CONTROL_PERIOD_S)
        for message in simulated.taps[graph.ARM_TRAJECTORY].messages:
            assert not np.any(message.points[-1].velocities), "every trajectory ends at rest"
        simulated.taps[graph.DIAGNOSTICS].messages.clear()
        simulated.session.wait_until(
            lambda: bool(values_of(simulated.taps[graph.DIAGNOSTICS], graph.ARM_DRIVER)), 5.0, lambda: "diagnostics"
        )
        values = values_of(simulated.taps[graph.DIAGNOSTICS], graph.ARM_DRIVER)
        assert values["state"] == "hold" and "no valid command" in values["reason"]


@BRAKES_IN_TIME
def test_death_of_the_driver_leaves_the_arm_at_rest_until_another_is_enabled(tmp_path: Path) -> None:
    chosen = options(tmp_path)
    taps = (graph.JOINT_STATES, graph.SETPOINT)
    with simulated_graph(chosen, tmp_path / "log", *taps, may_end=[graph.ARM_DRIVER]) as simulated:
        start_moving(simulated)
        killed_ns = kill(simulated, graph.ARM_DRIVER)
        # Nobody is left to brake: the tail of the last trajectory does, from its second period on.
        assert_brakes_to_rest(simulated, killed_ns, 2 * CONTROL_PERIOD_S)

        (driver,) = [process for process in sim_graph(chosen) if process.node_name == graph.ARM_DRIVER]
        simulated.taps[graph.SETPOINT].messages.clear()
        with running([driver], tmp_path / "second"):
            decisions = simulated.taps[graph.SETPOINT].names
            simulated.session.wait_until(lambda: len(decisions()) >= 10, 15.0, lambda: "answers of the new driver")
            assert set(decisions()) == {"refused:not_active"}
            _, speed, _ = motion(simulated, killed_ns + int(STOPPED_AFTER_S * 1e9))
            assert speed.max() < AT_REST_RAD_S
            simulated.operator.enable_driver()
            wait_until_moving(simulated)
            simulated.operator.stack.demand(graph.DRIVER_DISABLE)
            run_on(simulated, newest_ns(simulated), STOPPED_AFTER_S)


def test_nodes_end_cleanly_when_told_twice_in_the_middle_of_motion(tmp_path: Path) -> None:
    nodes = {
        graph.POLICY_NODE: (signal.SIGINT, signal.SIGTERM),
        graph.SIM_BRIDGE: (signal.SIGINT, signal.SIGINT),
        graph.ARM_DRIVER: (signal.SIGTERM, signal.SIGTERM),
    }
    taps = (graph.JOINT_STATES, graph.SETPOINT)
    with simulated_graph(options(tmp_path), tmp_path / "log", *taps, may_end=list(nodes)) as simulated:
        start_moving(simulated)
        pids = simulated.supervisor.pids()
        for order in (0, 1):
            for name, signals in nodes.items():
                os.kill(pids[name], signals[order])
        deadline = time.monotonic() + END_LIMIT_S
        for name, pid in pids.items():
            while (status := os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)) is None:
                assert time.monotonic() < deadline, f"{name} does not end"
                time.sleep(0.02)
            log = simulated.supervisor.log_tail(name)
            assert (status.si_code, status.si_status) == (os.CLD_EXITED, 0), (name, log)
            assert "Traceback" not in log and "Error" not in log, (name, log)
