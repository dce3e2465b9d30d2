"""Recent joint states, to find the one that belongs to a frame."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from fetch_sim2real.common.stamp_sequence import CONFIRMING_STAMPS, StampSequence, StampVerdict
from fetch_sim2real.types import JointSample

# Twice the age at which a camera's pictures are refused, whatever the rate of the joint states.
KEPT_NS: Final = 1_000_000_000
# Faster joint states are thinned out: a thousand samples are as near to any frame as the picture can tell.
_LEAST_STEP_NS: Final = 1_000_000


class JointHistory:
    """Joint samples of the recent past, in order of their stamps. ``stamps`` judges these, and counts odd ones."""

    def __init__(self) -> None:
        self._samples: list[JointSample] = []
        self.stamps = StampSequence()
        self._doubtful: list[JointSample] = []

    def add(self, sample: JointSample, arrived_ns: int | None = None) -> StampVerdict:
        """Remember a sample, and say what its stamp was. Where the robot's clock was set, a new history begins.

        ``arrived_ns``: see ``StampSequence.judge``.
        """
        verdict = self.stamps.judge(sample.stamp_ns, arrived_ns)
        if not verdict.is_taken:
            if sample.stamp_ns != self.newest_ns:
                self._doubtful = [*self._ascending_to(sample), sample][-CONFIRMING_STAMPS:]
            return verdict
        if verdict is StampVerdict.NEW_CLOCK:
            # Those that confirmed the new clock are of it.
            self._samples = self._ascending_to(sample)
        self._doubtful = []
        self._append(sample)
        return verdict

    @property
    def newest_ns(self) -> int:
        """Stamp of the newest sample, -1 while there is none."""
        return self._samples[-1].stamp_ns if self._samples else -1

    def __len__(self) -> int:
        return len(self._samples)

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

    def _ascending_to(self, sample: JointSample) -> list[JointSample]:
        return [doubtful for doubtful in self._doubtful if doubtful.stamp_ns < sample.stamp_ns]

    def _append(self, sample: JointSample) -> None:
        samples = self._samples
        if len(samples) > 1 and samples[-1].stamp_ns - samples[-2].stamp_ns < _LEAST_STEP_NS:
            samples.pop()
        samples.append(sample)
        # In one go now and then: taking one off the front of a list moves all the others.
        if sample.stamp_ns - samples[0].stamp_ns > 1.25 * KEPT_NS:
            del samples[: bisect_left(samples, sample.stamp_ns - KEPT_NS, key=lambda kept: kept.stamp_ns)]
