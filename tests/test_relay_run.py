"""A relay run: its settings, when it ends, how it is stopped and gone on with, and that it is the same again."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fetch_sim2real.common.stop_request import StopRequestedError
from fetch_sim2real.common.workers import Workplace
from fetch_sim2real.errors import SetupError
from fetch_sim2real.perception.observe import ACTION_SIZE
from fetch_sim2real.sim.full_state import layout_of
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.relay_config import RelayConfig, changed_settings, read_settings, relay_config
from fetch_sim2real.training.relay_her import DecisionEpisode
from fetch_sim2real.training.relay_rollout import LAST_ACTIONS, Collected, Request, Weights
from fetch_sim2real.training.relay_stage import RelayRun, measure_best, train_with_relay
from fetch_sim2real.training.run_directory import RunDirectory

pytest.importorskip("matplotlib")

ROOT = Path(__file__).resolve().parents[1]
SMALL = RelayConfig(
    hidden=16, layers=1, batch=32, updates_per_decision=0.1, environments=2, evaluation_episodes=3, evaluate_every=120,
    steps=600,
)  # fmt: skip
TWO = Workplace(2)
TASK = find_task("push")
SIZE, SKILLS = layout_of(TASK, LAST_ACTIONS).size, len(TASK.skills)
LENGTH = 10
PER_ROUND = SMALL.environments * LENGTH * SMALL.periods_per_decision


def no_watch(request: Request) -> None:
    """Nothing happens at a request."""


class Noise:
    """Answers every request at once, with noise; the actor's own episodes succeed as ``succeeds`` says of the
    judgement's number."""

    in_flight = 2

    def __init__(
        self, succeeds: Callable[[int], bool] = lambda judgement: False, watch: Callable[[Request], None] = no_watch
    ) -> None:
        self._succeeds, self._watch, self._judged = succeeds, watch, 0
        self.asked: list[tuple[Weights, Request]] = []

    def submit(self, weights: Weights, request: Request) -> Future[Collected]:
        self.asked.append((weights, request))
        self._watch(request)
        success = False
        if request.behaviour == "deterministic":
            success = self._succeeds(self._judged // SMALL.evaluation_episodes)
            self._judged += len(request.seeds)
        episodes = []
        for seed in request.seeds:
            rng = np.random.default_rng(seed)
            state, action = rng.normal(size=(LENGTH + 1, SIZE)), rng.uniform(-1.0, 1.0, (LENGTH, ACTION_SIZE))
            places = rng.normal(0.0, 0.1, (2, LENGTH + 1, SKILLS, 3)).astype(np.float32)
            allowed = np.ones((LENGTH + 1, SKILLS), bool)
            episodes.append(
                DecisionEpisode(seed, state.astype(np.float32), *places, allowed, action.astype(np.float32), success)
            )
        done: Future[Collected] = Future()
        done.set_result(Collected(episodes, 0.5, 0.25, process=0))
        return done

    def close(self) -> None:
        """Nothing to end."""


@pytest.fixture
def collect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Noise]:
    """Let what is given collect for runs."""

    def use(noise: Noise, *, draws: bool = False) -> Noise:
        if not draws:  # which takes most of the time
            monkeypatch.setattr("fetch_sim2real.training.curve.plot_learning_curve", lambda *arguments: None)
        monkeypatch.setattr("fetch_sim2real.training.relay_stage._pool", lambda asked, workplace: noise)
        return noise

    return use


def asked(**settings: Any) -> RelayRun:
    return RelayRun("push", "nominal", 0, replace(SMALL, **settings))


def test_a_run_says_how_long_it_takes_and_keeps_its_curves(collect: Any, tmp_path: Path) -> None:
    collect(Noise(), draws=True)
    run, said = RunDirectory(tmp_path), list[str]()
    assert train_with_relay(asked(evaluate_every=360), run, TWO, said.append) == 0.0
    assert re.match(r"about \d+ seconds .* 180 decisions at 40/s, 18 updates at \d+/s at the same time", said[0])
    rows = run.read_log()
    assert [row["steps"] for row in rows] == [360, 600]
    assert rows[-1]["decisions"] == 200 and rows[-1]["updates"] == run.spent().updates == 20
    assert run.spent().decisions == 200 and run.spent().cpu_s is not None and run.spent().cpu_s > 3.0
    assert run.curve.stat().st_size > 10_000
    pytest.importorskip("tensorboardX")
    assert any(b"evaluated_success" in file.read_bytes() for file in run.events.iterdir())


def test_a_run_ends_when_two_judgements_in_a_row_are_good_enough(collect: Any, tmp_path: Path) -> None:
    collect(Noise(lambda judgement: judgement in (1, 3, 4)))
    run = RunDirectory(tmp_path)
    assert train_with_relay(asked(steps=6_000, until=0.98), run) == 1.0
    assert [row["evaluated_success"] for row in run.read_log()] == [0.0, 1.0, 0.0, 1.0, 1.0]
    assert run.load(run.best)["steps"] == 600, "the last of equals"
    again = collect(Noise())
    assert train_with_relay(asked(steps=6_000, until=0.98), run) == 1.0
    assert not again.asked, "it has come to its end"


