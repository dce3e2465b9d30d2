"""The check list: what has to be right before the arm may move, found out from the running graph."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from fetch_sim2real import graph
from fetch_sim2real.calibration.camera_file import CameraCalibration, load_calibration
from fetch_sim2real.calibration.in_force import CalibrationInForce
from fetch_sim2real.errors import CalibrationError
from fetch_sim2real.operation import preflight_checks as checks
from fetch_sim2real.operation.preflight_checks import Check
from fetch_sim2real.operation.start_region import departure_from
from fetch_sim2real.ros.client import StackClient
from fetch_sim2real.ros.operate.choices import Expected
from fetch_sim2real.ros.operate.stack_info import StackInfo
from fetch_sim2real.ros.operate.topic_monitors import FrameMonitor, TopicMonitors
from fetch_sim2real.ros.session import RosSession
from fetch_sim2real.ros.topics import local_name, message_class, qos_profile

_MAX_S: Final = 3.0
_FRAMES: Final = 30
_STYLES: Final = {"ok": "green", "warn": "yellow", "fail": "bold red", "unknown": "cyan"}


@dataclass(frozen=True)
class CheckList:
    """The preflight checks, and the names of those whose failure the operator accepts."""

    checks: tuple[Check, ...]
    accepted: frozenset[str]

    @property
    def failed(self) -> tuple[Check, ...]:
        """What stands in the way."""
        return tuple(check for check in self.checks if check.state == "fail" and check.name not in self.accepted)

    def states(self) -> dict[str, str]:
        """Return the state of each check, for the log."""
        return {check.name: check.state for check in self.checks}


def run_preflight_checks(
    client: StackClient, monitors: TopicMonitors, info: StackInfo, expected: Expected
) -> CheckList:
    """Look at the graph for up to three seconds and make every check."""
    frames = _listen(client.session, monitors)
    driver, policy = monitors.diagnostics(graph.ARM_DRIVER), monitors.diagnostics(graph.POLICY_NODE)
    driver_mode = driver.get("mode", "live").partition(",")[0]
    manifest = None if info.bundle is None else info.bundle.manifest
    publishers = client.publishers_of(graph.JOINT_COMMAND, graph.ARM_TRAJECTORY, graph.GRIPPER_TRAJECTORY)
    publishers |= client.senders_of_goals()
    found = [
        checks.check_mode(expected.mode, driver_mode, client.is_simulated),
        checks.check_run_stop(driver.get("robot"), info.backend),
        checks.check_controller(_starts_from(client, info, driver), info.backend, client.is_simulated),
        checks.check_driver(driver.get("state", ""), driver.get("reason", "")),
        checks.check_joint_states(monitors.joints.silence_s, monitors.joints.rate_hz),
        checks.check_torso(
            monitors.joints.torso_height_m,
            None if manifest is None else manifest.torso_height_m,
            None if info.workcell is None else info.workcell.torso_height_m,
        ),
        checks.check_calibration(
            None if manifest is None else manifest.camera,
            *_calibrations(policy.get("calibration", ""), expected.calibration),
        ),
        info.check_bundle(policy.get("bundle_sha256", "")),
        checks.check_camera_latency(frames.ages_s, None if manifest is None else manifest.latency.camera_s),
        checks.check_command_latency(
            list(monitors.joints.ages_s), None if manifest is None else manifest.latency.command_s
        ),
        checks.check_commanders(publishers, info.backend, driver_mode),
        checks.check_start(_departure(monitors, info), driver_mode),
    ]
    if manifest is not None:
        scale = float(driver.get("speed_scale", "nan")) if expected.speed is None else expected.speed
        found.insert(8, checks.check_profile(manifest.limit_profile, driver.get("profile", ""), scale))
    return CheckList(tuple(found), frozenset(expected.accepted))


def print_check_list(check_list: CheckList, console: Console) -> None:
    """Print one line for each check; below those that are not right, what to do."""
    for check in check_list.checks:
        accepted = " (accepted)" if check.state == "fail" and check.name in check_list.accepted else ""
        line = Text.assemble((f"  {check.state:<8}", _STYLES[check.state]), f"{check.name:<16}{check.reason}{accepted}")
        console.print(line, soft_wrap=True)
        if check.next_step and check.state != "ok":
            console.print(Text(f"{'':>10}{'':<16}-> {check.next_step}", "dim"), soft_wrap=True)


def _calibrations(told: str, path: Path | None) -> tuple[CalibrationInForce | None, CameraCalibration | None, str]:
    """The policy node's calibration, the operator's own, and why there is none."""
    try:
        return CalibrationInForce.told(told), None if path is None else load_calibration(path), ""
    except CalibrationError as error:
        return None, None, str(error)


def _starts_from(client: StackClient, info: StackInfo, driver: Mapping[str, str]) -> str | None:
    """What the driver says of the arm's controller; of a simulated one, what the world says."""
    if client.is_simulated:
        return None if info.world is None else info.world.robot.trajectories_start_from
    return driver.get("controller_starts_from")


def _listen(session: RosSession, monitors: TopicMonitors) -> FrameMonitor:
    frames = FrameMonitor()
    monitors.joints.forget()
    node = session.node

    def note(message: Any) -> None:  # bytes, for it is raw
        frames.note(message, monitors.now_ns(), monitors.arrived_ns())

    subscription = node.create_subscription(
        message_class(graph.COLOR.type),
        local_name(node, graph.COLOR.name),
        note,
        qos_profile(graph.BEST_EFFORT_1),
        raw=True,
    )
    begin_s, has_news = time.monotonic(), monitors.news()

    def is_enough() -> bool:
        passed_s = time.monotonic() - begin_s
        return passed_s > _MAX_S or (has_news() and len(frames.ages_s) >= _FRAMES)

    while not is_enough():
        session.spin(0.05)
    node.destroy_subscription(subscription)
    return frames


def _departure(monitors: TopicMonitors, info: StackInfo) -> str | None:
    newest: Any = monitors.joints.newest
    if info.region is None or info.ik is None or newest is None:
        return None
    return departure_from(info.region, info.ik, newest.position)
