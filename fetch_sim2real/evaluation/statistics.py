"""The few statistics that results are stated in.

A few lines of ours: to import ``scipy.stats`` takes longer than all else that a command does at its start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

_Z_95: Final = 1.959963984540054  # two-sided 95 % of the normal distribution


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval for a success rate, which also holds near 0 and 1; (0, 1) for no trials.

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


def sign_test(worse: int, better: int) -> float:
    """Return the probability of at least ``worse`` of ``worse + better`` pairs getting worse if both are as likely.

    For successes of the same seeds this is McNemar's exact test, one-sided. 1 without pairs that differ.
    """
    trials = worse + better
    return sum(math.comb(trials, k) for k in range(worse, trials + 1)) / 2**trials


def fisher_test(successes: int, trials: int, baseline_successes: int, baseline_trials: int) -> float:
    """Return the probability of at most ``successes`` of ``trials`` if both groups have the same rate.

    Fisher's exact test, one-sided.
    """
    total, good = trials + baseline_trials, successes + baseline_successes
    least = max(0, good - baseline_trials)
    ways = sum(math.comb(trials, k) * math.comb(baseline_trials, good - k) for k in range(least, successes + 1))
    return ways / math.comb(total, good)


@dataclass(frozen=True)
class Percentiles:
    """Median, 99th percentile and largest of some durations [ms]."""

    p50: float
    p99: float
    max: float


def percentiles(values: Iterable[float]) -> Percentiles | None:
    """Return percentiles of ``values``, None if there are none."""
    array = np.fromiter(values, dtype=np.float64)
    if array.size == 0:
        return None
    p50, p99 = np.percentile(array, [50, 99])
    return Percentiles(float(p50), float(p99), float(array.max()))


@dataclass(frozen=True)
class PairedDifference:
    """How success differs between two ways of running the same episodes: ``rate`` of the first minus the second's,
    with its 95 % interval; the episodes in which only one of the two succeeds."""

    rate: float
    low: float
    high: float
    only_first: int
    only_second: int

    def text(self) -> str:
        """Return the difference for a person."""
        return (
            f"{100 * self.rate:+.1f} points ({100 * self.low:+.1f} to {100 * self.high:+.1f}); only the first succeeds "
            f"in {self.only_first} episodes, only the second in {self.only_second}"
        )


def paired_difference(first: Sequence[bool], second: Sequence[bool]) -> PairedDifference:
    """Return the difference of the success rates of two runs over the same seeds, in the same order.

    The interval is method 10 of Newcombe, Statistics in Medicine 17 (1998) 2635: Wilson's intervals of both, with
    their correlation. ``ValueError`` if there are no episodes or not as many in both.
    """
    if not first or len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} episodes, expected the same number and at least one")
    trials = len(first)
    pairs = list(zip(first, second, strict=True))
    both, neither = pairs.count((True, True)), pairs.count((False, False))
    only_first, only_second = pairs.count((True, False)), pairs.count((False, True))
    rates = [(both + only) / trials for only in (only_first, only_second)]
    (low_1, high_1), (low_2, high_2) = (wilson_interval(both + only, trials) for only in (only_first, only_second))
    correlation = _correlation(both, only_first, only_second, neither)
    down = _length(rates[0] - low_1, high_2 - rates[1], correlation)
    up = _length(high_1 - rates[0], rates[1] - low_2, correlation)
    rate = rates[0] - rates[1]
    return PairedDifference(rate, rate - down, rate + up, only_first, only_second)


@dataclass(frozen=True)
class MethodsDifference:
    """How the success of two methods differs, ``rate`` of the first minus the second's, with a 95 % interval for other
    trainings and other episodes than these."""

    rate: float
    low: float
    high: float

    def text(self) -> str:
        """Return the difference for a person."""
        return f"{100 * self.rate:+.1f} points ({100 * self.low:+.1f} to {100 * self.high:+.1f})"


def methods_difference(first: Sequence[Sequence[bool]], second: Sequence[Sequence[bool]]) -> MethodsDifference:
    """Compare two methods by several trainings of each: outcomes (k, n) of the same n episodes in the same order.

    Trainings with other seeds differ, and so do episodes; the interval adds both up, by Welch's t. It is a bit wide:
    what an episode's luck adds to a single training is in both parts. ValueError for fewer than two trainings of each.
    """
    runs = [np.asarray(each, np.float64) for each in (first, second)]
    if min(len(each) for each in runs) < 2 or runs[0].shape[1:] != runs[1].shape[1:] or runs[0].shape[1] < 2:
        shapes = " and ".join(str(each.shape) for each in runs)
        raise ValueError(f"outcomes are {shapes}, expected two trainings of each at least, with the same episodes")
    means = [each.mean(axis=1) for each in runs]
    by_episode = runs[0].mean(axis=0) - runs[1].mean(axis=0)
    samples = (*means, by_episode)
    parts = [float(values.var(ddof=1)) / len(values) for values in samples]
    variance, rate = sum(parts), float(by_episode.mean())
    if variance == 0.0:
        return MethodsDifference(rate, rate, rate)
    freedom = variance**2 / sum(part**2 / (len(values) - 1) for part, values in zip(parts, samples, strict=True))
    from scipy.special import stdtrit  # quick to import, unlike scipy.stats

    half = float(stdtrit(freedom, 0.975)) * math.sqrt(variance)
    return MethodsDifference(rate, rate - half, rate + half)


def _correlation(both: int, only_first: int, only_second: int, neither: int) -> float:
    """Of two columns of successes, with Newcombe's correction for continuity; 0 if one of them is constant."""
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if margins == 0:
        return 0.0
    excess = float(both * neither - only_first * only_second)
    if excess > 0.0:
        excess = max(excess - (both + only_first + only_second + neither) / 2, 0.0)
    return excess / math.sqrt(margins)


def _length(a: float, b: float, correlation: float) -> float:
    return math.sqrt(max(a * a - 2.0 * correlation * a * b + b * b, 0.0))
