"""The few statistics that results are stated in."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

_Z_95: Final = 1.959963984540054  # two-sided 95 % of the normal distribution


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval for a success rate, which also holds near 0 and 1; (0, 1) for no trials.

    Raises ``ValueError`` unless 0 <= successes <= trials.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    if trials == 0:
        return 0.0, 1.0
    rate, z2 = successes / trials, _Z_95**2
    centre = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _Z_95 / (1 + z2 / trials) * math.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials**2))
    # At the ends the formula gives exactly 0 and 1, but for rounding.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return low, high


@dataclass(frozen=True)
class Percentiles:
    """Median, 99th percentile and largest of some durations [ms]."""

    p50: float
    p99: float
    max: float


def percentiles(values: Iterable[float]) -> Percentiles | None:
    """Percentiles of ``values``, None if there are none."""
    array = np.fromiter(values, dtype=np.float64)
    if array.size == 0:
        return None
    p50, p99 = np.percentile(array, [50, 99])
    return Percentiles(float(p50), float(p99), float(array.max()))
