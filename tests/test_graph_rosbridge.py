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

from benchmarks.rig.driver_stage import PAN, RosbridgeRobot, Stage, rosbridge_stage
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
def whole_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with rosbridge_stage(tmp_path_factory.mktemp("rosbridge"), CLOCK_AHEAD_S, GRIPPER_EFFORT_N) as stage:
        yield stage


@pytest.fixture
def stage(whole_stage: Stage) -> Stage:
    whole_stage.settle()
    return whole_stage


def robot_of(stage: Stage) -> RosbridgeRobot:
    assert isinstance(stage.robot, RosbridgeRobot)
    return stage.robot


def start_moving(stage: Stage) -> None:
    stage.enable_and_drive(SLOW, 0.3)
    assert np.abs([velocity for _, _, velocity in stage.arm.trace[-60:]]).max() > 0.05


def assert_braked(stage: Stage) -> None:
    """The arm's speed fell no later than allowed after the last valid command, and then the arm came to rest."""
    stage.session.wait_until(lambda: not np.any(stage.arm.desired()[1]), 2.0, lambda: "arm at rest")
    moving = stage.arm.top_speed(stage.last_valid_s - 0.2, stage.last_valid_s)
    assert moving > 0.05
    assert stage.arm.top_speed(stage.last_valid_s + BRAKES_WITHIN_S, np.inf) < 0.9 * moving


def assert_stays(stage: Stage) -> None:
    """Commands move nothing as long as nobody enables the driver."""
    started = stage.arm.started
    assert set(stage.drive(SLOW, 0.4)) == {"refused:not_active"}
    assert stage.arm.started == started


def assert_moves_again(stage: Stage) -> None:
    stage.arm.trace.clear()
    start_moving(stage)


