"""Sequential tests: seldom wrong however often one looks, and quick where there is a difference."""

from __future__ import annotations

import numpy as np
import pytest

from fetch_sim2real.evaluation.sequential import (
    ERROR_SHARE,
    certificate_effort,
    certificate_wealth,
    compare_pairs,
    comparison_effort,
    wealth_needed,
)


def test_equal_policies_are_seldom_told_apart_though_one_looks_after_every_pair() -> None:
    effort = comparison_effort(0.8, 0.8, longest=300, studies=400)
    assert effort.most is None and effort.half is None
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(100):
        scores = rng.random((2, 80)) < 0.8
        differences = scores[0].astype(float) - scores[1]
        wrong += any(compare_pairs(list(differences[:n])).winner is not None for n in range(10, 81, 10))
    assert wrong <= 2 * ERROR_SHARE * 100


def test_a_clear_difference_is_found_early_and_the_better_one_named() -> None:
    better, worse = [1.0] * 15, [0.0] * 13 + [1.0] * 2
    found = compare_pairs([one - other for one, other in zip(better, worse, strict=True)])
    assert found.winner == 0 and found.low > 0.0
    assert compare_pairs([-1.0] * 15).winner == 1
    effort = comparison_effort(0.95, 0.4)
    assert effort.half is not None and effort.half < 20


def test_partial_credit_counts_and_ties_say_nothing() -> None:
    assert compare_pairs([0.0] * 50).first_wealth == pytest.approx(1.0)
    assert compare_pairs([0.5] * 30).winner == 0
    assert compare_pairs([]).winner is None
    with pytest.raises(ValueError, match="-1 to 1"):
        compare_pairs([2.0])


def test_the_interval_holds_the_truth_at_all_times_together() -> None:
    rng, missed = np.random.default_rng(2), 0
    for _ in range(60):
        differences = rng.choice([-1.0, 0.0, 1.0], 60, p=[0.1, 0.5, 0.4])
        missed += any(
            not found.low <= 0.3 <= found.high
            for found in (compare_pairs(list(differences[:n])) for n in (10, 20, 40, 60))
        )
    assert missed <= 6
    assert wealth_needed() == pytest.approx(40.0)


def test_a_certificate_needs_more_trials_the_closer_the_rate_is() -> None:
    assert certificate_wealth(20, 20, 0.8) >= 1.0 / ERROR_SHARE > certificate_wealth(19, 19, 0.8)
    assert certificate_wealth(8, 10, 0.8) < 2.0
    near, far = (certificate_effort(rate, 0.8, longest=300, studies=300).half for rate in (0.9, 0.97))
    assert near is not None and far is not None and far < near
    wrong = certificate_effort(0.8, 0.8, longest=300, studies=300)
    assert wrong.half is None, "a rate that is not above is hardly ever certified"
    with pytest.raises(ValueError, match="3 successes of 2"):
        certificate_wealth(3, 2, 0.8)
