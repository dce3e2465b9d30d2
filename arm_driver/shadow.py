"""Shadow mode: everything runs, nothing is sent. What would have been sent is published for people and bags."""

from __future__ import annotations

from collections.abc import Mapping

from rclpy.node import Node

from arm_driver.backend import Backend
from arm_driver.joint_trajectory_backend import PublishedTrajectories
from fetch_sim2real import graph
from fetch_sim2real.control.filter import Decision, SafetyFilter
from fetch_sim2real.control.states import State
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.types import JointSample


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
