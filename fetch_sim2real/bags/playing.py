"""Plays a bag's observations to a live policy: which message goes out next, and when. Knows nothing of ROS.

Messages keep their bytes, so stamps are those of the recording, and their order on each topic. They come at the
recorder's pace, but for two things that a live policy needs: the driver's recorded answer to a frame is not told before
the policy has answered that frame, and no new frame comes while an answer that the policy can give is missing. Thus a
policy that is slow on this machine slows the recording down instead of missing frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median_low
from typing import Final

from fetch_sim2real import graph
from fetch_sim2real.bags.raw_message import RawMessage
from fetch_sim2real.bags.reading import RecordedBag, decoded
from fetch_sim2real.bags.run import CAMERA_TOPICS
from fetch_sim2real.bags.times import SAME_CLOCK_NS
from fetch_sim2real.common.raw_header import stamp_ns_in
from fetch_sim2real.errors import FetchSim2RealError, SetupError
from fetch_sim2real.messages.joint_states import JointStateMerger
from fetch_sim2real.messages.motion import ACTIVATED, decode_outcome
from fetch_sim2real.policy.synchronization import FramePairer

# What a policy hears, and the time of it. No commands: those are the live policy's own.
PLAYED: Final = (*CAMERA_TOPICS, graph.DEPTH_INFO, graph.JOINT_STATES, graph.GOAL, graph.SETPOINT, graph.CLOCK)
_NEEDED: Final = (*CAMERA_TOPICS, graph.JOINT_STATES, graph.SETPOINT)
_PARTS: Final = dict(zip((topic.name for topic in CAMERA_TOPICS), ("color", "info", "depth"), strict=True))
_CAMERA: Final = frozenset({*_PARTS, graph.DEPTH_INFO.name})
# What is said once and holds from then on: a start in the middle begins with the last of each.
_LASTING: Final = frozenset({graph.GOAL.name, graph.CLOCK.name})
# Nothing tells when an activation has reached the policy; the next picture must not overtake it.
_SETTLE_S: Final = 0.05
# A delay longer than this slows the recording down; a shorter one is caught up.
_TOLERATED_S: Final = 0.25
# A step of the recorder's time by more than this, in either direction, is played as one of a second: where a clock was
# set meanwhile or a time is damaged there may be years between two messages.
_LONGEST_STEP_NS: Final = 60_000_000_000
_CUT_STEP_NS: Final = 1_000_000_000
# Simulated time in lockstep runs away from the recorder's, within a run by less than this.
_ODD_LEAD_NS: Final = 3_600_000_000_000
_KEPT: Final = 300


@dataclass(frozen=True)
class Survey:
    """What a bag holds for a policy: messages by topic, and from when to when they were received [ns].

    Adding ``clock_offset_ns`` to the time at which a message was received gives the time of the stamps.
    """

    messages: Mapping[str, int]
    first_ns: int
    last_ns: int
    clock_offset_ns: int
    losses: tuple[str, ...]

    @property
    def duration_s(self) -> float:
        return (self.last_ns - self.first_ns) * 1e-9

    @property
    def has_clock(self) -> bool:
        """Whether the recorded clock can be played; otherwise one has to be made from ``clock_offset_ns``."""
        return graph.CLOCK.name in self.messages


def survey(bag: RecordedBag) -> Survey:
    """Read the bag once. ``SetupError`` names what it lacks for a policy."""
    counts: dict[str, int] = {}
    leads_ns: list[int] = []
    first_ns = last_ns = None
    for message in bag.messages([topic.name for topic in PLAYED]):
        counts[message.topic] = counts.get(message.topic, 0) + 1
        first_ns = message.received_ns if first_ns is None else min(first_ns, message.received_ns)
        last_ns = message.received_ns if last_ns is None else max(last_ns, message.received_ns)
        if message.topic == graph.COLOR.name:
            leads_ns.append((stamp_ns_in(message.data) or 0) - message.received_ns)
    missing = [topic.name for topic in _NEEDED if topic.name not in counts]
    if missing or first_ns is None or last_ns is None:
        raise SetupError(
            f"{bag.path} has no messages on {', '.join(missing)}: a policy needs them; where they have another name, "
            f"rename them: {missing[0]}:=/name_in_the_bag{''.join(f'; lost: {loss}' for loss in bag.losses)}"
        )
    # Of the first frame, unless its stamp or the recorder's time is odd among all.
    usual_ns = median_low(leads_ns)
    lead_ns = next(each_ns for each_ns in leads_ns if abs(each_ns - usual_ns) <= _ODD_LEAD_NS)
    offset_ns = lead_ns if abs(lead_ns) > SAME_CLOCK_NS else 0
    return Survey(counts, first_ns, last_ns, offset_ns, tuple(bag.losses))


@dataclass
class Tally:
    """What has been played, and what the policy made of it. ``delayed_s``: by how much the policy slowed it down."""

    messages: dict[str, int] = field(default_factory=dict)
    frames: int = 0
    commands: int = 0
    holds: int = 0
    unanswered: int = 0
    unanswered_goals: int = 0
    delayed_s: float = 0.0

    def text(self) -> str:
        """Return one line for people."""
        answers = f"{self.commands} commands, {self.holds} holds, {self.unanswered} not answered"
        goals = f", {self.unanswered_goals} goals not answered" if self.unanswered_goals else ""
        delayed = f"; the policy delayed it by {self.delayed_s:.1f} s" if self.delayed_s else ""
        return f"{sum(self.messages.values())} messages, {self.frames} whole frames: {answers}{goals}{delayed}"


@dataclass(frozen=True)
class _Scheduled:
    """A message, and when it is due: since the start, at the recorder's pace."""

    message: RawMessage
    since_start_ns: int


