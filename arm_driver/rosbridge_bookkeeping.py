"""What the rosbridge back end keeps of the robot's answers: goals sent, messages unread, the clocks' offset."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

from arm_driver.clocks import MAX_SLEW
from fetch_sim2real.rosbridge import topics as ros1
from fetch_sim2real.rosbridge.messages import ActionResult, GoalStatusArray

# A controller that is there ends or lists a goal well within this.
ANSWER_S: Final = 1.5


class GoalLedger:
    """Goals of one action server, numbered from 1; the numbers go on over reconnections."""

    def __init__(self, server: str) -> None:
        self._server = server
        # Nobody else's goals, and not those of an earlier life of this process.
        self._prefix = f"fetch_sim2real-{os.getpid()}-{time.time_ns()}-"
        self.number = 0
        self._unheard_since_ns: int | None = None
        self.superseded = 0

    def new_id(self, now_ns: int) -> str:
        """Return the id of a goal that is sent now."""
        self.number += 1
        if self._unheard_since_ns is None:
            self._unheard_since_ns = now_ns
        return f"{self._prefix}{self.number}"

    def forget_unheard(self) -> None:
        """Expect no answers any more: the connection is gone."""
        self._unheard_since_ns = None

    def on_status(self, message: GoalStatusArray) -> None:
        """Note that the server lists the goals that it knows."""
        if any(status.goal_id.id.startswith(self._prefix) for status in message.status_list):
            self._unheard_since_ns = None

    def fault_of_result(self, message: ActionResult) -> str:
        """Return what is wrong with the way a goal ended, empty if nothing is."""
        status = message.status
        goal_id, ended = status.goal_id.id, status.status
        if not goal_id.startswith(self._prefix):
            return ""
        self._unheard_since_ns = None
        is_latest = goal_id == f"{self._prefix}{self.number}"
        code = message.result.error_code
        if ended == ros1.SUCCEEDED:
            return ""
        text = f"{ros1.ERROR_NAMES.get(code, code)}, '{status.text}'"
        if ended in (ros1.ABORTED, ros1.REJECTED, ros1.LOST) and (is_latest or code != 0):
            return f"controller_abort: {self._server} ended goal {self.number} with status {ended}: {text}"
        if is_latest:
            return f"preempted: somebody else has sent {self._server} a goal in place of ours ({text})"
        self.superseded += 1
        return ""

    def fault_of_silence(self, now_ns: int) -> str:
        """Return a complaint if the server does not seem to hear us, empty if it does."""
        since_ns = self._unheard_since_ns
        if since_ns is None or now_ns - since_ns < ANSWER_S * 1e9:
            return ""
        self._unheard_since_ns = None
        return f"no_answer: {self._server} has said nothing about our goals for {ANSWER_S} s: is it running?"


class MalformedMessages:
    """Sources are topics, services, or the connection itself."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._unreadable: dict[str, str] = {}
        self._last = ""

    def note(self, source: str, text: str) -> None:
        """Note that the newest from ``source`` cannot be read, for the reason ``text``."""
        self._counts[source] += 1
        self._unreadable[source] = self._last = text

    def settle(self, source: str) -> None:
        """Note that the newest from ``source`` has been read."""
        self._unreadable.pop(source, None)

    def forget(self) -> None:
        """Begin with another connection, perhaps to another robot. The counts stay."""
        self._unreadable.clear()

    def complaint(self) -> str:
        """Return why the newest from some source could not be read, empty if all could."""
        return next(iter(self._unreadable.values()), "")

    def report(self) -> dict[str, object]:
        """Return values for /diagnostics."""
        counts = ", ".join(f"{source} {count}" for source, count in sorted(self._counts.items()))
        return {"malformed_messages": self._counts.total(), "malformed_from": counts, "malformed_last": self._last}


# How fast two clocks drift apart by themselves, at most.
_DRIFT: Final = 0.2e-3
# What two round trips may be off beyond their bounds.
_TOLERANCE_NS: Final = 2_000_000
# Round trips that count: at two a second, half a minute.
_KEPT: Final = 60


@dataclass(frozen=True)
class _Trip:
    """A round trip: when it ended, how long it took, and the offset by it [ns]."""

    ended_ns: int
    duration_ns: int
    offset_ns: int

    def bound_ns(self, now_ns: int, drift: float = _DRIFT) -> int:
        """Return how far the offset at ``now_ns`` may be from this trip's."""
        return self.duration_ns // 2 + round(drift * (now_ns - self.ended_ns))


class ClockOffset:
    """Offset from round trips: of the recent ones, the one that bounds the present offset best.

    Half of its duration bounds its error, however unequal the two ways are; with its age the clocks may have drifted.
    """

    def __init__(self) -> None:
        self._trips: deque[_Trip] = deque(maxlen=_KEPT)

    def add(self, sent_ns: int, robot_ns: int, received_ns: int) -> int:
        """Add a trip: the robot's clock said ``robot_ns`` between ``sent_ns`` and ``received_ns`` of this machine's.

        Returns by how much [ns] one of the clocks was set since the trips before, which are then forgotten; 0 if it
        was not: as long as both run, the bounds of any two trips overlap.
        """
        trip = _Trip(received_ns, received_ns - sent_ns, robot_ns - (sent_ns + received_ns) // 2)
        if trip.duration_ns < 0:
            return 0
        best, step_ns = self._best(received_ns), 0
        if best is not None:
            step_ns = trip.offset_ns - best.offset_ns
            if abs(step_ns) > trip.bound_ns(received_ns) + best.bound_ns(received_ns, MAX_SLEW) + _TOLERANCE_NS:
                self._trips.clear()
            else:
                step_ns = 0
        self._trips.append(trip)
        return step_ns

    def forget(self) -> None:
        """Begin with another connection, perhaps to another robot."""
        self._trips.clear()

    @property
    def is_known(self) -> bool:
        """Whether there has been a round trip."""
        return bool(self._trips)

    @property
    def offset_ns(self) -> int:
        """The robot's clock minus this machine's [ns]; 0 while unknown."""
        best = self._best()
        return 0 if best is None else best.offset_ns

    @property
    def uncertainty_ns(self) -> int:
        """Bound of the offset's error [ns] when the last round trip ended; 0 while unknown."""
        best = self._best()
        return 0 if best is None else best.bound_ns(self._trips[-1].ended_ns)

    def _best(self, now_ns: int | None = None) -> _Trip | None:
        """The trip of the smallest bound at ``now_ns``, or when the last one ended."""
        if not self._trips:
            return None
        at_ns = self._trips[-1].ended_ns if now_ns is None else now_ns
        return min(self._trips, key=lambda trip: trip.bound_ns(at_ns))
