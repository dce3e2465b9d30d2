"""Recording: what is written can be read by others, losses are counted, and a killed recorder leaves what it had."""

from __future__ import annotations

import json
import signal
import struct
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from fetch_sim2real import graph
from fetch_sim2real.bags.reading import open_bag
from fetch_sim2real.bags.statistics import PAUSE_NS, Gap, StampStatistics
from fetch_sim2real.common.raw_header import HEADED_TYPES, STAMPED_TYPES, frame_id_in, stamp_ns_in
from fetch_sim2real.common.supervision import Supervisor
from fetch_sim2real.errors import GraphError, SetupError
from fetch_sim2real.ros.recorder.bag import SUMMARY_FILE, Bag
from fetch_sim2real.stack.launcher import launch
from fetch_sim2real.stack.processes import NodeProcess

pytestmark = pytest.mark.timeout(60)

STORE = get_typestore(Stores.ROS2_JAZZY)
PERIOD_NS = 33_333_333
HEIGHT, WIDTH = 6, 8
PIXELS = np.arange(HEIGHT * WIDTH * 3, dtype=np.uint8).reshape(HEIGHT, WIDTH, 3)


def time_of(stamp_ns: int) -> Any:
    return STORE.types["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)


def image_bytes(stamp_ns: int) -> bytes:
    header = STORE.types["std_msgs/msg/Header"](stamp=time_of(stamp_ns), frame_id=graph.COLOR_OPTICAL_FRAME)
    image = STORE.types["sensor_msgs/msg/Image"](
        header=header, height=HEIGHT, width=WIDTH, encoding="rgb8", is_bigendian=0, step=WIDTH * 3, data=PIXELS.ravel()
    )
    return bytes(STORE.serialize_cdr(image, "sensor_msgs/msg/Image"))


def text_bytes(text: str) -> bytes:
    return bytes(STORE.serialize_cdr(STORE.types["std_msgs/msg/String"](data=text), "std_msgs/msg/String"))


# ---- stamps and gaps ------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**31 - 1), st.integers(0, 10**9 - 1))
def test_a_stamp_is_read_from_the_serialized_message(seconds: int, nanoseconds: int) -> None:
    stamp_ns = seconds * 10**9 + nanoseconds
    assert stamp_ns_in(image_bytes(stamp_ns)) == stamp_ns
    clock = STORE.types["rosgraph_msgs/msg/Clock"](clock=time_of(stamp_ns))
    assert stamp_ns_in(bytes(STORE.serialize_cdr(clock, "rosgraph_msgs/msg/Clock"))) == stamp_ns
    assert stamp_ns_in(struct.pack(">BBBBiI", 0, 0, 0, 0, seconds, nanoseconds)) == stamp_ns


def test_the_frame_is_read_from_the_serialized_message() -> None:
    message = image_bytes(10**9)
    assert frame_id_in(message) == graph.COLOR_OPTICAL_FRAME
    assert frame_id_in(message[:20]) is None


def test_a_message_too_short_for_a_stamp_has_none() -> None:
    assert stamp_ns_in(b"\x00\x01\x00\x00\x01") is None
    assert frame_id_in(b"\x00\x01\x00\x00\x01") is None


def test_every_type_called_stamped_begins_with_its_stamp() -> None:
    for topic in graph.CONTRACT:
        first_type = STORE.fielddefs[topic.type][1][0][1][1]
        assert (first_type == "std_msgs/msg/Header") == (topic.type in HEADED_TYPES)
        assert (first_type in ("std_msgs/msg/Header", "builtin_interfaces/msg/Time")) == (topic.type in STAMPED_TYPES)


@given(st.lists(st.booleans(), min_size=2, max_size=60))
def test_missing_messages_are_those_between_the_first_and_the_last_that_came(came: list[bool]) -> None:
    statistics = StampStatistics(PERIOD_NS)
    stamps = [10**9 + i * PERIOD_NS for i, here in enumerate(came) if here]
    for stamp_ns in stamps:
        statistics.note(stamp_ns)
    inner = came[came.index(True) : len(came) - came[::-1].index(True)] if any(came) else []
    longest = max((len(run) for run in "".join("x" if c else "." for c in inner).split("x")), default=0)
    if (longest + 1) * PERIOD_NS < PAUSE_NS:
        assert statistics.missing == inner.count(False)
    assert statistics.count == came.count(True)


def test_gaps_pauses_repetitions_and_disorder_are_told_apart() -> None:
    statistics = StampStatistics(PERIOD_NS)
    first = 10**9
    for periods in (0, 1, 1, 4, 3, 5):
        statistics.note(first + periods * PERIOD_NS)
    statistics.note(first + 5 * PERIOD_NS + PAUSE_NS)
    summary = statistics.summary()
    assert (summary["missing"], summary["repeated"], summary["out_of_order"], summary["pauses"]) == (2, 1, 1, 1)
    assert statistics.gaps == [Gap(first + PERIOD_NS, 2)]


@pytest.mark.parametrize("jump_s", [-4247, 3600])
def test_one_odd_stamp_does_not_hide_what_is_missing_after_it(jump_s: int) -> None:
    statistics = StampStatistics(PERIOD_NS)
    for i in range(60):
        odd_ns = jump_s * 10**9 if i == 10 else 0
        if i not in (40, 41):
            statistics.note(5000 * 10**9 + i * PERIOD_NS + odd_ns)
    assert [gap.missing for gap in statistics.gaps][-1] == 2
    assert statistics.out_of_order + statistics.strays + statistics.clock_sets <= 3


def test_a_clock_that_was_set_is_followed_and_told() -> None:
    statistics = StampStatistics(PERIOD_NS)
    for start_s in (5000, 753):
        for i in range(20):
            statistics.note(start_s * 10**9 + i * PERIOD_NS)
    summary = statistics.summary()
    assert (summary["clock_sets"], summary["strays"], summary["out_of_order"], summary["missing"]) == (1, 2, 0, 0)


def test_without_a_promised_rate_nothing_is_missing() -> None:
    statistics = StampStatistics(None)
    for stamp_ns in (1, 10, 500_000_000, 0):
        statistics.note(stamp_ns)
    assert (statistics.missing, statistics.count, statistics.out_of_order) == (0, 4, 0)


# ---- the bag --------------------------------------------------------------------------------------------------------


def fill(bag: Bag, frames: int) -> None:
    for i in range(frames):
        bag.write(graph.COLOR.name, image_bytes(10**9 + i * PERIOD_NS), 2 * 10**9 + i * PERIOD_NS)
    bag.write(graph.SIM_OUTCOME.name, text_bytes("{}"), 3 * 10**9)


def read_counts(path: Path) -> Counter[str]:
    with AnyReader([path]) as reader:
        return Counter(connection.topic for connection, _, _ in reader.messages())


@pytest.mark.parametrize("compress", [False, True])
def test_a_bag_is_read_back_by_rosbags_and_by_mcap(tmp_path: Path, compress: bool) -> None:
    from mcap_ros2.reader import read_ros2_messages

    path = tmp_path / "bag"
    with Bag(path, graph.CONTRACT, {"policy_sha256": "abc"}, compress) as bag:
        fill(bag, 5)
    assert read_counts(path) == {graph.COLOR.name: 5, graph.SIM_OUTCOME.name: 1}
    with AnyReader([path]) as reader:
        connection, _, raw = next(reader.messages())
        image: Any = reader.deserialize(raw, connection.msgtype)
    np.testing.assert_array_equal(image.data.reshape(HEIGHT, WIDTH, 3), PIXELS)

    (file,) = path.glob("*.mcap")
    messages = list(read_ros2_messages(str(file), topics=[graph.COLOR.name]))
    assert [m.ros_msg.header.stamp.sec for m in messages] == [1] * 5
    assert bytes(messages[0].ros_msg.data) == PIXELS.tobytes()
    metadata = (path / "metadata.yaml").read_text()
    assert "policy_sha256: abc" in metadata and "reliability: reliable" in metadata


def test_the_summary_names_what_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "bag"
    with Bag(path, graph.CONTRACT, {"command": "sim"}, compress=False) as bag:
        for i in (0, 1, 4):
            bag.write(graph.COLOR.name, image_bytes(10**9 + i * PERIOD_NS), i)
        for i in range(5):
            bag.write(graph.DEPTH.name, image_bytes(10**9 + i * PERIOD_NS), i)
    summary = json.loads((path / SUMMARY_FILE).read_text())
    assert summary["frames_lost"] == 2
    assert summary["messages"] == 8
    assert summary["metadata"] == {"command": "sim"}
    assert summary["topics"][graph.COLOR.name]["gaps"] == [{"after_ns": 10**9 + PERIOD_NS, "missing": 2}]


def test_a_folder_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="exists already"):
        Bag(tmp_path, graph.CONTRACT, {}, compress=False)


