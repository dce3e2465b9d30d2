"""Faults around the driver alone: between a scripted commander and an ideal arm, behind topics or rosbridge."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.faults.measure import (
    MOVING_RAD_S,
    ROSBRIDGE_BOUND_S,
    TOPIC_BOUND_S,
    VALID,
    Measurement,
    NotMeasuredError,
    braking_began,
)
from benchmarks.rig.driver_rig import PAN, DriverRig, RosbridgeRobot, TopicRobot, rosbridge_rig, topic_rig
from benchmarks.rig.graph_harness import call
from fetch_sim2real import graph
from fetch_sim2real.ros.topics import publish_to
from fetch_sim2real.rosbridge import topics as ros1
from fetch_sim2real.types import FloatArray

SLOW: Final = 0.1 * PAN
_BACK_LIMIT_S: Final = 30.0
Step = Callable[[DriverRig], None]


@dataclass(frozen=True)
class Trial:
    """One fault: what fails and what mends it again, and how soon the arm has to brake.

    ``bound_s`` counts from the last valid command or, with ``since_fault``, from the fault: the last input that could
    be trusted came before it. The arm is driven with ``velocity`` (7,) [rad/s], for ``drive_s`` after the fault.
    ``prepare`` is called before the driver is enabled. ``named`` is part of the driver's reason: with another one, as
    when commands come late on a busy machine, nothing was measured.
    """

    name: str
    bound_s: float
    fail: Step
    mend: Step
    since_fault: bool = False
    velocity: FloatArray = field(default_factory=lambda: SLOW)
    drive_s: float = 0.6
    prepare: Step = lambda rig: None
    named: str = ""


def joint_states_stop(folder: Path) -> Iterator[Measurement]:
    """The robot says no longer where its joints are; commands go on."""

    def silence(silent: bool) -> Step:
        def step(rig: DriverRig) -> None:
            assert isinstance(rig.robot, TopicRobot)
            rig.robot.silent = silent

        return step

    return repeated(Trial("joint states stop", TOPIC_BOUND_S, silence(True), silence(False)), topic_rig(folder))


def two_commanders(folder: Path) -> Iterator[Measurement]:
    """A second node offers commands; all the driver sees of it is a second publisher."""
    second = []

    def appear(rig: DriverRig) -> None:
        second.append(publish_to(rig.session.node, graph.JOINT_COMMAND))

    def leave(rig: DriverRig) -> None:
        rig.session.node.destroy_publisher(second.pop())
        rig.session.wait_until(
            lambda: rig.session.node.count_publishers(graph.JOINT_COMMAND.name) == 1, 10.0, lambda: "one commander"
        )

    return repeated(Trial("two policy nodes", TOPIC_BOUND_S, appear, leave), topic_rig(folder))


def socket_dropped(folder: Path) -> Iterator[Measurement]:
    """The connection to rosbridge is cut; the driver connects again by itself."""
    return _over_rosbridge("rosbridge socket dropped", folder, lambda robot: robot.proxy.cut(), lambda robot: None)


def half_open_socket(folder: Path) -> Iterator[Measurement]:
    """The connection stays open and carries nothing."""
    return _over_rosbridge(
        "half-open socket", folder, lambda robot: robot.proxy.freeze(), lambda robot: robot.proxy.thaw()
    )


def run_stop(folder: Path) -> Iterator[Measurement]:
    """The run-stop is pressed, and released: the robot itself takes the arm's power."""
    return _over_rosbridge(
        "run-stop pressed and released", folder, lambda robot: robot.port.robot.set_runstop(True),
        lambda robot: robot.port.robot.set_runstop(False),
    )  # fmt: skip


def controller_aborts(folder: Path) -> Iterator[Measurement]:
    """The arm's controller gives up its goal."""

    def abort(robot: RosbridgeRobot) -> None:
        robot.port.robot.action.abort(ros1.PATH_TOLERANCE_VIOLATED, "Trajectory path tolerances violated")

    return _over_rosbridge("controller aborts", folder, abort, lambda robot: None)


def robot_clock_jumps(folder: Path) -> Iterator[Measurement]:
    """The robot's clock goes back by a second, and stays there."""

    def jump(robot: RosbridgeRobot) -> None:
        robot.clock_ahead_s -= 1.0

    return _over_rosbridge("robot's clock jumps 1 s back", folder, jump, lambda robot: None)


def _over_rosbridge(
    name: str, folder: Path, fail: Callable[[RosbridgeRobot], None], mend: Callable[[RosbridgeRobot], None]
) -> Iterator[Measurement]:
    def on_robot(step: Callable[[RosbridgeRobot], None]) -> Step:
        def carried_out(rig: DriverRig) -> None:
            assert isinstance(rig.robot, RosbridgeRobot)
            step(rig.robot)

        return carried_out

    return repeated(Trial(name, ROSBRIDGE_BOUND_S, on_robot(fail), on_robot(mend)), rosbridge_rig(folder, 5.0))


def repeated(trial: Trial, opened: AbstractContextManager[DriverRig]) -> Iterator[Measurement]:
    """Measure again and again in one rig, until nobody asks for more."""
    with opened as rig:
        while True:
            rig.settle()
            trial.prepare(rig)
            yield _measure(rig, trial)


def _measure(rig: DriverRig, trial: Trial) -> Measurement:
    try:
        rig.enable_and_drive(trial.velocity, 0.4)
    except AssertionError as error:
        raise NotMeasuredError(str(error)) from error
    failed_s = time.time()
    trial.fail(rig)
    decisions = rig.drive(trial.velocity, trial.drive_s)
    rig.session.wait_until(lambda: not np.any(rig.arm.desired()[1]), 5.0, lambda: "arm at rest")
    rig.session.spin(0.1)
    times_s = np.array([moment for moment, _, _ in rig.arm.trace])
    speeds = np.array([np.abs(velocity).max() for _, _, velocity in rig.arm.trace])
    if decisions and decisions[-1] in VALID:
        trial.mend(rig)
        raise NotMeasuredError("the driver went on following commands")
    began_s, stall_s = braking_began(times_s, speeds, rig.last_valid_s)
    after_fault_s = began_s + rig.last_valid_s - failed_s
    values = rig.state()
    trial.mend(rig)
    if trial.named not in values["reason"]:
        raise NotMeasuredError(f"the driver braked for something else: {values['reason']}")
    rig.session.spin(0.3)
    started = rig.arm.started
    moved_alone = set(rig.drive(SLOW, 0.3)) != {"refused:not_active"} or rig.arm.started != started
    state, reason, back = values["state"], values["reason"], _bring_back(rig)
    # This arm does as it is told, at once.
    return Measurement(
        trial.name,
        began_s,
        began_s,
        after_fault_s,
        stall_s,
        trial.bound_s,
        state,
        reason,
        moved_alone,
        back,
        trial.since_fault,
    )


def _bring_back(rig: DriverRig) -> str:
    """What makes the arm follow again: enable, or reset and enable; empty if neither does."""
    needed, deadline = "enable", time.monotonic() + _BACK_LIMIT_S
    while time.monotonic() < deadline:
        if rig.state()["state"] in ("fault", "stopped"):
            call(rig.session, graph.DRIVER_RESET)
            needed = "reset, enable"
        if call(rig.session, graph.DRIVER_ENABLE)[0]:
            rig.arm.trace.clear()
            rig.drive(SLOW, 0.4)
            if rig.arm.top_speed(-np.inf, np.inf) > MOVING_RAD_S:
                return needed
    return ""
