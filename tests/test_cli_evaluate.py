"""``fetch-sim2real evaluate`` from end to end with an untrained policy: repeatable, and the regression check."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")

from benchmarks.rig.graph_harness import write_untrained_bundle

pytestmark = [pytest.mark.ros, pytest.mark.gl, pytest.mark.slow, pytest.mark.timeout(170)]

EPISODES = 5


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fetch_sim2real.cli.main", "evaluate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)


def test_evaluations_repeat_and_a_gate_closes(tmp_path: Path) -> None:
    write_untrained_bundle(tmp_path / "bundle")
    (tmp_path / "short.yaml").write_text(
        "extends: nominal\nname: short\ndescription: d\ntasks: {reach_block: {episode_s: 1.0}}\n"
    )
    suite = tmp_path / "mine.yaml"
    suite.write_text(
        f"policy: {tmp_path / 'bundle'}\nworld: {tmp_path / 'short.yaml'}\nseed: 3\nepisodes: {EPISODES}\ncases:\n"
        "  - {name: plain}\n  - {name: hard, episodes: 1, perturb: [shove, move_goal], faults: {jitter_ms: 30}}\n"
    )
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    result = run(suite, "--folder", tmp_path / "run", "--json", first, "--videos", 1)
    assert result.returncode == 0, result.stderr
    report = (tmp_path / "run" / "report.html").read_text()
    assert "data:image/webp" in report and "second run" not in report  # the picture is of the same episode
    evidence: dict[str, Any] = json.loads(first.read_text())
    assert [len(case["episodes"]) for case in evidence["cases"]] == [EPISODES, 1]

    # As if every seed had succeeded before: the untrained policy loses them all.
    for case in evidence["cases"]:
        for episode in case["episodes"]:
            assert not episode["success"]
            episode["success"] = True
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps(evidence))
    result = run(
        suite, "--folder", tmp_path / "run", "--json", second, "--videos", 0, "--jobs", 2, "--baseline", baseline,
        "--max-slowdown", 0,
    )  # fmt: skip
    assert result.returncode == 1 and "WORSE" in result.stdout and f"{EPISODES + 1} lost" in result.stdout
    once, again = json.loads(first.read_text()), json.loads(second.read_text())
    assert [key for key in once if once[key] != again[key]] == ["timing"]


@pytest.mark.timeout(300)  # three policies, each with a graph of its own
def test_the_smoke_suite_succeeds_with_every_shipped_policy(tmp_path: Path) -> None:
    """In lockstep: what a seed gives does not depend on how busy the machine is."""
    file = tmp_path / "smoke.json"
    command = [sys.executable, "-m", "fetch_sim2real.cli.main", "evaluate", "smoke", "--episodes", "1", "--videos", "0"]
    command += ["--folder", str(tmp_path / "run"), "--json", str(file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert result.returncode == 0, result.stderr
    evidence = json.loads(file.read_text())
    succeeded = {case["case"]["name"]: [each["success"] for each in case["episodes"]] for case in evidence["cases"]}
    assert succeeded == {name: [True] for name in ("reach_block", "push", "pick_and_place", "reach_block shoved")}
