"""Recent joint states, to find the one that belongs to a frame."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from fetch_sim2real.types import JointSample

# Two thirds of a second at 100 Hz: more than any camera's latency.
_KEPT: Final = 64


class JointHistory:
    """Joint samples of the recent past, in order of their stamps."""

    def __init__(self) -> None:
        self._samples: list[JointSample] = []

    def add(self, sample: JointSample) -> None:
        """Remember a sample. One that is older than the newest begins a new history: the robot's clock went back."""
        if self._samples and sample.stamp_ns <= self._samples[-1].stamp_ns:
            if sample.stamp_ns == self._samples[-1].stamp_ns:
                return
            self._samples.clear()
        self._samples.append(sample)
        del self._samples[:-_KEPT]

    @property
    def newest_ns(self) -> int:
        """Stamp of the newest sample, -1 while there is none."""
        return self._samples[-1].stamp_ns if self._samples else -1

    def at(self, stamp_ns: int) -> JointSample | None:
        """The sample nearest to ``stamp_ns``; None while there is none at or after it, which could be nearer."""
        index = bisect_left(self._samples, stamp_ns, key=lambda sample: sample.stamp_ns)
        if index == len(self._samples):
            return None
        after = self._samples[index]
        if index == 0:
            return after
        before = self._samples[index - 1]
        return before if stamp_ns - before.stamp_ns < after.stamp_ns - stamp_ns else after
