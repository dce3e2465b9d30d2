"""Times of a run: what passed between its messages, and an axis to show them on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.bags.run import RecordedRun
from fetch_sim2real.types import FloatArray

# Stamps further than this from the recorder's clock are of another clock: simulated time, for example.
SAME_CLOCK_NS: Final = 60_000_000_000
_LONGEST_PAUSE_NS: Final = 1_000_000_000


def latency_s(frames: Sequence[tuple[int, int, int]]) -> tuple[FloatArray, str]:
    """Return what passed (n,) [s] between each frame and its command, and between what it was measured.

    Of each frame: its stamp, when it reached the recorder, when its command did [ns]. From the stamp where stamps are
    of the recorder's clock, else from the frame's arrival.
    """
    stamps_ns, arrived_ns, received_ns = np.array(frames, dtype=np.int64).reshape(-1, 3).T
    same_clock = len(frames) > 0 and bool(np.all(np.abs(received_ns - stamps_ns) < SAME_CLOCK_NS))
    waited_s: FloatArray = (received_ns - (stamps_ns if same_clock else arrived_ns)).astype(np.float64) * 1e-9
    if same_clock:
        return waited_s, "frame's stamp to command's arrival at the recorder"
    return waited_s, "frame's to command's arrival at the recorder; stamps have another clock"


def spread_ms(values_s: FloatArray) -> dict[str, float] | None:
    """Return median, 99th percentile and maximum [ms] of durations (n,) [s]; None of none."""
    if not len(values_s):
        return None
    p50, p99 = np.percentile(values_s, (50, 99)) * 1e3
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3), "max": round(float(values_s.max()) * 1e3, 3)}


def recorded_s(run: RecordedRun) -> float:
    """Return how long the run took, by the recorder's clock, from its first frame to its last command [s]."""
    if not run.frames_ns or not run.answers:
        return 0.0
    return max(0, run.answers[-1].received_ns - min(run.frames_ns.values())) * 1e-9


class TimeAxis:
    """Time since the first frame [s], pauses cut to a second: episodes may lie far apart."""

    def __init__(self, stamps_ns: NDArray[np.int64]) -> None:
        """``stamps_ns`` (n,) of all frames, ascending."""
        self._stamps_ns = stamps_ns
        steps_ns = np.diff(stamps_ns, prepend=stamps_ns[:1])
        self._times_s = np.cumsum(np.minimum(steps_ns, _LONGEST_PAUSE_NS)) * 1e-9

    @property
    def end_s(self) -> float:
        return float(self._times_s[-1]) if len(self._times_s) else 0.0

    def at(self, stamps_ns: NDArray[np.int64]) -> FloatArray:
        """Return times (m,) [s] of stamps (m,); those before the first frame or after the last are as these."""
        if not len(self._stamps_ns):
            return np.zeros(len(stamps_ns))
        first_ns = self._stamps_ns[0]
        # Differences first: nanoseconds since 1970 have more digits than a float.
        return np.asarray(np.interp(stamps_ns - first_ns, self._stamps_ns - first_ns, self._times_s))
