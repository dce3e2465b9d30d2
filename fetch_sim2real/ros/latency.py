"""Percentiles and rates over the recent past."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

import numpy as np

_KEPT: Final = 900  # half a minute at the control rate


class Latencies:
    """The last durations [ms] and their percentiles."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=_KEPT)

    def add(self, milliseconds: float) -> None:
        """Remember one."""
        self._values.append(milliseconds)

    def summary(self, name: str) -> dict[str, float]:
        """Return ``<name>_p50_ms`` and ``<name>_p99_ms``; nothing while there are no values."""
        if not self._values:
            return {}
        p50, p99 = np.percentile(self._values, [50, 99])
        return {f"{name}_p50_ms": float(p50), f"{name}_p99_ms": float(p99)}


class Rate:
    """Events per second since the rate was last asked for."""

    def __init__(self) -> None:
        self._count = 0
        self._since = time.monotonic()

    def event(self) -> None:
        """Count one."""
        self._count += 1

    def take_hz(self) -> float:
        """Return the rate, and start counting anew."""
        now = time.monotonic()
        rate = self._count / max(now - self._since, 1e-9)
        self._count, self._since = 0, now
        return rate
