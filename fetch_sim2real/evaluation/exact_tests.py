"""Exact tests for small numbers of episodes: no normal approximation, no dependency."""

from __future__ import annotations

from math import comb


def sign_test(worse: int, better: int) -> float:
    """Probability of at least ``worse`` of ``worse + better`` pairs getting worse if both ways are equally likely.

    For successes of the same seeds this is McNemar's exact test, one-sided. 1 without pairs that differ.
    """
    trials = worse + better
    return sum(comb(trials, k) for k in range(worse, trials + 1)) / 2**trials


def fisher_test(successes: int, trials: int, baseline_successes: int, baseline_trials: int) -> float:
    """Probability of at most ``successes`` of ``trials`` if both groups have the same rate: Fisher's, one-sided."""
    total, good = trials + baseline_trials, successes + baseline_successes
    least = max(0, good - baseline_trials)
    ways = sum(comb(trials, k) * comb(baseline_trials, good - k) for k in range(least, successes + 1))
    return ways / comb(total, good)
