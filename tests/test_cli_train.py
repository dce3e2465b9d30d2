"""``fetch-sim2real train``: what it hands to training, and what it says of the run afterwards."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fetch_sim2real.cli.main import app
from fetch_sim2real.common.stop_request import StopRequestedError
from fetch_sim2real.common.workers import Workplace
from fetch_sim2real.paths import shared_dir
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.defaults import PROCESSES, RELAY_STEPS
from fetch_sim2real.training.relay_config import RelayConfig
from fetch_sim2real.training.run_directory import RunDirectory, Spent

pytest.importorskip("matplotlib")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What training was asked for, instead of the training: a checkpoint is there afterwards."""
    taken: dict[str, Any] = {}

    def train(request: Any, say: Any) -> None:
        taken.update(request=request)
        directory = RunDirectory(request.expert_run)
        directory.save(directory.last, {"steps": 700, "learner": {"updates": 500}, "wall_s": 90.0})
        if request.expert.until == 2.0:
            raise StopRequestedError(signal.SIGINT)

    def measure_best(run: Any, directory: RunDirectory, seeds: range, workplace: Workplace) -> Iterator[bool]:
        taken.update(seeds=seeds)
        return (seed % 4 != 0 for seed in seeds)

    def train_with_relay(run: Any, directory: RunDirectory, workplace: Workplace, say: Any) -> float:
        taken.update(relay=run, workplace=workplace)
        learner = {"updates": 500}
        state = {"steps": 720, "decisions": 240, "learner": learner, "wall_s": 90.0, "cpu_s": 120.0}
        directory.save(directory.last, state)
        if run.config.until == 2.0:
            raise StopRequestedError(signal.SIGINT)
        return 0.5

    monkeypatch.setattr("fetch_sim2real.training.relay_stage.train_with_relay", train_with_relay)
    monkeypatch.setattr("fetch_sim2real.training.relay_stage.measure_best", measure_best)
    monkeypatch.setattr("fetch_sim2real.training.pipeline.train", train)
    yield taken


EXPERT = ("--stage", "expert", "--episodes", 0, "--run")


