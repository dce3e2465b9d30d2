"""Judges the stamps of one source as they come: the next in order, late or repeated, a stray, or a clock set anew.

"Newer than the last" alone is not enough. One stamp far ahead would make everything after it old, and a clock that was
set back would silence its source for as long as it was set back. So a single odd stamp is dropped and counted, and
several that confirm one another are taken for a clock that was set.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

# Stamps that advance among themselves, one after the other, before they count as a clock that was set.
CONFIRMING_STAMPS: Final = 3
# A stamp further than this ahead of what the time of its arrival allows is no late or early message any more.
FAR_NS: Final = 1_000_000_000


class StampVerdict(Enum):
    """What a stamp is, after those before it. Messages of all but NEWER and NEW_CLOCK are to be dropped."""

    NEWER = "newer"
    OLD = "old"  # repeated, or late
    STRAY = "stray"  # by itself far from the others
    NEW_CLOCK = "new_clock"  # the last few confirm it: forget what was before, and go on from here

    @property
    def is_taken(self) -> bool:
        """Whether the message is to be used."""
        return self in (StampVerdict.NEWER, StampVerdict.NEW_CLOCK)


@dataclass
class _Run:
    """Stamps that advance. ``lead_ns``: the furthest that one was ahead of its arrival, by the steady clock."""

    last_ns: int
    lead_ns: int | None
    count: int = 1

    def extend(self, stamp_ns: int, arrived_ns: int | None) -> bool:
        """Take ``stamp_ns`` in if it may be the next; whether it was."""
        lead_ns = None if arrived_ns is None else stamp_ns - arrived_ns
        if stamp_ns <= self.last_ns:
            return False
        if lead_ns is not None and self.lead_ns is not None:
            if lead_ns > self.lead_ns + FAR_NS:
                return False
            lead_ns = max(lead_ns, self.lead_ns)
        self.last_ns, self.lead_ns = stamp_ns, lead_ns
        self.count += 1
        return True


class StampSequence:
    """The stamps of one source. Messages may be lost and pause for any time; that is no jump."""

    def __init__(self) -> None:
        self._run: _Run | None = None
        self._other: _Run | None = None
        self.strays = 0
        self.new_clocks = 0
        self.odd_ns = 0
        """By how much the last stray, or the new clock, departed from the newest stamp before it [ns]."""

    @property
    def newest_ns(self) -> int | None:
        """The newest stamp that was taken; None before the first."""
        return None if self._run is None else self._run.last_ns

    def forget(self) -> None:
        """Begin anew: any stamp may come next. What was counted stays."""
        self._run = self._other = None

    def judge(self, stamp_ns: int, arrived_ns: int | None = None) -> StampVerdict:
        """Judge the next stamp [ns].

        ``arrived_ns``: when its message came, by a steady clock. None where stamps rightly jump ahead of that clock, as
        in a simulation that is reset: then none is too far ahead.
        """
        run, other = self._run, self._other
        if run is None:
            self._run = _Run(stamp_ns, None if arrived_ns is None else stamp_ns - arrived_ns)
            return StampVerdict.NEWER
        before_ns = run.last_ns
        if run.extend(stamp_ns, arrived_ns):
            self._other = None
            return StampVerdict.NEWER
        if stamp_ns == before_ns or (other is not None and stamp_ns == other.last_ns):
            return StampVerdict.OLD  # a source that is frozen confirms nothing
        self.odd_ns = stamp_ns - before_ns
        if other is None or not other.extend(stamp_ns, arrived_ns):
            other = self._other = _Run(stamp_ns, None if arrived_ns is None else stamp_ns - arrived_ns)
        if other.count >= CONFIRMING_STAMPS:
            self._run, self._other = other, None
            self.new_clocks += 1
            return StampVerdict.NEW_CLOCK
        if abs(self.odd_ns) > FAR_NS:
            self.strays += 1
            return StampVerdict.STRAY
        return StampVerdict.OLD
