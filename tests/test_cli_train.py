"""``fetch-sim2real train``: what it hands to training, and what it says of the run afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fetch_sim2real.cli.main import app
from fetch_sim2real.common.workers import Workplace
from fetch_sim2real.training.defaults import RELAY_STEPS
from fetch_sim2real.training.run_directory import RunDirectory, Spent

pytest.importorskip("matplotlib")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What training was asked for, instead of the training: a checkpoint is there afterwards."""
    taken: dict[str, Any] = {}

    def train_with_her(setting: Any, directory: RunDirectory, settings: Any, seed: int) -> float:
        taken.update(setting=setting, stage=settings, seed=seed)
        directory.save(directory.last, {"steps": 700, "learner": {"updates": 500}, "wall_s": 90.0})
        return 0.5

    def train(request: Any) -> None:
        taken.update(request=request)
        for name in ("expert", "tuned"):
            directory = RunDirectory(request.run / name)
            directory.save(directory.last, {"steps": 700, "learner": {"updates": 500}, "wall_s": 90.0})

    def measure_best(
        setting: Any, directory: RunDirectory, settings: Any, seeds: range, workplace: Workplace
    ) -> Iterator[bool]:
        taken.update(seeds=seeds)
        return (seed % 4 != 0 for seed in seeds)

    def train_with_relay(run: Any, directory: RunDirectory, workplace: Workplace) -> float:
        taken.update(relay=run)
        directory.save(directory.last, {"steps": 700, "learner": {"updates": 500}, "wall_s": 90.0})
        return 0.5

    monkeypatch.setattr("fetch_sim2real.training.relay_stage.train_with_relay", train_with_relay)
    monkeypatch.setattr("fetch_sim2real.training.state_stage.train_with_her", train_with_her)
    monkeypatch.setattr("fetch_sim2real.training.state_stage.measure_best", measure_best)
    monkeypatch.setattr("fetch_sim2real.training.pipeline.train", train)
    yield taken


def test_the_expert_alone_is_measured_and_summed_up(asked: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    result = run("push", "--stage", "expert", "--seed", 3, "--run", folder, "--episodes", 8, "--expert-steps", 700)
    assert result.exit_code == 0, result.output
    summary = json.loads((folder / "summary.json").read_text())
    low, high = summary.pop("ci95")
    assert low < 0.75 < high
    assert summary.pop("command").startswith("fetch-sim2real train")
    assert summary == {
        "task": "push", "stage": "expert", "world": "randomized", "seed": 3, "demonstrator": True, "env_steps": 700,
        "updates": 500, "minutes": 1.5, "episodes": 8, "success_rate": 0.75,
    }  # fmt: skip
    assert asked["seed"] == 3 and asked["stage"].loop.steps == 700 and asked["stage"].learner.imitation > 0.0
    assert max(asked["seeds"]) < 1_000_000_000, "evaluation seeds, which training never draws"


def test_where_nothing_is_imitated_tasks_are_learned_by_relay(asked: dict[str, Any], tmp_path: Path) -> None:
    for task, words in (("push", ["--no-demonstrator"]), ("slide", []), ("reach_block", ["--no-demonstrator"])):
        folder = tmp_path / task
        result = run(task, "--stage", "expert", *words, "--run", folder, "--episodes", 0, "--seed", 2)
        assert result.exit_code == 0, result.output
        assert (asked["relay"].task, asked["relay"].seed, asked["relay"].steps) == (task, 2, RELAY_STEPS)
        summary = json.loads((folder / "summary.json").read_text())
        assert (summary["demonstrator"], summary["env_steps"], summary["updates"]) == (False, 700, 500)
        assert (summary["success_rate"], summary["ci95"]) == (None, None)
    assert "stage" not in asked
    refused = run("push", "--no-demonstrator", "--run", tmp_path)
    assert refused.exit_code == 1 and "--stage expert" in refused.output


def test_the_bundle_comes_into_the_runs_folder(asked: dict[str, Any], tmp_path: Path) -> None:
    result = run("push", "--run", tmp_path / "run", "--episodes", 0, "--tuning-steps", 9)
    assert result.exit_code == 0, result.output
    request = asked["request"]
    assert request.output == tmp_path / "run" / "policy" and request.encoder_run == tmp_path / "run" / "encoder"
    assert request.tuning.loop.steps == 9
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["env_steps"], summary["updates"]) == (1400, 1000) and summary["minutes"] is not None
    run("push", "--run", tmp_path / "run", "--episodes", 0)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["minutes"] is None, "stages were there before"


def test_an_unknown_stage_gives_the_list(tmp_path: Path) -> None:
    result = run("push", "--stage", "third", "--run", tmp_path / "run")
    assert result.exit_code == 1 and "all, expert" in result.output and not (tmp_path / "run").exists()


def test_a_run_that_has_not_begun_has_taken_nothing(tmp_path: Path) -> None:
    assert RunDirectory(tmp_path).spent() == Spent(0, 0, 0.0)
