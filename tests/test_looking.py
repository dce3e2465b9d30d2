"""The benchmark of looking rates: what is measured, that nothing is twice, and what is drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

from benchmarks import looking
from fetch_sim2real.evaluation.measure import Case
from fetch_sim2real.sim.simulation import Outcome


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Case, int]]:
    """Cases and numbers of seeds that were asked for; every second episode succeeds."""
    asked: list[tuple[Case, int]] = []

    def measure(bundle: Any, case: Case, seeds: Sequence[int]) -> Iterator[Outcome]:
        asked.append((case, len(seeds)))
        return (Outcome(seed, seed % 2 == 0, 0.01, 3) for seed in seeds)

    monkeypatch.setattr(looking, "measure", measure)
    return asked


def test_each_rate_is_measured_in_all_ways_once(measured: list[tuple[Case, int]], tmp_path: Path) -> None:
    words = ["push", "--policy", "push", "--student", "3-hz=push", "--folder", str(tmp_path), "--episodes", "4"]
    assert looking.main([*words, "--plot", str(tmp_path / "plot.png")]) == 0
    told = [(case.control, case.look, case.between) for case, _ in measured]
    assert told[:3] == [(control, "every-frame", "predict") for control in ("none", "scripted", "scripted-kalman")]
    assert told.count(("none", "3-hz", "remember")) == 1
    assert {(look, between) for _, look, between in told[3:]} == {
        *((look, between) for look in ("once", "each-second", "3-hz", "10-hz") for between in ("hold", "predict")),
        ("3-hz", "remember"),
    }
    assert (tmp_path / "plot.png").stat().st_size > 5_000
    rows = [json.loads(line) for line in (tmp_path / "push" / "hold_once.jsonl").read_text().splitlines()]
    assert [row["success"] for row in rows] == [True, False, True, False]
    before = len(measured)
    assert looking.main([*words[:-1], "6"]) == 0
    assert [count for _, count in measured[before:]] == [2] * before, "only the two that were missing"
    assert "| push | trained for the rate | 3 | 3 of 6 |" in looking.table(tmp_path)