def test_ctrl_c_saves_at_once_and_the_run_goes_on(collect: Any, tmp_path: Path) -> None:
    first = Noise(watch=lambda request: signal.raise_signal(signal.SIGINT) if len(first.asked) == 5 else None)
    collect(first)
    run, said = RunDirectory(tmp_path), list[str]()
    with pytest.raises(StopRequestedError):
        train_with_relay(asked(evaluate_every=6_000), run, TWO, said.append)
    stopped = run.spent()
    assert 0 < stopped.env_steps < 600 and stopped.updates > 0 and not run.best.exists()
    assert "checkpoint" in said[-1]
    second = collect(Noise())
    train_with_relay(asked(evaluate_every=6_000), run)
    rounds = [request for _, request in second.asked if request.behaviour == "exploring"]
    assert run.spent().env_steps == 600 and run.best.exists()
    assert not {seed for _, request in first.asked for seed in request.seeds} & {s for r in rounds for s in r.seeds}
    # As many episodes as there had been are collected before it learns on, all by the actor as it was.
    before = stopped.env_steps // PER_ROUND
    weights = [np.concatenate([value.ravel() for value in each.values()]) for each, _ in second.asked]
    assert all(np.array_equal(weights[0], each) for each in weights[: before + 1])


def test_going_on_with_other_settings_is_refused_by_name(collect: Any, tmp_path: Path) -> None:
    collect(Noise())
    run = RunDirectory(tmp_path)
    train_with_relay(asked(steps=120), run)
    message = r"last.pt is of a run with gamma 0.965, asked for 0.9; environments 2, asked for 3. Ask .* another --run"
    with pytest.raises(SetupError, match=message):
        train_with_relay(asked(gamma=0.9, environments=3), run)
    with pytest.raises(SetupError, match="task push, asked for slide"):
        train_with_relay(replace(asked(), task="slide"), run)
    with pytest.raises(SetupError, match=r"world nominal, asked for wide; content of world \w+, asked for \w+"):
        train_with_relay(replace(asked(), world="wide"), run)
    train_with_relay(asked(steps=240, until=0.5), run)
    assert run.spent().env_steps == 240, "a longer one goes on"


def test_weights_are_as_many_rounds_old_as_requests_are_in_flight(collect: Any, tmp_path: Path) -> None:
    three = collect(Noise())
    train_with_relay(asked(evaluate_every=6_000, steps=360, in_flight=3), RunDirectory(tmp_path))
    behaviours = [request.behaviour for _, request in three.asked]
    assert behaviours[:5] == ["random"] * 4 + ["exploring"], "learning begins after the first of three answers"


def test_settings_come_from_a_file_and_from_the_command(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("hidden: 128\nlearning_rate: 3e-4\n")
    config = relay_config(read_settings(file, ["hidden=64", "steps=1000"]))
    assert changed_settings(config) == {"hidden": 64, "learning_rate": 3e-4, "steps": 1_000}
    assert relay_config({}) == RelayConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat: 1", "my.yaml: there is no setting 'learning_rat', did you mean learning_rate?"),
        ("gamma: 1.0", "my.yaml: 'gamma': Input should be less than 1, got 1.0"),
        ("steps: many", "my.yaml: 'steps': Input should be a valid integer"),
        ("- 1", "my.yaml holds 1 document"),
        ("a: [", "my.yaml is not YAML"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(text)
    with pytest.raises(SetupError) as refused:
        read_settings(file, [])
    assert message in str(refused.value)
    with pytest.raises(SetupError, match="--set hidden: expected NAME=VALUE"):
        read_settings(None, ["hidden"])


def test_the_example_file_of_the_page_is_a_valid_one(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(# settings.*?)```", page, re.DOTALL)
    assert example is not None
    file = tmp_path / "example.yaml"
    file.write_text(example[1])
    assert changed_settings(relay_config(read_settings(file, [])))


@pytest.mark.slow
def test_a_run_is_the_same_again_in_one_process_and_in_two(tmp_path: Path) -> None:
    config = replace(SMALL, environments=1, evaluation_episodes=1, evaluate_every=6_000, steps=240)
    runs = {processes: RunDirectory(tmp_path / str(processes)) for processes in (1, 2)}
    for processes, run in runs.items():
        train_with_relay(RelayRun("reach", "nominal", 0, config), run, Workplace(processes))
    states = [run.load(run.last)["learner"]["actor"] for run in runs.values()]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert all(run.spent().updates > 0 for run in runs.values())
    outcomes = list(measure_best(RelayRun("reach", "nominal", 0, config), runs[1], [10_000]))
    assert len(outcomes) == 1
