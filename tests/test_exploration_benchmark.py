"""The comparison of explorations, with a stand-in for training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest

from benchmarks.exploration import EXPLORATIONS, main, plot, read_training, run_folder, table, train_all
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.training.exploration import ExplorationName
from fetch_sim2real.training.run_directory import RunDirectory


class Training:
    """The relay is good after 30 000 or 60 000 control periods, the others are not."""

    def __init__(self) -> None:
        self.commands: list[dict[str, str]] = []

    def __call__(self, arguments: Sequence[str]) -> None:
        options = dict(zip(arguments[2::2], arguments[3::2], strict=True))
        exploration = next(word for word in arguments if word.startswith("exploration=")).partition("=")[2]
        self.commands.append(options | {"exploration": exploration})
        run, reached = RunDirectory(Path(options["--run"])), 30_000.0 * (1 + int(options["--seed"]))
        for steps in (15_000.0, 30_000.0, 60_000.0):
            success = 0.96 if exploration == "relay" and steps >= reached else 0.1
            run.append_log({"steps": steps, "decisions": steps / 3, "cpu_s": 1.0, "evaluated_success": success})
        run.summary.write_text("{}")


def test_others_have_three_times_what_the_relay_took_and_nothing_runs_twice(tmp_path: Path) -> None:
    training = Training()
    for _ in range(2):
        train_all("push", (0, 1), tmp_path, 300_000, training)
    assert [command["exploration"] for command in training.commands] == [name for name in EXPLORATIONS for _ in (0, 1)]
    budgets = [command["--expert-steps"] for command in training.commands]
    assert budgets == ["300000"] * 2 + ["135000"] * 6  # three times the median of 30 000 and 60 000
    assert {command["--until"] for command in training.commands} == {"0.95"}


def test_decisions_are_listed_by_seed_and_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for seed, exploration in ((0, "relay"), (1, "relay"), (0, "none")):
        place = run_folder(tmp_path, "push", exploration, seed)
        Training()(["train", "push", "--run", str(place), "--seed", str(seed), "--set", f"exploration={exploration}"])
    runs = [
        read_training(run_folder(tmp_path, "push", exploration, seed), "push", exploration, seed)
        for seed, exploration in ((0, "relay"), (1, "relay"), (0, "none"))
    ]
    assert table(runs)[2:] == [
        "| push | relay | 10000, 20000 | 15000 | 0.96, 0.96 |",
        "| push | none | not by 20000 | not reached | 0.10 |",
    ]
    plot(runs, tmp_path / "exploration.png")
    assert (tmp_path / "exploration.png").stat().st_size > 5_000


def test_what_is_compared_exists_and_an_empty_folder_is_named(tmp_path: Path) -> None:
    assert set(EXPLORATIONS) <= set(get_args(ExplorationName))
    with pytest.raises(FetchSim2RealError, match="has no runs of push; leave --plot out"):
        main(["--tasks", "push", "--folder", str(tmp_path), "--plot", str(tmp_path / "x.png")])
