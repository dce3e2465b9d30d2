"""A bag played to the policy node: everything of it arrives, and the commands are those of the recording."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from synthetic_bag import STORE, Message, messages, write_mcap, write_sqlite
from test_bundle import make_content, write_bundle

from benchmarks.rig.graph_harness import START_LIMIT_S, running
from fetch_sim2real import graph
from fetch_sim2real.bags.playing import PLAYED
from fetch_sim2real.bags.reading import decoded, open_bag
from fetch_sim2real.bags.run import read_run
from fetch_sim2real.errors import GraphError
from fetch_sim2real.evaluation.rerun import rerun
from fetch_sim2real.messages.motion import decode_command
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.ros.topics import publish_to
from fetch_sim2real.stack.options import PlacementOptions, PlaybackOptions
from fetch_sim2real.stack.processes import placed, playback_graph

pytestmark = pytest.mark.ros

FRAMES = 15


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("policies") / "tiny", make_content())


@pytest.fixture(scope="module")
def episode(policy: Path) -> list[Message]:
    return list(messages(load_bundle(policy), FRAMES))


def canonical(data: bytes, topic: graph.Topic) -> bytes:
    """The message without the middleware's padding at its end."""
    return bytes(STORE.serialize_cdr(STORE.deserialize_cdr(data, topic.type), topic.type))


def of_topic(bag: Path, topic: graph.Topic) -> list[bytes]:
    return [canonical(message.data, topic) for message in open_bag(bag).messages([topic.name])]


def expect_the_same(bag: Path, episode: list[Message], policy: Path) -> None:
    """``bag``, which was recorded while ``episode`` was played, holds it, and the same commands."""
    for topic in PLAYED:
        if topic != graph.CLOCK:
            assert of_topic(bag, topic) == [canonical(m.data, topic) for m in episode if m.topic == topic], topic.name
    then = [
        decode_command(STORE.deserialize_cdr(m.data, m.topic.type)) for m in episode if m.topic == graph.JOINT_COMMAND
    ]
    now = [decode_command(decoded(message)) for message in open_bag(bag).messages([graph.JOINT_COMMAND.name])]
    assert len(now) == len(then) == FRAMES
    recorded = read_run(open_bag(bag))
    for command, answer in zip(now, then, strict=True):
        assert command.stamp_ns == answer.stamp_ns and not command.hold
        np.testing.assert_array_equal(command.position, answer.position)
        np.testing.assert_array_equal(command.velocity, answer.velocity)
    offline = rerun(open_bag(bag), recorded, load_bundle(policy))
    assert [frame.difference for frame in offline.frames] == [0.0] * FRAMES and not offline.left_out


def test_the_command_plays_a_bag_and_the_policy_answers_as_it_did(
    tmp_path: Path, policy: Path, episode: list[Message]
) -> None:
    bag = write_sqlite(tmp_path / "bag", episode)
    (bag / "metadata.yaml").unlink()
    command = [sys.executable, "-m", "fetch_sim2real.cli.main", "play", str(bag), "--policy", str(policy)]
    done = subprocess.run(
        [*command, "--record", str(tmp_path / "mine")], capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.count("lost: the recorder did not close the bag: it has no metadata.yaml") == 1
    assert f"{FRAMES} whole frames: {FRAMES} commands, 0 holds, 0 not answered" in done.stdout
    expect_the_same(tmp_path / "mine", episode, policy)
    clock = of_topic(tmp_path / "mine", graph.CLOCK)
    assert len(clock) > FRAMES, "the bag has no clock: the player makes one"


def test_a_bag_is_played_in_a_namespace_and_twice(tmp_path: Path, policy: Path, episode: list[Message]) -> None:
    bag = write_mcap(tmp_path / "bag.mcap", episode)
    options = PlaybackOptions(bag=str(bag), policy=str(policy), loop=True)
    processes = placed(playback_graph(options), PlacementOptions(namespace="left"))
    said: list[dict[str, str]] = []
    with running(processes, tmp_path / "logs") as (supervisor, session):
        from diagnostic_msgs.msg import DiagnosticArray

        def on_diagnostics(message: DiagnosticArray) -> None:
            said.extend(
                {value.key: value.value for value in status.values}
                for status in message.status
                if status.name == f"left/{graph.BAG_PLAYER}"
            )

        session.node.create_subscription(DiagnosticArray, graph.DIAGNOSTICS.name, on_diagnostics, 10)
        session.wait_until(
            lambda: bool(said) and int(said[-1]["passes"]) >= 2, START_LIMIT_S, lambda: "end of two passes"
        )
        log = supervisor.log_path(graph.BAG_PLAYER).read_text()
    assert log.count(f"{FRAMES} whole frames: {FRAMES} commands, 0 holds, 0 not answered") >= 2, log


def test_beside_a_robot_nothing_is_played(tmp_path: Path, policy: Path, episode: list[Message]) -> None:
    bag = write_sqlite(tmp_path / "bag", episode)
    player = [p for p in playback_graph(PlaybackOptions(str(bag), str(policy))) if p.node_name == graph.BAG_PLAYER]
    with running(player, tmp_path / "logs") as (supervisor, session):
        publish_to(session.node, graph.JOINT_STATES)
        with pytest.raises(GraphError, match=r"(?s)'bag_player' ended with status 1.*publishes /joint_states"):
            session.wait_until(lambda: False, START_LIMIT_S, lambda: "refusal")
        assert "playing" not in supervisor.log_tail(graph.BAG_PLAYER)
