"""Messages to arrays and back; parameters; the driver's clocks. No node runs here."""

from __future__ import annotations

import array
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState

from arm_driver import clocks
from arm_driver.clocks import LockstepClock, RobotClock, SimulatedClock
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.common.option import Option, OptionError
from fetch_sim2real.errors import CommandError, ObservationError
from fetch_sim2real.messages.camera_info import decode_camera_info, encode_camera_info
from fetch_sim2real.messages.images import decode_color, decode_depth, encode_color, encode_depth
from fetch_sim2real.messages.joint_states import JointStateMerger, encode_joint_state
from fetch_sim2real.messages.motion import (
    HOLD,
    LIMITED,
    SentCounts,
    SetpointReport,
    decode_command,
    decode_outcome,
    decode_sent_counts,
    decode_setpoint_report,
    decode_trajectory,
    decode_trajectory_number,
    encode_command,
    encode_setpoint_report,
    encode_trajectory,
)
from fetch_sim2real.messages.stamps import decode_duration, decode_stamp, encode_duration, encode_stamp
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.perception.distortion import LensDistortion
from fetch_sim2real.policy.runtime import SetpointTracker
from fetch_sim2real.policy.synchronization import FramePairer, JointHistory
from fetch_sim2real.types import JointCommand, JointSample, JointSetpoint, JointTrajectory, TrajectoryPoint

pytestmark = pytest.mark.ros

RNG = np.random.default_rng(1)


def sample(stamp_ns: int) -> JointSample:
    return JointSample(stamp_ns, RNG.standard_normal(7), RNG.standard_normal(7), 0.02)


# -- stamps, images, camera info ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stamp_ns", [0, 1, 999_999_999, 1_000_000_000, 1_764_000_000_123_456_789])
def test_stamps_keep_every_nanosecond(stamp_ns: int) -> None:
    assert decode_stamp(encode_stamp(stamp_ns)) == stamp_ns


def test_durations_are_whole_nanoseconds() -> None:
    assert decode_duration(encode_duration(1 / 30)) == pytest.approx(1 / 30, abs=5e-10)
    assert encode_duration(0.9999999999).sec == 1


def test_images_come_back_as_they_were() -> None:
    rgb = RNG.integers(0, 256, (24, 42, 3), dtype=np.uint8)
    depth = RNG.integers(0, 65536, (24, 42)).astype(np.uint16)
    message = encode_color(rgb, 5, "camera")
    assert (message.header.frame_id, decode_stamp(message.header.stamp), message.step) == ("camera", 5, 126)
    assert np.array_equal(decode_color(message), rgb)
    assert np.array_equal(decode_depth(encode_depth(depth, 5, "camera")), depth)


def test_padded_rows_and_other_byte_orders_are_understood() -> None:
    depth = RNG.integers(0, 65536, (3, 4)).astype(np.uint16)
    message = encode_depth(depth, 0, "")
    padded = np.zeros((3, 12), np.uint8)
    padded[:, :8] = depth.astype(">u2").view(np.uint8).reshape(3, 8)
    message.step, message.is_bigendian, message.data = 12, 1, array.array("B", padded.tobytes())
    assert np.array_equal(decode_depth(message), depth)


def test_images_of_another_kind_are_refused() -> None:
    message = encode_color(np.zeros((4, 4, 3), np.uint8), 0, "")
    with pytest.raises(ObservationError, match="16UC1"):
        decode_depth(message)
    message.data = message.data[:-1]
    with pytest.raises(ObservationError, match="47 bytes"):
        decode_color(message)


def test_camera_info_carries_the_camera_model() -> None:
    camera = CameraModel(424, 240, 300.0, 301.0, 211.0, 119.0)
    message = encode_camera_info(camera, 7, "camera")
    assert decode_camera_info(message) == camera
    message.d = [-0.2, 0.1, 0.0, 0.0, 0.0]
    assert decode_camera_info(message) == replace(camera, distortion=LensDistortion.named("plumb_bob", message.d))
    message.distortion_model = "ftheta"
    with pytest.raises(ObservationError, match="ftheta"):
        decode_camera_info(message)


