"""Statistics against published values, and results that come back from their file as they went in."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from rich.console import Console

from fetch_sim2real.evaluation.result import (
    EpisodeResult,
    Latencies,
    LatencyRecord,
    RunResult,
    success_of,
    write_result,
)
from fetch_sim2real.evaluation.statistics import methods_difference, paired_difference, percentiles, wilson_interval
from fetch_sim2real.reports.table import print_result

PAIRS = ((True, True), (True, False), (False, True), (False, False))


# Both, only first, only second, neither: Newcombe, Statistics in Medicine 17 (1998), table II, method 10; and Altman
# and others, Statistics with Confidence (2000), table 6.2.
@pytest.mark.parametrize(
    ("counts", "low", "high"), [((36, 12, 2, 0), 0.0569, 0.3404), ((14, 5, 0, 22), 0.0115, 0.2265)]
)
def test_paired_difference_against_published_values(counts: tuple[int, ...], low: float, high: float) -> None:
    pairs = [pair for pair, count in zip(PAIRS, counts, strict=True) for _ in range(count)]
    found = paired_difference([a for a, _ in pairs], [b for _, b in pairs])
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)
    assert (found.only_first, found.only_second) == counts[1:3]


def test_methods_are_compared_over_trainings_as_well_as_episodes() -> None:
    rng, covered = np.random.default_rng(3), 0
    for _ in range(200):
        hard = rng.normal(0.0, 0.15, 200)  # episodes differ for all alike
        runs = [[rng.random(200) < rate + rng.normal(0.0, 0.03) + hard for _ in range(3)] for rate in (0.75, 0.65)]
        found = methods_difference(*runs)  # type: ignore[arg-type]  # arrays are sequences
        covered += found.low <= 0.1 <= found.high
    assert 184 <= covered <= 200, "95 % and a bit more"
    with pytest.raises(ValueError, match="two trainings of each"):
        methods_difference([[True, False]], [[True, True]])


def test_trainings_that_differ_much_show_no_difference_of_methods() -> None:
    first, second = [[True] * 90 + [False] * 10, [True] * 50 + [False] * 50], [[True] * 60 + [False] * 40] * 2
    found = methods_difference(first, second)
    assert found.low < 0.0 < found.high and found.rate == pytest.approx(0.1)


def test_paired_difference_turns_round_and_refuses_nonsense() -> None:
    first, second = [True, True, False, True], [False, True, True, True]
    one, other = paired_difference(first, second), paired_difference(second, first)
    assert (one.rate, one.low, one.high) == pytest.approx((-other.rate, -other.high, -other.low))
    assert paired_difference([True] * 9, [True] * 9).low < 0.0, "nine successes each prove no equality"
    for wrong in ([], [True]):
        with pytest.raises(ValueError, match="expected the same number"):
            paired_difference(wrong, [])


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 3; the last one is the mirror image of 0 of 29.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilson_against_published_values(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_rate_is_symmetric_and_stays_in_the_unit_interval(case: tuple[int, int]) -> None:
    successes, trials = case
    low, high = wilson_interval(successes, trials)
    assert 0.0 <= low <= successes / trials <= high <= 1.0
    mirrored = wilson_interval(trials - successes, trials)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_wilson_without_trials_knows_nothing_and_nonsense_is_refused() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    for successes, trials in ((-1, 3), (4, 3)):
        with pytest.raises(ValueError, match="successes of"):
            wilson_interval(successes, trials)


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=300))
def test_percentiles_are_numpys_and_ordered(values: list[float]) -> None:
    found = percentiles(values)
    assert found is not None
    assert found.p50 == np.percentile(values, 50) and found.max == max(values)
    assert found.p50 <= found.p99 <= found.max
    assert percentiles([]) is None


def episode(seed: int, success: bool, distance_m: float = 0.02) -> EpisodeResult:
    return EpisodeResult(
        seed=seed,
        success=success,
        final_distance_m=distance_m,
        steps=118,
        start_ns=seed * 10**10,
        goal_frame="block",
        goal_m=(0.0, 0.01, 0.1),
    )


def result(**changes: Any) -> RunResult:
    episodes = (episode(3, True), episode(4, False, 0.21), episode(5, True, 0.03))
    rate, interval = success_of(episodes)
    values: dict[str, Any] = {
        "version": "0.1.0",
        "command": "fetch-sim2real sim --episodes 3",
        "policy": "reach_block",
        "policy_sha256": "0123456789abcdef" * 4,
        "world": "nominal",
        "camera": "424x240@30",
        "clock": "lockstep",
        "control": "none",
        "move_block": False,
        "success_rate": rate,
        "ci95": interval,
        "episodes": episodes,
        "latency_ms": Latencies(frame_to_command=LatencyRecord.of([2.0, 3.0, 9.0]), total=None, render=None),
        "rate_hz": 30.0,
        "missed_cycles": 0,
        "frames_lost": 0,
        "refusals": {"stale": 2, "jump [odd]": 1},
        "limited_commands": 17,
        "realtime_factor": 1.5,
        "start_up_s": 3.25,
        "frames_unrecorded": 0,
        "bag": "/runs/a/bag",
        "picture": None,
    }
    return RunResult(**values | changes)


def test_a_result_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "result.json"
    write_result(result(), path)
    assert RunResult.model_validate_json(path.read_text()) == result()
    content = json.loads(path.read_text())
    for key in (
        "success_rate",
        "ci95",
        "rate_hz",
        "missed_cycles",
        "frames_lost",
        "refusals",
        "realtime_factor",
        "bag",
    ):
        assert key in content
    assert content["latency_ms"]["frame_to_command"].keys() == {"p50", "p99", "max"}
    assert (
        content["episodes"][1] | {"seed": 4, "success": False, "final_distance_m": 0.21, "steps": 118}
        == (content["episodes"][1])
    )
    assert list(tmp_path.rglob(".*")) == []


@pytest.mark.parametrize("changes", [{"success_rate": 1.2}, {"rate_hz": float("nan")}, {"unknown": 1}])
def test_an_impossible_result_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        result(**changes)


def test_the_table_says_what_matters() -> None:
    stream = io.StringIO()
    print_result(result(), Console(file=stream, width=100))
    text = stream.getvalue()
    for expected in (
        "reach_block in nominal", "2 of 3 = 67%", "failed seeds", "worst 21.0 cm", "p50 3.0 ms", "17 slowed down",
        "2 stale", "jump [odd]", "0 missing in the bag", "3.2 s from launch", "0123456789ab", "/runs/a/bag",
        "not measured",
    ):  # fmt: skip
        assert expected in text, expected


def test_the_table_shows_that_a_run_is_a_control_experiment() -> None:
    stream = io.StringIO()
    print_result(result(control="blank_image", move_block=True), Console(file=stream, width=100))
    assert "black images" in stream.getvalue() and "block moved" in stream.getvalue()


@pytest.mark.parametrize(("late", "is_told"), [(7, False), (8, True)])
def test_a_machine_that_is_too_slow_for_real_time_is_told_of_lockstep(late: int, is_told: bool) -> None:
    stream = io.StringIO()
    print_result(result(clock="realtime", missed_cycles=late, frames_lost=3), Console(file=stream, width=300))
    assert (f"{late} of 354 frames had no answer in time" in stream.getvalue()) is is_told


def test_no_episodes_is_a_result_too() -> None:
    assert success_of([]) == (0.0, (0.0, 1.0))
    stream = io.StringIO()
    print_result(result(episodes=(), success_rate=0.0, ci95=(0.0, 1.0)), Console(file=stream, width=100))
    assert "0 of 0" in stream.getvalue()