def test_what_was_flushed_survives_without_closing(tmp_path: Path) -> None:
    from mcap.stream_reader import StreamReader

    bag = Bag(tmp_path / "bag", graph.CONTRACT, {}, compress=True)
    fill(bag, 3)
    bag.flush()
    (file,) = (tmp_path / "bag").glob("*.mcap")
    with file.open("rb") as stream:
        records = []
        try:
            for record in StreamReader(stream, skip_magic=False).records:
                records.append(type(record).__name__)
        except Exception:  # the end is missing
            pass
    assert records.count("Message") == 4
    bag.close()


# ---- the node -------------------------------------------------------------------------------------------------------


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Supervisor]:
    pytest.importorskip("rclpy")
    parameters = {"output": str(tmp_path / "bag"), "metadata": '{"policy_sha256": "abc", "seed": 3}'}
    with launch([NodeProcess("recorder", graph.RECORDER, parameters, stop_rank=0)], tmp_path / "logs") as supervisor:
        yield supervisor


def publish_frames(
    supervisor: Supervisor, count: int, reliability: Literal["reliable", "best_effort"] = "reliable"
) -> None:
    """Publish ``count`` RGB-D frames at 640x480 and as many joint states, as a camera and a robot would."""
    import rclpy
    from rclpy.node import Node

    from fetch_sim2real.messages.images import encode_color, encode_depth
    from fetch_sim2real.messages.stamps import encode_stamp
    from fetch_sim2real.ros.topics import message_class, publish_to

    context = rclpy.Context()
    rclpy.init(context=context)
    node = Node("stand_in", context=context)
    try:
        images = [replace(topic, publish=graph.Qos(reliability, 5)) for topic in (graph.COLOR, graph.DEPTH)]
        topics = (*images, graph.JOINT_STATES)
        publishers = {topic.name: publish_to(node, topic) for topic in topics}
        supervisor.wait_until(
            lambda: all(p.get_subscription_count() == 1 for p in publishers.values()), 15.0, lambda: "recorder"
        )
        rgb = np.full((480, 640, 3), 7, np.uint8)
        depth = np.full((480, 640), 1234, np.uint16)
        for i in range(count):
            stamp_ns = 10**9 + i * PERIOD_NS
            publishers[graph.COLOR.name].publish(encode_color(rgb, stamp_ns, graph.COLOR_OPTICAL_FRAME))
            publishers[graph.DEPTH.name].publish(encode_depth(depth, stamp_ns, graph.COLOR_OPTICAL_FRAME))
            joints = message_class(graph.JOINT_STATES.type)(name=["elbow_flex_joint"], position=[1.0])
            joints.header.stamp = encode_stamp(stamp_ns)
            publishers[graph.JOINT_STATES.name].publish(joints)
            time.sleep(1 / 30)
        time.sleep(0.5)  # the last ones are on their way; nothing tells when they have arrived
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)


