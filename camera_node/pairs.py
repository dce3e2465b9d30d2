"""Which pairs are new, whole and of one moment. The others are counted and go no further."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from camera_node.source import FrameTag, RawPair
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
        """Why the pair is refused, None if it is good."""
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
