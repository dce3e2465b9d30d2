"""The driver before rosbridge, when network, controllers or robot fail: it brakes, and waits to be enabled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("roslibpy")
pytest.importorskip("websockets")

from deadlines import BRAKES_IN_TIME, DRIVES_IN_TIME

from benchmarks.rig.driver_rig import PAN, DriverRig, RosbridgeRobot, rosbridge_rig
from benchmarks.rig.graph_harness import call
from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.control.trajectory import stopping_trajectory
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.rosbridge import topics as ros1
from fetch_sim2real.rosbridge.messages import ArmActionGoal, GripperActionGoal, GripperCommand, read
from fetch_sim2real.rosbridge.topics import Json
from fetch_sim2real.timing import CONTROL_PERIOD_S
from fetch_sim2real.types import JointSetpoint

pytestmark = pytest.mark.ros

CLOCK_AHEAD_S = 5.0
BRAKES_WITHIN_S = 0.2 + CONTROL_PERIOD_S
SLOW = 0.1 * PAN
GRIPPER_EFFORT_N = 25.0


@pytest.fixture(scope="module")
def module_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DriverRig]:
    with rosbridge_rig(tmp_path_factory.mktemp("rosbridge"), CLOCK_AHEAD_S, GRIPPER_EFFORT_N) as rig:
        yield rig


@pytest.fixture
def rig(module_rig: DriverRig) -> DriverRig:
    module_rig.settle()
    return module_rig


def robot_of(rig: DriverRig) -> RosbridgeRobot:
    assert isinstance(rig.robot, RosbridgeRobot)
    return rig.robot


def start_moving(rig: DriverRig) -> None:
    rig.enable_and_drive(SLOW, 0.3)
    assert np.abs([velocity for _, _, velocity in rig.arm.trace[-60:]]).max() > 0.05


def assert_braked(rig: DriverRig) -> None:
    """The arm's speed fell no later than allowed after the last valid command, and then the arm came to rest."""
    rig.session.wait_until(lambda: not np.any(rig.arm.desired()[1]), 2.0, lambda: "arm at rest")
    moving = rig.arm.top_speed(rig.last_valid_s - 0.2, rig.last_valid_s)
    assert moving > 0.05
    assert rig.arm.top_speed(rig.last_valid_s + BRAKES_WITHIN_S, np.inf) < 0.9 * moving


def assert_stays(rig: DriverRig) -> None:
    """Commands move nothing as long as nobody enables the driver."""
    started = rig.arm.started
    assert set(rig.drive(SLOW, 0.4)) == {"refused:not_active"}
    assert rig.arm.started == started


def assert_moves_again(rig: DriverRig) -> None:
    rig.arm.trace.clear()
    start_moving(rig)


@DRIVES_IN_TIME
def test_goals_stream_with_horizon_and_braking_tail(rig: DriverRig, monkeypatch: pytest.MonkeyPatch) -> None:
    goals: list[tuple[float, ArmActionGoal]] = []
    action = robot_of(rig).port.robot.action
    take = action.on_goal
    monkeypatch.setattr(action, "on_goal", lambda now_s, goal: (goals.append((now_s, goal)), take(now_s, goal)))
    start_moving(rig)
    goals.clear()
    rig.enable_and_drive(SLOW, 0.6)
    seconds = goals[-1][0] - goals[1][0]
    assert (len(goals) - 2) / seconds < 17.0, "goals a second"
    for _, goal in goals:
        trajectory = ros1.trajectory_of_goal(goal.goal, ARM.joint_names)
        assert trajectory.points[-1].time_from_start_s >= 0.3
        assert not np.any(trajectory.points[-1].velocity)
        assert goal.goal.trajectory.header.stamp.ns == 0, "start when it arrives"
    values = rig.state()
    assert int(values["goals_superseded"]) >= 3, "that goals are replaced is normal"


def test_joint_states_come_out_in_this_machines_time(rig: DriverRig) -> None:
    rig.enable()
    rig.session.wait_until(lambda: bool(rig.joint_states.messages), 5.0, lambda: "joint states")
    values = rig.state()
    assert float(values["clock_offset_ms"]) == pytest.approx(1e3 * CLOCK_AHEAD_S, abs=25.0)
    assert float(values["clock_uncertainty_ms"]) < 25.0
    age_s = time.time() - decode_stamp(rig.joint_states.messages[-1].header.stamp) * 1e-9
    assert abs(age_s) < 1.5


