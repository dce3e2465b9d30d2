"""Counts and times of a camera, written by the thread that reads it and read by the one that reports."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

from camera_node.pairs import Refusal
from fetch_sim2real.ros.latency import Latencies, Rate


@dataclass(frozen=True)
class Summary:
    """What there is to say since the start; ``rate_hz`` since it was last asked for."""

    rate_hz: float
    pairs: int
    ages_ms: dict[str, float]
    align_ms: dict[str, float]
    refusals: dict[Refusal, int]


@dataclass
class Statistics:
    """Thread-safe."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _rate: Rate = field(default_factory=Rate)
    _ages: Latencies = field(default_factory=Latencies)
    _alignments: Latencies = field(default_factory=Latencies)
    _pairs: int = 0
    _refusals: Counter[Refusal] = field(default_factory=Counter)

    def accepted(self, age_ms: float, align_ms: float) -> None:
        """Take in a pair that left ``age_ms`` after its exposure and took ``align_ms`` to align."""
        with self._lock:
            self._pairs += 1
            self._rate.event()
            self._ages.add(age_ms)
            self._alignments.add(align_ms)

    def refused(self, refusal: Refusal) -> None:
        """Take in a pair that goes no further."""
        with self._lock:
            self._refusals[refusal] += 1

    def take(self) -> Summary:
        """Return a summary; the rate starts anew."""
        with self._lock:
            return Summary(
                self._rate.take_hz(),
                self._pairs,
                self._ages.summary("age"),
                self._alignments.summary("align"),
                dict(self._refusals),
            )
