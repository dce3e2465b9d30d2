"""Ways to the robot, made by name, and shadow mode, in which nothing is sent.

In shadow mode everything runs, and what would have been sent is published for people and bags. How to add a back end:
docs/bring_your_own.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from rclpy.node import Node

from arm_driver.backend import Backend
from arm_driver.driver_interface import Driver
from arm_driver.joint_trajectory_backend import PublishedTrajectories
from fetch_sim2real import graph
from fetch_sim2real.control.filter import Decision, SafetyFilter
from fetch_sim2real.control.states import State
from fetch_sim2real.errors import FetchSim2RealError, SetupError
from fetch_sim2real.graph import JOINT_TRAJECTORY, ROSBRIDGE
from fetch_sim2real.stack.backends import added_backend
from fetch_sim2real.stack.options import SHADOW
from fetch_sim2real.types import JointSample

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


class ShadowBackend(PublishedTrajectories):
    """Stands in front of a back end, which keeps its connection, and sends it nothing."""

    def __init__(self, node: Node, hidden: Backend) -> None:
        super().__init__(node, graph.SHADOW_ARM, graph.SHADOW_GRIPPER)
        self._hidden = hidden
        self.send_periods, self.brings_joint_states = hidden.send_periods, hidden.brings_joint_states

    def close(self) -> None:
        """See Backend."""
        self._hidden.close()

    def refusal(self) -> str:
        """See Backend."""
        return self._hidden.refusal()

    def on_clock_step(self) -> None:
        """See Backend."""
        self._hidden.on_clock_step()

    def complaint(self) -> str:
        """See Backend."""
        return self._hidden.complaint()

    def tick(self) -> None:
        """See Backend."""
        self._hidden.tick()

    def report(self) -> Mapping[str, object]:
        """See Backend."""
        return self._hidden.report()


class Reanchor:
    """Lets a shadow go on where the arm is.

    The arm does not follow a shadow, so the commanded state runs away from the measured one until the filter stops.
    On a robot that is final; here the filter is activated anew at the measured position, as soon as it allows that.
    """

    def __init__(self, safety: SafetyFilter) -> None:
        self._filter = safety
        self._wanted = False
        self.count = 0

    def forget(self) -> None:
        """Stay disabled or stopped: somebody wanted it."""
        self._wanted = False

    def try_to(self, now_ns: int, sample: JointSample | None) -> Decision | None:
        """Return the activation, if there is one to be made and the filter allows it."""
        if self._filter.stopped_by_tracking:
            self._filter.reset("in shadow mode the arm does not follow")
            self._wanted = True
        if self._filter.state is not State.DISABLED:
            self._wanted = False  # something else has happened since, as a fault: enabling is up to people again
        if not self._wanted or sample is None:
            return None
        try:
            decision = self._filter.activate(now_ns, sample)
        except FetchSim2RealError:
            return None  # somebody moves the arm: later
        self._wanted = False
        self.count += 1
        return decision
