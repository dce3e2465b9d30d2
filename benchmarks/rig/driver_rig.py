"""A driver process between a scripted commander and an ideal robot, which is behind topics or behind rosbridge."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from rclpy.publisher import Publisher
from sensor_msgs.msg import JointState

from benchmarks.rig.graph_harness import RIG_NODE, START_LIMIT_S, Tap, call, running, values_of
from benchmarks.rig.tcp_proxy import TcpProxy
from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.common.option import Value
from fetch_sim2real.control.trajectory import position_after_step
from fetch_sim2real.messages.joint_states import encode_joint_state
from fetch_sim2real.messages.motion import (
    COMMAND,
    LIMITED,
    PACED,
    decode_setpoint_report,
    decode_trajectory,
    encode_command,
)
from fetch_sim2real.ros.session import RosSession
from fetch_sim2real.ros.topics import message_class, publish_to
from fetch_sim2real.sim.servos import TrajectoryFollower
from fetch_sim2real.stack.processes import NodeProcess
from fetch_sim2real.timing import CONTROL_PERIOD_S
from fetch_sim2real.types import BasePose, FloatArray, JointCommand, JointSample, JointSetpoint, JointTrajectory
from sim_bridge.network import NetworkSettings
from sim_bridge.rosbridge_port import RosbridgePort
from sim_bridge.rosbridge_server import RosbridgeServer

TORSO_M = 0.35
PAN = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])


class IdealArm:
    """Follows trajectories exactly, unless it is blocked. Its trace holds times, desired positions and velocities."""

    def __init__(self) -> None:
        self._follower = TrajectoryFollower(ARM.home_rad, time.time())
        self._blocked_at: FloatArray | None = None
        self.trace: list[tuple[float, FloatArray, FloatArray]] = []
        self.fingers_m: list[float] = []
        self.started = 0

    def start(self, trajectory: JointTrajectory, from_measured: bool) -> None:
        now_s = time.time()
        if from_measured:
            self._follower = TrajectoryFollower(self.measured(), now_s)
        self._follower.accept(trajectory, now_s)
        self.started += 1

    def hold(self) -> None:
        self._follower = TrajectoryFollower(self.desired()[0], time.time())

    def error_rad(self) -> FloatArray:
        return self.desired()[0] - self.measured()

    def desired(self) -> tuple[FloatArray, FloatArray]:
        position, velocity = self._follower.desired(np.array([time.time()]))
        return position[0], velocity[0]

    def measured(self) -> FloatArray:
        return self.desired()[0] if self._blocked_at is None else self._blocked_at

    def block(self, blocked: bool) -> None:
        """Keep the arm where it is, whatever is desired; or let it go, which puts it where it was kept."""
        if not blocked and self._blocked_at is not None:
            self._follower = TrajectoryFollower(self._blocked_at, time.time())
        self._blocked_at = self.measured().copy() if blocked else None

    def go_home(self) -> None:
        """Be at the home position, at rest."""
        self._follower = TrajectoryFollower(ARM.home_rad, time.time())

    def note(self) -> JointSample:
        """Add the present to the trace; what the robot reports."""
        position, velocity = self.desired()
        self.trace.append((time.time(), position, velocity))
        measured_velocity = velocity if self._blocked_at is None else np.zeros(7)
        return JointSample(time.time_ns(), self.measured(), measured_velocity, 0.0)

    def top_speed(self, first_s: float, last_s: float) -> float:
        """The greatest desired joint speed [rad/s] between two times of the trace; 0 if there is none."""
        return max((float(np.abs(v).max()) for moment, _, v in self.trace if first_s <= moment <= last_s), default=0.0)


class Robot(Protocol):
    arm: IdealArm

    def work(self) -> None:
        """Called every few milliseconds."""

    def settle(self) -> None:
        """Everything is in order again."""


class TopicRobot:
    """The ideal arm behind the topics of the joint_trajectory back end; what it says of itself can be made wrong.

    ``clock_ahead_s``: its clock; ``stray_s``: how far ahead the next message alone is stamped; ``spoil``: changes
    each message; ``base``: what its odometry says, None for a robot without.
    """

    def __init__(self, session: RosSession) -> None:
        self.arm = IdealArm()
        self._session = session
        self._joint_states = publish_to(session.node, graph.JOINT_STATES)
        self._odometry: Publisher | None = None
        self._sent, self._followed = Tap(session, graph.ARM_TRAJECTORY), 0
        self.settle()

    def settle(self) -> None:
        self.silent, self.clock_ahead_s, self.stray_s, self.torso_m = False, 0.0, 0.0, TORSO_M
        self.spoil: Callable[[JointState], None] = lambda message: None
        # Odometry that came once may not cease.
        self.base = None if self._odometry is None else BasePose(0.0, 0.0, 0.0)
        self.arm.block(False)

    def work(self) -> None:
        for message in self._sent.messages[self._followed :]:
            self.arm.start(decode_trajectory(message, ARM.joint_names), False)
        self._followed = len(self._sent.messages)
        sample = self.arm.note()
        if self.base is not None:
            self._say_where(self.base)
        ahead_ns = round((self.clock_ahead_s + self.stray_s) * 1e9)
        if not self.silent or self.stray_s:
            report = encode_joint_state(replace(sample, stamp_ns=sample.stamp_ns + ahead_ns), self.torso_m)
            self.spoil(report)
            self._joint_states.publish(report)
        self.stray_s = 0.0

    def _say_where(self, base: BasePose) -> None:
        # Made when first needed: its type may not be installed.
        if self._odometry is None:
            self._odometry = publish_to(self._session.node, graph.ODOMETRY)
        message = message_class(graph.ODOMETRY.type)()
        pose = message.pose.pose
        pose.position.x, pose.position.y = base.x_m, base.y_m
        pose.orientation.z, pose.orientation.w = float(np.sin(base.yaw_rad / 2)), float(np.cos(base.yaw_rad / 2))
        self._odometry.publish(message)


class RosbridgeRobot:
    """The ideal arm behind a Fetch's topics and rosbridge, with a clock of its own and a network that can fail."""

    def __init__(self, clock_ahead_s: float) -> None:
        self.arm = IdealArm()
        self.clock_ahead_s = clock_ahead_s
        self.server = RosbridgeServer(0, lambda: None)
        self.proxy = TcpProxy(self.server.port)
        self.port = RosbridgePort(self.server, NetworkSettings(), self.arm, self.arm.fingers_m.append, TORSO_M)

    def work(self) -> None:
        now_s = time.time() + self.clock_ahead_s
        self.port.receive(now_s)
        self.port.work(now_s)
        sample = self.arm.note()
        ahead_ns = round(self.clock_ahead_s * 1e9)
        self.port.report(JointSample(sample.stamp_ns + ahead_ns, sample.position, sample.velocity, 0.0))
        self.port.work(now_s)

    def settle(self) -> None:
        self.proxy.thaw()
        self.port.robot.set_runstop(False)
        self.port.robot.set_fault(False)
        self.port.robot.ceased.clear()
        if self.port.robot.base is not None:  # odometry that came once may not cease
            self.port.robot.base = BasePose(0.0, 0.0, 0.0)
        self.port.robot.torso_height_m = TORSO_M
        self.arm.block(False)

    def close(self) -> None:
        self.proxy.close()
        self.server.close()


