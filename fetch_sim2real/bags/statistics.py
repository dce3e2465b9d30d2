"""What arrived on a topic, and what the stamps say did not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from fetch_sim2real.common.stamp_sequence import StampSequence, StampVerdict
from fetch_sim2real.graph import COLOR_OPTICAL_FRAME, Topic

# The share of a period by which a stamp may be late before a message counts as missing.
_TOLERANCE: Final = 0.5
# A longer silence is a pause (the end of an episode, a camera switched off), not a row of lost messages.
PAUSE_NS: Final = 900_000_000
# Where messages are missing is kept for the first gaps only.
MAX_LISTED: Final = 100


@dataclass(frozen=True)
class Gap:
    """``missing`` messages after the one stamped ``after_ns``."""

    after_ns: int
    missing: int


class StampStatistics:
    """Counts messages and finds gaps in their stamps; ``period_ns`` None where no rate is promised."""

    def __init__(self, period_ns: int | None) -> None:
        self._period_ns = period_ns
        self._sequence = StampSequence()
        self.count = 0
        self.missing = 0
        self.repeated = 0
        self.out_of_order = 0
        self.strays = 0
        self.clock_sets = 0
        self.pauses = 0
        self.gaps: list[Gap] = []

    def note(self, stamp_ns: int | None) -> None:
        """Take in one more message; stamp None where its type has none. Stamp 0 means "now" and says nothing."""
        self.count += 1
        if not stamp_ns:
            return
        last_ns = self._sequence.newest_ns
        # Recordings of a simulation jump ahead at every reset.
        verdict = self._sequence.judge(stamp_ns)
        if last_ns is None:
            return
        step_ns = stamp_ns - last_ns
        if step_ns == 0:
            self.repeated += 1
        elif verdict is StampVerdict.NEW_CLOCK:
            self.clock_sets += 1
        elif verdict is StampVerdict.STRAY:
            self.strays += 1
        elif verdict is StampVerdict.OLD:
            self.out_of_order += 1
        elif step_ns >= PAUSE_NS:
            self.pauses += 1
        elif self._period_ns is not None and step_ns > (1 + _TOLERANCE) * self._period_ns:
            lost = round(step_ns / self._period_ns) - 1
            self.missing += lost
            if len(self.gaps) < MAX_LISTED:
                self.gaps.append(Gap(last_ns, lost))

    def summary(self) -> dict[str, Any]:
        """Return the statistics for JSON."""
        return {
            "messages": self.count,
            "missing": self.missing,
            "repeated": self.repeated,
            "out_of_order": self.out_of_order,
            "strays": self.strays,
            "clock_sets": self.clock_sets,
            "pauses": self.pauses,
            "gaps": [asdict(gap) for gap in self.gaps],
        }


def statistics_of(topic: Topic) -> StampStatistics:
    """Return statistics for a topic of the graph.

    Only a camera's stamps keep a beat: commands follow its frames, and a robot's joint states have their own pace.
    """
    keeps_beat = topic.rate_hz is not None and topic.frame_id == COLOR_OPTICAL_FRAME
    return StampStatistics(round(1e9 / topic.rate_hz) if keeps_beat and topic.rate_hz is not None else None)
