"""Comparisons and certificates that may be looked at after every trial, and ended whenever enough is known.

A fixed test may be looked at once. These tests bet: someone who believes in a difference stakes a part of their wealth
on each trial, at odds that are fair if there is none. If there is none, their wealth exceeds 20 at *any* time with a
probability of 1 in 20 at most (Ville), so a trial more or a look more never costs validity. How much to stake is not
known before, so wealth is spread over many stakes (a mixture). Sources: Waudby-Smith and Ramdas, Estimating means of
bounded random variables by betting (JRSS B 86, 2024, arXiv:2010.09686); for robots with partial credit N-SCORE
(arXiv:2603.13616).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fetch_sim2real.types import FloatArray

ERROR_SHARE: Final = 0.05
_STAKES: Final = 64
_RATES: Final = 200
_GRID: Final = np.linspace(-1.0, 1.0, 401)


@dataclass(frozen=True)
class Comparison:
    """What paired trials say so far. ``difference`` is the mean score of the first minus the second's; ``low`` and
    ``high`` bound it with 95 % at all times together; ``first_wealth`` and ``second_wealth`` are those of who bets on
    either. A wealth of ``wealth_needed`` decides."""

    pairs: int
    difference: float
    low: float
    high: float
    first_wealth: float
    second_wealth: float

    @property
    def winner(self) -> int | None:
        """0 or 1 if it is decided which of the two is better, else None."""
        if max(self.first_wealth, self.second_wealth) < wealth_needed():
            return None
        return 0 if self.first_wealth > self.second_wealth else 1


def wealth_needed() -> float:
    """Return what decides between two: one of two bets is right by chance in ``ERROR_SHARE`` of all studies at most."""
    return 2.0 / ERROR_SHARE


def compare_pairs(differences: Sequence[float]) -> Comparison:
    """Compare two policies by the differences of their scores, each score within 0..1, in pairs of trials.

    ValueError for a difference that scores cannot have.
    """
    found = np.asarray(differences, np.float64)
    if len(found) and not float(np.abs(found).max()) <= 1.0:
        raise ValueError(f"differences are {found.min():g} to {found.max():g}, expected -1 to 1: scores are in 0..1")
    mean = float(found.mean()) if len(found) else 0.0
    inside = np.flatnonzero(np.maximum(_wealth(found, _GRID), _wealth(-found, -_GRID)) < wealth_needed())
    low, high = (float(_GRID[inside[0]]), float(_GRID[inside[-1]])) if len(inside) else (mean, mean)
    first, second = (float(_wealth(sign * found, np.zeros(1))[0]) for sign in (1.0, -1.0))
    return Comparison(len(found), mean, min(low, mean), max(high, mean), first, second)


def _wealth(differences: FloatArray, means: FloatArray) -> FloatArray:
    """Return the wealth (m,) of who bets that differences (n,) are larger on average than each of ``means`` (m,)."""
    # Stakes up to all that can be lost: a difference is -1 at worst.
    shares = (np.arange(_STAKES) + 0.5) / _STAKES
    stakes = shares / np.maximum(1.0 + means[:, None], 1e-9)
    logs = np.zeros((len(means), _STAKES))
    # Scores are few different numbers: each is computed once.
    for value, count in zip(*np.unique(differences, return_counts=True), strict=True):
        logs += count * np.log(np.maximum(1.0 + stakes * (value - means[:, None]), 1e-300))
    highest = logs.max(axis=1, keepdims=True)
    wealth: FloatArray = np.exp(np.minimum(highest[:, 0] + np.log(np.exp(logs - highest).mean(axis=1)), 700.0))
    return wealth


def certificate_wealth(successes: int, trials: int, at_least: float) -> float:
    """Return the wealth of who bets that the success rate is above ``at_least``; 1 / ``ERROR_SHARE`` certifies it."""
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    if not 0.0 < at_least < 1.0:
        raise ValueError(f"at_least is {at_least}, expected a share between 0 and 1")
    rates = at_least + (1.0 - at_least) * (np.arange(_RATES) + 0.5) / _RATES
    logs = successes * np.log(rates / at_least) + (trials - successes) * np.log((1.0 - rates) / (1.0 - at_least))
    highest = float(logs.max())
    return math.exp(min(highest + math.log(float(np.exp(logs - highest).mean())), 700.0))


@dataclass(frozen=True)
class Effort:
    """How many trials (or pairs) a decision takes: half of all studies have it after ``half``, nine of ten after
    ``most``; None where that is beyond the longest study that was asked about."""

    half: int | None
    most: int | None


def certificate_effort(rate: float, at_least: float, longest: int = 1_000, studies: int = 2_000) -> Effort:
    """Return how many trials of a policy that truly succeeds at ``rate`` certify ``at_least``; simulated."""
    rng = np.random.default_rng(0)
    succeeded = np.cumsum(rng.random((studies, longest)) < rate, axis=1)
    # Wealth is monotone in successes: the fewest that certify, for every number of trials.
    needed = np.array([_fewest(count, at_least) for count in range(1, longest + 1)])
    return _effort(succeeded >= needed)


def _fewest(trials: int, at_least: float) -> int:
    low, high = 0, trials + 1
    while low < high:
        middle = (low + high) // 2
        if certificate_wealth(min(middle, trials), trials, at_least) >= 1.0 / ERROR_SHARE:
            high = middle
        else:
            low = middle + 1
    # More successes than trials: not to be had yet.
    return low if low <= trials and certificate_wealth(low, trials, at_least) >= 1.0 / ERROR_SHARE else trials + 1


def comparison_effort(first_rate: float, second_rate: float, longest: int = 500, studies: int = 400) -> Effort:
    """Return how many pairs decide between policies that succeed at these rates, independently; simulated."""
    rng = np.random.default_rng(0)
    outcomes = [rng.random((studies, longest)) < rate for rate in (first_rate, second_rate)]
    ahead = np.cumsum(outcomes[0] & ~outcomes[1], axis=1)
    behind = np.cumsum(~outcomes[0] & outcomes[1], axis=1)
    stakes = (np.arange(_STAKES) + 0.5) / _STAKES
    decided = np.zeros((studies, longest), bool)
    for won, lost in ((ahead, behind), (behind, ahead)):
        logs = won[..., None] * np.log1p(stakes) + lost[..., None] * np.log1p(-stakes)
        highest = logs.max(axis=-1)
        wealth = highest + np.log(np.exp(logs - highest[..., None]).mean(axis=-1))
        decided |= wealth >= math.log(wealth_needed())
    return _effort(decided)


def _effort(decided: np.ndarray) -> Effort:
    """When studies (s, n) are decided first."""
    over = decided.any(axis=1)
    first = np.sort(np.where(over, decided.argmax(axis=1) + 1, np.iinfo(np.int64).max))
    half, most = (int(first[math.ceil(share * len(first)) - 1]) for share in (0.5, 0.9))
    longest = decided.shape[1]
    return Effort(half if half <= longest else None, most if most <= longest else None)
