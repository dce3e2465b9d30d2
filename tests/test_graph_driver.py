"""The arm driver against a scripted commander and an ideal robot: what is wrong never reaches the robot."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy")

from rclpy.parameter import Parameter
from trajectory_msgs.msg import JointTrajectory

from benchmarks.rig.graph_harness import RIG_NODE, START_LIMIT_S, Tap, call, running, set_parameter, values_of
from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.messages.joint_states import encode_joint_state
from fetch_sim2real.messages.motion import decode_setpoint_report, decode_trajectory, encode_command
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.ros.session import RosSession
from fetch_sim2real.ros.topics import publish_to
from fetch_sim2real.sim.servos import TrajectoryFollower
from fetch_sim2real.stack.processes import NodeProcess
from fetch_sim2real.timing import CONTROL_PERIOD_S
from fetch_sim2real.types import FloatArray, JointCommand, JointSample

pytestmark = pytest.mark.ros

TORSO_M = 0.35
SLOW_RAD_S = np.array([0.05, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])


class DriverRig:
    """Plays commander and robot. The robot follows trajectories exactly and reports at 100 Hz of system time."""

    def __init__(self, session: RosSession) -> None:
        self.session = session
        self._joint_states = publish_to(session.node, graph.JOINT_STATES)
        self._commands = publish_to(session.node, graph.JOINT_COMMAND)
        self.setpoints, self.sent = Tap(session, graph.SETPOINT), Tap(session, graph.ARM_TRAJECTORY)
        self.fingers = Tap(session, graph.GRIPPER_TRAJECTORY)
        self.diagnostics = Tap(session, graph.DIAGNOSTICS)
        self._arm = TrajectoryFollower(ARM.home_rad, time.time())
        self._followed = 0
        self._at_rest = False
        self.torso_m, self.offset_rad, self.silent = TORSO_M, 0.0, False
        session.node.create_timer(0.01, self._report)
        session.wait_until(
            lambda: bool(session.node.count_publishers(graph.SETPOINT.name)), START_LIMIT_S, lambda: "driver"
        )
        session.wait_until(lambda: bool(self._commands.get_subscription_count()), START_LIMIT_S, lambda: "driver")
        session.spin(0.3)

    def _report(self) -> None:
        now_ns = time.time_ns()
        for message in self.sent.messages[self._followed :]:
            self._arm.accept(decode_trajectory(message, ARM.joint_names), now_ns * 1e-9)
        self._followed = len(self.sent.messages)
        position, velocity = self._arm.desired(np.array([now_ns * 1e-9]))
        self._at_rest = not np.any(velocity)
        sample = JointSample(now_ns, position[0] + self.offset_rad, velocity[0], 0.0)
        if not self.silent:
            self._joint_states.publish(encode_joint_state(sample, self.torso_m))

    def settle(self) -> None:
        """Forget everything, with the driver disabled and the arm at rest."""
        self.torso_m, self.offset_rad, self.silent = TORSO_M, 0.0, False
        self.session.spin(0.05)
        call(self.session, graph.DRIVER_RESET)
        call(self.session, graph.DRIVER_DISABLE)
        self.session.wait_until(lambda: self._at_rest, 5.0, lambda: "arm at rest")
        for tap in (self.setpoints, self.sent, self.fingers):
            tap.messages.clear()
        self._followed = 0

    def enable(self) -> None:
        """Activate; the hold that the driver sends is not counted."""
        deadline = time.monotonic() + 5.0
        while not (answer := call(self.session, graph.DRIVER_ENABLE))[0]:
            assert time.monotonic() < deadline, answer[1]
            self.session.spin(0.05)
        self.session.wait_until(lambda: len(self.sent.messages) == 1, 5.0, lambda: "hold at activation")
        self.session.spin(0.05)
        self.setpoints.messages.clear()

    def command(self, velocity: FloatArray, stamp_ns: int | None = None) -> JointCommand:
        """A command that fits the driver's setpoint at rest."""
        return JointCommand(
            stamp_ns=time.time_ns() if stamp_ns is None else stamp_ns,
            position=ARM.home_rad + 0.5 * velocity * CONTROL_PERIOD_S,
            velocity=velocity,
        )

    def send(self, message: JointTrajectory) -> str:
        """Publish a command and wait for the driver's decision."""
        count = len(self.setpoints.messages)
        self._commands.publish(message)
        self.session.wait_until(lambda: len(self.setpoints.messages) > count, 5.0, lambda: "setpoint")
        self.session.spin(0.05)
        answer = self.setpoints.messages[count]
        assert answer.header.stamp == message.header.stamp
        return str(answer.header.frame_id)