# -- joints ------------------------------------------------------------------------------------------------------


def test_joint_states_of_a_whole_robot_come_back() -> None:
    given, merger = sample(9), JointStateMerger()
    merged = merger.merge(encode_joint_state(given, 0.3))
    assert merged is not None and merged.stamp_ns == 9 and merged.finger_position_m == given.finger_position_m
    assert np.array_equal(merged.position, given.position) and np.array_equal(merged.velocity, given.velocity)
    assert merger.torso_height_m == 0.3


def part(names: tuple[str, ...], values: np.ndarray, stamp_ns: int) -> JointState:
    message = JointState(name=list(names), position=values.tolist(), velocity=(values * 2).tolist())
    message.header.stamp = encode_stamp(stamp_ns)
    return message


def test_arm_and_gripper_in_separate_messages_are_merged() -> None:
    merger, arm = JointStateMerger(), np.arange(7.0)
    assert merger.merge(part(ARM.joint_names, arm, 10)) is None, "the fingers are unknown"
    assert merger.merge(part(ARM.gripper_joints, np.array([0.01, 0.03]), 11)) is None, "no news of the arm"
    shuffled = ("head_pan_joint", *reversed(ARM.joint_names))
    merged = merger.merge(part(shuffled, np.array([9.0, *arm[::-1]]), 12))
    assert merged is not None and merged.stamp_ns == 12 and merged.finger_position_m == pytest.approx(0.02)
    assert np.array_equal(merged.position, arm) and np.array_equal(merged.velocity, 2 * arm)
    assert merger.merge(part(ARM.joint_names, arm, 12 + 2 * 10**9)) is None, "the fingers' state is old"


def test_fingers_of_another_time_are_none_until_they_come_again() -> None:
    """Stamped far ahead once, and then never again: that opening must not count until the arm's stamps are as far."""
    merger, arm, ahead_ns = JointStateMerger(), np.arange(7.0), 60 * 10**9
    merger.merge(part(ARM.gripper_joints, np.array([0.01, 0.01]), ahead_ns))
    assert merger.merge(part(ARM.joint_names, arm, 10)) is None
    assert "the gripper's are 60.000 s ahead of the arm's" in merger.missing()
    merger.merge(part(ARM.gripper_joints, np.array([0.02, 0.02]), 11))
    merged = merger.merge(part(ARM.joint_names, arm, 12))
    assert merged is not None and merged.finger_position_m == pytest.approx(0.02)


def test_what_a_reader_does_not_need_may_be_missing() -> None:
    arm = JointState(name=list(ARM.joint_names), position=np.arange(7.0).tolist())
    arm.header.stamp = encode_stamp(5)
    bare = JointStateMerger(needs_fingers=False, needs_velocity=False).merge(arm)
    assert bare is not None and np.array_equal(bare.position, np.arange(7.0))
    assert np.all(np.isnan(bare.velocity)) and np.isnan(bare.finger_position_m)
    policy = JointStateMerger(needs_velocity=False)
    assert policy.merge(arm) is None and ARM.gripper_joints[0] in policy.missing()
    # One finger that the other mimics, and without a velocity.
    policy.merge(JointState(name=[ARM.gripper_joints[1]], position=[0.03], velocity=[float("nan")]))
    merged = policy.merge(arm)
    assert merged is not None and merged.finger_position_m == 0.03 and policy.missing() == ""
    with pytest.raises(ObservationError, match="without velocities"):
        JointStateMerger().merge(arm)


def test_joints_of_different_moments_make_no_sample() -> None:
    merger = JointStateMerger()
    merger.merge(part(ARM.command_joints, np.zeros(9), 10**9))
    assert merger.merge(part(ARM.joint_names[:3], np.zeros(3), 2 * 10**9)) is None


