"""Recordings as data for others: what was recorded comes out bit for bit, or it is said why not."""

from __future__ import annotations

import builtins
import importlib.metadata
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from synthetic_bag import GOAL_M, RECEIVED_NS, START_NS, STORE, Message, messages, text_message
from test_bundle import make_content, write_bundle
from typer.testing import CliRunner

from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.bags.export.episodes import Judgement, find_episodes
from fetch_sim2real.bags.export.lerobot import ACTION, STAMPS, SUCCESS, features, require_lerobot, values
from fetch_sim2real.bags.export.rosbag import copy_bag
from fetch_sim2real.bags.export.steps import Step, read_steps
from fetch_sim2real.bags.reading import open_bag
from fetch_sim2real.bags.run import Answer, RecordedRun, Reply, read_run
from fetch_sim2real.cli.export import app
from fetch_sim2real.common.outputs import new_folder
from fetch_sim2real.common.stop_request import StopRequest, StopRequestedError
from fetch_sim2real.errors import SetupError
from fetch_sim2real.messages.motion import ACTIVATED, COMMAND, HOLD, SetpointReport, refused
from fetch_sim2real.messages.statuses import OperatorEvent, SimulatedOutcome, decode_operator_event
from fetch_sim2real.operation.log import OperationLog
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.ros.recorder.bag import Bag
from fetch_sim2real.timing import CONTROL_PERIOD_NS
from fetch_sim2real.types import JointCommand

FRAMES = 12
OUTCOME = '{"seed": 70, "success": true, "final_distance_m": 0.01}'


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> list[Message]:
    policy = write_bundle(tmp_path_factory.mktemp("policies") / "tiny", make_content())
    return list(messages(load_bundle(policy), FRAMES))


