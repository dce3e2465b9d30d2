"""Blinded trials: the plan, what the operator's log says of it, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fetch_sim2real.cli.main import app
from fetch_sim2real.cli.trials import app as trials_app
from fetch_sim2real.errors import SetupError
from fetch_sim2real.operation.trials import TrialFolder
from fetch_sim2real.paths import find_policy
from fetch_sim2real.policy.bundle import load_bundle, record_success


@pytest.fixture(scope="module")
def other_push(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped push under another hash."""
    folder = tmp_path_factory.mktemp("bundles") / "push"
    shutil.copytree(find_policy("push"), folder)
    success = load_bundle(folder).manifest.success
    assert success is not None
    record_success(folder, success.model_copy(update={"episodes": success.episodes + 1}))
    return folder


@pytest.fixture
def planned(other_push: Path, tmp_path: Path) -> TrialFolder:
    folder = tmp_path / "trials"
    done = CliRunner().invoke(trials_app, ["plan", str(folder), "push", str(other_push), "--pairs", "20"])
    assert done.exit_code == 0, done.output
    assert "trial 1: policy:=" in done.output.replace("\n", " ")
    return TrialFolder(folder)


def label(folder: TrialFolder, outcome: str, **changes: object) -> None:
    """Write what `operate label` writes after the next trial."""
    trial = folder.progress().next
    assert trial is not None
    goal = {"frame_id": "base_link", "position_m": list(trial.pair.goal_m)}
    detail = {"outcome": outcome, "policy_sha256": load_bundle(folder.bundle(trial.code)).sha256, "goal": goal}
    folder.log.append("label", None, **(detail | changes))


def test_both_of_a_pair_get_the_same_and_names_and_order_are_drawn(planned: TrialFolder) -> None:
    plan = planned.plan()
    assert sorted(plan.bundles.values()) == sorted(load_bundle(planned.bundle(code)).sha256 for code in ("X", "Y"))
    assert {pair.order for pair in plan.pairs} == {("X", "Y"), ("Y", "X")}
    with (planned.path / "schedule.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 40 and [row["pair"] for row in rows[:4]] == ["1", "1", "2", "2"]
    assert rows[0]["goal in base_link [m]"] == rows[1]["goal in base_link [m]"]
    assert sorted(json.loads((planned.path / "key.json").read_text()).values())[-1] == "push"


def test_a_policy_that_always_wins_is_found_before_all_trials_are_done(planned: TrialFolder) -> None:
    while (progress := planned.progress()).comparison.winner is None:
        assert progress.next is not None
        label(planned, "success" if progress.next.code == "X" else "failure")
    assert progress.comparison.winner == 0 and progress.comparison.pairs < 15
    told = CliRunner().invoke(trials_app, ["reveal", str(planned.path)])
    assert "decided, X is better" in told.output and f"X is {planned.names()['X']}: " in told.output


def test_what_is_unclear_counts_half_and_one_trial_is_no_pair(planned: TrialFolder) -> None:
    label(planned, "unclear")
    assert planned.progress().scores == ()
    label(planned, "unclear")
    assert planned.progress().scores == ((0.5, 0.5),)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"policy_sha256": "0" * 64}, "trial 1 was of a policy that is not in the plan, expected [XY]"),
        ({"goal": {"position_m": [0.5, 0.0, 0.745]}}, r"trial 1 had the goal \[0.5, 0.0, 0.745\], expected"),
    ],
)
def test_a_run_that_was_not_planned_is_named(planned: TrialFolder, changes: dict[str, object], words: str) -> None:
    label(planned, "success", **changes)
    with pytest.raises(SetupError, match=words):
        planned.progress()


def test_what_cannot_be_compared_is_refused(tmp_path: Path, planned: TrialFolder) -> None:
    def refused(*words: str) -> str:
        done = CliRunner().invoke(app, ["trials", *words])
        assert done.exit_code != 0
        return done.output

    assert "expected two different ones" in refused("plan", str(tmp_path / "a"), "push", "push")
    assert "expected the same one" in refused("plan", str(tmp_path / "a"), "push", "reach_block")
    assert "is not empty" in refused("plan", str(planned.path), "push", "reach_block")
    assert "holds no plan.json" in refused("next", str(tmp_path / "nothing"))
    assert "either --against RATE" in refused("effort", "--rate", "0.9")


def test_effort_is_said_in_words() -> None:
    done = CliRunner().invoke(trials_app, ["effort", "--rate", "0.97", "--at-least", "0.8"])
    assert "half of all studies are decided after" in done.output