@pytest.mark.parametrize("fault", ["nan", "short", "twice", "no_velocity"])
def test_malformed_joint_states_change_nothing(fault: str) -> None:
    merger = JointStateMerger()
    merger.merge(part(ARM.command_joints, np.zeros(9), 1))
    bad = part(ARM.command_joints, np.ones(9), 2)
    if fault == "nan":
        bad.position[2] = float("nan")
    elif fault == "short":
        bad.position = bad.position[:-1]
    elif fault == "twice":
        bad.name[1] = bad.name[0]
    else:
        bad.velocity = []
    with pytest.raises(ObservationError):
        merger.merge(bad)
    merged = merger.merge(part(ARM.joint_names[:1], np.zeros(1), 2))
    assert merged is not None and not np.any(merged.position)


def test_setpoints_come_back_exactly_or_as_none() -> None:
    setpoint = JointSetpoint(RNG.standard_normal(7), RNG.standard_normal(7))
    message = encode_setpoint_report(SetpointReport(3, LIMITED, setpoint), SentCounts(4, 1))
    assert (message.header.frame_id, list(message.effort)) == ("limited", [4.0, 1.0]), "as it always was: bags have it"
    report, back = decode_setpoint_report(message), decode_setpoint_report(message).setpoint
    assert (report.stamp_ns, report.outcome, report.is_activation) == (3, LIMITED, False)
    assert decode_sent_counts(message) == SentCounts(arm=4, gripper=1)
    assert decode_outcome(serialize_message(message)) == LIMITED
    assert back is not None
    assert np.array_equal(back.position, setpoint.position) and np.array_equal(back.velocity, setpoint.velocity)
    none = encode_setpoint_report(SetpointReport(3, HOLD, None), SentCounts())
    assert decode_setpoint_report(none) == SetpointReport(3, HOLD, None)
    message.position[0] = float("nan")
    with pytest.raises(ObservationError, match="finite"):
        decode_setpoint_report(message)


# -- commands and trajectories -----------------------------------------------------------------------------------


def test_commands_come_back_exactly() -> None:
    for finger in (None, 0.02):
        given = JointCommand(8, RNG.standard_normal(7), RNG.standard_normal(7), finger)
        back = decode_command(encode_command(given))
        assert back.velocity is not None and given.velocity is not None
        assert np.array_equal(back.position, given.position) and np.array_equal(back.velocity, given.velocity)
        assert (back.stamp_ns, back.finger_position_m, back.hold) == (8, finger, False)
    hold = decode_command(encode_command(JointCommand(8, hold=True)))
    assert hold.hold and hold.stamp_ns == 8
    without = decode_command(encode_command(JointCommand(8, np.zeros(7), None, 0.02)))
    assert without.velocity is None and without.finger_position_m == 0.02


def test_joints_of_a_command_may_come_in_any_order() -> None:
    message = encode_command(JointCommand(8, np.arange(7.0), np.arange(7.0), 0.02))
    order = RNG.permutation(9)
    message.joint_names = [message.joint_names[i] for i in order]
    message.points[0].positions = [message.points[0].positions[i] for i in order]
    message.points[0].velocities = [message.points[0].velocities[i] for i in order]
    assert np.array_equal(decode_command(message).position, np.arange(7.0))


def test_fingers_that_disagree_are_refused() -> None:
    message = encode_command(JointCommand(8, np.zeros(7), np.zeros(7), 0.02))
    message.points[0].positions[8] = 0.04
    with pytest.raises(CommandError, match="coupled"):
        decode_command(message)


def test_trajectories_come_back_and_start_now() -> None:
    points = tuple(TrajectoryPoint(t, RNG.standard_normal(7), RNG.standard_normal(7)) for t in (1 / 30, 2 / 30, 1.5))
    message = encode_trajectory(JointTrajectory(ARM.joint_names, points), 17)
    assert decode_stamp(message.header.stamp) == 0 and decode_trajectory_number(message) == 17
    for point, given in zip(decode_trajectory(message, ARM.joint_names).points, points, strict=True):
        assert point.time_from_start_s == pytest.approx(given.time_from_start_s, abs=1e-9)
        assert np.array_equal(point.position, given.position) and np.array_equal(point.velocity, given.velocity)
    with pytest.raises(CommandError, match="expected"):
        decode_trajectory(message, ARM.gripper_joints)
    message.points[1], message.points[2] = message.points[2], message.points[1]
    with pytest.raises(CommandError, match="increasing"):
        decode_trajectory(message, ARM.joint_names)
    message.header.stamp.sec, message.header.frame_id = 4, "base_link"
    assert decode_trajectory_number(message) == 0
    with pytest.raises(CommandError, match="start now"):
        decode_trajectory(message, ARM.joint_names)


