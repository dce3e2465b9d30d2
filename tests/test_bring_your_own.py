"""The worked examples of docs/bring_your_own.md run as they stand there."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

pytest.importorskip("rclpy")

from arm_driver.backend import Backend
from arm_driver.backends import ShadowBackend
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.cli import import_policy
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.types import JointTrajectory, TrajectoryPoint

PAGE = Path(__file__).resolve().parents[1] / "docs" / "bring_your_own.md"
TRAJECTORY = JointTrajectory(ARM.joint_names, (TrajectoryPoint(0.1, np.arange(7.0), np.zeros(7)),))


def examples() -> list[str]:
    return [part.split("```")[0] for part in PAGE.read_text(encoding="utf-8").split("```python\n")[1:]]


def test_the_back_end_of_the_page_sends_and_reports() -> None:
    (source,) = (text for text in examples() if "LineBackend" in text)
    faults: list[str] = []
    with socket.create_server(("localhost", 0)) as server:
        names: dict[str, Any] = {}
        exec(compile(source.replace("7777", str(server.getsockname()[1])), PAGE.name, "exec"), names)
        backend = names["LineBackend"](SimpleNamespace(on_fault=faults.append))
        methods = {name for name in vars(Backend) if not name.startswith("_")}
        assert methods <= set(dir(backend)), "what a back end must have"
        robot, _ = server.accept()
        with robot, robot.makefile() as lines:
            backend.send_arm(TRAJECTORY)
            backend.send_gripper(0.03)
            sent = json.loads(lines.readline())
            assert sent["joints"] == list(ARM.joint_names) and sent["points"] == [[0.1, list(range(7)), [0.0] * 7]]
            assert json.loads(lines.readline()) == {"finger_m": 0.03}
        assert not faults
        backend.close()
        backend.send_gripper(0.0)
        assert len(faults) == 1 and "cannot be reached" in faults[0]


def test_a_shadow_keeps_every_command_from_the_back_end_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Published:
        def __init__(self) -> None:
            self.messages: list[Any] = []

        def publish(self, message: Any) -> None:
            self.messages.append(message)

    class Hidden(Backend):
        closed = False

        def send_arm(self, trajectory: JointTrajectory) -> None:
            raise AssertionError("sent to the arm")

        def send_gripper(self, opening_m: float) -> None:
            raise AssertionError("sent to the gripper")

        def close(self) -> None:
            self.closed = True

    published = Published()
    monkeypatch.setattr("arm_driver.joint_trajectory_backend.publish_to", lambda node, topic: published)
    hidden = Hidden()
    shadow = ShadowBackend(None, hidden)
    shadow.send_arm(TRAJECTORY)
    shadow.send_gripper(0.02)
    shadow.close()
    assert len(published.messages) == 2 and hidden.closed


def trained_by_the_page(steps: str, start: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page's example leaves behind when it is run for so many steps as a script in ``folder``."""
    pytest.importorskip("stable_baselines3")
    (source,) = (text for text in examples() if "HerReplayBuffer" in text)
    assert "learn(6_000)" in source and "learning_starts=1_000" in source
    source = source.replace("learn(6_000)", f"learn({steps})").replace("_starts=1_000", f"_starts={start}")
    monkeypatch.chdir(folder)
    # As a script, so that the saved file brings its classes along.
    names: dict[str, Any] = {"__name__": "__main__"}
    with torch.random.fork_rng():
        exec(compile(source, PAGE.name, "exec"), names)
    return names


def test_the_actor_of_the_page_becomes_a_bundle_that_acts_as_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = trained_by_the_page("400", "200", tmp_path, monkeypatch)
    assert names["model"]._n_updates >= 100
    text = PAGE.read_text(encoding="utf-8")
    (command,) = re.findall(r"^ +fetch-sim2real import-policy (.*--algorithm .*)$", text, re.MULTILINE)
    result = CliRunner().invoke(import_policy.app, command.split())
    assert result.exit_code == 0, result.output
    assert "SAC's actions reproduced" in result.output
    manifest = load_bundle(tmp_path / "my_reach").manifest
    assert manifest.task == "reach" and manifest.training.steps == 400 and manifest.actor.hidden == (64, 64)
    names["env"].close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_actor_of_the_page_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = trained_by_the_page("6_000", "1_000", tmp_path, monkeypatch)
    env, model = names["env"], names["model"]
    successes = 0
    for seed in range(10):
        (seen, info), cut = env.reset(seed=seed), False
        while not cut:
            seen, _, _, cut, info = env.step(model.predict(seen, deterministic=True)[0])
        successes += info["is_success"]
    env.close()
    # All of them where it was measured; elsewhere other arithmetic gives another training.
    assert successes >= 7
