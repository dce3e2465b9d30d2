"""Pairs the messages of one frame: colour, its intrinsics and depth, by equal stamps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

_KEPT: Final = 5


@dataclass(frozen=True)
class FrameMessages:
    """The messages of one frame."""

    stamp_ns: int
    color: Any
    info: Any
    depth: Any


class FramePairer:
    """Collects messages until a frame is whole. Each stamp gives at most one frame, and stamps only go forward.

    A camera that is frozen and repeats its last stamp therefore gives nothing.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        """``kept``: how many frames may be incomplete at a time."""
        self._kept = kept
        self._parts: dict[int, dict[str, Any]] = {}
        self.forget()
        self.unpaired = 0
        self.repeated = 0

    def forget(self) -> None:
        """Begin anew: any stamp may come next."""
        self._parts.clear()
        self._last_ns = -1

    def add(self, part: str, stamp_ns: int, message: Any) -> FrameMessages | None:
        """Take in the ``part`` (a field of FrameMessages) of a frame; the frame if that makes it whole."""
        if stamp_ns <= self._last_ns:
            self.repeated += part == "color"
            return None
        parts = self._parts.setdefault(stamp_ns, {})
        parts[part] = message
        if len(parts) == 3:
            # What is older cannot become whole in order any more.
            self._drop(lambda stamp: stamp < stamp_ns)
            del self._parts[stamp_ns]
            self._last_ns = stamp_ns
            return FrameMessages(stamp_ns, **parts)
        if len(self._parts) > self._kept:
            oldest = min(self._parts)
            self._drop(lambda stamp: stamp == oldest)
        return None

    def _drop(self, condition: Any) -> None:
        dropped = [stamp for stamp in self._parts if condition(stamp)]
        self.unpaired += len(dropped)
        for stamp in dropped:
            del self._parts[stamp]
