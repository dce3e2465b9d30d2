"""Ways to the robot, made by name. How to add one: docs/bring_your_own.md."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from arm_driver.backend import Backend
from arm_driver.driver_interface import Driver
from arm_driver.shadow import ShadowBackend
from fetch_sim2real.errors import SetupError
from fetch_sim2real.graph import JOINT_TRAJECTORY, ROSBRIDGE
from fetch_sim2real.stack.backends import added_backend
from fetch_sim2real.stack.options import SHADOW

# Module and class: what a back end needs is imported only where it is used.
_BUILT_IN: Final[dict[str, tuple[str, str]]] = {
    JOINT_TRAJECTORY: ("arm_driver.joint_trajectory_backend", "JointTrajectoryBackend"),
    ROSBRIDGE: ("arm_driver.rosbridge_backend", "RosbridgeBackend"),
}


def make_backend(name: str, mode: str, driver: Driver) -> Backend:
    """Return the back end called ``name``; in shadow mode it still reports faults, but nothing reaches it.

    SetupError if it, or a package that it needs, is not installed.
    """
    added = added_backend(name)
    make: Any = _built_in(name) if added is None else added.load()
    backend: Backend = make(driver)
    if not isinstance(backend, Backend):
        raise SetupError(f"the back end '{name}' is a {type(backend).__name__}, expected an arm_driver.backend.Backend")
    return ShadowBackend(driver.node, backend) if mode == SHADOW else backend


def _built_in(name: str) -> Any:
    module, class_name = _BUILT_IN[name]
    try:
        return getattr(import_module(module), class_name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "arm_driver":
            raise
        raise SetupError(
            f"the back end '{name}' needs the Python package '{error.name}': pip install 'fetch-sim2real[{name}]'"
        ) from None