# -- parameters --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        (Option("x", 1.0, "", "m", low=0.0, high=2.0), 2.5),
        (Option("x", 1.0, "", low=0.0), float("nan")),
        (Option("x", 1.0, "", low=0.0), "1.0"),
        (Option("x", 1, "", low=0, high=5), 6),
        (Option("x", 1, ""), 1.5),
        (Option("x", 1, ""), True),
        (Option("x", False, ""), 0),
        (Option("x", "a", "", choices=("a", "b")), "c"),
    ],
)
def test_wrong_parameter_values_are_refused_with_what_was_expected(parameter: Option[Any], value: object) -> None:
    with pytest.raises(OptionError, match=r"parameter 'x' is .*expected"):
        parameter.checked(value)


def test_whole_numbers_are_numbers() -> None:
    assert Option("x", 1.0, "", low=0.0, high=5.0).checked(4) == 4.0
    assert type(Option("x", 1.0, "").checked(4)) is float


# -- clocks ------------------------------------------------------------------------------------------------------


def test_lockstep_time_is_what_the_simulation_says() -> None:
    clock = LockstepClock()
    clock.on_clock(5)
    assert (clock.now_ns(), clock.complaint()) == (5, "")
    clock.on_clock(3)
    assert clock.now_ns() == 3 and "back" in clock.complaint() and clock.complaint() == ""


def test_simulated_time_goes_on_between_ticks_but_not_when_paused_or_reset() -> None:
    clock, step_ns = SimulatedClock(), 8_333_333
    clock.on_clock(10**9)
    time.sleep(0.003)
    assert clock.now_ns() == 10**9, "a jump is no step"
    clock.on_clock(10**9 + step_ns)
    time.sleep(0.003)
    assert 10**9 + step_ns + 2_000_000 < clock.now_ns() <= 10**9 + step_ns + 9_000_000
    clock.on_clock(10**9 + step_ns)
    time.sleep(0.003)
    assert clock.now_ns() == 10**9 + step_ns, "repeated: paused"


@pytest.fixture
def system_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], None]:
    """Sets steady time [s] and system time [s] as the clocks see them."""
    now = {"steady": 0, "system": 0}

    def put(steady_s: float, system_s: float) -> None:
        now["steady"], now["system"] = round(steady_s * 1e9), round(system_s * 1e9)

    monkeypatch.setattr(clocks.time, "monotonic_ns", lambda: now["steady"])
    monkeypatch.setattr(clocks.time, "time_ns", lambda: now["system"])
    return put


def test_robot_time_follows_a_slewed_system_clock(system_time: Callable[[float, float], None]) -> None:
    system_time(0.0, 1000.0)
    clock = RobotClock()
    for tick in range(1, 1001):
        # 100 parts per million fast, for ten seconds.
        system_time(tick * 0.01, 1000.0 + tick * 0.01 * 1.0001)
        now_ns = clock.now_ns()
    assert abs(now_ns - (1000.0 + 10.0 * 1.0001) * 1e9) < 1e5
    assert clock.complaint() == ""


def test_robot_time_tells_of_a_stepped_system_clock(system_time: Callable[[float, float], None]) -> None:
    system_time(0.0, 1000.0)
    clock = RobotClock()
    system_time(0.1, 1003.1)
    clock.now_ns()
    assert "stepped by 3.000 s" in clock.complaint() and clock.complaint() == ""