@pytest.fixture(scope="module")
def bag(content: list[Message], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An episode that the simulation calls a success."""
    path = tmp_path_factory.mktemp("recorded") / "bag"
    with Bag(path, graph.RECORDED, {}, compress=True) as written:
        for message in [*content, text_message(graph.SIM_OUTCOME, 1000, OUTCOME)]:
            written.write(message.topic.name, message.data, message.received_ns)
    return path


@pytest.fixture(scope="module")
def steps(bag: Path) -> list[Step]:
    recorded = open_bag(bag)
    run = read_run(recorded)
    left_out: Counter[str] = Counter()
    found = list(read_steps(recorded, run, find_episodes(run), left_out))
    assert not left_out
    return found


def export(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refusal(*arguments: object) -> str:
    result = export(*arguments)
    assert isinstance(result.exception, SetupError), result.output
    return str(result.exception)


# -- episodes ----------------------------------------------------------------------------------------------------------


def run_of(*parts: str, pause: bool = True) -> RecordedRun:
    """A run of periods, one for each letter: a activation, c command, h hold, e the driver follows no more."""
    run, stamp_ns = RecordedRun(), START_NS
    outcomes = {"a": ACTIVATED, "c": COMMAND, "h": HOLD, "e": refused("command_timeout")}
    for part in parts:
        stamp_ns += 10**10 if pause else 0
        for letter in part:
            stamp_ns += 0 if letter == "a" else CONTROL_PERIOD_NS
            received_ns = RECEIVED_NS + stamp_ns
            run.replies.append(Reply(SetpointReport(stamp_ns, outcomes[letter], None), received_ns))
            if letter != "a":
                run.answers.append(Answer(stamp_ns, received_ns, JointCommand(stamp_ns, hold=letter == "h")))
    return run


@pytest.mark.parametrize(
    ("parts", "lengths"),
    [
        (("acccc",), [4]),
        (("cc", "accc"), [2, 3]),  # the bag began in the middle of an episode
        (("ahhcchchh",), [4]),  # holds before and after it are none of it, one inside is
        (("accaccc",), [2, 3]),
        (("accecc",), [2, 2]),
        (("acc", "ccc"), [2, 3]),  # stamps jump, the activation is lost
        (("ahhh",), []),
        ((), []),
    ],
)
def test_an_episode_is_what_was_commanded_between_enabling_and_the_end(parts: tuple[str], lengths: list[int]) -> None:
    assert [len(episode.periods) for episode in find_episodes(run_of(*parts))] == lengths


def event(name: str, operator: str = "ada", **detail: Any) -> OperatorEvent:
    return OperatorEvent(stamp="2026-01-01T00:00:00.000+00:00", event=name, operator=operator, detail=detail)


def test_a_label_belongs_to_the_episode_before_it_and_the_last_one_counts() -> None:
    run = run_of("acc", "acc", "acc")
    first, second, third = (episode.periods[0].received_ns for episode in find_episodes(run))
    run.outcomes.append((first + 10**9, SimulatedOutcome(seed=5, success=False)))
    run.outcomes.append((second + 10**9, SimulatedOutcome(seed=6, success=True)))
    run.events.append((second + 2 * 10**9, event("label", outcome="failure", note="no", task="push")))
    run.events.append((second + 3 * 10**9, event("label", "bob", outcome="unclear", note="fell over", task="push")))
    run.events.append((third + 10**8, event("start")))
    episodes = find_episodes(run)
    assert [episode.judgement for episode in episodes] == [
        Judgement("failure", "simulation", "", "", 5),
        Judgement("unclear", "operator", "bob", "fell over", 6),
        Judgement("", "", "ada", "", None),
    ]
    assert [episode.task for episode in episodes] == ["", "push", ""]


def test_what_the_log_writes_is_what_a_bag_is_asked_for(tmp_path: Path) -> None:
    told: list[str] = []
    log = OperationLog(tmp_path / "log.jsonl", "ada", told.append)
    log.append("label", outcome="success", note="")
    assert told == (tmp_path / "log.jsonl").read_text().splitlines()
    decoded = decode_operator_event(told[0])
    assert (decoded.event, decoded.operator, decoded.detail["outcome"]) == ("label", "ada", "success")
    assert log.events()[0].operator == "ada"


# -- steps -------------------------------------------------------------------------------------------------------------


def test_a_step_holds_what_was_recorded(content: list[Message], steps: list[Step]) -> None:
    assert len(steps) == FRAMES
    recorded: dict[str, list[Any]] = {}
    for message in content:
        decoded = STORE.deserialize_cdr(message.data, message.topic.type)
        recorded.setdefault(message.topic.name, []).append(decoded)
    for index, step in enumerate(steps):
        color, depth = recorded[graph.COLOR.name][index], recorded[graph.DEPTH.name][index]
        assert step.frame.stamp_ns == START_NS + index * CONTROL_PERIOD_NS == step.joints.stamp_ns
        assert step.frame.rgb.tobytes() == color.data.tobytes()
        assert step.frame.depth_mm.tobytes() == depth.data.tobytes()
        command = recorded[graph.JOINT_COMMAND.name][index].points[0]
        np.testing.assert_array_equal(step.period.command.position, command.positions[: ARM.joint_count])
        assert step.period.driver_outcome == COMMAND
        assert step.period.goal is not None and tuple(step.period.goal.position_m) == GOAL_M
    assert steps[0].episode.judgement == Judgement("success", "simulation", "", "", 70)


def test_what_lacks_something_is_counted(content: list[Message], tmp_path: Path) -> None:
    lost = [message for message in content if message.topic == graph.DEPTH][3]
    with Bag(tmp_path / "bag", graph.RECORDED, {}, compress=False) as written:
        for message in content:
            if message is not lost:
                written.write(message.topic.name, message.data, message.received_ns)
    recorded = open_bag(tmp_path / "bag")
    run, left_out = read_run(recorded), Counter[str]()
    assert len(list(read_steps(recorded, run, find_episodes(run), left_out))) == FRAMES - 1
    assert left_out == {"command whose frame is not in the bag": 1}


# -- parquet -----------------------------------------------------------------------------------------------------------


def test_tables_hold_every_number_and_every_pixel(bag: Path, steps: list[Step], tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    result = export(bag, bag, "--to", "parquet", "--output", tmp_path / "tables")
    assert result.exit_code == 0 and f"2 episodes, {2 * FRAMES} control periods" in result.output, result.output
    frames = pq.read_table(tmp_path / "tables" / "frames.parquet").to_pylist()
    assert [(row["episode"], row["frame"]) for row in frames] == [(e, f) for e in (0, 1) for f in range(FRAMES)]
    for row, step in zip(frames, steps + steps, strict=True):
        assert row["stamp_ns"] == step.frame.stamp_ns and row["received_ns"] == step.period.received_ns
        for index, name in enumerate(ARM.joint_names):
            assert row[f"position.{name}"] == step.joints.position[index]
            assert row[f"command_position.{name}"] == step.period.command.position[index]
        assert (row["goal_x_m"], row["goal_y_m"], row["goal_z_m"], row["hold"]) == (*GOAL_M, False)
    episodes = pq.read_table(tmp_path / "tables" / "episodes.parquet").to_pylist()
    assert [row["bag"] for row in episodes] == [bag.parent.name, f"{bag.parent.name}_2"]
    assert {(row["outcome"], row["judge"], row["seed"], row["frames"]) for row in episodes} == {
        ("success", "simulation", 70, FRAMES)
    }
    images = pq.read_table(tmp_path / "tables" / "images").to_pylist()
    for row, step in zip(images, steps + steps, strict=True):
        color = cv2.imdecode(np.frombuffer(row["color_png"], np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(color[..., ::-1], step.frame.rgb)
        depth = cv2.imdecode(np.frombuffer(row["depth_png"], np.uint8), cv2.IMREAD_UNCHANGED)
        assert depth.dtype == np.uint16
        np.testing.assert_array_equal(depth, step.frame.depth_mm)


def test_tables_without_pictures_are_small(bag: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    assert export(bag, "--to", "parquet", "--output", tmp_path / "tables", "--no-images").exit_code == 0
    assert sorted(file.name for file in (tmp_path / "tables").iterdir()) == ["episodes.parquet", "frames.parquet"]


# -- bags --------------------------------------------------------------------------------------------------------------


def test_an_sqlite_bag_holds_the_same_bytes(bag: Path, content: list[Message], tmp_path: Path) -> None:
    assert export(bag, "--to", "sqlite3", "--output", tmp_path / "out").exit_code == 0
    with AnyReader([tmp_path / "out" / bag.parent.name]) as reader:
        copied = [(link.topic, at_ns, bytes(data)) for link, at_ns, data in reader.messages()]
    expected = [(message.topic.name, message.received_ns, message.data) for message in content]
    assert sorted(each for each in copied if each[0] != graph.SIM_OUTCOME.name) == sorted(expected)
    assert len(copied) == len(expected) + 1


def test_a_bag_of_ros_1_says_the_same(bag: Path, content: list[Message], tmp_path: Path) -> None:
    assert export(bag, "--to", "rosbag1", "--output", tmp_path / "out").exit_code == 0
    with AnyReader([tmp_path / "out" / f"{bag.parent.name}.bag"]) as reader:
        assert not reader.is2
        copied: dict[str, list[Any]] = {}
        for link, _, data in reader.messages():
            copied.setdefault(link.topic, []).append(reader.deserialize(data, link.msgtype))
    for topic in (graph.DEPTH, graph.COLOR):
        theirs = copied[topic.name]
        ours = [STORE.deserialize_cdr(each.data, topic.type) for each in content if each.topic == topic]
        assert [bytes(each.data) for each in theirs] == [bytes(each.data) for each in ours]
        assert [each.header.stamp.sec for each in theirs] == [each.header.stamp.sec for each in ours]
    first = copied[graph.JOINT_COMMAND.name][0]
    assert list(first.joint_names) == list(ARM.command_joints) or list(first.joint_names) == list(ARM.joint_names)
    assert copied[graph.SIM_OUTCOME.name][0].data == OUTCOME


def test_topics_beside_the_graphs_are_copied_and_unknown_types_are_named(tmp_path: Path) -> None:
    definitions = get_types_from_msg("bool ready\nint32 code", "fetch_driver_msgs/msg/RobotState")
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(definitions)
    kind = "fetch_driver_msgs/msg/RobotState"
    state = graph.Topic("/robot_state", kind, "*", (), graph.RELIABLE_5, graph.RELIABLE_5)
    with Bag(tmp_path / "bag", graph.RECORDED, {}, compress=True) as written:
        written.write(graph.SIM_OUTCOME.name, text_message(graph.SIM_OUTCOME, 0, OUTCOME).data, RECEIVED_NS)
        assert not written.knows(kind)
        written.add(state, definitions)
        data = bytes(store.serialize_cdr(store.types[kind](ready=True, code=-7), kind))
        written.write(state.name, data, RECEIVED_NS + 1)
    left_out: Counter[str] = Counter()
    assert copy_bag(open_bag(tmp_path / "bag"), tmp_path / "copy.bag", "rosbag1", left_out, lambda: None) == 2
    assert not left_out
    with AnyReader([tmp_path / "copy.bag"]) as reader:
        read = {link.topic: reader.deserialize(data, link.msgtype) for link, _, data in reader.messages()}
    assert (read[state.name].ready, read[state.name].code) == (True, -7)


# -- lerobot, as far as it goes without it -----------------------------------------------------------------------------


def test_every_feature_has_a_value_of_its_type_and_shape(steps: list[Step]) -> None:
    described = features(36, 48, as_video=False)
    numbers = values(steps[-1], is_last=True)
    assert set(described) - set(numbers) == {"observation.images.color", "observation.depth"}
    for name, value in numbers.items():
        assert value.dtype == np.dtype(described[name]["dtype"]) and value.shape == described[name]["shape"], name
        assert described[name]["names"] is None or len(described[name]["names"]) == len(value)
    np.testing.assert_allclose(numbers[ACTION][:-1], steps[-1].period.command.position, rtol=1e-6)
    assert numbers[STAMPS][0] == steps[-1].frame.stamp_ns
    assert numbers[SUCCESS][0] and not values(steps[0], is_last=False)[SUCCESS][0]


# -- what can be repaired ----------------------------------------------------------------------------------------------


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a package unimportable."""

    def hide(package: str) -> None:
        imported = builtins.__import__

        def refusing(name: str, *arguments: Any, **named: Any) -> Any:
            if name.partition(".")[0] == package:
                raise ModuleNotFoundError(f"No module named '{name}'", name=name)
            return imported(name, *arguments, **named)

        monkeypatch.setattr(builtins, "__import__", refusing)

    return hide


def test_a_missing_package_is_named_with_the_command_that_gets_it(
    bag: Path, tmp_path: Path, without: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    without("pyarrow")
    message = refusal(bag, "--to", "parquet", "--output", tmp_path / "out")
    assert "'pyarrow'" in message and "pip install 'fetch-sim2real[parquet]'" in message

    def no_version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", no_version)
    message = refusal(bag, "--to", "lerobot", "--output", tmp_path / "out")
    assert "'lerobot'" in message and "pip install 'fetch-sim2real[lerobot]'" in message
    assert not list(tmp_path.iterdir())


def test_an_old_lerobot_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.3.3")
    with pytest.raises(SetupError, match=r"lerobot is 0\.3\.3, expected 0\.4"):
        require_lerobot()


def test_an_output_that_exists_is_kept(bag: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    for output in (tmp_path / "precious", tmp_path):
        assert "exists already, expected a new folder" in refusal(bag, "--to", "sqlite3", "--output", output)
    assert (tmp_path / "precious").read_text() == "mine"


def test_what_is_no_bag_and_what_holds_no_frames_is_said(bag: Path, content: list[Message], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    assert "holds no bag" in refusal(tmp_path, "--to", "parquet", "--output", tmp_path / "out")
    with Bag(tmp_path / "bare", graph.RECORDED, {}, compress=False) as written:
        for message in content:
            if message.topic == graph.JOINT_COMMAND:
                written.write(message.topic.name, message.data, message.received_ns)
    message = refusal(tmp_path / "bare", "--to", "parquet", "--output", tmp_path / "out")
    assert "no control period" in message and f"no message on {graph.COLOR.name}" in message
    assert f"{FRAMES} on {graph.JOINT_COMMAND.name}" in message and "--rename" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bare"]


def test_what_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "out") as folder:
        folder.mkdir()
        (folder / "half").write_text("written")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("to", ["parquet", "sqlite3", "rosbag1"])
def test_a_stop_between_two_steps_leaves_nothing(
    to: str, bag: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    checks: Iterator[int] = iter(range(100))

    def check(_: StopRequest) -> None:
        if next(checks) == 5:
            raise StopRequestedError(signal.SIGTERM)

    monkeypatch.setattr(StopRequest, "check", check)
    assert export(bag, "--to", to, "--output", tmp_path / "out").exit_code == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())
