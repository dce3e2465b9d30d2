"""Ways to the robot. To add one: a subclass of ``Backend``, and its place in ``BACKENDS`` (docs/bring_your_own.md)."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from arm_driver.backend import Backend
from arm_driver.robot_side import Driver
from arm_driver.shadow import ShadowBackend
from fetch_sim2real.errors import SetupError

# Module and class: what a back end needs is imported only where it is used.
BACKENDS: Final[dict[str, tuple[str, str]]] = {
    "joint_trajectory": ("arm_driver.joint_trajectory_backend", "JointTrajectoryBackend"),
    "rosbridge": ("arm_driver.rosbridge_backend", "RosbridgeBackend"),
}

MODES: Final = ("live", "shadow")


def make_backend(name: str, mode: str, driver: Driver) -> Backend:
    """The back end called ``name``; in shadow mode it still reports faults, but nothing reaches it.

    SetupError if a package that it needs is not installed.
    """
    module, class_name = BACKENDS[name]
    try:
        make: Any = getattr(import_module(module), class_name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "arm_driver":
            raise
        raise SetupError(
            f"the back end '{name}' needs the Python package '{error.name}': pip install 'fetch-sim2real[{name}]'"
        ) from None
    backend: Backend = make(driver)
    return ShadowBackend(driver.node, backend) if mode == "shadow" else backend
