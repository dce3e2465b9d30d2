"""Re-running bags: the same commands come out, differences and losses are named, whoever wrote the bag."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from calibration_bundle import GOALS, NOMINAL
from synthetic_bag import STORE, Message, make, messages, write_mcap, write_sqlite
from test_bundle import make_content, write_bundle
from test_calibration_in_force import calibration
from typer.testing import CliRunner

from fetch_sim2real import graph
from fetch_sim2real.bags.reading import RecordedBag, open_bag, renames_of
from fetch_sim2real.bags.run import read_run
from fetch_sim2real.bags.times import TimeAxis, latency_s
from fetch_sim2real.calibration.in_force import CalibrationInForce
from fetch_sim2real.cli import rerun as rerun_command
from fetch_sim2real.cli import run_report
from fetch_sim2real.errors import SetupError
from fetch_sim2real.evaluation.rerun import Rerun, rerun
from fetch_sim2real.policy.bundle import PolicyBundle, load_bundle
from fetch_sim2real.ros.recorder.bag import Bag
from fetch_sim2real.types import Goal

pytestmark = pytest.mark.timeout(60)

FRAMES = 8


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("policies") / "tiny", make_content())


@pytest.fixture(scope="module")
def bundle(policy: Path) -> PolicyBundle:
    return load_bundle(policy)


@pytest.fixture(scope="module")
def episode(bundle: PolicyBundle) -> list[Message]:
    return list(messages(bundle, FRAMES))


def rerun_result(bag: RecordedBag, bundle: PolicyBundle) -> Rerun:
    return rerun(bag, read_run(bag), bundle)


def without(episode: list[Message], topic: graph.Topic, index: int) -> list[Message]:
    """The episode without the message number ``index`` of a topic."""
    lost = [message for message in episode if message.topic == topic][index]
    return [message for message in episode if message is not lost]


# ---- the same commands ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "writer", ["ours", "ours_compressed", "sqlite3", "sqlite3_message", "sqlite3_file", "mcap", "mcap_file"]
)
def test_every_command_comes_out_as_it_was_whoever_wrote_the_bag(
    writer: str, tmp_path: Path, bundle: PolicyBundle, episode: list[Message]
) -> None:
    path = tmp_path / "bag"
    if writer.startswith("sqlite3"):
        write_sqlite(path, episode, writer.partition("_")[2] or "none")
    elif writer == "mcap":
        path.mkdir()
        write_mcap(path / "bag_0.mcap", episode)
    elif writer == "mcap_file":
        path = write_mcap(tmp_path / "bag_0.mcap", episode)
    else:
        with Bag(path, graph.RECORDED, {}, compress=writer == "ours_compressed") as bag:
            for message in episode:
                bag.write(message.topic.name, message.data, message.received_ns)
    result = rerun_result(open_bag(path), bundle)
    assert [frame.difference for frame in result.frames] == [0.0] * FRAMES
    assert not result.left_out
    assert all(np.any(frame.now.velocity) for frame in result.frames), "the actor moves the arm"


def test_the_order_in_which_topics_reached_the_recorder_does_not_matter(
    tmp_path: Path, bundle: PolicyBundle, episode: list[Message]
) -> None:
    """A busy recorder hears pictures late; only the goal has to come before the command that follows it."""
    late = {graph.COLOR: 0.4, graph.DEPTH: 0.15, graph.JOINT_STATES: 0.02}
    shifted = [
        Message(each.topic, each.received_ns + round(1e9 * late.get(each.topic, 0.0)), each.data) for each in episode
    ]
    path = write_sqlite(tmp_path / "bag", sorted(shifted, key=lambda message: message.received_ns))
    result = rerun_result(open_bag(path), bundle)
    assert [frame.difference for frame in result.frames] == [0.0] * FRAMES


def test_a_goal_in_the_cameras_frame_is_rerun_by_the_calibration_that_was_in_force(
    tmp_path: Path, episode: list[Message]
) -> None:
    goals = GOALS.model_copy(update={"lower_m": (-0.1, -0.1, -0.1), "upper_m": (0.1, 0.1, 0.1)})
    write_bundle(tmp_path / "policy", make_content().model_copy(update={"goal": goals}))
    bundle = load_bundle(tmp_path / "policy")
    with Bag(tmp_path / "bag", graph.RECORDED, {}, compress=False) as bag:
        for message in episode:
            bag.write(message.topic.name, message.data, message.received_ns)
    recorded = open_bag(tmp_path / "bag")
    run = read_run(recorded)
    # As if the recorded goal had been stated in the frame of a camera that does not stand where it was in training.
    run.goals[:] = [
        (at_ns, Goal(graph.COLOR_OPTICAL_FRAME, NOMINAL.inverse().apply(goal.position_m))) for at_ns, goal in run.goals
    ]
    assert not rerun(recorded, run, bundle).frames
    run.diagnostics[graph.POLICY_NODE] = {"calibration": CalibrationInForce("c.yaml", calibration()).text()}
    frames = rerun(recorded, run, bundle).frames
    assert len(frames) == FRAMES
    assert max(frame.difference for frame in frames) < 1e-6


def test_another_command_is_found_and_the_exit_status_says_so(
    tmp_path: Path, policy: Path, episode: list[Message]
) -> None:
    # A later command in the place of an earlier one, with the earlier stamp.
    commands = [message for message in episode if message.topic == graph.JOINT_COMMAND]
    forged = Message(graph.JOINT_COMMAND, commands[3].received_ns, commands[3].data[:12] + commands[6].data[12:])
    content = [forged if message is commands[3] else message for message in episode]
    path = write_sqlite(tmp_path / "bag", content)
    picture = tmp_path / "rerun.png"
    arguments = [str(path), "--policy", str(policy), "--picture", str(picture), "--json"]
    answer = CliRunner().invoke(rerun_command.app, arguments)
    result = json.loads(answer.stdout)
    assert answer.exit_code == 1
    assert (result["commands"]["differing"], result["commands"]["bit_exact"]) == (1, FRAMES - 1)
    assert picture.read_bytes().startswith(b"\x89PNG")
    largest = result["commands"]["largest_difference"]
    assert CliRunner().invoke(rerun_command.app, [*arguments, "--tolerance", str(2 * largest)]).exit_code == 0


# ---- what is lost ---------------------------------------------------------------------------------------------------


def test_a_lost_picture_is_counted_and_what_follows_is_not_called_different(
    tmp_path: Path, bundle: PolicyBundle, episode: list[Message]
) -> None:
    bag = open_bag(write_sqlite(tmp_path / "bag", without(episode, graph.DEPTH, 3)))
    result = rerun_result(bag, bundle)
    assert result.left_out == {"command without its frame in the bag": 1, "frame of which a part is missing": 1}
    # The tiny actor is told its last action: from the lost frame on nobody knows which.
    assert [frame.is_known for frame in result.frames] == [True] * 3 + [False] * (FRAMES - 4)
    assert result.largest_difference == 0.0
    assert read_run(bag).statistics[graph.DEPTH.name].missing == 1


def test_a_lost_command_costs_only_its_own_comparison(
    tmp_path: Path, bundle: PolicyBundle, episode: list[Message]
) -> None:
    """The driver's reply tells that the actor acted."""
    result = rerun_result(open_bag(write_sqlite(tmp_path / "bag", without(episode, graph.JOINT_COMMAND, 3))), bundle)
    assert [frame.difference for frame in result.frames] == [0.0] * (FRAMES - 1)
    assert result.left_out == {"frame without a command in the bag": 1}