def test_the_expert_alone_is_measured_and_summed_up(asked: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ("--seed", 3, "--run", folder, "--episodes", 8, "--expert-steps", 700, "--set", "hidden=32")
    result = run("push", "--stage", "expert", *words)
    assert result.exit_code == 0, result.output
    summary = json.loads((folder / "summary.json").read_text())
    low, high = summary.pop("ci95")
    assert low < 0.75 < high
    assert summary.pop("command").startswith("fetch-sim2real train")
    version = summary.pop("version")
    assert summary == {
        "task": "push", "stage": "expert", "world": "randomized", "seed": 3, "demonstrator": False, "env_steps": 720,
        "decisions": 240, "updates": 500, "minutes": 1.5, "cpu_minutes": 2.0, "episodes": 8, "success_rate": 0.75,
        "settings": {"hidden": 32, "steps": 700},
    }  # fmt: skip
    assert (asked["relay"].seed, asked["relay"].config.steps, asked["relay"].config.hidden) == (3, 700, 32)
    assert max(asked["seeds"]) < 1_000_000_000, "evaluation seeds, which training never draws"
    record = json.loads((folder / "run.json").read_text())
    assert record["settings"]["hidden"] == 32 and record["settings"]["batch"] == RelayConfig.batch
    assert record["libraries"]["mujoco"] and record["version"] == version and record["machine"]["cores"]


def test_every_task_is_learned_by_relay_for_as_long_as_it_says(asked: dict[str, Any], tmp_path: Path) -> None:
    for task, rewarded_m in (("push", 0.03), ("reach_block", 0.03), ("track", 0.012), ("stack", 0.015)):
        result = run(task, *EXPERT, tmp_path / task, "--seed", 2)
        assert result.exit_code == 0, result.output
        assert (asked["relay"].task, asked["relay"].seed, asked["workplace"].processes) == (task, 2, PROCESSES)
        assert asked["relay"].config.steps == (find_task(task).learning.relay_steps or RELAY_STEPS)
        assert asked["relay"].config.tolerance_m == rewarded_m
        summary = json.loads((tmp_path / task / "summary.json").read_text())
        assert (summary["demonstrator"], summary["success_rate"], summary["ci95"]) == (False, None, None)


def test_a_stopped_run_says_how_to_go_on_and_goes_on_as_what_it_is(asked: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    stopped = run("push", *EXPERT, folder, "--until", 2.0)
    assert stopped.exit_code == 128 + signal.SIGINT
    assert f"stopped after 720 of {RELAY_STEPS} steps" in stopped.output and "fetch-sim2real train" in stopped.output
    for words, named in (
        (("--set", "gamma=0.9"), f"gamma {RelayConfig.gamma}, asked for 0.9"),
        (("--seed", 1), "seed 0, asked for 1"),
        (("--world", "nominal"), "world randomized, asked for nominal"),
    ):
        refused = run("push", *EXPERT, folder, *words)
        assert refused.exit_code == 1 and named in refused.output and "another --run" in refused.output
    longer = run("push", *EXPERT, folder, "--expert-steps", 2 * RELAY_STEPS)
    assert longer.exit_code == 0 and asked["relay"].config.steps == 2 * RELAY_STEPS
    assert len(json.loads((folder / "run.json").read_text())["calls"]) == 2


def test_the_policies_that_come_with_the_project_are_not_written_to_by_accident(
    asked: dict[str, Any], tmp_path: Path
) -> None:
    shipped = shared_dir("policies") / "push"
    before = sorted(shipped.iterdir())
    refused = run("push", "--output", shipped, "--run", tmp_path / "run")
    assert refused.exit_code == 1 and f"--output {shipped}" in refused.output
    assert "--overwrite-shipped" in refused.output and not (tmp_path / "run").exists()
    told = run("push", "--output", shipped, "--run", tmp_path / "run", "--episodes", 0, "--overwrite-shipped")
    assert told.exit_code == 0 and asked["request"].output == shipped, told.output
    assert sorted(shipped.iterdir()) == before, "the training is not a real one here"


def test_no_process_that_collects_is_idle(asked: dict[str, Any], tmp_path: Path) -> None:
    for processes, words, in_flight in ((1, (), 1), (2, (), 1), (4, (), 3), (4, ("--in-flight", 2), 2)):
        folder = tmp_path / f"{processes}_{in_flight}"
        assert run("push", *EXPERT, folder, "--processes", processes, *words).exit_code == 0
        assert asked["relay"].config.in_flight == in_flight and asked["workplace"] == Workplace(processes)
    refused = run("push", *EXPERT, folder)
    assert refused.exit_code == 1 and "in_flight 2, asked for 1" in refused.output


def test_settings_of_the_expert_go_with_all_stages(asked: dict[str, Any], tmp_path: Path) -> None:
    words = ("--until", 0.9, "--set", "hidden=8", "--expert-steps", 700, "--memory", 0, "--rounds", 2)
    told = run("push", "--run", tmp_path / "run", "--episodes", 0, *words)
    assert told.exit_code == 0, told.output
    expert, student = asked["request"].expert, asked["request"].student
    assert (expert.until, expert.hidden, expert.steps, student.memory, student.rounds) == (0.9, 8, 700, 0, 2)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["settings"] == {"memory": 0, "rounds": 2}
    longer = run("push", "--run", tmp_path / "run", "--episodes", 0, *words, "--expert-steps", 900)
    assert longer.exit_code == 0, longer.output
    refused = run("push", "--run", tmp_path / "run", "--episodes", 0, *words, "--memory", 16)
    assert refused.exit_code == 1 and "memory 0, asked for 16" in refused.output


def test_a_stopped_run_of_all_stages_says_what_goes_on(asked: dict[str, Any], tmp_path: Path) -> None:
    result = run("push", "--run", tmp_path / "run", "--episodes", 0, "--until", 2.0)
    assert result.exit_code == 128 + signal.SIGINT and "stopped after 700 of" in result.output
    assert "fetch-sim2real train" in result.output


def test_the_bundle_comes_into_the_runs_folder(asked: dict[str, Any], tmp_path: Path) -> None:
    result = run("push", "--run", tmp_path / "run", "--episodes", 0, "--pictures", 9)
    assert result.exit_code == 0, result.output
    request = asked["request"]
    assert request.output == tmp_path / "run" / "policy" and request.encoder_run == tmp_path / "run" / "encoder"
    assert request.pictures == 9
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["env_steps"], summary["updates"]) == (700, 500) and summary["minutes"] is not None
    assert summary["demonstrator"] is False
    run("push", "--run", tmp_path / "run", "--episodes", 0, "--pictures", 9)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["minutes"] is None, "stages were there before"


def test_an_unknown_stage_gives_the_list(tmp_path: Path) -> None:
    result = run("push", "--stage", "third", "--run", tmp_path / "run")
    assert result.exit_code == 1 and "all, expert" in result.output and not (tmp_path / "run").exists()


def test_a_run_that_has_not_begun_has_taken_nothing(tmp_path: Path) -> None:
    assert RunDirectory(tmp_path).spent() == Spent(0, 0, 0, 0.0, 0.0)
