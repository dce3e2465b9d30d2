"""What the operator's node keeps of the messages that pass."""

from __future__ import annotations

import statistics
import time
from collections import deque
from itertools import pairwise
from typing import Final

import numpy as np
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from fetch_sim2real.common.raw_header import stamp_ns_in
from fetch_sim2real.common.stamp_sequence import StampSequence, StampVerdict
from fetch_sim2real.errors import ObservationError
from fetch_sim2real.messages.joint_states import JointStateMerger
from fetch_sim2real.types import FloatArray, JointSample

_KEPT: Final = 240
_MIN_STEPS: Final = 3


def rate_of(stamps_ns: list[int]) -> float | None:
    """Rate [Hz] by the median step between stamps, which a few lost messages do not change; None of too few."""
    steps = [late - early for early, late in pairwise(stamps_ns) if late > early]
    return 1e9 / statistics.median(steps) if len(steps) >= _MIN_STEPS else None


class JointWatch:
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
        """It is ``now_ns``, and the newest state has just arrived."""
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


class FrameWatch:
    """Ages of camera frames on arrival; takes serialized messages."""

    def __init__(self) -> None:
        self._sequence = StampSequence()
        self.ages_s: list[float] = []

    def note(self, message: bytes, now_ns: int, arrived_ns: int | None = None) -> None:
        """A frame has arrived at ``now_ns`` by the clock of the stamps; ``arrived_ns``: see ``StampSequence.judge``."""
        stamp_ns = stamp_ns_in(message)
        if stamp_ns is None:
            return
        verdict = self._sequence.judge(stamp_ns, arrived_ns)
        if verdict is StampVerdict.NEW_CLOCK:
            self.ages_s.clear()
        if verdict.is_taken:
            self.ages_s.append((now_ns - stamp_ns) * 1e-9)


class ShadowWatch:
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
