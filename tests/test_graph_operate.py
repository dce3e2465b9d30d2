"""The operator's workflow over the simulated graph, driven by scripted answers: what a human would type on a robot."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from rich.console import Console
from std_srvs.srv import Trigger

from benchmarks.rig.graph_harness import START_LIMIT_S, running, write_untrained_bundle
from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.cli.operate import app
from fetch_sim2real.control.homing import plan_slow_move
from fetch_sim2real.errors import GraphError
from fetch_sim2real.operation.log import OperationLog
from fetch_sim2real.operation.preflight_checks import JOINT_SILENCE_LIMIT_S, Check
from fetch_sim2real.ros.client import StackClient
from fetch_sim2real.ros.operate.choices import Expected
from fetch_sim2real.ros.operate.dialogue import LONG_EPISODE_S, Dialogue, SimulatedWorld, parse_goal
from fetch_sim2real.ros.operate.run_session import wait_for_stack
from fetch_sim2real.ros.operate.steps import Steps
from fetch_sim2real.ros.operate.terminal import Terminal
from fetch_sim2real.ros.operate.topic_monitors import TopicMonitors
from fetch_sim2real.ros.topics import publish_to
from fetch_sim2real.stack.options import SimGraphOptions
from fetch_sim2real.stack.processes import sim_graph

pytestmark = [pytest.mark.ros, pytest.mark.gl, pytest.mark.slow]

OUTSIDE_M = (0.76, 0.0, 0.90)  # of where episodes of reach_block start


@dataclass
class OperatorRig:
    """A simulated graph, not running yet, and an operator."""

    steps: Steps
    world: SimulatedWorld
    log: OperationLog

    def checks(self) -> dict[str, Check]:
        """The check list by name."""
        return {check.name: check for check in self.steps.check().checks}

    def talk(self, *answers: str) -> tuple[bool, str]:
        """The dialogue with these answers: its result, and what it printed."""
        reading, writing = os.pipe()
        os.write(writing, "".join(f"{answer}\n" for answer in answers).encode())
        os.close(writing)
        console = Console(width=300, record=True, quiet=False, file=open(os.devnull, "w"))  # noqa: SIM115
        terminal = Terminal(self.steps.client.session, console, False, reading)
        try:
            return Dialogue(self.steps, terminal, 1.5, self.world).run(), console.export_text()
        finally:
            os.close(reading)
            console.file.close()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorRig]:
    folder = tmp_path_factory.mktemp("operate")
    write_untrained_bundle(folder / "policy")
    options = SimGraphOptions(policy=str(folder / "policy"), lockstep=True, episode_s=LONG_EPISODE_S)
    log = OperationLog(folder / "log.jsonl")
    with running(sim_graph(options), folder / "logs") as (_, session):
        client, monitors = StackClient(session), TopicMonitors(session)
        wait_for_stack(client, monitors, 2 * START_LIMIT_S)
        steps = Steps(client, monitors, log, Expected("live"))
        try:
            yield OperatorRig(steps, SimulatedWorld(client, 3), log)
        finally:
            steps.make_safe()


@pytest.fixture
def standing(rig: OperatorRig) -> OperatorRig:
    """The world at a start, running, the driver disabled."""
    rig.world.begin()
    rig.steps.hold()
    return rig


def test_a_robot_that_stands_still_in_time_is_not_ready(rig: OperatorRig) -> None:
    rig.steps.client.session.wait_until(
        lambda: (rig.steps.monitors.joints.silence_s or 0.0) > JOINT_SILENCE_LIMIT_S, 5.0, lambda: "silence"
    )
    done, text = rig.talk("n", "q")
    assert not done
    assert "joint states    stale" in text and "no frame has come" in text
    failed = rig.log.events()[-1].detail["failed"]
    assert isinstance(failed, dict) and set(failed) == {"joint states", "camera latency", "command latency"}


def test_all_is_well_at_a_start(standing: OperatorRig) -> None:
    found = standing.checks()
    assert {name: check.state for name, check in found.items() if check.state != "ok"} == {
        "run-stop": "unknown", "calibration": "unknown",
    }  # fmt: skip
    assert found["camera latency"].reason.startswith("67 ms")
    assert "120 Hz" in found["joint states"].reason


@pytest.mark.parametrize("topic", [graph.JOINT_COMMAND, graph.ARM_TRAJECTORY])
def test_a_second_commander_is_found(standing: OperatorRig, topic: graph.Topic) -> None:
    session = standing.steps.client.session
    publisher = publish_to(session.node, topic)
    check = standing.checks()["commanders"]
    session.node.destroy_publisher(publisher)
    assert check.state == "fail"
    assert check.next_step == f"end {graph.OPERATOR}" and topic.name in check.reason


def test_who_could_send_goals_by_action_is_found(standing: OperatorRig) -> None:
    node = standing.steps.client.session.node
    # What an action's client makes, among others.
    client = node.create_client(Trigger, f"{graph.ROBOT_ACTIONS[0]}/_action/send_goal")
    check = standing.checks()["commanders"]
    node.destroy_client(client)
    assert check.state == "fail" and graph.ROBOT_ACTIONS[0] in check.reason
    assert check.next_step == f"end {graph.OPERATOR}"


def go_outside(rig: OperatorRig) -> None:
    """Bring the arm to where no episode starts."""
    info, newest = rig.steps.stack_info, rig.steps.monitors.joints.newest
    assert info.ik is not None and info.model is not None and newest is not None
    target = info.ik.reach(ARM.home_rad, np.array(OUTSIDE_M))
    assert target is not None
    arrived, reason = rig.steps.move(plan_slow_move(info.model, info.ik, newest.position, target), lambda: False)
    assert arrived, reason


def test_a_run_from_outside_the_start_region_to_its_label(standing: OperatorRig) -> None:
    go_outside(standing)
    assert standing.checks()["start"].state == "fail"
    before = len(standing.log.events())
    done, text = standing.talk("n", "y", "0 0 0.9", "nonsense", "0 0 0.1", "y", "y", "f", "went astray", "n")
    assert done, text
    assert "6 cm outside" in text and "  there" in text
    assert "refused: position [0.0, 0.0, 0.9] m in 'block' is outside the trained region" in text
    events = standing.log.events()[before:]
    assert [e.event for e in events] == [
        "check", "enable", "move", "check", "goal", "goal", "enable", "start", "stop", "label", "reset",
    ]  # fmt: skip
    goals = [e.detail["accepted"] for e in events if e.event == "goal"]
    assert goals == [False, True]
    label = events[-2].detail
    assert (label["outcome"], label["note"], label["end"]) == ("failure", "went astray", "1.5 s are over")
    assert isinstance(label["goal"], dict) and label["goal"]["position_m"] == [0.0, 0.0, 0.1]
    assert standing.steps.stack_info.bundle is not None
    assert label["policy_sha256"] == standing.steps.stack_info.bundle.sha256
    stop = events[-3].detail["decisions"]
    assert isinstance(stop, dict) and int(str(stop["decisions_command"])) + int(str(stop["decisions_limited"])) > 10


def test_an_aborted_move_stops_the_driver_until_it_is_reset(standing: OperatorRig) -> None:
    info, newest = standing.steps.stack_info, standing.steps.monitors.joints.newest
    assert info.ik is not None and info.model is not None and newest is not None
    target = info.ik.reach(ARM.home_rad, np.array(OUTSIDE_M))
    assert target is not None
    move = plan_slow_move(info.model, info.ik, newest.position, target)
    began_s = time.monotonic()
    arrived, reason = standing.steps.move(move, lambda: time.monotonic() - began_s > 0.1)
    assert not arrived and reason.startswith("aborted (driver stopped")
    check = standing.checks()["driver"]
    assert check.state == "fail" and "stopped" in check.reason
    standing.steps.reset()
    assert standing.checks()["driver"].state == "ok"


def test_the_program_that_ends_stops_the_arm(standing: OperatorRig) -> None:
    steps = standing.steps
    steps.enable()
    with pytest.raises(GraphError, match="there is no goal"):
        steps.start()
    goal = parse_goal("0 0 0.1", graph.BLOCK_FRAME)
    assert goal is not None and steps.goal(goal)[0]
    steps.client.session.spin(0.3)
    assert steps.client.last_outcome == "hold", "a goal alone starts nothing"
    steps.start()
    steps.client.session.wait_until(
        lambda: steps.client.last_outcome in ("command", "limited"), 5.0, lambda: "command of the policy"
    )
    steps.make_safe()
    steps.monitors.wait_for_news()
    assert steps.monitors.diagnostics(graph.ARM_DRIVER)["state"] == "stopped"
    assert steps.monitors.diagnostics(graph.POLICY_NODE)["started"] == "False"
    steps.reset()


def test_the_steps_are_commands_too(
    standing: OperatorRig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            app(["--log", str(tmp_path / "log.jsonl"), *arguments])
        return int(ended.value.code or 0), capfd.readouterr().out

    code, output = run("check", "--json")
    assert code == 0, output
    assert {item["name"] for item in json.loads(output)} >= {"run-stop", "bundle", "start"}
    assert run("goal", "0", "0", "0.9")[0] == 1
    goal = ("goal", "0", "0", "0.1", "--frame", "block")
    for arguments in (goal, ("enable",), ("start",), ("stop",), ("label", "unclear"), ("reset",)):
        code, output = run(*arguments)
        assert code == 0, output
    assert [e.event for e in OperationLog(tmp_path / "log.jsonl").events()] == [
        "check", "goal", "goal", "enable", "start", "stop", "label", "reset",
    ]  # fmt: skip


def test_any_key_is_heard_and_not_taken_for_an_answer(rig: OperatorRig) -> None:
    keyboard, descriptor = os.openpty()
    with open(os.devnull, "w") as nowhere:
        terminal = Terminal(rig.steps.client.session, Console(file=nowhere), False, descriptor)
        with terminal.any_key() as pressed:
            assert not pressed()
            os.write(keyboard, b" ")
            rig.steps.client.session.wait_until(pressed, 5.0, lambda: "key")
        os.write(keyboard, b"n\n")
        assert not terminal.yes("Go on?")
    os.close(keyboard)
    os.close(descriptor)


def test_goals_as_they_are_typed() -> None:
    goal = parse_goal("0.6, -0.1 0.745", graph.BASE_FRAME)
    assert goal is not None and goal.frame_id == graph.BASE_FRAME
    np.testing.assert_array_equal(goal.position_m, [0.6, -0.1, 0.745])
    other = parse_goal("1 2 3 block", graph.BASE_FRAME)
    assert other is not None and other.frame_id == "block"
    for text in ("", "1 2", "a b c", "1 2 3 block more"):
        assert parse_goal(text, graph.BASE_FRAME) is None
