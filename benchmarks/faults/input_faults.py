"""Faults of what the robot says of itself: stamps that jump, states that cease, a torso and a base that move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from sensor_msgs.msg import JointState

from benchmarks.faults.driver_faults import SLOW, Step, Trial, repeated
from benchmarks.faults.measure import Measurement
from benchmarks.rig.driver_rig import PAN, TORSO_M, DriverRig, RosbridgeRobot, TopicRobot, rosbridge_rig, topic_rig
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.control.checks import FilterSettings
from fetch_sim2real.control.readings import BASE_TIMEOUT_S, TORSO_TIMEOUT_S
from fetch_sim2real.rosbridge import topics as ros1
from fetch_sim2real.types import BasePose, FloatArray

# From the last input that could be trusted: its time-out, and then a period of the driver's and 20 ms.
_LATE_S: Final = 0.01 + 0.02
_JOINTS_S: Final = FilterSettings().joint_sample_timeout_s
_STRAY_S: Final = 60.0
_BLOCKED_SPEED_RAD_S: Final = 0.3


def stray_stamp_then_silence(folder: Path) -> Iterator[Measurement]:
    """One joint state is stamped a minute ahead, and none comes after it."""

    def fail(robot: TopicRobot) -> None:
        robot.stray_s, robot.silent = _STRAY_S, True

    return _on_topics("one stamp 60 s ahead, then silence", "joint state", folder, _JOINTS_S, fail)


def stray_stamp_then_block(folder: Path) -> Iterator[Measurement]:
    """One joint state is stamped a minute ahead, then right ones come, of an arm that does not follow."""

    def fail(robot: TopicRobot) -> None:
        robot.stray_s = _STRAY_S
        robot.arm.block(True)

    noticed_s = FilterSettings().tracking_error_rad[0] / _BLOCKED_SPEED_RAD_S
    return _on_topics(
        "one stamp 60 s ahead, arm blocked", "allowed difference", folder, noticed_s, fail,
        velocity=_BLOCKED_SPEED_RAD_S * PAN,
    )  # fmt: skip


def robot_clock_set_ahead(folder: Path) -> Iterator[Measurement]:
    """The robot's clock is set 5 s ahead, and later right again."""

    def fail(robot: TopicRobot) -> None:
        robot.clock_ahead_s = 5.0

    return _on_topics("robot's clock set 5 s ahead", "clock was set", folder, _JOINTS_S, fail)


def robot_state_ceases(folder: Path) -> Iterator[Measurement]:
    """/robot_state ceases, joint states go on."""
    return _ceases("/robot_state ceases", folder, ros1.ROBOT_STATE.name, 0.5)


def arm_status_ceases(folder: Path) -> Iterator[Measurement]:
    """The status of the arm's action server ceases, joint states go on."""
    return _ceases("arm's action status ceases", folder, ros1.ARM_STATUS.name, 1.0)


def torso_moves(folder: Path) -> Iterator[Measurement]:
    """The torso is 10 cm lower."""

    def fail(robot: TopicRobot) -> None:
        robot.torso_m = TORSO_M - 0.1

    return _on_topics("torso moves by 10 cm", "the torso is", folder, 0.0, fail)


def torso_ceases(folder: Path) -> Iterator[Measurement]:
    """Joint states go on without the torso's."""

    def fail(robot: TopicRobot) -> None:
        robot.spoil = _without_torso

    return _on_topics("torso's state ceases", ARM.torso_joint, folder, TORSO_TIMEOUT_S, fail)


def base_moves(folder: Path) -> Iterator[Measurement]:
    """Odometry says that the base is 5 cm from where it was."""

    def fail(robot: TopicRobot) -> None:
        robot.base = BasePose(0.05, 0.0, 0.0)

    return _on_topics("base moves by 5 cm", "base has moved", folder, 0.0, fail, prepare=_report_base)


def odometry_ceases(folder: Path) -> Iterator[Measurement]:
    """Odometry ceases, joint states go on."""

    def fail(robot: TopicRobot) -> None:
        robot.base = None

    return _on_topics("odometry ceases", "odometry", folder, BASE_TIMEOUT_S, fail, prepare=_report_base)


def _without_torso(message: JointState) -> None:
    place = list(message.name).index(ARM.torso_joint)
    message.name = [name for name in message.name if name != ARM.torso_joint]
    message.position = [value for i, value in enumerate(message.position) if i != place]
    message.velocity = [value for i, value in enumerate(message.velocity) if i != place]


def _report_base(rig: DriverRig) -> None:
    _topic_robot(rig).base = BasePose(0.0, 0.0, 0.0)
    rig.session.wait_until(lambda: "degrees" in rig.state()["base"], 10.0, lambda: "odometry")


def _topic_robot(rig: DriverRig) -> TopicRobot:
    assert isinstance(rig.robot, TopicRobot)
    return rig.robot


def _on_topics(
    name: str,
    named: str,
    folder: Path,
    timeout_s: float,
    fail: Callable[[TopicRobot], None],
    *,
    velocity: FloatArray = SLOW,
    prepare: Step = lambda rig: None,
) -> Iterator[Measurement]:
    return repeated(
        Trial(
            name,
            timeout_s + _LATE_S,
            lambda rig: fail(_topic_robot(rig)),
            lambda rig: _topic_robot(rig).settle(),
            since_fault=True,
            velocity=velocity,
            drive_s=timeout_s + 0.6,
            prepare=prepare,
            named=named,
        ),
        topic_rig(folder),
    )


def _ceases(name: str, folder: Path, topic: str, timeout_s: float) -> Iterator[Measurement]:
    def ceased(rig: DriverRig) -> set[str]:
        assert isinstance(rig.robot, RosbridgeRobot)
        return rig.robot.port.robot.ceased

    trial = Trial(
        name,
        timeout_s + _LATE_S,
        lambda rig: ceased(rig).add(topic),
        lambda rig: ceased(rig).clear(),
        since_fault=True,
        drive_s=timeout_s + 0.6,
        named=topic,
    )
    return repeated(trial, rosbridge_rig(folder, 5.0))