@pytest.mark.ros
def test_the_node_records_images_at_camera_rate_and_ends_cleanly(recorder: Supervisor, tmp_path: Path) -> None:
    publish_frames(recorder, 30)
    recorder.stop()
    log = recorder.log_tail(graph.RECORDER)
    assert "frames lost" in log and "Traceback" not in log, log
    counts = read_counts(tmp_path / "bag")
    summary = json.loads((tmp_path / "bag" / SUMMARY_FILE).read_text())
    assert {name: topic["messages"] for name, topic in summary["topics"].items() if topic["messages"]} == counts
    assert counts[graph.JOINT_STATES.name] == 30
    assert counts[graph.COLOR.name] == counts[graph.DEPTH.name] == 30, log
    assert summary["frames_lost"] == 0
    assert summary["metadata"]["policy_sha256"] == "abc" and summary["metadata"]["seed"] == "3"


@pytest.mark.ros
def test_a_publisher_that_offers_less_is_recorded_all_the_same(recorder: Supervisor, tmp_path: Path) -> None:
    publish_frames(recorder, 10, "best_effort")
    recorder.stop()
    assert "best effort, the contract says reliable" in recorder.log_tail(graph.RECORDER)
    assert read_counts(tmp_path / "bag")[graph.COLOR.name] > 0


