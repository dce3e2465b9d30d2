"""Whole RGB-D frames of a bag, whose pictures stay serialized until somebody needs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from fetch_sim2real.bags.reading import RecordedBag
from fetch_sim2real.bags.run import CAMERA_TOPICS
from fetch_sim2real.common.raw_header import stamp_ns_in
from fetch_sim2real.policy.synchronization import FrameMessages, FramePairer

_PARTS: Final = dict(zip((topic.name for topic in CAMERA_TOPICS), ("color", "info", "depth"), strict=True))
# Topics may reach a busy recorder seconds apart; each keeps its own order.
_KEPT: Final = 300


def whole_frames(bag: RecordedBag, left_out: Counter[str]) -> Iterator[tuple[FrameMessages, int]]:
    """Yield frames of ``RawMessage``s in the order of their stamps, and when the last message of each was received.

    ``left_out`` counts, by reason, what makes no frame. Raises ``SetupError`` if the bag cannot be read.
    """
    pairer = FramePairer(_KEPT)
    for raw in bag.messages(_PARTS):
        frame = pairer.add(_PARTS[raw.topic], stamp_ns_in(raw.data) or 0, raw)
        if frame is not None:
            yield frame, raw.received_ns
    left_out["frame of which a part is missing"] += pairer.unpaired
    left_out["frame with a repeated stamp"] += pairer.repeated
