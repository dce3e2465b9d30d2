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
from fetch_sim2real.operation import preflight_checks as items
from fetch_sim2real.operation.preflight_checks import Item
from fetch_sim2real.operation.start_region import departure_from
from fetch_sim2real.ros.operate.choices import Expected
from fetch_sim2real.ros.operate.link import RobotLink
from fetch_sim2real.ros.operate.stack_info import Known
from fetch_sim2real.ros.operate.topic_monitors import FrameWatch
from fetch_sim2real.ros.topics import local_name, message_class, qos_profile

_MAX_S: Final = 3.0
_FRAMES: Final = 30
_STYLES: Final = {"ok": "green", "warn": "yellow", "fail": "bold red", "unknown": "cyan"}


@dataclass(frozen=True)
class CheckList:
    """The items, and the names of those whose failure the operator accepts."""

    items: tuple[Item, ...]
    accepted: frozenset[str]

    @property
    def failed(self) -> tuple[Item, ...]:
        """What stands in the way."""
        return tuple(item for item in self.items if item.state == "fail" and item.name not in self.accepted)

    def states(self) -> dict[str, str]:
        """State of each item, for the log."""
        return {item.name: item.state for item in self.items}


def walk_check_list(link: RobotLink, known: Known, expected: Expected) -> CheckList:
    """Look at the graph for up to three seconds and judge every item."""
    frames = _listen(link)
    driver, policy = link.diagnostics(graph.ARM_DRIVER), link.diagnostics(graph.POLICY_NODE)
    driver_mode = driver.get("mode", "live").partition(",")[0]
    manifest = None if known.bundle is None else known.bundle.manifest
    publishers = link.publishers_of(graph.JOINT_COMMAND, graph.ARM_TRAJECTORY, graph.GRIPPER_TRAJECTORY)
    publishers |= link.senders_of_goals()
    found = [
        items.mode_item(expected.mode, driver_mode, link.is_simulated),
        items.run_stop_item(driver.get("robot"), known.backend),
        items.controller_item(_starts_from(link, known, driver), known.backend, link.is_simulated),
        items.driver_item(driver.get("state", ""), driver.get("reason", "")),
        items.joint_states_item(link.joints.silence_s, link.joints.rate_hz),
        items.torso_item(
            link.joints.torso_height_m,
            None if manifest is None else manifest.torso_height_m,
            None if known.workcell is None else known.workcell.torso_height_m,
        ),
        items.calibration_item(
            None if manifest is None else manifest.camera,
            *_calibrations(policy.get("calibration", ""), expected.calibration),
        ),
        known.bundle_item(policy.get("bundle_sha256", "")),
        items.camera_latency_item(frames.ages_s, None if manifest is None else manifest.latency.camera_s),
        items.command_latency_item(list(link.joints.ages_s), None if manifest is None else manifest.latency.command_s),
        items.commanders_item(publishers, known.backend, driver_mode),
        items.start_item(_departure(link, known), driver_mode),
    ]
    if manifest is not None:
        scale = float(driver.get("speed_scale", "nan")) if expected.speed is None else expected.speed
        found.insert(8, items.profile_item(manifest.limit_profile, driver.get("profile", ""), scale))
    return CheckList(tuple(found), frozenset(expected.accepted))


def print_check_list(check_list: CheckList, console: Console) -> None:
    """One line for each item; below those that are not right, what to do."""
    for item in check_list.items:
        accepted = " (accepted)" if item.state == "fail" and item.name in check_list.accepted else ""
        line = Text.assemble((f"  {item.state:<8}", _STYLES[item.state]), f"{item.name:<16}{item.reason}{accepted}")
        console.print(line, soft_wrap=True)
        if item.next_step and item.state != "ok":
            console.print(Text(f"{'':>10}{'':<16}-> {item.next_step}", "dim"), soft_wrap=True)


def _calibrations(told: str, path: Path | None) -> tuple[CalibrationInForce | None, CameraCalibration | None, str]:
    """The policy node's calibration, the operator's own, and why there is none."""
    try:
        return CalibrationInForce.told(told), None if path is None else load_calibration(path), ""
    except CalibrationError as error:
        return None, None, str(error)


def _starts_from(link: RobotLink, known: Known, driver: Mapping[str, str]) -> str | None:
    """What the driver says of the arm's controller; of a simulated one, what the world says."""
    if link.is_simulated:
        return None if known.world is None else known.world.robot.trajectories_start_from
    return driver.get("controller_starts_from")


def _listen(link: RobotLink) -> FrameWatch:
    frames = FrameWatch()
    link.joints.forget()
    node = link.session.node

    def note(message: Any) -> None:  # bytes, for it is raw
        frames.note(message, link.now_ns(), link.arrived_ns())

    subscription = node.create_subscription(
        message_class(graph.COLOR.type),
        local_name(node, graph.COLOR.name),
        note,
        qos_profile(graph.BEST_EFFORT_1),
        raw=True,
    )
    begin_s, has_news = time.monotonic(), link.news()

    def is_enough() -> bool:
        passed_s = time.monotonic() - begin_s
        return passed_s > _MAX_S or (has_news() and len(frames.ages_s) >= _FRAMES)

    while not is_enough():
        link.session.spin(0.05)
    node.destroy_subscription(subscription)
    return frames


def _departure(link: RobotLink, known: Known) -> str | None:
    newest: Any = link.joints.newest
    if known.region is None or known.ik is None or newest is None:
        return None
    return departure_from(known.region, known.ik, newest.position)
