"""What belongs to one moment: colour, intrinsics and depth of a frame, and the joint state nearest to it.

Colour and its intrinsics are paired by equal stamps, depth by the same or a near one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median_low
from typing import Any, Final

from fetch_sim2real.common.stamp_sequence import CONFIRMING_STAMPS, StampSequence, StampVerdict
from fetch_sim2real.types import JointSample

# Depth this far from its colour is taken for its: training varies their skew as much (depth_skew_s of `randomized`).
MAX_DEPTH_OFFSET_NS: Final = 15_000_000
SYNC_ADVICE: Final = "set enable_sync:=true and align_depth.enable:=true at the camera"
_KEPT: Final = 5
# So many of a part without a whole frame are no longer a loss or a late one, but how the camera is.
_TELLING: Final = 3
# Twice the age at which a camera's pictures are refused, whatever the rate of the joint states.
KEPT_NS: Final = 1_000_000_000
# Faster joint states are thinned out: a thousand samples are as near to any frame as the picture can tell.
_LEAST_STEP_NS: Final = 1_000_000


@dataclass(frozen=True)
class FrameMessages:
    """The messages of one frame, whose stamp is its colour's.

    ``depth_offset_ns``: by how much depth is stamped later. ``is_of_new_clock``: the camera's clock was set before it,
    so nothing that was before can be compared with it.
    """

    stamp_ns: int
    color: Any
    info: Any
    depth: Any
    depth_offset_ns: int = 0
    is_of_new_clock: bool = False


class FramePairer:
    """Collects messages until a frame is whole. Each stamp gives at most one frame, and stamps only go forward.

    A camera that is frozen and repeats its last stamp therefore gives nothing. ``stamps`` judges those that jump, and
    counts them: one by itself is dropped, a clock that was set is followed.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        """``kept``: how many frames may be incomplete at a time."""
        self._kept = kept
        # In the order in which they came.
        self._colors: dict[int, dict[str, Any]] = {}
        self._depths: dict[int, Any] = {}
        self.stamps = StampSequence()
        self._recent: dict[str, deque[int]] = {part: deque(maxlen=2 * _KEPT) for part in ("color", "info", "depth")}
        self._since_frame: Counter[str] = Counter()
        self._is_synchronized = True
        self.unpaired = 0
        self.repeated = 0
        self._depth_offset_ns: int | None = None

    def forget(self) -> None:
        """Begin anew: any stamp may come next."""
        self._colors.clear()
        self._depths.clear()
        self.stamps.forget()
        self._since_frame.clear()
        for stamps in self._recent.values():
            stamps.clear()

    @property
    def depth_offset_ms(self) -> float | str:
        """By how much depth is stamped after its colour; a word while neither tells."""
        offset_ns = self._offset_ns("depth") if self.trouble() else self._depth_offset_ns
        return "unknown" if offset_ns is None else offset_ns * 1e-6

    def add(self, part: str, stamp_ns: int, message: Any, arrived_ns: int | None = None) -> FrameMessages | None:
        """Take in a ``part`` (color, info or depth) of a frame; the frame if that makes it whole.

        ``arrived_ns``: see ``StampSequence.judge``.
        """
        if stamp_ns == self.stamps.newest_ns:
            self.repeated += part == "color"
            return None
        self._recent[part].append(stamp_ns)
        self._since_frame[part] += 1
        if part == "depth":
            self._depths[stamp_ns] = message
        else:
            self._colors.setdefault(stamp_ns, {})[part] = message
        match = self._match(part, stamp_ns)
        if match is not None:
            return self._take(*match, arrived_ns)
        self._evict()
        return None

    def trouble(self) -> str:
        """Return why no frame has become whole for some time, in one line; empty if one has."""
        since = self._since_frame
        if max(since.values(), default=0) < _TELLING:
            return ""
        if not since["color"]:
            return "the camera sends no colour image: no frame is whole"
        for part, what in (("info", "camera_info"), ("depth", f"aligned depth: {SYNC_ADVICE}")):
            if not since[part]:
                return f"the camera sends colour images without {what}"
        if info_ns := self._offset_ns("info"):
            return f"camera_info is stamped {info_ns * 1e-6:+.1f} ms from its colour image, expected the same stamp"
        depth_ns = self._offset_ns("depth") or 0
        return f"{depth_offset_words(depth_ns)}, at most {MAX_DEPTH_OFFSET_NS * 1e-6:g} ms can be used: {SYNC_ADVICE}"

    def _match(self, part: str, stamp_ns: int) -> tuple[int, int] | None:
        """Stamps of the colour image and the depth that ``part`` of ``stamp_ns`` makes a frame of, if it does."""
        whole = [stamp for stamp, parts in self._colors.items() if len(parts) == 2]
        if stamp_ns in whole and stamp_ns in self._depths:
            return stamp_ns, stamp_ns
        # A lost depth image is a lost frame: its neighbour belongs to another. Where none fits, that is how it is.
        if self._is_synchronized and self._since_frame["color"] < _TELLING:
            return None
        colors_ns, depths_ns = (whole, [stamp_ns]) if part == "depth" else ([stamp_ns], list(self._depths))
        pairs = [(color, depth) for color in colors_ns if color in whole for depth in depths_ns]
        nearest = min(pairs, key=lambda pair: abs(pair[1] - pair[0]), default=None)
        return nearest if nearest and abs(nearest[1] - nearest[0]) <= MAX_DEPTH_OFFSET_NS else None

    def _take(self, color_ns: int, depth_ns: int, arrived_ns: int | None) -> FrameMessages | None:
        parts, depth = self._colors.pop(color_ns), self._depths.pop(depth_ns)
        verdict = self.stamps.judge(color_ns, arrived_ns)
        if not verdict.is_taken:
            self.repeated += verdict is StampVerdict.OLD
            return None
        # What is older cannot become whole in order any more; of another clock, nothing can.
        is_of_new_clock = verdict is StampVerdict.NEW_CLOCK
        self._drop(
            [stamp for stamp in self._colors if is_of_new_clock or stamp < color_ns],
            [stamp for stamp in self._depths if is_of_new_clock or stamp < depth_ns],
        )
        self._since_frame.clear()
        self._depth_offset_ns = offset_ns = depth_ns - color_ns
        self._is_synchronized = offset_ns == 0
        return FrameMessages(color_ns, parts["color"], parts["info"], depth, offset_ns, is_of_new_clock)

    def _evict(self) -> None:
        """Let go of the frame that has been incomplete for longest, if there are too many."""
        if len(self._colors) > self._kept:
            oldest = next(iter(self._colors))
            self._drop([oldest], [oldest] if oldest in self._depths else [])
        if len(self._depths) > self._kept:
            oldest = next(iter(self._depths))
            self._drop([oldest] if oldest in self._colors else [], [oldest])

    def _drop(self, colors_ns: Iterable[int], depths_ns: Iterable[int]) -> None:
        dropped = {*colors_ns, *depths_ns}
        self.unpaired += len(dropped)
        for stamp_ns in dropped:
            self._colors.pop(stamp_ns, None)
            self._depths.pop(stamp_ns, None)

    def _offset_ns(self, part: str) -> int | None:
        return stamp_offset_ns(self._recent[part], self._recent["color"])


def stamp_offset_ns(stamps_ns: Iterable[int], references_ns: Iterable[int]) -> int | None:
    """Return the median offset [ns] of the stamp nearest to each reference from that reference.

    None where there is neither.
    """
    stamps, offsets = sorted(stamps_ns), []
    for reference_ns in references_ns if stamps else ():
        index = bisect_left(stamps, reference_ns)
        near = stamps[max(0, index - 1) : index + 1]
        offsets.append(min((stamp_ns - reference_ns for stamp_ns in near), key=abs))
    return median_low(offsets) if offsets else None


def depth_offset_words(offset_ns: int) -> str:
    """Return what an offset of depth's stamps is, for people."""
    return f"depth is stamped {abs(offset_ns) * 1e-6:.1f} ms {'after' if offset_ns > 0 else 'before'} its colour image"


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
        """Return the sample nearest to ``stamp_ns``; None while there is none at or after it, which could be nearer."""
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
