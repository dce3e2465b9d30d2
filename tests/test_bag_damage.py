"""Bags that are damaged, cut off, half closed or written by others: what can be read is, the rest is named."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from bag_damage import damage, packed, write_left_open
from synthetic_bag import Message, messages, write_mcap, write_sqlite
from test_bundle import make_content, write_bundle
from test_playing import Stand

from fetch_sim2real import graph
from fetch_sim2real.bags.mcap_file import MAGIC
from fetch_sim2real.bags.playing import Playback, survey
from fetch_sim2real.bags.reading import open_bag
from fetch_sim2real.bags.run import read_run
from fetch_sim2real.calibration.bag_source import snapshots_at_rest
from fetch_sim2real.errors import FetchSim2RealError, SetupError
from fetch_sim2real.evaluation.rerun import rerun
from fetch_sim2real.policy.bundle import PolicyBundle, load_bundle
from fetch_sim2real.reports.rerun_comparison import comparison_picture, summary
from fetch_sim2real.reports.run_report import run_report_html
from fetch_sim2real.ros.recorder.bag import Bag

pytestmark = pytest.mark.timeout(120)

FRAMES = 8
MUTANTS = 6
KNOWN = tuple(topic.name for topic in graph.RECORDED)
# Where each piece of data carries a checksum, nothing changed may be given out.
CHECKED = ("mcap_none", "mcap_zstd", "mcap_lz4", "mcap_packed")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> PolicyBundle:
    return load_bundle(write_bundle(tmp_path_factory.mktemp("policies") / "tiny", make_content()))


@pytest.fixture(scope="module")
def episode(bundle: PolicyBundle) -> list[Message]:
    return list(messages(bundle, FRAMES))


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory, episode: list[Message]) -> dict[str, Path]:
    """The episode as every kind of bag, each a file or a folder."""
    root = tmp_path_factory.mktemp("bags")
    with Bag(root / "ours", graph.RECORDED, {}, compress=True) as ours:
        for message in episode:
            ours.write(message.topic.name, message.data, message.received_ns)
    return {
        "ours": root / "ours",
        "mcap_none": write_mcap(root / "none.mcap", episode, "none"),
        "mcap_zstd": write_mcap(root / "zstd.mcap", episode, "zstd"),
        "mcap_lz4": write_mcap(root / "lz4.mcap", episode, "lz4"),
        "mcap_unchunked": write_mcap(root / "unchunked.mcap", episode, "none", chunked=False),
        "mcap_unchecked": write_mcap(root / "unchecked.mcap", episode, "lz4", checked=False),
        "mcap_packed": packed(write_mcap(root / "packed.mcap", episode, "zstd")),
        "sqlite": write_sqlite(root / "sqlite", episode),
        "sqlite_message": write_sqlite(root / "sqlite_message", episode, "message"),
        "sqlite_file": write_sqlite(root / "sqlite_file", episode, "file"),
        "sqlite_left_open": write_left_open(root / "left_open", episode),
    }


KINDS = (
    "ours", "mcap_none", "mcap_zstd", "mcap_lz4", "mcap_unchunked", "mcap_unchecked", "mcap_packed", "sqlite",
    "sqlite_message", "sqlite_file", "sqlite_left_open",
)  # fmt: skip


def read(path: Path) -> tuple[list[tuple[str, int, bytes]], list[str]]:
    """What is read of a bag, and what is said to be lost."""
    bag = open_bag(path)
    found = [(message.topic, message.received_ns, message.data) for message in bag.messages(KNOWN)]
    return found, bag.losses


def of(episode: list[Message]) -> list[tuple[str, int, bytes]]:
    return [(message.topic.name, message.received_ns, message.data) for message in episode]


def copied(bag: Path, folder: Path) -> Path:
    """The bag once more, to be damaged."""
    target = folder / bag.name
    if bag.is_dir():
        shutil.copytree(bag, target)
    else:
        shutil.copyfile(bag, target)
    return target


# ---- any damage -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_ends_in_a_traceback_or_goes_unsaid(
    kind: str, tmp_path: Path, bags: dict[str, Path], episode: list[Message], bundle: PolicyBundle
) -> None:
    """Reading, replaying, comparing, the page and the survey for playing: each gives what it has, or one error."""
    original = set(of(episode))
    for seed in range(MUTANTS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        mutant = copied(bags[kind], folder)
        done = damage(mutant, np.random.default_rng(seed))
        try:
            bag = open_bag(mutant)
            found, losses = read(mutant)
            run = read_run(bag)
            rerun_result = rerun(bag, run, bundle)
            summary(bag, run, bundle, rerun_result, 0.0)
            comparison_picture("mutant", rerun_result, bundle.manifest.torso_height_m)
            run_report_html(bag, run)
            survey(bag)
        except FetchSim2RealError as error:
            assert str(mutant) in str(error), done
            continue
        assert len(found) == len(episode) or losses, f"{len(episode) - len(found)} lost in silence: {seed}, {done}"
        if kind in CHECKED:
            assert set(found) <= original or losses, f"changed in silence: {seed}, {done}"


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_damaged_chunk_costs_its_own_messages_which_are_counted(
    compression: str, tmp_path: Path, episode: list[Message]
) -> None:
    file = write_mcap(tmp_path / "bag.mcap", episode, compression)
    data = bytearray(file.read_bytes())
    # Into the middle of the compressed records, where the frame's own checks find it.
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)
    found, losses = read(file)
    assert 0 < len(found) < len(episode) and set(found) < set(of(episode))
    assert found[: FRAMES // 2] == of(episode)[: FRAMES // 2]
    assert f"counts {len(episode)} messages, {len(found)} were found" in losses[-1]
    assert "is damaged at byte" in losses[0]


def test_a_database_is_read_before_and_behind_a_damaged_page(tmp_path: Path, episode: list[Message]) -> None:
    many = [Message(m.topic, m.received_ns + 10**9 * n, m.data) for n in range(8) for m in episode]
    folder = write_sqlite(tmp_path / "bag", many)
    file = folder / "bag.db3"
    whole = file.read_bytes()
    with sqlite3.connect(file) as database:
        leaves = "SELECT pageno FROM dbstat WHERE name = 'messages' AND pagetype = 'leaf' ORDER BY path"
        try:
            pages = [page for (page,) in database.execute(leaves)]
        except sqlite3.OperationalError:
            pytest.skip("this SQLite does not tell which page is which")
    database.close()
    at = 4096 * (pages[len(pages) // 2] - 1)
    file.write_bytes(whole[:at] + bytes(4096) + whole[at + 4096 :])
    found, losses = read(folder)
    assert len(many) - 60 < len(found) < len(many) and set(found) < set(of(many))
    assert found[0] == of(many)[0] and found[-1] == of(many)[-1]
    assert f"about {len(many) - len(found)} messages are left out" in losses[0]


def test_of_a_database_that_was_cut_off_the_beginning_is_read(tmp_path: Path, episode: list[Message]) -> None:
    """A copy that did not come to its end is shorter than its own first page says."""
    file = write_sqlite(tmp_path / "bag", episode) / "bag.db3"
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    found, losses = read(file)
    assert len(episode) // 3 < len(found) < len(episode) and set(found) < set(of(episode))
    assert found[: len(episode) // 3] == of(episode)[: len(episode) // 3]
    assert "bag.db3 has no end: the last" in losses[0]


def test_channels_of_a_damaged_first_chunk_are_found_at_the_end(tmp_path: Path, episode: list[Message]) -> None:
    with Bag(tmp_path / "bag", graph.RECORDED, {}, compress=True) as bag:
        for number, message in enumerate(episode):
            bag.write(message.topic.name, message.data, message.received_ns)
            if number == len(episode) // 2:
                bag.flush()
    file = tmp_path / "bag" / "bag.mcap"
    data = bytearray(file.read_bytes())
    at = data.index(b"\x28\xb5\x2f\xfd")  # the first chunk's compressed records
    data[at + 6 : at + 30] = bytes(24)
    file.write_bytes(data)
    found, losses = read(tmp_path / "bag")
    assert 0 < len(found) < len(episode) and set(found) < set(of(episode))
    assert any("metadata.yaml counts" in loss and graph.COLOR.name in loss for loss in losses)


# ---- what other writers and copies make -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_whole(kind: str, bags: dict[str, Path], episode: list[Message]) -> None:
    found, losses = read(bags[kind])
    assert found == of(episode)
    assert bool(losses) == (kind == "sqlite_left_open")


def test_records_of_a_writers_own_are_no_damage(tmp_path: Path, episode: list[Message]) -> None:
    file = write_mcap(tmp_path / "own.mcap", episode)
    magic = len(MAGIC)
    whole = file.read_bytes()
    file.write_bytes(whole[:magic] + struct.pack("<BQ", 0x80, 3) + b"own" + whole[magic:])
    assert read(file) == (of(episode), [])


def test_messages_that_rosbag2_compressed_are_read_of_the_file_alone(
    tmp_path: Path, bags: dict[str, Path], episode: list[Message]
) -> None:
    """Only metadata.yaml says that they are compressed; the messages themselves show it."""
    alone = copied(bags["sqlite_message"] / "sqlite_message.db3", tmp_path)
    assert read(alone) == (of(episode), [])
    alone = copied(bags["sqlite_file"] / "sqlite_file.db3.zstd", tmp_path)
    assert read(alone) == (of(episode), [])


def test_a_file_that_was_unpacked_to_be_played_is_not_read_twice(
    tmp_path: Path, bags: dict[str, Path], episode: list[Message]
) -> None:
    folder = copied(bags["sqlite_file"], tmp_path)
    shutil.copyfile(bags["sqlite"] / "sqlite.db3", folder / "sqlite_file.db3")
    assert read(folder) == (of(episode), [])


def test_metadata_that_lies_or_is_damaged_does_not_hide_a_message(
    tmp_path: Path, bags: dict[str, Path], episode: list[Message]
) -> None:
    folder = copied(bags["sqlite_message"], tmp_path)
    file = folder / "metadata.yaml"
    text = file.read_text()
    for damaged in (b"", b"\xff\xfe\x00", b"rosbag2_bagfile_information: [", b"a: &a [*a]", b"a: 1"):
        file.write_bytes(damaged)
        found, losses = read(folder)
        assert found == of(episode) and "metadata.yaml cannot be read" in losses[0]
    for old, new in (("message_count: 8", "message_count: .inf"), ("  - sqlite_message.db3", "  sqlite_message.db3")):
        assert old in text
        file.write_text(text.replace(old, new))
        found, losses = read(folder)
        assert found == of(episode) and ["metadata.yaml cannot be read" in loss for loss in losses] == [True]
    file.write_text(text.replace("message_count: 8", "message_count: 11"))
    found, losses = read(folder)
    assert found == of(episode)
    assert f"metadata.yaml counts 11 messages on {graph.COLOR.name}, 8 were found" in losses
    file.write_text(text.replace("- sqlite_message.db3", "- sqlite_message_1.db3"))
    assert read(folder) == (of(episode), ["the bag's file sqlite_message_1.db3 is missing"])


def test_every_loss_is_one_line(tmp_path: Path, bags: dict[str, Path]) -> None:
    folder = copied(bags["sqlite"], tmp_path)
    file = folder / "sqlite.db3"
    whole = file.read_bytes()
    for damaged in (b"CREATE TABLE messages`", b"CREATE TABLE messages\x80"):
        file.write_bytes(whole.replace(b"CREATE TABLE messages(", damaged))
        with pytest.raises(SetupError, match="cannot be read as a database of rosbag2") as refusal:
            read(folder)
        assert "\n" not in str(refusal.value)


def test_a_database_without_a_table_of_messages_is_named(tmp_path: Path, bags: dict[str, Path]) -> None:
    folder = copied(bags["sqlite"], tmp_path)
    with closing(sqlite3.connect(folder / "sqlite.db3")) as database:
        database.executescript("ALTER TABLE messages RENAME TO m; CREATE VIEW messages AS SELECT * FROM m")
    with pytest.raises(SetupError, match="its messages have no row numbers"):
        read(folder)


def test_an_empty_bag_says_so(tmp_path: Path) -> None:
    for path in (write_sqlite(tmp_path / "s", []), write_mcap(tmp_path / "m.mcap", [], "zstd")):
        with pytest.raises(SetupError, match="it is empty"):
            read(path)


@pytest.mark.parametrize("written", ["sensor_msgs/Image", "sensor_msgs::msg::dds_::Image_"])
def test_types_may_be_written_as_ros_1_or_dds_write_them(
    written: str, tmp_path: Path, bags: dict[str, Path], bundle: PolicyBundle
) -> None:
    folder = copied(bags["sqlite"], tmp_path)
    with sqlite3.connect(folder / "sqlite.db3") as database:
        database.execute("UPDATE topics SET type = ? WHERE type = 'sensor_msgs/msg/Image'", (written,))
    database.close()
    bag = open_bag(folder)
    assert len(rerun(bag, read_run(bag), bundle).frames) == FRAMES
    assert survey(bag).losses == ()


def test_a_topic_of_another_type_or_encoding_is_named(tmp_path: Path, bags: dict[str, Path]) -> None:
    folder = copied(bags["sqlite"], tmp_path)
    with sqlite3.connect(folder / "sqlite.db3") as database:
        change = "UPDATE topics SET type = 'sensor_msgs/msg/CompressedImage' WHERE name = ?"
        database.execute(change, (graph.COLOR.name,))
        database.execute("UPDATE topics SET serialization_format = 'ros1' WHERE name = ?", (graph.DEPTH.name,))
    database.close()
    found, losses = read(folder)
    assert not {graph.COLOR.name, graph.DEPTH.name} & {topic for topic, _, _ in found}
    assert any(f"{FRAMES} messages" in loss and "expected sensor_msgs/msg/Image" in loss for loss in losses)
    assert any("encoded as 'ros1', expected 'cdr'" in loss for loss in losses)


def test_bytes_that_are_no_message_are_not_given_out(tmp_path: Path, bags: dict[str, Path]) -> None:
    folder = copied(bags["sqlite"], tmp_path)
    with sqlite3.connect(folder / "sqlite.db3") as database:
        database.execute("UPDATE messages SET data = ? WHERE id % 3 = 0", (b"\x18M\x60\x40 something else",))
    database.close()
    found, losses = read(folder)
    assert all(data[:2] == b"\x00\x01" for _, _, data in found)
    assert all("no message in plain CDR" in loss for loss in losses) and losses


# ---- times ----------------------------------------------------------------------------------------------------------


def with_times(episode: list[Message], odd: dict[int, int]) -> list[Message]:
    """The episode with other times of the recorder, by the number of the message."""
    return [Message(m.topic, odd.get(number, m.received_ns), m.data) for number, m in enumerate(episode)]


@pytest.mark.parametrize("time_ns", [2**64 - 1, 2**64 - 10**9, 2**63, 2**63 - 1, 2**31 * 10**9])
def test_times_that_no_ros_time_can_be_are_left_out(
    time_ns: int, tmp_path: Path, episode: list[Message], bundle: PolicyBundle
) -> None:
    file = write_mcap(tmp_path / "bag.mcap", with_times(episode, {5: time_ns, 20: time_ns}), "zstd")
    bag = open_bag(file)
    run = read_run(bag)
    assert len(run.losses) == 2 and all("beyond what a ROS time can be" in loss for loss in run.losses)
    summary(bag, run, bundle, rerun(bag, run, bundle), 0.0)
    run_report_html(bag, run)
    assert survey(bag).duration_s < 1.0


@pytest.mark.parametrize("odd_ns", [1, 1_700_000_000_000_000_000 + 5 * 3600 * 10**9])
def test_a_time_years_or_hours_off_does_not_stop_the_playing(
    odd_ns: int, tmp_path: Path, episode: list[Message]
) -> None:
    """As after the clock of a robot was set, or where one time is damaged."""
    bag = open_bag(write_sqlite(tmp_path / "bag", with_times(episode, {12: odd_ns})))
    stand = Stand(Playback(bag, survey(bag)))
    stand.run()
    assert len(stand.out) == len(episode) - FRAMES  # all but the commands
    assert stand.now_s - 100.0 < 10.0


# ---- places ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder_of_somebody_else() -> Iterator[Path]:
    """A folder that this process, should it be root, may not write to meanwhile."""
    folder = Path(tempfile.mkdtemp())
    user = os.geteuid()
    yield folder
    os.seteuid(user)
    folder.chmod(0o700)
    shutil.rmtree(folder)


def test_a_bag_left_open_is_read_where_nothing_may_be_written(
    folder_of_somebody_else: Path, bags: dict[str, Path], episode: list[Message]
) -> None:
    path = copied(bags["sqlite_left_open"], folder_of_somebody_else)
    there = sorted(file.name for file in path.iterdir())
    assert there == ["bag_0.db3", "bag_0.db3-wal"]
    for folder in (path, folder_of_somebody_else):
        folder.chmod(0o555)
    if os.geteuid() == 0:
        os.seteuid(65534)
    found, losses = read(path)
    assert found == of(episode)
    assert any("did not close bag_0.db3" in loss for loss in losses)
    assert sorted(file.name for file in path.iterdir()) == there


@pytest.mark.parametrize("name", ["what? #1 100%.db3", "two\nlines.db3"])
def test_a_databases_name_may_be_anything(
    name: str, tmp_path: Path, bags: dict[str, Path], episode: list[Message]
) -> None:
    shutil.copyfile(bags["sqlite"] / "sqlite.db3", tmp_path / name)
    assert read(tmp_path / name) == (of(episode), [])


def test_a_place_that_cannot_be_looked_into_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "below", tmp_path / ("n" * 300), Path("/proc/1/mem")):
        with pytest.raises(SetupError):
            open_bag(path)
    with pytest.raises(SetupError, match="rosbags-convert"):
        open_bag(tmp_path / "old.bag")


# ---- calibration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_calibration_reads_damaged_bags_too(kind: str, tmp_path: Path, bags: dict[str, Path]) -> None:
    for seed in range(MUTANTS // 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        mutant = copied(bags[kind], folder)
        damage(mutant, np.random.default_rng(seed))
        try:
            snapshots_at_rest(open_bag(mutant), 5)
        except FetchSim2RealError:
            continue