@pytest.fixture(scope="module")
def module_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DriverRig]:
    process = NodeProcess("arm_driver", graph.ARM_DRIVER, {}, 0)
    with running([process], tmp_path_factory.mktemp("driver"), RIG_NODE, stays=True) as (_, session):
        yield DriverRig(session)


@pytest.fixture
def rig(module_rig: DriverRig) -> DriverRig:
    module_rig.settle()
    return module_rig


def wrong_joints(message: JointTrajectory) -> None:
    message.joint_names[0] = "head_pan_joint"


def missing_joint(message: JointTrajectory) -> None:
    message.joint_names = message.joint_names[:-1]
    message.points[0].positions = message.points[0].positions[:-1]
    message.points[0].velocities = message.points[0].velocities[:-1]


def not_a_number(message: JointTrajectory) -> None:
    message.points[0].positions[3] = float("nan")


def infinite(message: JointTrajectory) -> None:
    message.points[0].velocities[0] = float("inf")


def jumping(message: JointTrajectory) -> None:
    message.points[0].positions[1] += 0.3


def stale(message: JointTrajectory) -> None:
    message.header.stamp.sec -= 1


def from_the_future(message: JointTrajectory) -> None:
    message.header.stamp.sec += 1


def two_points(message: JointTrajectory) -> None:
    message.points = [*message.points, *message.points]


def faster_training(message: JointTrajectory) -> None:
    message.header.frame_id = "warp"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (wrong_joints, "wrong_joints"),
        (missing_joint, "wrong_joints"),
        (two_points, "wrong_joints"),
        (not_a_number, "non_finite"),
        (infinite, "non_finite"),
        (jumping, "jump"),
        (stale, "before_activation"),
        (from_the_future, "future"),
        (faster_training, "profile"),
    ],
)
def test_a_spoilt_command_never_reaches_the_robot(rig: DriverRig, spoil: object, reason: str) -> None:
    rig.enable()
    message = encode_command(rig.command(SLOW_RAD_S))
    spoil(message)  # type: ignore[operator]
    assert rig.send(message) == f"refused:{reason}"
    assert len(rig.sent.messages) == 1, "only the hold of the activation"


def test_old_and_repeated_observations_are_refused(rig: DriverRig) -> None:
    rig.enable()
    rig.session.spin(0.35)
    now_ns = time.time_ns()
    assert rig.send(encode_command(rig.command(0.0 * SLOW_RAD_S, now_ns - 300_000_000))) == "refused:stale"
    assert rig.send(encode_command(rig.command(0.0 * SLOW_RAD_S))) == "command"
    assert rig.send(encode_command(rig.command(0.0 * SLOW_RAD_S, now_ns))) == "refused:out_of_order"


def test_a_good_command_moves_the_arm_and_a_bad_one_after_it_brakes(rig: DriverRig) -> None:
    rig.enable()
    assert rig.send(encode_command(rig.command(SLOW_RAD_S))) in ("command", "limited")
    assert len(rig.sent.messages) == 2
    bad = encode_command(rig.command(SLOW_RAD_S))
    not_a_number(bad)
    assert rig.send(bad) == "refused:non_finite"
    rig.session.spin(0.5)
    for message in rig.sent.messages:
        trajectory = decode_trajectory(message, ARM.joint_names)  # finite and in order, or this raises
        assert decode_stamp(message.header.stamp) == 0
        assert not np.any(trajectory.points[-1].velocity), "every trajectory ends at rest"
    assert max(np.abs(m.points[0].velocities).max() for m in rig.sent.messages[2:] or rig.sent.messages[:1]) <= 0.05
    assert call(rig.session, graph.DRIVER_ENABLE)[0], "silence has led to hold, which needs an enable"


def test_commands_are_ignored_until_enabled(rig: DriverRig) -> None:
    assert rig.send(encode_command(rig.command(SLOW_RAD_S))) == "refused:not_active"
    assert not rig.sent.messages
    setpoint = decode_setpoint_report(rig.setpoints.messages[-1]).setpoint
    assert setpoint is None or np.allclose(setpoint.velocity, 0.0)


