"""The driver's time: in the time base of the stamps, and never stopping or jumping because another process does.

Ages of observations are judged against it, silence is noticed by it, and running trajectories are sampled by it.
"""

from __future__ import annotations

import time
from typing import Final, Protocol

_NS_PER_S: Final = 1_000_000_000
# Simulated time comes in steps of about 8 ms; between them it goes on by the steady clock, but not for longer.
_MAX_EXTRAPOLATION_NS: Final = 9_000_000
# NTP slews a system clock by at most half a millisecond per second: two clocks part by no more than this, in seconds
# per second. What is more than ``_STEP_NS`` off has been stepped.
MAX_SLEW: Final = 1e-3
_STEP_NS: Final = 20_000_000


class DriverClock(Protocol):
    """Source of the present time."""

    def now_ns(self) -> int:
        """Return the present."""

    def on_clock(self, stamp_ns: int) -> None:
        """Note that simulated time has arrived."""

    def complaint(self) -> str:
        """Return what is wrong with the clock, empty if nothing is. Asking takes note of it: it is told once."""

    @property
    def is_stepped(self) -> bool:
        """Whether the system's time has jumped away from this one, which goes on steadily until ``follow_step``."""

    def follow_step(self) -> None:
        """Go over to the system's time. What was measured by this clock until now is worth nothing after it."""


class LockstepClock:
    """Time is exactly what the simulation says."""

    def __init__(self) -> None:
        self._now_ns = 0
        self._went_back = ""

    def now_ns(self) -> int:
        """See DriverClock."""
        return self._now_ns

    def on_clock(self, stamp_ns: int) -> None:
        """See DriverClock."""
        if stamp_ns < self._now_ns:
            self._went_back = f"the simulation's clock went back from {self._now_ns} to {stamp_ns} ns"
        self._now_ns = stamp_ns

    def complaint(self) -> str:
        """See DriverClock."""
        text, self._went_back = self._went_back, ""
        return text

    @property
    def is_stepped(self) -> bool:
        """See DriverClock."""
        return False

    def follow_step(self) -> None:
        """See DriverClock."""


class SimulatedClock:
    """Simulated time that runs against the wall clock."""

    def __init__(self) -> None:
        self._clock = LockstepClock()
        self._received_ns = time.monotonic_ns()
        self._runs = False

    def now_ns(self) -> int:
        """See DriverClock."""
        if not self._runs:
            return self._clock.now_ns()
        elapsed_ns = time.monotonic_ns() - self._received_ns
        return self._clock.now_ns() + min(elapsed_ns, _MAX_EXTRAPOLATION_NS)

    def on_clock(self, stamp_ns: int) -> None:
        """See DriverClock."""
        # A paused simulation repeats its time, one that is reset jumps: it runs only once small steps come.
        self._runs = 0 < stamp_ns - self._clock.now_ns() <= 2 * _MAX_EXTRAPOLATION_NS
        self._received_ns = time.monotonic_ns()
        self._clock.on_clock(stamp_ns)

    def complaint(self) -> str:
        """See DriverClock."""
        return self._clock.complaint()

    @property
    def is_stepped(self) -> bool:
        """See DriverClock."""
        return False

    def follow_step(self) -> None:
        """See DriverClock."""


class RobotClock:
    """System time, which cameras and robots stamp with, carried on by the steady clock.

    Where the system's time jumps, this one does not: the arm that moves is braked by it first.
    """

    def __init__(self) -> None:
        self._steady_ns = time.monotonic_ns()
        self._offset_ns = time.time_ns() - self._steady_ns
        self._step_ns = 0
        self._stepped = ""

    def now_ns(self) -> int:
        """See DriverClock."""
        steady_ns = time.monotonic_ns()
        elapsed_ns, self._steady_ns = steady_ns - self._steady_ns, steady_ns
        drift_ns = time.time_ns() - (steady_ns + self._offset_ns)
        changed_ns = drift_ns - self._step_ns
        if abs(changed_ns) > _STEP_NS:
            self._stepped = f"the system clock was stepped by {changed_ns / _NS_PER_S:.3f} s: ages cannot be judged"
            self._step_ns = drift_ns if abs(drift_ns) > _STEP_NS else 0
        elif not self._step_ns:
            # Follow the system clock as fast as it may be slewed.
            allowed_ns = int(elapsed_ns * MAX_SLEW)
            self._offset_ns += max(-allowed_ns, min(allowed_ns, drift_ns))
        return steady_ns + self._offset_ns

    def on_clock(self, stamp_ns: int) -> None:
        """See DriverClock."""

    def complaint(self) -> str:
        """See DriverClock."""
        text, self._stepped = self._stepped, ""
        return text

    @property
    def is_stepped(self) -> bool:
        """See DriverClock."""
        return self._step_ns != 0

    def follow_step(self) -> None:
        """See DriverClock."""
        self._offset_ns = time.time_ns() - time.monotonic_ns()
        self._step_ns = 0
