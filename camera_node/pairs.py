"""Which pairs are new, complete and of one moment, and the stamp that ROS gets.

Pairs that are not are counted and go no further. The stamp is the middle of the exposure. Where the SDK says when that
was by the host's clock, its word is taken and only checked. Where there is nothing but the device's own clock, the
offset between the clocks is measured as the smallest difference between arrival and device time in the recent past: the
frame that was delayed least. That stamp is later than the exposure by the shortest time that a frame needs to arrive,
which nobody here can measure.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final

from camera_node.source import FrameTag, RawPair, TimeDomain
from fetch_sim2real.common.stamp_sequence import CONFIRMING_STAMPS, FAR_NS
from fetch_sim2real.timing import CONTROL_PERIOD_NS

# Shutters that are not synchronised may open half a period apart; the rest is jitter.
MAX_SKEW_NS: Final = round(0.75 * CONTROL_PERIOD_NS)


class Refusal(Enum):
    """Why a pair goes no further."""

    REPEATED = "repeated"  # one of its frames has been seen already
    UNPAIRED = "unpaired"  # its frames are of different moments
    FUTURE = "from_the_future"
    LATE = "late"
    NOT_ADVANCING = "not_advancing"  # not later than the last one that was accepted
    STRAY = "stray"  # stamped far before it, by itself


@dataclass
class PairFilter:
    """Follows the frame numbers of one opening of a camera."""

    color_drops: int = 0
    depth_drops: int = 0
    _color: int | None = None
    _depth: int | None = None

    def refusal(self, pair: RawPair) -> Refusal | None:
        """Return why the pair is refused, None if it is good."""
        color, depth = pair.color, pair.depth
        is_new = (self._color is None or color.number > self._color) and (
            self._depth is None or depth.number > self._depth
        )
        if not is_new:
            return Refusal.REPEATED
        self.color_drops += _missing(self._color, color.number)
        self.depth_drops += _missing(self._depth, depth.number)
        self._color, self._depth = color.number, depth.number
        return None if _is_of_one_moment(color, depth) else Refusal.UNPAIRED


def _missing(last: int | None, number: int) -> int:
    return 0 if last is None else number - last - 1


def _is_of_one_moment(color: FrameTag, depth: FrameTag) -> bool:
    return color.domain is depth.domain and abs(color.device_ns - depth.device_ns) <= MAX_SKEW_NS


# The device counts microseconds in 32 bits: back to zero every 71.6 minutes.
WRAP_NS: Final = 2**32 * 1000
_WINDOW: Final = 300  # frames: ten seconds, in which the clocks drift apart by less than a millisecond


class DeviceClock:
    """Stamps the frames of one opening of a camera."""

    def __init__(self) -> None:
        self._index = 0
        self._minima: deque[tuple[int, int]] = deque()
        self._offset_ns: int | None = None
        self._leaps = 0
        self._wraps_ns = 0
        self._last_ns: int | None = None

    def stamp_ns(self, tag: FrameTag) -> int:
        """Return the frame's stamp by the host's clock; a recording's by that day's, a simulation's by its own."""
        if tag.domain in (TimeDomain.RECORDED, TimeDomain.SIMULATED):
            return tag.device_ns - tag.mid_exposure_ns
        device_ns = tag.device_ns
        if tag.domain is TimeDomain.HARDWARE:
            device_ns = self._unwrapped(device_ns)
        smallest_ns = self._observe(tag.arrival_ns - device_ns)
        offset_ns = smallest_ns if tag.domain is TimeDomain.HARDWARE else 0
        return device_ns + offset_ns - tag.mid_exposure_ns

    @property
    def offset_ms(self) -> float | None:
        """Smallest recent difference between arrival and device time; None before the first frame.

        With the SDK's global time it is the shortest time from exposure to arrival, with the hardware's clock the
        offset between two clocks.
        """
        return None if self._offset_ns is None else self._offset_ns * 1e-6

    def _observe(self, difference_ns: int) -> int:
        if self._offset_ns is not None and difference_ns < self._offset_ns - FAR_NS:
            # One device time from the future would set all later stamps back; several are a host's clock set back.
            self._leaps += 1
            if self._leaps < CONFIRMING_STAMPS:
                return self._offset_ns
            self._minima.clear()
        self._leaps = 0
        # Kept ascending, so that the first is the window's smallest.
        while self._minima and self._minima[-1][1] >= difference_ns:
            self._minima.pop()
        self._minima.append((self._index, difference_ns))
        if self._minima[0][0] <= self._index - _WINDOW:
            self._minima.popleft()
        self._index += 1
        self._offset_ns = self._minima[0][1]
        return self._offset_ns

    def _unwrapped(self, device_ns: int) -> int:
        if self._last_ns is not None and device_ns < self._last_ns:
            if self._last_ns - device_ns > WRAP_NS // 2:
                self._wraps_ns += WRAP_NS
            else:
                # The device began anew: nothing that was measured holds.
                self._minima.clear()
                self._wraps_ns = 0
        self._last_ns = device_ns
        return device_ns + self._wraps_ns
