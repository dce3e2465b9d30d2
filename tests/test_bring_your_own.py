"""The worked examples of docs/bring_your_own.md run as they stand there."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from arm_driver.backend import Backend
from arm_driver.shadow import ShadowBackend
from fetch_sim2real.robot.joints import ARM_JOINTS
from fetch_sim2real.types import JointTrajectory, TrajectoryPoint

PAGE = Path(__file__).resolve().parents[1] / "docs" / "bring_your_own.md"
TRAJECTORY = JointTrajectory(ARM_JOINTS, (TrajectoryPoint(0.1, np.arange(7.0), np.zeros(7)),))


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
            assert sent["joints"] == list(ARM_JOINTS) and sent["points"] == [[0.1, list(range(7)), [0.0] * 7]]
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


def test_the_example_of_the_actor_is_that_of_the_environments_page_in_the_robots_mode() -> None:
    (trained,) = (text for text in examples() if "HerReplayBuffer" in text)
    page = PAGE.with_name("environments.md").read_text(encoding="utf-8")
    tested = page.split("```python\n")[1].split("```")[0].split("\nsuccesses = 0")[0]
    assert trained.replace('"robot"', '"state"').replace('model.save("my_reach.zip")\n', "") == tested