@DRIVES_IN_TIME
def test_goals_stream_with_horizon_and_braking_tail(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    goals: list[tuple[float, ArmActionGoal]] = []
    action = robot_of(stage).port.robot.action
    take = action.on_goal
    monkeypatch.setattr(action, "on_goal", lambda now_s, goal: (goals.append((now_s, goal)), take(now_s, goal)))
    start_moving(stage)
    goals.clear()
    stage.enable_and_drive(SLOW, 0.6)
    seconds = goals[-1][0] - goals[1][0]
    assert (len(goals) - 2) / seconds < 17.0, "goals a second"
    for _, goal in goals:
        trajectory = ros1.trajectory_of_goal(goal.goal, ARM.joint_names)
        assert trajectory.points[-1].time_from_start_s >= 0.3
        assert not np.any(trajectory.points[-1].velocity)
        assert goal.goal.trajectory.header.stamp.ns == 0, "start when it arrives"
    values = stage.state()
    assert int(values["goals_superseded"]) >= 3, "that goals are replaced is normal"


def test_joint_states_come_out_in_this_machines_time(stage: Stage) -> None:
    stage.enable()
    stage.session.wait_until(lambda: bool(stage.joint_states.messages), 5.0, lambda: "joint states")
    values = stage.state()
    assert float(values["clock_offset_ms"]) == pytest.approx(1e3 * CLOCK_AHEAD_S, abs=25.0)
    assert float(values["clock_uncertainty_ms"]) < 25.0
    age_s = time.time() - decode_stamp(stage.joint_states.messages[-1].header.stamp) * 1e-9
    assert abs(age_s) < 1.5


@DRIVES_IN_TIME
def test_the_gripper_is_told_the_gap_and_the_effort_and_only_on_change(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[GripperCommand] = []
    robot = robot_of(stage).port.robot
    take = robot.on_goal

    def note(now_s: float, goal: ArmActionGoal | GripperActionGoal) -> None:
        if isinstance(goal, GripperActionGoal):
            commands.append(goal.goal.command)
        take(now_s, goal)

    monkeypatch.setattr(robot, "on_goal", note)
    stage.enable_and_drive(0.0 * PAN, 0.3, 0.03)
    stage.arm.fingers_m.clear()
    stage.enable_and_drive(0.0 * PAN, 0.3, 0.01)
    assert stage.arm.fingers_m == [0.01]
    assert (commands[-1].position, commands[-1].max_effort) == (pytest.approx(0.02), GRIPPER_EFFORT_N)


@BRAKES_IN_TIME
def test_a_dropped_connection_brakes_and_moves_nothing_when_it_is_back(stage: Stage) -> None:
    start_moving(stage)
    robot_of(stage).proxy.cut()
    assert_braked(stage)
    values = stage.wait_for_state("hold")
    assert "connection_lost" in values["reason"] or "command" in values["reason"]
    stage.session.wait_until(lambda: stage.state()["link"] == "the connection is open", 10.0, lambda: "connection")
    assert_stays(stage)
    assert_moves_again(stage)


@BRAKES_IN_TIME
def test_a_connection_that_only_looks_open_is_noticed(stage: Stage) -> None:
    start_moving(stage)
    robot = robot_of(stage)
    robot.proxy.freeze()
    stage.session.spin(0.03)
    before = stage.arm.started
    stage.drive(SLOW, 0.5)
    assert_braked(stage)
    assert "half_open" in stage.wait_for_state("hold")["link"]
    assert "half_open" in stage.refusal() or "connection" in stage.refusal()
    robot.proxy.thaw()
    stage.session.wait_until(lambda: stage.state()["link"] == "the connection is open", 10.0, lambda: "connection")
    # What the frozen side had received before the connection was cut is beyond recall: two goals and a braking one.
    assert stage.arm.started - before <= 3
    assert not np.any(stage.arm.desired()[1])
    assert_stays(stage)
    assert_moves_again(stage)


def test_run_stop_ends_all_output_and_its_release_moves_nothing(stage: Stage) -> None:
    start_moving(stage)
    robot = robot_of(stage)
    robot.port.robot.set_runstop(True)
    values = stage.wait_for_state("fault")
    # The controllers that lose their power may report first.
    assert "runstop" in values["robot"]
    assert "runstop" in values["reason"] or "controller_abort" in values["reason"]
    assert_stays(stage)
    assert call(stage.session, graph.DRIVER_RESET)[0]
    stage.session.spin(0.3)
    assert "runstop" in stage.refusal(), "a reset does not help while it is pressed"
    robot.port.robot.set_runstop(False)
    stage.session.spin(0.3)
    assert_stays(stage)
    assert call(stage.session, graph.DRIVER_RESET)[0]
    assert_stays(stage)
    assert_moves_again(stage)


def test_a_controller_that_aborts_is_a_fault_with_its_name(stage: Stage) -> None:
    start_moving(stage)
    robot_of(stage).port.robot.action.abort(ros1.PATH_TOLERANCE_VIOLATED, "Trajectory path tolerances violated")
    reason = stage.wait_for_state("fault")["reason"]
    assert "controller_abort" in reason and "PATH_TOLERANCE_VIOLATED" in reason
    assert_stays(stage)
    assert call(stage.session, graph.DRIVER_RESET)[0]
    assert_moves_again(stage)


def test_a_faulted_robot_is_a_fault(stage: Stage) -> None:
    start_moving(stage)
    robot_of(stage).port.robot.set_fault(True)
    assert "robot_fault" in stage.wait_for_state("fault")["reason"]


@BRAKES_IN_TIME
@pytest.mark.parametrize(("topic", "timeout_s"), [(ros1.ROBOT_STATE.name, 0.5), (ros1.ARM_STATUS.name, 1.0)])
def test_what_a_robot_says_all_the_time_may_not_cease(stage: Stage, topic: str, timeout_s: float) -> None:
    start_moving(stage)
    robot, ceased_s = robot_of(stage).port.robot, time.time()
    robot.ceased.add(topic)
    stage.drive(SLOW, timeout_s + 0.4)
    values = stage.wait_for_state("hold")
    assert topic in values["reason"] and topic in values["robot"]
    # The last message may have come a tenth of a second before it ceased.
    assert timeout_s - 0.2 < stage.last_valid_s - ceased_s < timeout_s + 0.1
    assert topic in stage.refusal()
    assert_stays(stage)
    robot.ceased.clear()
    stage.session.spin(0.3)
    assert_stays(stage)
    assert_moves_again(stage)


@BRAKES_IN_TIME
def test_a_robots_clock_that_is_set_disables_until_enabled_on_purpose(stage: Stage) -> None:
    start_moving(stage)
    robot = robot_of(stage)
    robot.clock_ahead_s += 1.0
    assert_braked(stage)
    assert "clock was set" in stage.wait_for_state("disabled")["reason"]
    # Measured anew within a second or two, not when the last half minute of measurements is over.
    began_s = time.monotonic()
    assert_moves_again(stage)
    assert time.monotonic() - began_s < 5.0
    assert float(stage.state()["clock_offset_ms"]) == pytest.approx(1e3 * robot.clock_ahead_s, abs=25.0)
    robot.clock_ahead_s = CLOCK_AHEAD_S


def test_somebody_elses_goal_is_a_fault(stage: Stage) -> None:
    stage.enable()
    stage.session.spin(0.05)
    robot = robot_of(stage)
    robot.port.robot.on_goal(time.time() + CLOCK_AHEAD_S, _somebody_elses_goal(stage))
    assert "preempted" in stage.wait_for_state("fault")["reason"]


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
    stage: Stage, monkeypatch: pytest.MonkeyPatch, topic: str, spoil: Callable[[Json], Json], named: str
) -> None:
    start_moving(stage)
    server = robot_of(stage).server
    publish = server.publish
    with monkeypatch.context() as spoiled:
        spoiled.setattr(server, "publish", lambda to, message: publish(to, spoil(message) if to == topic else message))
        stage.drive(SLOW, 0.3)
        assert_braked(stage)
        values = stage.wait_for_state("hold")
        assert named in values["malformed_last"] and f"{topic} " in values["malformed_from"]
        assert int(values["malformed_messages"]) > 0
        assert named in values["robot"] and named in stage.refusal()
    assert_moves_again(stage)


@pytest.mark.parametrize(
    ("frame", "named"),
    [(b"\x81\x01\x02", "binary frame"), ('{"op": "publish", ', "not JSON")],
)
def test_a_frame_that_cannot_be_read_stops_the_arm_and_is_named(stage: Stage, frame: str | bytes, named: str) -> None:
    start_moving(stage)
    for client in robot_of(stage).server.clients:
        client.connection.send(frame)
    stage.drive(SLOW, 0.3)
    assert_braked(stage)
    values = stage.wait_for_state("hold")
    assert named in values["reason"] and named in values["malformed_last"]
    assert values["robot"] == "ready", "the robot's state has been read since"
    assert_moves_again(stage)


def _somebody_elses_goal(stage: Stage) -> ArmActionGoal:
    rest = stopping_trajectory(JointSetpoint.at_rest(stage.arm.measured()), np.ones(7))
    theirs = ros1.arm_goal_json(rest, "moveit-0", np.full(7, 0.3).tolist(), 0.0)
    return read(ArmActionGoal, theirs, ros1.ARM_GOAL.name)
