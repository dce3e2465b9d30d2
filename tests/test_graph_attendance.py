"""A driver that nobody stands behind: no robot, no commander, nobody who says that they are there."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

import rclpy
from deadlines import BRAKES_IN_TIME
from rclpy.context import Context
from rclpy.node import Node

from benchmarks.rig.driver_rig import PAN, TORSO_M, DriverRig, IdealArm, TopicRobot
from benchmarks.rig.graph_harness import RIG_NODE, Tap, call, running
from fetch_sim2real import graph
from fetch_sim2real.messages.joint_states import encode_joint_state
from fetch_sim2real.ros.heartbeat import Heartbeat
from fetch_sim2real.ros.topics import publish_to, subscribe_to
from fetch_sim2real.stack.heartbeat import HEARTBEAT_TIMEOUT_S
from fetch_sim2real.stack.processes import NodeProcess
from fetch_sim2real.timing import CONTROL_PERIOD_S

pytestmark = pytest.mark.ros

DRIVER = NodeProcess("arm_driver", graph.ARM_DRIVER, {}, 0)
VELOCITY = 0.1 * PAN


def test_nobody_to_move_nobody_there(tmp_path: Path) -> None:
    """A driver alone with joint states: no robot listens, somebody only records, nobody says that they are there."""
    with running([DRIVER], tmp_path, RIG_NODE) as (_, session):
        joint_states, arm = publish_to(session.node, graph.JOINT_STATES), IdealArm()
        session.node.create_timer(0.01, lambda: joint_states.publish(encode_joint_state(arm.note(), TORSO_M)))
        recorder = Node(graph.RECORDER, context=session.node.context)
        subscribe_to(recorder, graph.ARM_TRAJECTORY, lambda message: None)

        def refusal_with(words: str) -> None:
            said = [""]

            def asked() -> bool:
                enabled, said[0] = call(session, graph.DRIVER_ENABLE)
                assert not enabled
                return words in said[0]

            session.wait_until(asked, 20.0, lambda: f"'{words}', but '{said[0]}'")

        refusal_with("nobody who moves a robot subscribes to /arm_controller/joint_trajectory")
        robot = Tap(session, graph.ARM_TRAJECTORY)
        refusal_with(f"nobody publishes {graph.JOINT_COMMAND.name}")
        publish_to(session.node, graph.JOINT_COMMAND)
        refusal_with("does not listen to /arm_driver/setpoint")
        Tap(session, graph.SETPOINT)
        refusal_with("nobody sends a heartbeat on /arm_driver/heartbeat")
        assert not robot.messages
        recorder.destroy_node()


@BRAKES_IN_TIME
def test_when_whoever_enabled_is_killed_the_arm_brakes(tmp_path: Path) -> None:
    with running([DRIVER], tmp_path, RIG_NODE) as (_, session):
        rig = DriverRig(session, TopicRobot(session))
        beats: list[float] = []
        subscribe_to(session.node, graph.HEARTBEAT, lambda message: beats.append(time.time()))
        # A shell, as a script would be: it is what is killed.
        command = f"{sys.executable} -m fetch_sim2real.cli.main operate heartbeat & wait"
        shell = subprocess.Popen(["bash", "-c", command])
        try:
            session.wait_until(lambda: len(beats) > 2, 60.0, lambda: "heartbeat")
            rig.settle()
            rig.enable_and_drive(VELOCITY, 0.5)
        finally:
            shell.send_signal(signal.SIGKILL)
            shell.wait()
        decisions = rig.drive(VELOCITY, HEARTBEAT_TIMEOUT_S + 0.5)
        assert decisions[-1] == "refused:not_active"
        times_s = np.array([moment for moment, _, _ in rig.arm.trace])
        speeds = np.array([abs(velocity[0]) for _, _, velocity in rig.arm.trace])
        slower_s = times_s[np.flatnonzero(speeds >= 0.98 * speeds.max())[-1]]
        # The last trajectory's coast, too, may be under way when the driver brakes; on a busy machine a bit more.
        assert slower_s - beats[-1] < HEARTBEAT_TIMEOUT_S + 2 * CONTROL_PERIOD_S
        values = rig.state()
        assert values["state"] == "hold" and "heartbeat_lost: operator" in values["reason"], values
        assert "nobody sends a heartbeat" in rig.refusal()


def test_heartbeats_end_with_their_node(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    before = set(threading.enumerate())
    context = Context()
    rclpy.init(context=context)
    node = Node("somebody", context=context)
    Heartbeat(node).start()
    (beating,) = set(threading.enumerate()) - before
    node.destroy_node()
    beating.join(5.0)
    context.shutdown()
    assert not beating.is_alive() and not raised