class Playback:
    """One pass through a bag. Times are the caller's, in seconds, from any steady clock."""

    def __init__(
        self, bag: RecordedBag, surveyed: Survey, rate: float = 1.0, start_s: float = 0.0, patience_s: float = 5.0
    ) -> None:
        """Up to ``patience_s`` are waited for each answer. ``SetupError`` if nothing is left after ``start_s``."""
        if not 0.0 <= start_s < max(surveyed.duration_s, 1e-9):
            raise SetupError(f"the start is at {start_s:g} s, the bag {bag.path} is {surveyed.duration_s:.1f} s long")
        self._bag, self._begin_ns = bag, surveyed.first_ns + round(start_s * 1e9)
        self._rate, self._patience_s = rate, patience_s
        self._script = self._scheduled()
        self._next: _Scheduled | None = next(self._script, None)
        self._held: deque[_Scheduled] = deque()
        self._pairer, self._merger = FramePairer(_KEPT), JointStateMerger(needs_velocity=False)
        self._joints_ns = -1
        self._newest_ns = -1  # of whole frames
        self._pending_ns: int | None = None  # whole, and not answered
        self._awaited_ns: int | None = None  # answered by the policy, not yet by the driver
        self._waiting_since_s: float | None = None
        self._activated_ns = -1
        self._goal_is_open = False
        self._settled_s = 0.0
        self._origin_s: float | None = None
        self.tally = Tally()
        self.is_over = False
        self.at_ns = self._begin_ns

    # -- what the policy says ------------------------------------------------------------------------------------

    def answered(self, stamp_ns: int, hold: bool) -> None:
        """Note that the policy has answered the frame of this stamp."""
        if hold:
            self.tally.holds += 1
        else:
            self.tally.commands += 1
        self._awaited_ns = stamp_ns
        if self._pending_ns is not None and stamp_ns >= self._pending_ns:
            self._pending_ns = None
        self._waiting_since_s = None

    def goal_answered(self) -> None:
        """Note that the policy has answered a goal."""
        self._goal_is_open = False
        self._waiting_since_s = None

    # -- what goes out -------------------------------------------------------------------------------------------

    def take(self, now_s: float) -> RawMessage | None:
        """Return a message that is to be published now; None if there is none, or not yet."""
        if self._origin_s is None:
            self._origin_s = now_s
        while not self.is_over:
            if self._goal_is_open and self._waits(now_s):
                return None
            if self._held and not self._is_ahead(self._held[0].message):
                return self._told(self._held.popleft(), now_s)
            coming = self._next
            if coming is None:
                if self._may_answer and self._waits(now_s):
                    return None
                if self._held:  # their frames are not in the bag
                    return self._told(self._held.popleft(), now_s)
                self.is_over = True
                return None
            if self._due_s(coming) > now_s:
                return None
            message = coming.message
            if message.topic in _CAMERA:
                is_new = (stamp_ns_in(message.data) or 0) > (self._pending_ns or 0)
                if now_s < self._settled_s or (is_new and self._may_answer and self._waits(now_s)):
                    return None
            elif message.topic == graph.SETPOINT.name and (self._held or self._is_ahead(message)):
                if not self._held and self._may_answer and self._waits(now_s):
                    return None
                if self._held or self._is_ahead(message):
                    self._held.append(coming)
                    self._next = next(self._script, None)
                    continue
            self._next = next(self._script, None)
            return self._told(coming, now_s)
        return None

    def wait_s(self, now_s: float) -> float:
        """Return for how long [s] nothing will be due, as far as the recording's pace goes."""
        return 0.0 if self._next is None else max(0.0, self._due_s(self._next) - now_s)

    # -- inside --------------------------------------------------------------------------------------------------

    def _messages(self) -> Iterator[RawMessage]:
        lasting: dict[str, RawMessage] = {}
        for message in self._bag.messages([topic.name for topic in PLAYED]):
            if message.received_ns < self._begin_ns:
                if message.topic in _LASTING or _is_activation(message):
                    lasting[message.topic] = message
                continue
            yield from sorted(lasting.values(), key=lambda each: each.received_ns)
            lasting.clear()
            yield message

    def _scheduled(self) -> Iterator[_Scheduled]:
        cut_ns, last_ns = self._begin_ns, self._begin_ns
        for message in self._messages():
            step_ns = message.received_ns - last_ns
            # What was said before the start, and holds, comes at once.
            if message.received_ns >= self._begin_ns:
                cut_ns += step_ns - _CUT_STEP_NS if abs(step_ns) > _LONGEST_STEP_NS else 0
                last_ns = message.received_ns
            yield _Scheduled(message, message.received_ns - cut_ns)

    def _due_s(self, scheduled: _Scheduled) -> float:
        assert self._origin_s is not None
        return self._origin_s + scheduled.since_start_ns * 1e-9 / self._rate

    @property
    def _may_answer(self) -> bool:
        """Whether the policy has all that it needs for the frame that it has not answered."""
        return self._pending_ns is not None and self._joints_ns >= self._pending_ns and self._awaited_ns is None

    def _waits(self, now_s: float) -> bool:
        """Whether to go on waiting for the policy; False once it has had its time."""
        if self._waiting_since_s is None:
            self._waiting_since_s = now_s
        if now_s - self._waiting_since_s < self._patience_s:
            return True
        if self._goal_is_open:
            self.tally.unanswered_goals += 1
        elif self._pending_ns is not None:
            self.tally.unanswered += 1
            self._pending_ns = None
        self._goal_is_open = False
        self._waiting_since_s = None
        return False

    def _is_ahead(self, message: RawMessage) -> bool:
        """Whether this is the driver's answer to what the policy has not answered yet."""
        if _is_activation(message):
            return False
        stamp_ns = stamp_ns_in(message.data) or 0
        return stamp_ns == self._pending_ns or stamp_ns > self._newest_ns

    def _told(self, scheduled: _Scheduled, now_s: float) -> RawMessage:
        """A message goes out: what the policy knows from now on."""
        message = scheduled.message
        topic, stamp_ns = message.topic, stamp_ns_in(message.data) or 0
        self.tally.messages[topic] = self.tally.messages.get(topic, 0) + 1
        self._keep_pace(now_s - self._due_s(scheduled), message)
        self.at_ns = message.received_ns if self._is_step(message) else max(self.at_ns, message.received_ns)
        if topic in _PARTS:
            if self._pairer.add(_PARTS[topic], stamp_ns, None) is not None:
                self.tally.frames += 1
                self._newest_ns = self._pending_ns = stamp_ns
                self._waiting_since_s = None
        elif topic == graph.JOINT_STATES.name:
            self._note_joints(message)
        elif topic == graph.GOAL.name:
            self._goal_is_open, self._waiting_since_s = True, None
        elif topic == graph.SETPOINT.name:
            if _is_activation(message) and stamp_ns != self._activated_ns:  # it may be told again
                self._activated_ns, self._awaited_ns = stamp_ns, None
                self._settled_s = now_s + _SETTLE_S
            elif stamp_ns == self._awaited_ns:
                self._awaited_ns = None
        return message

    def _is_step(self, message: RawMessage) -> bool:
        return message.received_ns >= self._begin_ns and abs(message.received_ns - self.at_ns) > _LONGEST_STEP_NS

    def _keep_pace(self, late_s: float, message: RawMessage) -> None:
        # What was received before the start, or in disorder, is no measure.
        if late_s > _TOLERATED_S and (message.received_ns >= self.at_ns or self._is_step(message)):
            assert self._origin_s is not None
            self._origin_s += late_s
            self.tally.delayed_s += late_s

    def _note_joints(self, message: RawMessage) -> None:
        try:
            sample = self._merger.merge(decoded(message))
        except FetchSim2RealError:
            return  # the policy counts what is malformed
        if sample is not None:
            self._joints_ns = sample.stamp_ns


def _is_activation(message: RawMessage) -> bool:
    return message.topic == graph.SETPOINT.name and decode_outcome(message.data) == ACTIVATED