@pytest.mark.ros
def test_a_killed_recorder_leaves_what_it_wrote(recorder: Supervisor, tmp_path: Path) -> None:
    import os

    from mcap.stream_reader import StreamReader

    publish_frames(recorder, 10)
    time.sleep(2.5)  # the flush comes once a second, later on a busy machine
    os.kill(recorder.pids()[graph.RECORDER], signal.SIGKILL)
    (file,) = (tmp_path / "bag").glob("*.mcap")
    kinds: Counter[str] = Counter()
    with file.open("rb") as stream:
        try:
            for record in StreamReader(stream).records:
                kinds[type(record).__name__] += 1
        except Exception:  # the end is missing
            pass
    # A busy machine may lose some of the thirty on their way to the recorder.
    assert kinds["Message"] >= 15


@pytest.mark.ros
@pytest.mark.parametrize(
    ("parameters", "reason"),
    [({}, "expected a folder"), ({"output": "here", "metadata": "{"}, "not JSON"), ({"output": "."}, "exists already")],
)
def test_the_node_refuses_to_start_with_a_reason(
    tmp_path: Path, parameters: dict[str, str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rclpy")
    monkeypatch.chdir(tmp_path)
    process = NodeProcess("recorder", graph.RECORDER, parameters, stop_rank=0)
    with (
        launch([process], tmp_path / "logs") as supervisor,
        pytest.raises(GraphError, match=f"(?s)'recorder' ended with status 1.*{reason}"),
    ):
        supervisor.wait_until(lambda: False, 15.0, lambda: "end")


# -- topics beside the graph's ----------------------------------------------------------------------------------------


def test_definitions_of_a_type_come_with_those_of_the_types_in_it(tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    from fetch_sim2real.ros.recorder.further_topics import definitions_of

    folder = tmp_path / "fetch_driver_msgs" / "msg"
    folder.mkdir(parents=True)
    (folder / "RobotState.msg").write_text("std_msgs/Header header\nbool ready\nBreakerState[] breakers\n")
    (folder / "BreakerState.msg").write_text("string name\nuint8 state\n")
    found = definitions_of("fetch_driver_msgs/msg/RobotState", lambda package: tmp_path / package)
    assert set(found) == {"fetch_driver_msgs/msg/RobotState", "fetch_driver_msgs/msg/BreakerState"}
    (folder / "BreakerState.msg").unlink()
    with pytest.raises(GraphError, match=r"BreakerState\.msg is missing"):
        definitions_of("fetch_driver_msgs/msg/RobotState", lambda package: tmp_path / package)


def topics_in(path: Path) -> set[str]:
    """Topics with a message in a bag that is still written."""
    try:
        return {message.topic for message in open_bag(path).messages(None)}
    except SetupError:
        return set()


@pytest.mark.ros
def test_further_topics_are_recorded_once_they_are_published(tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    import rclpy
    from rclpy.node import Node
    from std_msgs.msg import String

    from fetch_sim2real.ros.topics import publish_to

    kept = graph.Qos("reliable", 5, "transient_local")
    parameters = {"output": str(tmp_path / "bag"), "also": "/rosout /late /nobody"}
    context = rclpy.Context()
    rclpy.init(context=context)
    process = NodeProcess("recorder", graph.RECORDER, parameters, stop_rank=0)
    try:
        with launch([process], tmp_path / "logs") as supervisor:
            node = Node("stand_in", context=context)
            late = publish_to(node, graph.Topic("/late", "std_msgs/msg/String", "*", (), kept, kept))
            # Said before anybody listens: it is kept for whoever comes.
            late.publish(String(data="early"))
            supervisor.wait_until(lambda: late.get_subscription_count() == 1, 15.0, lambda: "recorder")
            # It brings what it has into the file once a second.
            supervisor.wait_until(lambda: {"/late", "/rosout"} <= topics_in(tmp_path / "bag"), 30.0, lambda: "messages")
            supervisor.stop()
            node.destroy_node()
    finally:
        rclpy.try_shutdown(context=context)
    counts = read_counts(tmp_path / "bag")
    assert counts["/late"] == 1 and counts["/rosout"] >= 1 and "/nobody" not in counts


@pytest.mark.ros
def test_a_further_topic_without_a_slash_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    parameters = {"output": str(tmp_path / "bag"), "also": "tf"}
    process = NodeProcess("recorder", graph.RECORDER, parameters, stop_rank=0)
    with (
        launch([process], tmp_path / "logs") as supervisor,
        pytest.raises(GraphError, match=r"(?s)'recorder' ended with status 1.*has 'tf', expected names that begin"),
    ):
        supervisor.wait_until(lambda: False, 15.0, lambda: "end")
