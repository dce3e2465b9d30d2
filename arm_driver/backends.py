"""Ways to the robot. To add one: a class like ``Backend``, and its name in ``BACKENDS`` (docs/own_arm.md)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Final, Protocol

from arm_driver.robot_side import Driver
from arm_driver.shadow import ShadowBackend
from fetch_sim2real.errors import SetupError
from fetch_sim2real.types import JointTrajectory


class Backend(Protocol):
    """Carries out what the safety filter decided, at once and without judging it again; hands over joint states.

    ``send_periods`` is how many control periods at least lie between two trajectories, ``carries_clock`` whether
    simulated time comes with the joint states, in order, so that one clock tick needs no waiting for them.
    """

    send_periods: int
    carries_clock: bool

    def send_arm(self, trajectory: JointTrajectory) -> None:
        """Start ``trajectory`` now, in place of what runs."""

    def send_gripper(self, opening_m: float) -> None:
        """Bring each finger to ``opening_m``."""

    def refusal(self) -> str:
        """Why the robot cannot be commanded, empty if it can."""

    def tick(self) -> None:
        """Called every 10 ms of the driver's time: look whether the robot is still there."""

    def report(self) -> Mapping[str, object]:
        """Values for /diagnostics."""

    def close(self) -> None:
        """End the connection; nothing is sent any more."""


class MakeBackend(Protocol):
    """A back end's class."""

    def __call__(self, driver: Driver) -> Backend:
        """Connect, or begin to."""


# Module and class: what a back end needs is imported only where it is used.
BACKENDS: Final[dict[str, tuple[str, str]]] = {
    "joint_trajectory": ("arm_driver.joint_trajectory_backend", "JointTrajectoryBackend"),
    "rosbridge": ("arm_driver.rosbridge_backend", "RosbridgeBackend"),
}
MODES: Final = ("live", "shadow")


def make_backend(name: str, mode: str, driver: Driver) -> Backend:
    """The back end of that name; in shadow mode it still hears the robot, but nothing is sent through it.

    SetupError if a package that it needs is not installed.
    """
    module, class_name = BACKENDS[name]
    try:
        make: MakeBackend = getattr(import_module(module), class_name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "arm_driver":
            raise
        raise SetupError(
            f"the back end '{name}' needs the Python package '{error.name}': pip install 'fetch-sim2real[{name}]'"
        ) from None
    backend = make(driver)
    return ShadowBackend(driver.node, backend) if mode == "shadow" else backend
