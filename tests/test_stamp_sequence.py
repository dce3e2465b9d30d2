"""Stamps in order, late, repeated, astray, and of a clock that was set: one judgement for all readers of stamps."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from fetch_sim2real.common.stamp_sequence import CONFIRMING_STAMPS, StampSequence, StampVerdict

PERIOD_NS = 33_333_333
S_NS = 10**9
NEWER, OLD, STRAY, NEW_CLOCK = StampVerdict.NEWER, StampVerdict.OLD, StampVerdict.STRAY, StampVerdict.NEW_CLOCK


def judged(stamps_ns: list[int], *, timed: bool = True) -> list[StampVerdict]:
    """Verdicts on stamps that arrive a period apart."""
    sequence = StampSequence()
    return [sequence.judge(stamp, i * PERIOD_NS if timed else None) for i, stamp in enumerate(stamps_ns)]


def beat(start_ns: int, count: int) -> list[int]:
    return [start_ns + i * PERIOD_NS for i in range(count)]


@pytest.mark.parametrize("jump_s", [-4247.0, -60.0, -1.5, 1.5, 60.0, 3600.0, 2.0e9])
def test_a_single_stray_costs_nothing_but_itself(jump_s: float) -> None:
    stamps = beat(5000 * S_NS, 40)
    stamps[20] += round(jump_s * 1e9)
    verdicts = judged(stamps)
    assert verdicts == [NEWER] * 20 + [STRAY] + [NEWER] * 19


@pytest.mark.parametrize("jump_s", [-4247.0, -60.0, -3.0, 3.0, 60.0, 3600.0])
def test_a_clock_that_was_set_is_followed_after_few_stamps(jump_s: float) -> None:
    stamps = beat(5000 * S_NS, 20) + beat(5000 * S_NS + round(jump_s * 1e9), 20)
    assert judged(stamps)[20:] == [STRAY] * (CONFIRMING_STAMPS - 1) + [NEW_CLOCK] + [NEWER] * (20 - CONFIRMING_STAMPS)


@pytest.mark.parametrize("jump_s", [-0.9, -0.5, 0.5])
def test_a_small_step_costs_few_stamps_too(jump_s: float) -> None:
    step = beat(100 * S_NS, 20) + beat(100 * S_NS + round((20 * PERIOD_NS) + jump_s * 1e9), 20)
    assert sum(not verdict.is_taken for verdict in judged(step)) < CONFIRMING_STAMPS
    single = beat(100 * S_NS, 40)
    single[20] += round(jump_s * 1e9)
    assert sum(not verdict.is_taken for verdict in judged(single)) < CONFIRMING_STAMPS


def test_two_strays_that_do_not_confirm_one_another_are_no_clock() -> None:
    stamps = beat(5000 * S_NS, 40)
    for place, odd_s in zip((10, 11, 12, 13), (9000, 8000, 40, 7000), strict=True):
        stamps[place] = odd_s * S_NS
    assert judged(stamps) == [NEWER] * 10 + [STRAY] * 4 + [NEWER] * 26


def test_a_first_stamp_that_is_odd_does_not_set_the_clock() -> None:
    verdicts = judged([9000 * S_NS, *beat(5000 * S_NS, 10)])
    assert verdicts[: CONFIRMING_STAMPS + 1] == [NEWER] + [STRAY] * (CONFIRMING_STAMPS - 1) + [NEW_CLOCK]


def test_repeated_and_late_stamps_are_old_and_confirm_nothing() -> None:
    assert judged([S_NS] * 10) == [NEWER] + [OLD] * 9
    frozen_elsewhere = [*beat(5000 * S_NS, 3), *[4000 * S_NS] * 10]
    assert judged(frozen_elsewhere) == [NEWER] * 3 + [STRAY] + [OLD] * 9
    a, b, c, d = beat(S_NS, 4)
    assert judged([a, c, b, d]) == [NEWER, NEWER, OLD, NEWER]


def test_a_pause_and_a_lossy_burst_are_no_jump() -> None:
    sequence = StampSequence()
    for i in range(10):
        assert sequence.judge(i * PERIOD_NS, i * PERIOD_NS) is NEWER
    assert sequence.judge(3600 * S_NS, 3600 * S_NS) is NEWER
    # A message that waited for five seconds, and the newest right behind it.
    assert sequence.judge(3601 * S_NS, 3606 * S_NS) is NEWER
    assert sequence.judge(3606 * S_NS, 3606 * S_NS + 1) is NEWER


def test_in_a_simulation_stamps_may_jump_ahead_and_not_back() -> None:
    episodes = [stamp for start_s in (0, 8, 3608) for stamp in beat(start_s * S_NS, 10)]
    assert judged(episodes, timed=False) == [NEWER] * 30
    again = [*episodes, *beat(0, 5)]
    assert judged(again, timed=False)[30:] == [STRAY] * (CONFIRMING_STAMPS - 1) + [NEW_CLOCK, NEWER, NEWER]


def test_what_was_odd_is_counted_and_measured() -> None:
    sequence = StampSequence()
    for i, stamp in enumerate([*beat(100 * S_NS, 5), 40 * S_NS, *beat(100 * S_NS + 6 * PERIOD_NS, 5)]):
        sequence.judge(stamp, i * PERIOD_NS)
    assert (sequence.strays, sequence.new_clocks) == (1, 0)
    assert sequence.odd_ns == 40 * S_NS - (100 * S_NS + 4 * PERIOD_NS)
    sequence.forget()
    assert sequence.judge(0, 11 * PERIOD_NS) is NEWER and sequence.newest_ns == 0


def test_whatever_comes_what_is_taken_advances_between_new_clocks_and_silence_is_short() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        offset_ns, stamps = 0, []
        for i in range(120):
            if rng.random() < 0.03:
                offset_ns += int(rng.normal(0, 100) * 1e9)
            odd_ns = int(rng.normal(0, 1000) * 1e9) if rng.random() < 0.05 else 0
            stamps.append(5000 * S_NS + i * PERIOD_NS + offset_ns + odd_ns)
        verdicts = judged(stamps)
        taken = [(stamp, verdict) for stamp, verdict in zip(stamps, verdicts, strict=True) if verdict.is_taken]
        assert all(late > early or verdict is NEW_CLOCK for (early, _), (late, verdict) in pairwise(taken))
        # The longest stretch of undisturbed stamps is followed from its third on at the latest.
        steady = 0
        for i in range(1, len(stamps)):
            steady = steady + 1 if stamps[i] - stamps[i - 1] == PERIOD_NS else 0
            assert steady < CONFIRMING_STAMPS or verdicts[i].is_taken
