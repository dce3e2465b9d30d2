"""How far the robot's clock is ahead of this machine's."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

# How fast two clocks drift apart by themselves, at most; and how fast while both are corrected: NTP slews each by half
# a millisecond per second.
_DRIFT: Final = 0.2e-3
_SLEW: Final = 1e-3
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
        """How far the offset at ``now_ns`` may be from this trip's."""
        return self.duration_ns // 2 + round(drift * (now_ns - self.ended_ns))


class ClockOffset:
    """Offset from round trips: of the recent ones, the one that bounds the present offset best.

    Half of its duration bounds its error, however unequal the two ways are; with its age the clocks may have drifted.
    """

    def __init__(self) -> None:
        self._trips: deque[_Trip] = deque(maxlen=_KEPT)

    def add(self, sent_ns: int, robot_ns: int, received_ns: int) -> int:
        """The robot's clock said ``robot_ns`` some time between ``sent_ns`` and ``received_ns`` of this machine's.

        Returns by how much [ns] one of the clocks was set since the trips before, which are then forgotten; 0 if it
        was not: as long as both run, the bounds of any two trips overlap.
        """
        trip = _Trip(received_ns, received_ns - sent_ns, robot_ns - (sent_ns + received_ns) // 2)
        if trip.duration_ns < 0:
            return 0
        best, step_ns = self._best(received_ns), 0
        if best is not None:
            step_ns = trip.offset_ns - best.offset_ns
            if abs(step_ns) > trip.bound_ns(received_ns) + best.bound_ns(received_ns, _SLEW) + _TOLERANCE_NS:
                self._trips.clear()
            else:
                step_ns = 0
        self._trips.append(trip)
        return step_ns

    def forget(self) -> None:
        """Another connection: perhaps another robot."""
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