def test_a_slow_move_that_a_policy_of_version_0_1_followed_is_not_compared(
    tmp_path: Path, bundle: PolicyBundle, episode: list[Message]
) -> None:
    topic = dataclasses.replace(graph.MOVE_STATUS, name="/policy/move_status")
    commands = [message.received_ns for message in episode if message.topic == graph.JOINT_COMMAND]

    def status(before: int, state: str) -> Message:
        text = make("std_msgs/msg/String", data=json.dumps({"state": state, "reason": ""}))
        return Message(topic, commands[before] - 1, bytes(STORE.serialize_cdr(text, topic.type)))

    # The move was over before the actor began.
    recorded = sorted((*episode, status(0, "moving"), status(3, "done")), key=lambda message: message.received_ns)
    result = rerun_result(open_bag(write_sqlite(tmp_path / "bag", recorded)), bundle)
    assert result.left_out == {"command of an operator's move": 3}
    assert len(result.frames) == FRAMES - 3


@pytest.mark.parametrize("share", [0.4, 0.8])
def test_of_a_file_that_was_cut_off_the_beginning_is_rerun_and_the_loss_named(
    share: float, tmp_path: Path, bundle: PolicyBundle, episode: list[Message]
) -> None:
    folder = tmp_path / "bag"
    folder.mkdir()
    whole = write_mcap(tmp_path / "whole.mcap", episode).read_bytes()
    (folder / "bag_0.mcap").write_bytes(whole[: int(share * len(whole))])
    bag = open_bag(folder)
    result = rerun_result(bag, bundle)
    assert 0 < len(result.frames) < FRAMES
    assert result.largest_difference == 0.0
    losses = read_run(bag).losses
    assert any("no metadata.yaml" in loss for loss in losses)
    assert any("part of a record" in loss for loss in losses)


