"""Ways to the robot. To add one: a class with these three methods, and its name in ``BACKENDS`` (docs/own_arm.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from rclpy.node import Node

from arm_driver.joint_trajectory_backend import JointTrajectoryBackend
from arm_driver.shadow import ShadowBackend
from fetch_sim2real.types import JointTrajectory


class Backend(Protocol):
    """Carries out what the safety filter decided, at once and without judging it again."""

    def send_arm(self, trajectory: JointTrajectory) -> None:
        """Start ``trajectory`` now, in place of what runs."""

    def send_gripper(self, opening_m: float) -> None:
        """Bring each finger to ``opening_m``."""

    def close(self) -> None:
        """End the connection; nothing is sent any more."""


ReportFault = Callable[[str], None]
"""To be called in the executor's thread when the robot reports a fault or cuts power, with the reason."""

BACKENDS: Final[dict[str, Callable[[Node, ReportFault], Backend]]] = {"joint_trajectory": JointTrajectoryBackend}

MODES: Final = ("live", "shadow")


def make_backend(name: str, mode: str, node: Node, report_fault: ReportFault) -> Backend:
    """The back end called ``name``; in shadow mode it still reports faults, but nothing reaches it."""
    backend = BACKENDS[name](node, report_fault)
    return ShadowBackend(node, backend) if mode == "shadow" else backend
