"""The driver, when what the robot says jumps in time, ceases, moves away or is not whole, while its arm moves."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

pytest.importorskip("rclpy")

from deadlines import BRAKES_IN_TIME
from sensor_msgs.msg import JointState

from benchmarks.rig.driver_rig import PAN, TORSO_M, DriverRig, TopicRobot, topic_rig
from benchmarks.rig.graph_harness import call
from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.control.checks import FilterSettings
from fetch_sim2real.control.readings import BASE_TIMEOUT_S, TORSO_TIMEOUT_S
from fetch_sim2real.types import BasePose

pytestmark = pytest.mark.ros

SLOW = 0.1 * PAN
QUICK_RAD_S = 0.4
# A period of the driver's, 20 ms, and what this process is late by itself when it judges both.
LATE_S = 0.01 + 0.02 + 0.03
JOINTS_S = FilterSettings().joint_sample_timeout_s


@pytest.fixture(scope="module")
def module_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DriverRig]:
    with topic_rig(tmp_path_factory.mktemp("driver")) as rig:
        yield rig


@pytest.fixture
def rig(module_rig: DriverRig) -> DriverRig:
    module_rig.settle()
    return module_rig


def robot_of(rig: DriverRig) -> TopicRobot:
    assert isinstance(rig.robot, TopicRobot)
    return rig.robot


def goes_wrong(rig: DriverRig, fail: Callable[[TopicRobot], None], within_s: float) -> str:
    """Let something go wrong while the arm moves: commands are followed no longer than allowed. The reason given."""
    rig.enable_and_drive(SLOW, 0.3)
    failed_s = time.time()
    fail(robot_of(rig))
    rig.drive(SLOW, within_s + 0.3)
    assert rig.last_valid_s - failed_s < within_s + LATE_S
    rig.session.wait_until(lambda: not np.any(rig.arm.desired()[1]), 2.0, lambda: "arm at rest")
    values = rig.state()
    assert values["state"] in ("hold", "disabled")
    return values["reason"]


def stays(rig: DriverRig) -> None:
    """Commands move nothing as long as nobody enables the driver."""
    started = rig.arm.started
    assert set(rig.drive(SLOW, 0.2)) == {"refused:not_active"}
    assert rig.arm.started == started


def moves_again(rig: DriverRig) -> None:
    rig.enable_and_drive(SLOW, 0.2)


# -- time that jumps ---------------------------------------------------------------------------------------------


def stray(robot: TopicRobot) -> None:
    robot.stray_s = 60.0


@BRAKES_IN_TIME
def test_a_stamp_a_minute_ahead_does_not_hide_that_joint_states_cease(rig: DriverRig) -> None:
    def fail(robot: TopicRobot) -> None:
        stray(robot)
        robot.silent = True

    reason = goes_wrong(rig, fail, JOINTS_S)
    assert "the last joint state is" in reason and "1 that came after it was stamped" in reason
    assert int(rig.state()["joint_states_ahead"]) >= 1
    stays(rig)
    robot_of(rig).silent = False
    moves_again(rig)


def test_a_stamp_a_minute_ahead_does_not_hide_a_blocked_arm(rig: DriverRig) -> None:
    rig.enable_and_drive(QUICK_RAD_S * PAN, 0.3)
    stray(robot_of(rig))
    rig.session.spin(0.02)
    rig.arm.block(True)
    at = rig.arm.measured()
    for _ in range(8):  # a busy machine may let commands come too late before the arm is far enough behind
        rig.drive(QUICK_RAD_S * PAN, 0.8)
        if rig.state()["state"] == "stopped":
            break
        rig.enable()
    furthest = max(np.abs(np.array(m.position) - at)[0] for m in rig.setpoints.messages if m.position)
    assert furthest < 0.2 + 0.3 * QUICK_RAD_S
    assert ARM.joint_names[0] in rig.state()["reason"]


@pytest.mark.parametrize("offset_s", [5.0, -5.0, 0.05])
def test_a_robot_whose_clock_is_off_is_not_enabled_and_the_offset_is_named(rig: DriverRig, offset_s: float) -> None:
    robot_of(rig).clock_ahead_s = offset_s
    rig.session.spin(0.1)
    refusal = rig.refusal()
    way = "ahead of" if offset_s > 0 else "behind"
    named = re.search(r"stamped (\d+\.\d+) s", refusal)
    assert named is not None and float(named[1]) == pytest.approx(abs(offset_s), abs=0.04)
    assert way in refusal and "chrony" in refusal


@BRAKES_IN_TIME
@pytest.mark.parametrize("step_s", [60.0, -1.0])
def test_a_clock_that_is_set_brakes_and_disables_until_it_is_right_and_somebody_enables(
    rig: DriverRig, step_s: float
) -> None:
    def step(robot: TopicRobot) -> None:
        robot.clock_ahead_s = step_s

    assert "clock was set" in goes_wrong(rig, step, JOINTS_S)
    rig.wait_for_state("disabled")
    stays(rig)
    assert "chrony" in rig.refusal()
    robot_of(rig).clock_ahead_s = 0.0
    rig.session.spin(0.1)
    stays(rig)
    moves_again(rig)


@BRAKES_IN_TIME
def test_joint_states_that_repeat_their_stamp_are_not_fresh(rig: DriverRig) -> None:
    stuck_ns = time.time_ns()

    def repeat(message: JointState) -> None:
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stuck_ns, 10**9)

    def fail(robot: TopicRobot) -> None:
        nonlocal stuck_ns
        stuck_ns = time.time_ns()
        robot.spoil = repeat

    assert "stamp has come" in goes_wrong(rig, fail, JOINTS_S)


# -- what moves or ceases ----------------------------------------------------------------------------------------


@BRAKES_IN_TIME
def test_a_torso_that_moves_is_noticed_and_not_enabled_until_it_is_back(rig: DriverRig) -> None:
    def lower(robot: TopicRobot) -> None:
        robot.torso_m = TORSO_M - 0.1

    assert "the torso is at 0.250 m" in goes_wrong(rig, lower, 0.0)
    assert "the torso is at 0.250 m" in rig.refusal()
    robot_of(rig).torso_m = TORSO_M
    rig.session.spin(0.1)
    stays(rig)
    moves_again(rig)


def drop(*joints: str) -> Callable[[JointState], None]:
    def change(message: JointState) -> None:
        kept = [i for i, name in enumerate(message.name) if name not in joints]
        names, position, velocity = list(message.name), list(message.position), list(message.velocity)
        message.name = [names[i] for i in kept]
        message.position, message.velocity = [position[i] for i in kept], [velocity[i] for i in kept]

    return change


@BRAKES_IN_TIME
@pytest.mark.parametrize(("joint", "timeout_s"), [(ARM.torso_joint, TORSO_TIMEOUT_S), ("wrist_roll_joint", JOINTS_S)])
def test_a_joint_that_ceases_is_named(rig: DriverRig, joint: str, timeout_s: float) -> None:
    def fail(robot: TopicRobot) -> None:
        robot.spoil = drop(joint)

    assert joint in goes_wrong(rig, fail, timeout_s)
    assert joint in rig.refusal()
    robot_of(rig).settle()
    rig.session.spin(0.05)
    moves_again(rig)


def test_what_is_not_needed_of_the_joint_states_is_not_judged(rig: DriverRig) -> None:
    def odd(message: JointState) -> None:
        drop(ARM.gripper_joints[0])(message)
        message.name = [*message.name, "r_wheel_joint", "r_wheel_joint"]
        message.position, message.velocity = [*message.position, 0.0, float("nan")], [*message.velocity, 0.0, 0.0]
        message.velocity[list(message.name).index(ARM.gripper_joints[1])] = float("nan")
        message.effort = [1.0]

    before = rig.state()["bad_joint_states"]
    robot_of(rig).spoil = odd
    moves_again(rig)
    assert rig.state()["bad_joint_states"] == before


@BRAKES_IN_TIME
@pytest.mark.parametrize("motion", ["turns", "ceases"])
def test_a_base_that_moves_is_noticed_and_not_enabled_until_it_is_back(rig: DriverRig, motion: str) -> None:
    pytest.importorskip("nav_msgs")
    robot = robot_of(rig)
    robot.base = BasePose(3.0, -1.0, 3.14)
    rig.session.wait_until(lambda: "3.000" in rig.state()["base"], 10.0, lambda: "odometry")
    there = {"turns": BasePose(3.0, -1.0, -3.11), "ceases": None}[motion]

    def fail(robot: TopicRobot) -> None:
        robot.base = there

    within_s = BASE_TIMEOUT_S if motion == "ceases" else 0.0
    assert ("odometry has ceased" if motion == "ceases" else "base has moved") in goes_wrong(rig, fail, within_s)
    assert "base" in rig.refusal()
    robot.base = BasePose(3.005, -1.0, -3.1399)
    rig.session.spin(0.1)
    stays(rig)
    moves_again(rig)
    # Where it stays elsewhere, disabling on purpose says that the table is right there.
    robot.base = BasePose(5.0, 0.0, 0.0)
    rig.wait_for_state("hold")
    assert "put it back" in rig.refusal()
    assert call(rig.session, graph.DRIVER_DISABLE)[0]
    moves_again(rig)
