"""A network in simulated time: what goes in comes out later, in order, as from a TCP connection."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import numpy as np

Item = TypeVar("Item")
_ROUNDING_S: Final = 1e-7


@dataclass(frozen=True)
class NetworkSettings:
    """One way takes ``latency_s`` +- ``jitter_s`` (uniform). ``loss`` is the share of messages that never arrive.

    TCP loses nothing, but rosbridge does: where a client is slow it drops what is queued.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0


class Line(Generic[Item]):
    """One direction of a connection."""

    def __init__(self, settings: NetworkSettings, rng: np.random.Generator) -> None:
        self._settings = settings
        self._rng = rng
        self._waiting: deque[tuple[float, Item]] = deque()
        self._last_s = -np.inf

    def send(self, now_s: float, item: Item) -> None:
        """Put ``item`` in at ``now_s`` [s]."""
        settings = self._settings
        delay_s = settings.latency_s + settings.jitter_s * self._rng.uniform(-1.0, 1.0)
        if settings.loss > 0.0 and self._rng.uniform() < settings.loss:
            return
        self._last_s = max(self._last_s, now_s + max(0.0, delay_s))
        self._waiting.append((self._last_s, item))

    def take(self, now_s: float) -> list[Item]:
        """Return what has arrived by ``now_s`` [s]."""
        taken = []
        while self._waiting and self._waiting[0][0] <= now_s + _ROUNDING_S:
            taken.append(self._waiting.popleft()[1])
        return taken

    @property
    def next_s(self) -> float:
        """When the next item arrives [s]; infinity if nothing is on its way."""
        return self._waiting[0][0] if self._waiting else np.inf

    def clear(self) -> None:
        """Lose everything that is on its way."""
        self._waiting.clear()
