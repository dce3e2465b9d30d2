"""The table and data of finished expert runs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from benchmarks.relay_runs import main


def _run(folder: Path, seed: int, successes: int) -> Path:
    run = folder / f"push_{seed}"
    run.mkdir()
    summary = {
        "task": "push", "seed": seed, "minutes": 9.25, "cpu_minutes": 6.0, "env_steps": 240, "decisions": 80_896,
        "updates": 40, "episodes": 200, "success_rate": successes / 200,
        "command": f"fetch-sim2real train push --stage expert --seed {seed} --run {run}",
    }  # fmt: skip
    (run / "summary.json").write_text(json.dumps(summary))
    (run / "progress.csv").write_text("steps,decisions,wall_s,cpu_s,evaluated_success\n120,40,60,30,0.5\n")
    return run


def test_every_run_is_a_line_of_table_and_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [_run(tmp_path, seed, successes) for seed, successes in ((1, 195), (2, 199))]
    picture = tmp_path / "runs.png"
    assert main([*map(str, runs), "--data", str(tmp_path / "data"), "--out", str(picture)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[2:] == [
        "| push | 1 | 9.2 | 6.0 | 80 896 | 40 | 195 of 200 | 0.943 to 0.989 |",
        "| push | 2 | 9.2 | 6.0 | 80 896 | 40 | 199 of 200 | 0.972 to 0.999 |",
    ]
    with (tmp_path / "data" / "runs.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert [line["successes"] for line in lines] == ["195", "199"]
    assert lines[0]["command"] == "fetch-sim2real train push --stage expert --seed 1 --run DIR"
    assert picture.stat().st_size > 1_000


def test_runs_of_before_stay_and_the_same_seed_is_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(tmp_path / "data")]
    for folder, seed, successes in (("a", 2, 190), ("b", 1, 195), ("c", 2, 199)):
        (tmp_path / folder).mkdir()
        assert main([str(_run(tmp_path / folder, seed, successes)), *data]) == 0
    capsys.readouterr()
    assert main([*data, "--out", str(tmp_path / "runs.png")]) == 0
    told = capsys.readouterr().out.splitlines()[2:]
    assert [line.split("|")[7].strip() for line in told] == ["195 of 200", "199 of 200"]
    with pytest.raises(SystemExit, match="there are no runs"):
        main(["--data", str(tmp_path / "nothing")])


def test_a_run_without_a_result_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=f"{tmp_path} holds no finished run"):
        main([str(tmp_path)])