@DRIVES_IN_TIME
def test_the_gripper_is_told_the_gap_and_the_effort_and_only_on_change(
    rig: DriverRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[GripperCommand] = []
    robot = robot_of(rig).port.robot
    take = robot.on_goal

    def note(now_s: float, goal: ArmActionGoal | GripperActionGoal) -> None:
        if isinstance(goal, GripperActionGoal):
            commands.append(goal.goal.command)
        take(now_s, goal)

    monkeypatch.setattr(robot, "on_goal", note)
    rig.enable_and_drive(0.0 * PAN, 0.3, 0.03)
    rig.arm.fingers_m.clear()
    rig.enable_and_drive(0.0 * PAN, 0.3, 0.01)
    assert rig.arm.fingers_m == [0.01]
    assert (commands[-1].position, commands[-1].max_effort) == (pytest.approx(0.02), GRIPPER_EFFORT_N)


@BRAKES_IN_TIME
def test_a_dropped_connection_brakes_and_moves_nothing_when_it_is_back(rig: DriverRig) -> None:
    start_moving(rig)
    robot_of(rig).proxy.cut()
    assert_braked(rig)
    values = rig.wait_for_state("hold")
    assert "connection_lost" in values["reason"] or "command" in values["reason"]
    rig.session.wait_until(lambda: rig.state()["link"] == "the connection is open", 10.0, lambda: "connection")
    assert_stays(rig)
    assert_moves_again(rig)


@BRAKES_IN_TIME
def test_a_connection_that_only_looks_open_is_noticed(rig: DriverRig) -> None:
    start_moving(rig)
    robot = robot_of(rig)
    robot.proxy.freeze()
    rig.session.spin(0.03)
    before = rig.arm.started
    rig.drive(SLOW, 0.5)
    assert_braked(rig)
    assert "half_open" in rig.wait_for_state("hold")["link"]
    assert "half_open" in rig.refusal() or "connection" in rig.refusal()
    robot.proxy.thaw()
    rig.session.wait_until(lambda: rig.state()["link"] == "the connection is open", 10.0, lambda: "connection")
    # What the frozen side had received before the connection was cut is beyond recall: two goals and a braking one.
    assert rig.arm.started - before <= 3
    assert not np.any(rig.arm.desired()[1])
    assert_stays(rig)
    assert_moves_again(rig)


def test_run_stop_ends_all_output_and_its_release_moves_nothing(rig: DriverRig) -> None:
    start_moving(rig)
    robot = robot_of(rig)
    robot.port.robot.set_runstop(True)
    values = rig.wait_for_state("fault")
    # The controllers that lose their power may report first.
    assert "runstop" in values["robot"]
    assert "runstop" in values["reason"] or "controller_abort" in values["reason"]
    assert_stays(rig)
    assert call(rig.session, graph.DRIVER_RESET)[0]
    rig.session.spin(0.3)
    assert "runstop" in rig.refusal(), "a reset does not help while it is pressed"
    robot.port.robot.set_runstop(False)
    rig.session.spin(0.3)
    assert_stays(rig)
    assert call(rig.session, graph.DRIVER_RESET)[0]
    assert_stays(rig)
    assert_moves_again(rig)


def test_a_controller_that_aborts_is_a_fault_with_its_name(rig: DriverRig) -> None:
    start_moving(rig)
    robot_of(rig).port.robot.action.abort(ros1.PATH_TOLERANCE_VIOLATED, "Trajectory path tolerances violated")
    reason = rig.wait_for_state("fault")["reason"]
    assert "controller_abort" in reason and "PATH_TOLERANCE_VIOLATED" in reason
    assert_stays(rig)
    assert call(rig.session, graph.DRIVER_RESET)[0]
    assert_moves_again(rig)


def test_a_faulted_robot_is_a_fault(rig: DriverRig) -> None:
    start_moving(rig)
    robot_of(rig).port.robot.set_fault(True)
    assert "robot_fault" in rig.wait_for_state("fault")["reason"]


@BRAKES_IN_TIME
@pytest.mark.parametrize(("topic", "timeout_s"), [(ros1.ROBOT_STATE.name, 0.5), (ros1.ARM_STATUS.name, 1.0)])
def test_what_a_robot_says_all_the_time_may_not_cease(rig: DriverRig, topic: str, timeout_s: float) -> None:
    start_moving(rig)
    robot, ceased_s = robot_of(rig).port.robot, time.time()
    robot.ceased.add(topic)
    rig.drive(SLOW, timeout_s + 0.4)
    values = rig.wait_for_state("hold")
    assert topic in values["reason"] and topic in values["robot"]
    # The last message may have come a tenth of a second before it ceased.
    assert timeout_s - 0.2 < rig.last_valid_s - ceased_s < timeout_s + 0.1
    assert topic in rig.refusal()
    assert_stays(rig)
    robot.ceased.clear()
    rig.session.spin(0.3)
    assert_stays(rig)
    assert_moves_again(rig)


@BRAKES_IN_TIME
def test_a_robots_clock_that_is_set_disables_until_enabled_on_purpose(rig: DriverRig) -> None:
    start_moving(rig)
    robot = robot_of(rig)
    robot.clock_ahead_s += 1.0
    assert_braked(rig)
    assert "clock was set" in rig.wait_for_state("disabled")["reason"]
    # Measured anew within a second or two, not when the last half minute of measurements is over.
    began_s = time.monotonic()
    assert_moves_again(rig)
    assert time.monotonic() - began_s < 5.0
    assert float(rig.state()["clock_offset_ms"]) == pytest.approx(1e3 * robot.clock_ahead_s, abs=25.0)
    robot.clock_ahead_s = CLOCK_AHEAD_S


def test_somebody_elses_goal_is_a_fault(rig: DriverRig) -> None:
    rig.enable()
    rig.session.spin(0.05)
    robot = robot_of(rig)
    robot.port.robot.on_goal(time.time() + CLOCK_AHEAD_S, _somebody_elses_goal(rig))
    assert "preempted" in rig.wait_for_state("fault")["reason"]


def without(field: str) -> Callable[[Json], Json]:
    return lambda message: {name: value for name, value in message.items() if name != field}


def with_ros2_stamp(message: Json) -> Json:
    stamp = message["header"]["stamp"]
    return {**message, "header": {"stamp": {"sec": stamp["secs"], "nanosec": stamp["nsecs"]}, "frame_id": ""}}


@pytest.mark.parametrize(
    ("topic", "spoil", "named"),
    [
        (ros1.ROBOT_STATE.name, without("runstopped"), "/robot_state: field 'runstopped' is missing"),
        (ros1.JOINT_STATES.name, without("velocity"), "/joint_states: field 'velocity' is missing"),
        (ros1.JOINT_STATES.name, with_ros2_stamp, "this is a ROS 2 rosbridge"),
    ],
)
def test_a_robot_whose_state_cannot_be_read_is_not_ready(
    rig: DriverRig, monkeypatch: pytest.MonkeyPatch, topic: str, spoil: Callable[[Json], Json], named: str
) -> None:
    start_moving(rig)
    server = robot_of(rig).server
    publish = server.publish
    with monkeypatch.context() as spoiled:
        spoiled.setattr(server, "publish", lambda to, message: publish(to, spoil(message) if to == topic else message))
        rig.drive(SLOW, 0.3)
        assert_braked(rig)
        values = rig.wait_for_state("hold")
        assert named in values["malformed_last"] and f"{topic} " in values["malformed_from"]
        assert int(values["malformed_messages"]) > 0
        assert named in values["robot"] and named in rig.refusal()
    assert_moves_again(rig)


@pytest.mark.parametrize(
    ("frame", "named"),
    [(b"\x81\x01\x02", "binary frame"), ('{"op": "publish", ', "not JSON")],
)
def test_a_frame_that_cannot_be_read_stops_the_arm_and_is_named(rig: DriverRig, frame: str | bytes, named: str) -> None:
    start_moving(rig)
    for client in robot_of(rig).server.clients:
        client.connection.send(frame)
    rig.drive(SLOW, 0.3)
    assert_braked(rig)
    values = rig.wait_for_state("hold")
    assert named in values["reason"] and named in values["malformed_last"]
    assert values["robot"] == "ready", "the robot's state has been read since"
    assert_moves_again(rig)


def _somebody_elses_goal(rig: DriverRig) -> ArmActionGoal:
    rest = stopping_trajectory(JointSetpoint.at_rest(rig.arm.measured()), np.ones(7))
    theirs = ros1.arm_goal_json(rest, "moveit-0", np.full(7, 0.3).tolist(), 0.0)
    return read(ArmActionGoal, theirs, ros1.ARM_GOAL.name)
