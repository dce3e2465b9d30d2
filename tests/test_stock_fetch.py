"""The benchmark on gymnasium-robotics' environments, on a stand-in for these."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.stock_fetch import (
    COLUMNS,
    TASKS,
    Collector,
    Held,
    Log,
    judge,
    scaled,
    train_relay,
    training_seeds,
    unseen_seeds,
)
from benchmarks.stock_fetch_plot import median_steps, plot_runs, read_run, table
from fetch_sim2real.errors import FetchSim2RealError, SetupError


class Carrying:
    """An object that goes along with a gripper within 5 cm; success from 5 cm on; ten steps an episode."""

    STEPS = 10

    def __init__(self) -> None:
        self.seeds: list[int] = []
        self.actions: list[np.ndarray] = []

    def reset(self, *, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
        self.seeds.append(seed)
        rng = np.random.default_rng(seed)
        self.grip_m = np.array([1.34, 0.75, 0.45])
        self.object_m, self.goal_m = self.grip_m + rng.uniform(-0.1, 0.1, (2, 3))
        self.left = self.STEPS
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        self.actions.append(action.copy())
        moved = 0.06 * action[:3]
        if np.linalg.norm(self.grip_m - self.object_m) < 0.05:
            self.object_m = self.object_m + moved
        self.grip_m = self.grip_m + moved
        self.left -= 1
        success = float(np.linalg.norm(self.object_m - self.goal_m) < 0.05)
        return self._observation(), success - 1.0, False, self.left == 0, {"is_success": success}

    def _observation(self) -> dict[str, Any]:
        observation = np.concatenate([self.grip_m, self.object_m, self.object_m - self.grip_m, np.zeros(16)])
        return {"observation": observation, "achieved_goal": self.object_m, "desired_goal": self.goal_m}


def scripted(seen: dict[str, Any]) -> np.ndarray:
    """Go to the object, then carry it to the goal."""
    away = seen["observation"][6:9]
    wanted = away if np.linalg.norm(away) >= 0.05 else seen["desired_goal"] - seen["achieved_goal"]
    return np.append(np.clip(wanted / 0.06, -1.0, 1.0), 0.0)


def test_episodes_hold_what_happened_and_steps_are_counted_in_theirs() -> None:
    environments = [Carrying(), Carrying()]
    collector, asked = Collector(environments, 2), list[int]()

    def decide(now: Any) -> np.ndarray:
        asked.append(len(now.state))
        return np.full((2, 4), 0.1 * len(asked))

    first, second = collector.collect(decide, count(7))
    assert collector.steps == 2 * Carrying.STEPS and asked == [2] * 5
    assert [env.seeds for env in environments] == [[7], [8]] == [[first.seed], [second.seed]]
    np.testing.assert_allclose(first.action[:, 0], [0.1, 0.2, 0.3, 0.4, 0.5], rtol=1e-6)
    np.testing.assert_allclose([action[0] for action in environments[0].actions], np.repeat(first.action[:, 0], 2))
    gripper, thing = first.achieved_m[:, 0], first.achieved_m[:, 1]
    np.testing.assert_allclose(gripper[-1] - gripper[0], 0.06 * 2 * 1.5, rtol=1e-4)  # 1.5 is the sum of decisions
    np.testing.assert_array_equal(first.asked_m[:, 0], thing)  # the gripper is to be where the object is
    np.testing.assert_allclose(first.asked_m[:, 1], np.tile(environments[0].goal_m, (6, 1)), rtol=1e-6)
    assert first.state.shape == (6, 25) and first.allowed.all()


def test_states_are_scaled_around_the_middle_of_the_table() -> None:
    env = Carrying()
    observation, _ = env.reset(seed=1)
    state = scaled(observation)
    np.testing.assert_allclose(state[:3], 0.0, atol=1e-6)
    np.testing.assert_allclose(state[3:6], state[6:9], atol=1e-5)  # from the middle, and from the gripper there
    assert 0.1 < np.abs(state[3:6]).max() <= 1.0


def test_judging_takes_new_seeds_and_ends_early_only_where_many_failed() -> None:
    env, seeds = Carrying(), iter(unseen_seeds(0))
    assert judge(scripted, env, seeds, 60) == (1.0, 60)
    success, episodes = judge(lambda seen: np.zeros(4), env, seeds, 60)
    assert success < 0.5 and episodes == 20
    begun = count()

    def sometimes(seen: dict[str, Any]) -> np.ndarray:
        return np.zeros(4) if next(begun) // Carrying.STEPS % 4 == 0 else scripted(seen)

    success, episodes = judge(sometimes, env, seeds, 60)
    assert 0.7 <= success <= 0.8 and episodes == 50
    assert env.seeds == list(unseen_seeds(0)[:130])


def test_no_run_is_judged_on_a_seed_that_any_run_trains_on() -> None:
    runs = [0, 1, 2, 3, 4, 100, 101]
    spans = sorted((span.start, span.stop) for run in runs for span in (training_seeds(run), unseen_seeds(run)))
    assert all(stop <= start for (_, stop), (start, _) in pairwise(spans))


def test_an_action_is_held_for_the_steps_of_a_decision() -> None:
    answers = count()
    held = Held(lambda seen: np.array([next(answers)]), 2)
    assert [int(held({})[0]) for _ in range(6)] == [0, 0, 1, 1, 2, 2]


def test_a_run_learns_as_often_as_asked_and_writes_its_judgements(tmp_path: Path) -> None:
    task = replace(TASKS["FetchPush-v4"], every=40, environments=2, random_steps=40)
    task = task.with_set(["updates_per_step=0.5", "hidden=8", "batch=8"])
    train_relay(task, Carrying, 3, 60, Log(tmp_path / "run.csv", "FetchPush-v4", "relay", 3), 4)
    with (tmp_path / "run.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["steps"], row["updates"], row["episodes"]) for row in rows] == [
        ("40", "0", "4"), ("60", "10", "4"),
    ]  # fmt: skip
    assert {row["seed"] for row in rows} == {"3"}


def test_settings_are_those_of_the_benchmark_or_of_the_learner() -> None:
    task = TASKS["FetchPush-v4"].with_set(["hand_over_m=0.1", "batch=512", "random_share=0", "precision=float32"])
    assert (task.hand_over_m, task.relay.batch, task.relay.random_share) == (0.1, 512, 0.0)
    assert task.relay.precision == "float32"
    assert task.relay.gamma == TASKS["FetchPush-v4"].relay.gamma
    with pytest.raises(SetupError, match="--set widht=3: no setting is called widht"):
        task.with_set(["widht=3"])


def _write(path: Path, seed: int, successes: list[float]) -> Path:
    log = Log(path, "FetchPush-v4", "relay", seed)
    stops = [log.add(2_500 * (i + 1), i, success, 50) for i, success in enumerate(successes)]
    assert not any(stops[:-1])
    return path


def test_steps_are_those_of_the_first_good_judgement_and_a_failed_run_counts_as_slowest(tmp_path: Path) -> None:
    good, lucky, failed = (
        read_run(_write(tmp_path / f"{seed}.csv", seed, successes))
        for seed, successes in enumerate([[0.2, 0.92, 0.96, 1.0], [0.96, 0.9, 0.98], [0.1, 0.2]])
    )
    assert (good.first(), good.first_of_two(), lucky.first(), lucky.first_of_two()) == (2, 3, 0, None)
    assert failed.first() is None
    assert median_steps([good, lucky, failed]) == 7_500
    assert median_steps([good, failed, failed]) is None
    lines = table([good, lucky, failed])
    assert "| 2 | not by 5 000 | not by 5 000 |" in lines[4] and "**7 500**" in lines[5]


def test_runs_are_drawn_and_a_file_without_judgements_is_named(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    runs = [read_run(_write(tmp_path / f"{seed}.csv", seed, [0.1, 0.5, 0.9 + 0.02 * seed])) for seed in range(2)]
    plot_runs(runs, tmp_path / "plots" / "runs.png")
    assert (tmp_path / "plots" / "runs.png").stat().st_size > 10_000
    (tmp_path / "empty.csv").write_text("steps,success\n")
    with pytest.raises(FetchSim2RealError, match=r"empty\.csv has no judgements; expected the columns env, method"):
        read_run(tmp_path / "empty.csv")
