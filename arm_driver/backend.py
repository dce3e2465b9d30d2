"""The protocol of a back end: what a way to the robot has to do, and what it may."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from rclpy.publisher import Publisher

from fetch_sim2real.types import JointTrajectory


class Backend(ABC):
    """Carries out what the safety filter decided, at once and without judging it again. Made with a ``Driver``.

    ``send_periods`` is how many control periods at least lie between two trajectories. With ``brings_joint_states``
    joint states, and odometry where there is any, come through it, and simulated time behind them, instead of from
    their topics. ``outputs`` are the publishers of what moves the robot, the arm's before the gripper's: the driver
    sees to it that a robot listens to them and that nobody else publishes there.
    """

    send_periods = 1
    brings_joint_states = False
    outputs: Sequence[Publisher] = ()

    @abstractmethod
    def send_arm(self, trajectory: JointTrajectory) -> None:
        """Start ``trajectory`` now, in place of what runs."""

    @abstractmethod
    def send_gripper(self, opening_m: float) -> None:
        """Bring each finger to ``opening_m``."""

    @abstractmethod
    def close(self) -> None:
        """End the connection; nothing is sent any more."""

    def refusal(self) -> str:
        """Return why the robot cannot be commanded, empty if it can.

        Asked before the driver is enabled, and every 10 ms while it is active, when it leads to HOLD: be quick.
        """
        return ""

    def on_clock_step(self) -> None:  # noqa: B027
        """Forget what was measured by the driver's clock: it was set while the arm rests."""

    def complaint(self) -> str:
        """Return what is wrong with what the robot sends, empty if nothing: /diagnostics warns of it."""
        return ""

    def tick(self) -> None:  # noqa: B027
        """Look whether the robot is still there; called every 10 ms of the driver's time."""

    def report(self) -> Mapping[str, object]:
        """Return values for /diagnostics."""
        return {}