def test_a_recorder_that_never_closed_its_bag_leaves_what_it_flushed(
    tmp_path: Path, bundle: PolicyBundle, episode: list[Message]
) -> None:
    bag = Bag(tmp_path / "bag", graph.RECORDED, {}, compress=True)
    for message in episode[: len(episode) // 2]:
        bag.write(message.topic.name, message.data, message.received_ns)
    bag.flush()
    shutil.copytree(tmp_path / "bag", tmp_path / "killed")
    bag.close()
    result = rerun_result(open_bag(tmp_path / "killed"), bundle)
    assert len(result.frames) == FRAMES // 2 - 1 or len(result.frames) == FRAMES // 2
    assert result.largest_difference == 0.0


def test_a_damaged_chunk_ends_the_reading_with_a_reason(tmp_path: Path, episode: list[Message]) -> None:
    file = write_mcap(tmp_path / "bag_0.mcap", episode)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)
    run = read_run(open_bag(file))
    assert run.losses and "damaged" in run.losses[0]
    assert 0 < len(run.answers) < FRAMES


def test_a_database_without_its_metadata_is_read(tmp_path: Path, bundle: PolicyBundle, episode: list[Message]) -> None:
    path = write_sqlite(tmp_path / "bag", episode)
    (path / "metadata.yaml").unlink()
    bag = open_bag(path)
    assert len(rerun_result(bag, bundle).frames) == FRAMES
    assert bag.losses == ["the recorder did not close the bag: it has no metadata.yaml"]


def test_what_is_no_bag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="holds no bag"):
        open_bag(tmp_path)
    (tmp_path / "empty.mcap").write_bytes(b"")
    with pytest.raises(SetupError, match="no message of"):
        read_run(open_bag(tmp_path / "empty.mcap"))


# ---- names, times, the page -----------------------------------------------------------------------------------------


def test_topics_may_have_other_names_in_the_bag(tmp_path: Path, bundle: PolicyBundle, episode: list[Message]) -> None:
    from dataclasses import replace

    other = replace(graph.JOINT_STATES, name="/fetch/joint_states")
    content = [
        Message(other, each.received_ns, each.data) if each.topic == graph.JOINT_STATES else each for each in episode
    ]
    path = write_sqlite(tmp_path / "bag", content)
    assert rerun_result(open_bag(path), bundle).left_out == {"no joints in the bag": FRAMES}
    result = rerun_result(open_bag(path, renames_of(["/joint_states:=/fetch/joint_states"])), bundle)
    assert len(result.frames) == FRAMES
    with pytest.raises(SetupError, match="cannot rename"):
        renames_of(["/nothing:=/fetch/joint_states"])


def test_latency_is_from_the_stamp_only_where_stamps_and_recorder_share_a_clock() -> None:
    second = 10**9
    waited_s, between = latency_s([(100 * second, 100 * second + 1, 100 * second + 40_000_000)])
    assert waited_s == pytest.approx([0.04]) and "stamp to" in between
    waited_s, between = latency_s([(100 * second, 900 * second, 900 * second + 7_000_000)])
    assert waited_s == pytest.approx([0.007]) and "another clock" in between


def test_pauses_are_cut_to_a_second_and_all_else_keeps_its_time() -> None:
    stamps_ns = np.array([10, 10.5, 500, 500.25]) * 1e9
    axis = TimeAxis(stamps_ns.astype(np.int64))
    np.testing.assert_allclose(axis.at(stamps_ns.astype(np.int64)), [0.0, 0.5, 1.5, 1.75])
    assert axis.end_s == 1.75


def test_the_page_of_a_run_needs_nothing_but_itself(tmp_path: Path, episode: list[Message]) -> None:
    path, page = write_sqlite(tmp_path / "bag", episode), tmp_path / "run.html"
    answer = CliRunner().invoke(run_report.app, [str(path), "--output", str(page)])
    assert answer.exit_code == 0, answer.output
    text = page.read_text()
    assert text.count("data:image/jpeg") == 2 * FRAMES
    assert "shoulder_pan_joint" in text and "The driver refused no command" in text
    assert "http" not in text.replace('http-equiv="Content', "")