def test_stop_latches_until_reset(rig: DriverRig) -> None:
    rig.enable()
    assert call(rig.session, graph.DRIVER_STOP)[0]
    assert rig.send(encode_command(rig.command(SLOW_RAD_S))) == "refused:not_active"
    refused, why = call(rig.session, graph.DRIVER_ENABLE)
    assert not refused and "reset" in why
    assert call(rig.session, graph.DRIVER_RESET)[0]
    assert rig.send(encode_command(rig.command(SLOW_RAD_S))) == "refused:not_active"
    assert len(rig.sent.messages) == 1


def test_an_arm_that_does_not_follow_stops_the_driver(rig: DriverRig) -> None:
    rig.enable()
    rig.offset_rad = 0.5
    rig.session.spin(0.1)
    assert rig.send(encode_command(rig.command(SLOW_RAD_S))) == "refused:not_active"
    refused, why = call(rig.session, graph.DRIVER_ENABLE)
    assert not refused and "stopped" in why


def test_no_joint_states_no_motion(rig: DriverRig) -> None:
    rig.enable()
    rig.silent = True
    rig.session.spin(0.2)
    assert rig.send(encode_command(rig.command(SLOW_RAD_S))) == "refused:not_active"
    refused, why = call(rig.session, graph.DRIVER_ENABLE)
    assert not refused and "old" in why


def test_a_torso_at_another_height_is_not_enabled(rig: DriverRig) -> None:
    rig.torso_m = TORSO_M - 0.1
    rig.session.spin(0.1)
    refused, why = call(rig.session, graph.DRIVER_ENABLE)
    assert not refused and "torso" in why


def test_a_second_commander_stops_both(rig: DriverRig) -> None:
    rig.enable()
    other = publish_to(rig.session.node, graph.JOINT_COMMAND)
    count = rig.session.node.count_publishers
    rig.session.wait_until(lambda: count(graph.JOINT_COMMAND.name) == 2, 5.0, lambda: "second commander")
    rig.session.spin(0.2)
    assert rig.send(encode_command(rig.command(SLOW_RAD_S))) == "refused:second_commander"
    assert len(rig.sent.messages) == 1
    rig.session.node.destroy_publisher(other)
    rig.session.wait_until(lambda: count(graph.JOINT_COMMAND.name) == 1, 5.0, lambda: "one commander")
    rig.session.spin(0.2)


def test_the_gripper_is_commanded_on_change_only(rig: DriverRig) -> None:
    rig.enable()
    for opening_m in (0.03, 0.03, 0.03, 0.01):
        command = replace(rig.command(0.0 * SLOW_RAD_S), finger_position_m=opening_m)
        assert rig.send(encode_command(command)) == "command"
    assert [m.points[0].positions[0] for m in rig.fingers.messages] == [0.03, 0.01]


def test_refusals_are_counted_in_diagnostics(rig: DriverRig) -> None:
    rig.enable()
    bad = encode_command(rig.command(SLOW_RAD_S))
    jumping(bad)
    rig.send(bad)
    rig.diagnostics.messages.clear()
    rig.session.wait_until(lambda: bool(values_of(rig.diagnostics, graph.ARM_DRIVER)), 5.0, lambda: "diagnostics")
    values = values_of(rig.diagnostics, graph.ARM_DRIVER)
    assert int(values["decisions_refused_jump"]) >= 1
    assert values["state"] in ("active", "hold") and values["profile"] == "default"


def test_parameters_are_checked_at_start_and_when_set(rig: DriverRig) -> None:
    taken, reason = set_parameter(rig.session, graph.ARM_DRIVER, Parameter("profile", value="gentle"))
    assert not taken and "read-only" in reason
    taken, reason = set_parameter(rig.session, graph.ARM_DRIVER, Parameter("speed_scale", value=1.5))
    assert not taken and "0.01" in reason
    assert set_parameter(rig.session, graph.ARM_DRIVER, Parameter("speed_scale", value=1.0))[0]
    wrong = {
        "speed_scale:=1.5": "expected 0.01 to 1",
        "world:=nowhere": "available: acceptance, gap, gap_v2, nominal",
        "sped_scale:=0.5": "there is no parameter 'sped_scale'",
        "other:no_such_thing:=0.5": "there is no parameter 'no_such_thing'",
    }
    started = {
        given: subprocess.Popen(
            [sys.executable, "-m", "arm_driver.main", "--ros-args", "-r", "__node:=other", "-p", given],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for given in wrong
    }
    for given, process in started.items():
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1, given
        assert wrong[given] in errors and "Traceback" not in errors, errors
