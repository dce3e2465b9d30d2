"""How far the robot's clock is ahead of this machine's."""

from __future__ import annotations

from collections import deque
from typing import Final

# More than clocks drift apart within the round trips that count.
_DRIFT_NS: Final = 2_000_000
# Round trips that count: at two a second, half a minute. Clocks drift by less than a millisecond in that time.
_KEPT: Final = 60


class ClockOffset:
    """Offset from round trips: the shortest of the recent ones is the least uncertain.

    Half of its duration bounds the error, however unequal the two ways are.
    """

    def __init__(self) -> None:
        self._trips: deque[tuple[int, int]] = deque(maxlen=_KEPT)

    def add(self, sent_ns: int, robot_ns: int, received_ns: int) -> int:
        """The robot's clock said ``robot_ns`` some time between ``sent_ns`` and ``received_ns`` of this machine's.

        Returns by how much [ns] one of the clocks was set since the trips before, which are then forgotten; 0 if it
        was not: as long as both run, the bounds of any two trips overlap.
        """
        duration_ns, offset_ns = received_ns - sent_ns, robot_ns - (sent_ns + received_ns) // 2
        if duration_ns < 0:
            return 0
        step_ns = offset_ns - self.offset_ns if self._trips else 0
        if abs(step_ns) > duration_ns // 2 + self.uncertainty_ns + _DRIFT_NS:
            self._trips.clear()
        else:
            step_ns = 0
        self._trips.append((duration_ns, offset_ns))
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
        return min(self._trips)[1] if self._trips else 0

    @property
    def uncertainty_ns(self) -> int:
        """Bound of the offset's error [ns]; 0 while unknown."""
        return min(self._trips)[0] // 2 if self._trips else 0