class DriverRig:
    """Commander and robot around the driver."""

    def __init__(self, session: RosSession, robot: Robot) -> None:
        self.session, self.robot, self.arm = session, robot, robot.arm
        self._commands = publish_to(session.node, graph.JOINT_COMMAND)
        self.setpoints, self.diagnostics = Tap(session, graph.SETPOINT), Tap(session, graph.DIAGNOSTICS)
        self.joint_states = Tap(session, graph.JOINT_STATES)
        self.last_valid_s = 0.0
        session.node.create_timer(0.005, robot.work)
        session.wait_until(lambda: bool(self._commands.get_subscription_count()), START_LIMIT_S, lambda: "driver")

    def settle(self) -> None:
        """Forget everything, with the driver disabled and the arm at rest."""
        self.robot.settle()
        self.session.spin(0.1)
        call(self.session, graph.DRIVER_RESET)
        call(self.session, graph.DRIVER_DISABLE)
        self.session.wait_until(lambda: not np.any(self.arm.desired()[1]), 5.0, lambda: "arm at rest")
        self.arm.go_home()
        self.session.spin(0.1)
        for tap in (self.setpoints, self.diagnostics, self.joint_states):
            tap.messages.clear()
        self.arm.trace.clear()
        self.arm.fingers_m.clear()

    def enable(self, limit_s: float = 10.0) -> None:
        """Activate, as soon as the driver lets."""
        deadline = time.monotonic() + limit_s
        while not (answer := call(self.session, graph.DRIVER_ENABLE))[0] and "while active" not in answer[1]:
            assert time.monotonic() < deadline, answer[1]
            self.session.spin(0.05)

    def refusal(self) -> str:
        """Why the driver does not let itself be enabled."""
        enabled, message = call(self.session, graph.DRIVER_ENABLE)
        assert not enabled, message
        return message

    def setpoint(self) -> JointSetpoint:
        """The driver's last one that says where the arm is commanded to be."""
        reports = (decode_setpoint_report(message) for message in reversed(self.setpoints.messages))
        known = next((report.setpoint for report in reports if report.setpoint is not None), None)
        return known or JointSetpoint.at_rest(self.arm.measured())

    def drive(self, velocity: FloatArray, duration_s: float, finger_m: float | None = None) -> list[str]:
        """Command ``velocity`` at the control rate, each time from the driver's setpoint; the driver's decisions."""
        count = len(self.setpoints.messages)
        due = time.monotonic()
        end = due + duration_s
        while due < end:
            start = self.setpoint()
            position = position_after_step(start.position, start.velocity, velocity)
            command = JointCommand(time.time_ns(), position, velocity, finger_m)
            seen = len(self.setpoints.messages)
            self._commands.publish(encode_command(command))
            self.session.wait_until(lambda: len(self.setpoints.messages) > seen, 5.0, lambda: "setpoint")  # noqa: B023
            if self.setpoints.messages[-1].header.frame_id in (COMMAND, LIMITED, PACED):
                self.last_valid_s = time.time()
            due = max(due + CONTROL_PERIOD_S, time.monotonic() - CONTROL_PERIOD_S)
            self.session.spin(max(0.001, due - time.monotonic()))
        return [name for name in self.setpoints.names()[count:] if name != "activated"]

    def enable_and_drive(self, velocity: FloatArray, duration_s: float, finger_m: float | None = None) -> None:
        """Drive without a single refusal. On a busy machine commands come too late now and then: begin again."""
        for _ in range(25):
            self.enable()
            if all(d in ("command", "limited", "paced") for d in self.drive(velocity, duration_s, finger_m)):
                return
            call(self.session, graph.DRIVER_DISABLE)
            self.session.wait_until(lambda: not np.any(self.arm.desired()[1]), 5.0, lambda: "arm at rest")
        raise AssertionError("this machine is too busy for commands at 30 Hz")

    def state(self) -> dict[str, str]:
        """What the driver says of itself from now on."""
        self.diagnostics.messages.clear()
        self.session.wait_until(lambda: bool(values_of(self.diagnostics, graph.ARM_DRIVER)), 5.0, lambda: "diagnostics")
        return values_of(self.diagnostics, graph.ARM_DRIVER)

    def wait_for_state(self, state: str, limit_s: float = 5.0) -> dict[str, str]:
        """Diagnostics with the driver in ``state``."""
        self.session.wait_until(
            lambda: self.state()["state"] == state,
            limit_s,
            lambda: f"state {state} but {values_of(self.diagnostics, graph.ARM_DRIVER)}",
        )
        return values_of(self.diagnostics, graph.ARM_DRIVER)


@contextmanager
def topic_rig(folder: Path, stays: bool = True) -> Iterator[DriverRig]:
    """A driver with the joint_trajectory back end; ``stays``: see ``running``."""
    process = NodeProcess("arm_driver", graph.ARM_DRIVER, {}, 0)
    with running([process], folder, RIG_NODE, stays) as (_, session):
        yield DriverRig(session, TopicRobot(session))


@contextmanager
def rosbridge_rig(folder: Path, clock_ahead_s: float = 0.0, gripper_effort_n: float = 60.0) -> Iterator[DriverRig]:
    """A driver with the rosbridge back end."""
    robot = RosbridgeRobot(clock_ahead_s)
    parameters: dict[str, Value] = {
        "backend": "rosbridge", "rosbridge_port": robot.proxy.port, "gripper_effort": gripper_effort_n
    }  # fmt: skip
    process = NodeProcess("arm_driver", graph.ARM_DRIVER, parameters, 0)
    try:
        with running([process], folder, stays=True) as (_, session):
            yield DriverRig(session, robot)
    finally:
        robot.close()
