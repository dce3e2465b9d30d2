"""Monitors of topics: what an operator's node keeps of the messages that pass."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Final

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from fetch_sim2real import graph
from fetch_sim2real.common.raw_header import stamp_ns_in
from fetch_sim2real.common.stamp_sequence import StampSequence, StampVerdict
from fetch_sim2real.errors import ObservationError
from fetch_sim2real.messages.joint_states import JointStateMerger
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.ros.client import ANSWER_LIMIT_S
from fetch_sim2real.ros.namespaces import local_node_name
from fetch_sim2real.ros.session import RosSession
from fetch_sim2real.ros.topics import subscribe_to
from fetch_sim2real.types import FloatArray, JointSample

_KEPT: Final = 240
_MIN_STEPS: Final = 3
_NODES: Final = (graph.POLICY_NODE, graph.ARM_DRIVER)


def rate_of(stamps_ns: list[int]) -> float | None:
    """Return the rate [Hz] by the median step between stamps, which a few lost messages do not change; None if few."""
    steps = [late - early for early, late in pairwise(stamps_ns) if late > early]
    return 1e9 / statistics.median(steps) if len(steps) >= _MIN_STEPS else None


class JointMonitor:
    """The arm's joint states: the newest, how old they were on arrival, and when a new one came last."""

    def __init__(self) -> None:
        self._merger = JointStateMerger(needs_fingers=False, needs_velocity=False)
        self._stamps_ns: deque[int] = deque(maxlen=_KEPT)
        self._sequence = StampSequence()
        self._unaged_ns: int | None = None
        self._new_at_s: float | None = None
        self.ages_s: deque[float] = deque(maxlen=_KEPT)
        self.newest: JointSample | None = None

    def forget(self) -> None:
        """Begin anew with rates and ages."""
        self._stamps_ns.clear()
        self.ages_s.clear()
        self._unaged_ns = None

    def on_message(self, message: JointState, arrived_ns: int | None = None) -> None:
        """Take in a message; a malformed one counts as none. ``arrived_ns``: see ``StampSequence.judge``."""
        try:
            sample = self._merger.merge(message)
        except ObservationError:
            return
        if sample is None:
            return
        verdict = self._sequence.judge(sample.stamp_ns, arrived_ns)
        if not verdict.is_taken:
            return  # a robot that is cut off, or a simulation that stands still, repeats itself
        if verdict is StampVerdict.NEW_CLOCK:
            self.forget()
        self.newest = sample
        self._new_at_s = time.monotonic()
        self._stamps_ns.append(sample.stamp_ns)
        self._unaged_ns = sample.stamp_ns

    def note_age(self, now_ns: int) -> None:
        """Note that the newest state has arrived at ``now_ns``."""
        if self._unaged_ns is not None:
            self.ages_s.append((now_ns - self._unaged_ns) * 1e-9)
            self._unaged_ns = None

    @property
    def torso_height_m(self) -> float | None:
        return self._merger.torso_height_m

    @property
    def silence_s(self) -> float | None:
        """Wall time since a new state came; None if none ever has."""
        return None if self._new_at_s is None else time.monotonic() - self._new_at_s

    @property
    def rate_hz(self) -> float | None:
        return rate_of(list(self._stamps_ns))


class FrameMonitor:
    """Ages of camera frames on arrival; takes serialized messages."""

    def __init__(self) -> None:
        self._sequence = StampSequence()
        self.ages_s: list[float] = []

    def note(self, message: bytes, now_ns: int, arrived_ns: int | None = None) -> None:
        """Take in a frame that arrived at ``now_ns`` by its clock; ``arrived_ns``: see ``StampSequence.judge``."""
        stamp_ns = stamp_ns_in(message)
        if stamp_ns is None:
            return
        verdict = self._sequence.judge(stamp_ns, arrived_ns)
        if verdict is StampVerdict.NEW_CLOCK:
            self.ages_s.clear()
        if verdict.is_taken:
            self.ages_s.append((now_ns - stamp_ns) * 1e-9)


class ShadowMonitor:
    """What a driver in shadow mode would have sent: how many trajectories, and where the last would have ended."""

    def __init__(self) -> None:
        self.count = 0
        self.end: FloatArray | None = None

    def forget(self) -> None:
        """Begin anew."""
        self.count, self.end = 0, None

    def on_message(self, message: JointTrajectory) -> None:
        """Take in a trajectory."""
        self.count += 1
        if message.points:
            self.end = np.array(message.points[-1].positions)


class TopicMonitors:
    """What the nodes of a graph say: joint states, what a shadow would have sent, diagnostics, and simulated time."""

    def __init__(self, session: RosSession) -> None:
        self._session = session
        self.joints, self.shadow = JointMonitor(), ShadowMonitor()
        self._clock_ns: int | None = None
        self._diagnostics: dict[str, dict[str, str]] = {}
        self._reports: dict[str, int] = {}
        node = session.node
        subscribe_to(node, graph.DIAGNOSTICS, self._on_diagnostics)
        subscribe_to(node, graph.JOINT_STATES, self._on_joint_state)
        subscribe_to(node, graph.CLOCK, self._on_clock)
        subscribe_to(node, graph.SHADOW_ARM, self.shadow.on_message)

    def missing(self) -> list[str]:
        """Return who of policy and driver has said nothing yet, in words."""
        silent = [f"{self._session.namespace}/{node}" for node in _NODES if node not in self._reports]
        return [f"word from {node} on {graph.DIAGNOSTICS.name}" for node in silent]

    def now_ns(self) -> int:
        """Return the present in the time base of the stamps."""
        return time.time_ns() if self._clock_ns is None else self._clock_ns

    def arrived_ns(self) -> int | None:
        """Return the present by the steady clock; None in a simulation, whose stamps may jump ahead of it."""
        return time.monotonic_ns() if self._clock_ns is None else None

    def diagnostics(self, node: str) -> Mapping[str, str]:
        """Return what ``node`` said last; empty if nothing."""
        return self._diagnostics.get(node, {})

    def news(self) -> Callable[[], bool]:
        """Return a function that says whether policy and driver have both reported since this call."""
        heard = dict(self._reports)
        return lambda: all(self._reports.get(node, 0) > heard.get(node, 0) for node in _NODES)

    def wait_for_news(self) -> None:
        """Wait, a second or so, until ``diagnostics`` tells of the present; GraphError if it does not."""
        self._session.wait_until(self.news(), ANSWER_LIMIT_S, lambda: f"word from {' and '.join(_NODES)}")

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            # All robots of a network report on the same topic.
            name = local_node_name(status.name, self._session.namespace)
            if name is not None:
                self._diagnostics[name] = {value.key: value.value for value in status.values}
                self._reports[name] = self._reports.get(name, 0) + 1

    def _on_joint_state(self, message: JointState) -> None:
        self.joints.on_message(message, self.arrived_ns())
        if self._clock_ns is None:
            self.joints.note_age(self.now_ns())

    def _on_clock(self, message: Clock) -> None:
        # The simulation publishes joint states first and then their time.
        self._clock_ns = decode_stamp(message.clock)
        self.joints.note_age(self._clock_ns)