@pytest.mark.parametrize("step_s", [60.0, -60.0])
def test_robot_time_goes_on_over_a_step_until_it_is_told_to_follow(
    system_time: Callable[[float, float], None], step_s: float
) -> None:
    system_time(0.0, 1000.0)
    clock = RobotClock()
    for tick in range(1, 21):
        system_time(tick * 0.01, 1000.0 + tick * 0.01 + step_s)
        assert clock.now_ns() == pytest.approx((1000.0 + tick * 0.01) * 1e9, abs=1e3) and clock.is_stepped
    assert "stepped" in clock.complaint()
    clock.follow_step()
    assert clock.now_ns() == pytest.approx((1000.2 + step_s) * 1e9, abs=1e3) and not clock.is_stepped
    assert clock.complaint() == ""
    system_time(0.21, 1000.21)
    clock.now_ns()
    assert "stepped" in clock.complaint() and clock.is_stepped
    system_time(0.22, 1000.22 + step_s)
    assert clock.now_ns() == pytest.approx((1000.22 + step_s) * 1e9, abs=1e5) and not clock.is_stepped
    assert "stepped" in clock.complaint(), "it went away and came back"


# -- the policy's bookkeeping ------------------------------------------------------------------------------------


def test_frames_are_paired_by_stamp_once_and_forwards() -> None:
    pairer = FramePairer()
    assert pairer.add("color", 1, "c1") is None and pairer.add("color", 2, "c2") is None
    assert pairer.add("depth", 2, "d2") is None
    frame = pairer.add("info", 2, "i2")
    assert frame is not None and (frame.stamp_ns, frame.color, frame.depth, frame.info) == (2, "c2", "d2", "i2")
    assert pairer.unpaired == 1, "frame 1 was overtaken"
    assert [pairer.add(part, 2, "again") for part in ("color", "info", "depth")] == [None] * 3
    assert pairer.repeated == 1
    pairer.forget()
    pairer.add("color", 1, "c"), pairer.add("info", 1, "i")
    assert pairer.add("depth", 1, "d") is not None


def test_incomplete_frames_do_not_pile_up() -> None:
    pairer = FramePairer()
    for stamp in range(100):
        pairer.add("color", stamp, "c")
    assert pairer.unpaired == 95


def test_the_nearest_joint_state_is_found_once_it_cannot_be_another() -> None:
    history, ms = JointHistory(), 1_000_000
    for stamp in (100, 200, 300):
        history.add(sample(stamp * ms))
    found = [history.at(stamp * ms) for stamp in (50, 140, 160, 300)]
    assert [s.stamp_ns // ms for s in found if s] == [100, 100, 200, 300]
    assert history.at(301 * ms) is None, "a later one may be nearer"
    for stamp in (50, 60, 70):
        history.add(sample(stamp * ms))
    assert history.newest_ns == 70 * ms and history.at(100 * ms) is None, "the robot's clock went back"
    found = [history.at(stamp * ms) for stamp in (40, 58, 70)]
    assert [s.stamp_ns // ms for s in found if s] == [50, 60, 70], "those that confirmed it are kept"


def test_a_setpoint_is_used_once() -> None:
    tracker, setpoint = SetpointTracker(), JointSetpoint.at_rest(np.zeros(7))
    assert tracker.setpoint is None and not tracker.is_awaited
    assert tracker.on_report(SetpointReport(5, "activated", setpoint))
    assert tracker.setpoint is setpoint and not tracker.is_awaited
    tracker.sent(10)
    assert not tracker.on_report(SetpointReport(5, "activated", setpoint)), "told again"
    assert tracker.is_awaited
    assert not tracker.on_report(SetpointReport(9, "command", setpoint)) and tracker.is_awaited, "an older command's"
    assert not tracker.on_report(SetpointReport(10, "limited", setpoint)) and not tracker.is_awaited
    tracker.sent(11)
    tracker.on_report(SetpointReport(11, "refused:jump", setpoint))
    assert tracker.setpoint is setpoint, "the driver is still active"
    tracker.sent(12)
    tracker.on_report(SetpointReport(12, "refused:not_active", setpoint))
    assert tracker.setpoint is None
