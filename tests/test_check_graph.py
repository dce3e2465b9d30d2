"""The contract against graphs that keep it, and against every way in which they may not."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from fetch_sim2real import graph
from fetch_sim2real.cli.check_graph import app
from fetch_sim2real.graph import CONTRACT, Qos
from fetch_sim2real.stack.graph_check import Endpoint, Finding, LiveGraph, LiveTopic, compare, violations

pytestmark = pytest.mark.timeout(60)

STANDS_FOR = {graph.ROBOT: "fetch", graph.CAMERA: "realsense", "*": "anybody"}


def faultless(simulated: bool) -> LiveGraph:
    """A graph that keeps the contract to the letter."""
    names = {**STANDS_FOR, **({graph.ROBOT: graph.SIM_BRIDGE, graph.CAMERA: graph.SIM_BRIDGE} if simulated else {})}
    topics = {}
    nodes = {graph.POLICY_NODE, graph.ARM_DRIVER, names[graph.ROBOT], names[graph.CAMERA]}
    for topic in CONTRACT:
        if topic.simulation_only and not simulated:
            topics[topic.name] = LiveTopic()
            continue
        topics[topic.name] = LiveTopic(
            publishers=(Endpoint(names.get(topic.publisher, topic.publisher), topic.type, topic.publish),),
            subscribers=tuple(Endpoint(names.get(n, n), topic.type, topic.subscribe) for n in topic.subscribers),
            frame_ids=frozenset({topic.frame_id} if topic.frame_id else ()),
            messages=100,
            rate_hz=topic.rate_hz,
        )
    return LiveGraph(tuple(sorted(nodes)), topics)


def changed(live: LiveGraph, topic: graph.Topic, **changes: Any) -> LiveGraph:
    return replace(live, topics={**live.topics, topic.name: replace(live.topics[topic.name], **changes)})


def faults(live: LiveGraph) -> list[Finding]:
    return list(violations(compare(live)))


@pytest.mark.parametrize("simulated", [False, True])
def test_a_graph_that_keeps_the_contract_has_no_findings(simulated: bool) -> None:
    assert compare(faultless(simulated)) == ()


def test_the_same_contract_holds_for_robot_and_simulation() -> None:
    """What is expected of a robot's graph is expected of the simulated one."""
    empty = {topic.name: LiveTopic() for topic in CONTRACT}
    robot, simulation = LiveGraph(("policy_node",), empty), LiveGraph((graph.SIM_BRIDGE,), empty)
    assert {f.topic for f in faults(robot)} == {f.topic for f in faults(simulation)} - {
        topic.name for topic in CONTRACT if topic.simulation_only
    }


MUST_BE_THERE = [t for t in CONTRACT if t.publisher != graph.OPERATOR and t != graph.DRIVER_TICK]


@pytest.mark.parametrize("topic", MUST_BE_THERE, ids=lambda t: t.name)
def test_a_missing_topic_is_named(topic: graph.Topic) -> None:
    (fault,) = faults(changed(faultless(True), topic, publishers=()))
    assert (fault.topic, fault.kind) == (topic.name, "missing_topic")


@pytest.mark.parametrize("topic", [graph.GOAL, graph.DRIVER_TICK])
def test_a_missing_operator_is_no_fault_and_real_time_has_no_ticks(topic: graph.Topic) -> None:
    findings = compare(changed(faultless(True), topic, publishers=()))
    assert [(f.topic, f.severity) for f in findings] == [(topic.name, "note")]


@pytest.mark.parametrize("topic", [graph.COLOR, graph.JOINT_COMMAND, graph.ARM_TRAJECTORY, graph.SETPOINT])
def test_a_missing_subscriber_is_named_and_who_only_listens_is_none(topic: graph.Topic) -> None:
    idle = [Endpoint(name, topic.type, topic.subscribe) for name in (graph.RECORDER, graph.VIEW, graph.SCENE_PUBLISHER)]
    (fault,) = faults(changed(faultless(False), topic, subscribers=tuple(idle)))
    assert (fault.topic, fault.kind) == (topic.name, "missing_subscriber")


def test_a_wrong_type_is_named_with_the_node() -> None:
    wrong = Endpoint("realsense", "sensor_msgs/msg/CompressedImage", graph.COLOR.publish)
    (fault,) = faults(changed(faultless(False), graph.COLOR, publishers=(wrong,)))
    assert fault.kind == "wrong_type" and "realsense" in fault.message and "CompressedImage" in fault.message


@pytest.mark.parametrize("topic", [graph.JOINT_COMMAND, graph.ARM_TRAJECTORY, graph.GRIPPER_TRAJECTORY, graph.COLOR])
def test_a_second_commander_is_named(topic: graph.Topic) -> None:
    live = faultless(False)
    second = Endpoint("somebody_else", topic.type, topic.publish)
    (fault,) = faults(changed(live, topic, publishers=(*live.topics[topic.name].publishers, second)))
    assert fault.kind == "second_publisher" and "somebody_else" in fault.message


def test_joint_states_may_come_from_several_nodes() -> None:
    live = faultless(False)
    gripper = Endpoint("gripper", graph.JOINT_STATES.type, graph.JOINT_STATES.publish)
    publishers = (*live.topics[graph.JOINT_STATES.name].publishers, gripper)
    assert faults(changed(live, graph.JOINT_STATES, publishers=publishers)) == []


def test_no_trajectory_topics_are_expected_of_a_driver_that_has_none() -> None:
    live = faultless(simulated=False)
    trajectories = {graph.ARM_TRAJECTORY.name, graph.GRIPPER_TRAJECTORY.name}
    live = replace(live, topics={name: topic for name, topic in live.topics.items() if name not in trajectories})
    assert faults(live) == []
    driverless = replace(live, nodes=tuple(node for node in live.nodes if node != graph.ARM_DRIVER))
    assert {finding.topic for finding in faults(driverless)} == trajectories


def test_qos_weaker_than_the_contract_or_than_a_subscriber_is_a_fault() -> None:
    weak = Endpoint("realsense", graph.COLOR.type, Qos("best_effort", 5))
    kinds = [f.kind for f in faults(changed(faultless(False), graph.COLOR, publishers=(weak,)))]
    assert kinds == ["qos"]  # the policy takes best effort, only the contract is broken
    latched = Endpoint("policy_node", graph.GOAL.type, Qos("reliable", 1, "transient_local"))
    (fault,) = faults(changed(faultless(False), graph.GOAL, subscribers=(latched,)))
    assert fault.kind == "qos" and "do not connect" in fault.message


def test_a_wrong_frame_is_named() -> None:
    (fault,) = faults(changed(faultless(False), graph.DEPTH, frame_ids=frozenset({"camera_depth_optical_frame"})))
    assert fault.kind == "wrong_frame" and "camera_depth_optical_frame" in fault.message


@pytest.mark.parametrize(("rate_hz", "faulty"), [(30.0, False), (27.0, False), (15.0, True), (60.0, True)])
def test_a_wrong_rate_is_named(rate_hz: float, faulty: bool) -> None:
    found = faults(changed(faultless(False), graph.COLOR, rate_hz=rate_hz))
    assert [f.kind for f in found] == (["wrong_rate"] if faulty else [])


@pytest.mark.parametrize("rate_hz", [29.6, 31.0])
def test_a_cameras_rate_need_not_be_exact(rate_hz: float) -> None:
    assert faults(changed(faultless(False), graph.DEPTH, rate_hz=rate_hz)) == []


def test_the_rate_of_a_camera_comes_with_advice() -> None:
    (fault,) = faults(changed(faultless(False), graph.DEPTH, rate_hz=15.0))
    assert "15 Hz" in fault.message and "30 Hz" in fault.message and "depth_profile" in fault.message


@pytest.mark.parametrize(("rate_hz", "faulty"), [(100.0, False), (500.0, False), (1000.0, False), (40.0, True)])
def test_joint_states_have_a_range_of_rates(rate_hz: float, faulty: bool) -> None:
    found = faults(changed(faultless(False), graph.JOINT_STATES, rate_hz=rate_hz))
    assert [f.kind for f in found] == (["wrong_rate"] if faulty else [])


def test_joints_that_no_message_names_are_named() -> None:
    missing: dict[str, Any] = {"rate_hz": None, "missing_joints": ("elbow_flex_joint",)}
    (fault,) = faults(changed(faultless(False), graph.JOINT_STATES, **missing))
    assert fault.kind == "missing_joints" and "elbow_flex_joint" in fault.message


@pytest.mark.parametrize(("offset_ms", "words"), [(5, "is taken"), (-5, "is taken"), (16, "makes no frame")])
def test_depth_beside_its_colour_is_measured_and_comes_with_advice(offset_ms: int, words: str) -> None:
    (fault,) = faults(changed(faultless(False), graph.DEPTH, offset_ns=offset_ms * 1_000_000))
    assert fault.kind == "stamp_offset" and f"{abs(offset_ms)}.0 ms" in fault.message
    assert words in fault.message and "enable_sync:=true" in fault.message
    assert faults(changed(faultless(False), graph.DEPTH, offset_ns=0)) == []


def test_intrinsics_of_another_stamp_are_a_fault() -> None:
    (fault,) = faults(changed(faultless(False), graph.COLOR_INFO, offset_ns=-2_000_000))
    assert fault.kind == "stamp_offset" and "-2.0 ms" in fault.message


def test_a_camera_whose_stamps_stand_still_is_a_fault() -> None:
    frozen: dict[str, Any] = {"rate_hz": None}
    assert [f.kind for f in faults(changed(faultless(False), graph.COLOR, **frozen))] == ["no_rate"]
    assert faults(changed(faultless(True), graph.COLOR, **frozen)) == [], "a simulation may stand still"


def test_silence_is_a_fault_of_a_camera_but_not_of_an_idle_policy_or_a_paused_simulation() -> None:
    silent: dict[str, Any] = {"messages": 0, "rate_hz": None, "frame_ids": frozenset()}
    assert [f.kind for f in faults(changed(faultless(False), graph.COLOR, **silent))] == ["silent"]
    assert faults(changed(faultless(True), graph.COLOR, **silent)) == []
    assert faults(changed(faultless(False), graph.JOINT_COMMAND, **silent)) == []


# ---- the command ----------------------------------------------------------------------------------------------------


def test_the_contract_is_printed_with_every_topic() -> None:
    result = CliRunner().invoke(app, ["--contract-only"])
    assert result.exit_code == 0
    for topic in CONTRACT:
        assert topic.name in result.stdout
    assert graph.FASTDDS_TRANSPORT in result.stdout


def test_the_contract_is_printed_without_ros() -> None:
    code = (
        "import sys; sys.modules['rclpy'] = None\n"
        "from fetch_sim2real.cli.check_graph import app\n"
        "app(args=['--contract-only', '--json'])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert len(json.loads(result.stdout)["contract"]) == len(CONTRACT)


@contextmanager
def camera(change: Callable[[Any], None] = lambda message: None, rate_hz: float = 30.0) -> Iterator[None]:
    """A node that publishes colour images, changed by ``change``."""
    rclpy = pytest.importorskip("rclpy")
    from fetch_sim2real.messages.images import encode_color
    from fetch_sim2real.ros.topics import publish_to

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("realsense", context=context)
    publisher = publish_to(node, graph.COLOR)
    ended = threading.Event()

    def publish() -> None:
        pixels = np.zeros((4, 4, 3), np.uint8)
        for i in range(10**6):
            message = encode_color(pixels, 10**9 + round(i * 1e9 / rate_hz), graph.COLOR_OPTICAL_FRAME)
            change(message)
            publisher.publish(message)
            if ended.wait(1 / rate_hz):
                return

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fetch_sim2real.cli.main", "check-graph", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=40)


def check() -> tuple[int, dict[str, Any]]:
    # Beside other work a subscription may need a second to be connected.
    result = run_command("--json", "--duration", "3")
    assert result.stdout, result.stderr
    return result.returncode, json.loads(result.stdout)


@pytest.mark.ros
def test_a_live_graph_is_compared() -> None:
    with camera():
        status, report = check()
    assert status == 1, "nobody but a camera is there"
    kinds = {(finding["topic"], finding["kind"]) for finding in report["findings"]}
    assert (graph.COLOR.name, "missing_subscriber") in kinds
    assert (graph.JOINT_STATES.name, "missing_topic") in kinds
    assert not kinds & {
        (graph.COLOR.name, kind) for kind in ("missing_topic", "wrong_type", "qos", "wrong_rate", "silent")
    }
    assert report["nodes"] == ["realsense"]
    assert report["live"][graph.COLOR.name]["rate_hz"] == pytest.approx(30.0, rel=0.02)


@pytest.mark.ros
def test_frame_and_rate_of_a_live_graph_are_checked() -> None:
    def misname(message: Any) -> None:
        message.header.frame_id = "camera_link"

    with camera(misname, rate_hz=15.0):
        _, report = check()
    kinds = {finding["kind"] for finding in report["findings"] if finding["topic"] == graph.COLOR.name}
    assert {"wrong_frame", "wrong_rate"} <= kinds


@contextmanager
def stock_robot() -> Iterator[None]:
    """A Fetch that sends arm and gripper in turn at 100 Hz each, and a camera that is not synchronized."""
    rclpy = pytest.importorskip("rclpy")
    from sensor_msgs.msg import JointState

    from fetch_sim2real.arm.default import ARM
    from fetch_sim2real.messages.images import encode_color, encode_depth
    from fetch_sim2real.messages.stamps import encode_stamp
    from fetch_sim2real.ros.topics import publish_to

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("fetch", context=context)
    publishers = {topic: publish_to(node, topic) for topic in (graph.JOINT_STATES, graph.COLOR, graph.DEPTH)}
    ended = threading.Event()

    def publish() -> None:
        frame = graph.COLOR_OPTICAL_FRAME
        for i in range(10**6):
            now_ns = 10**9 + i * 10_000_000
            for names, late_ns in ((ARM.joint_names, 0), (ARM.gripper_joints, 4_000_000)):
                message = JointState(name=list(names), position=[0.0] * len(names), velocity=[0.0] * len(names))
                message.header.stamp = encode_stamp(now_ns + late_ns)
                publishers[graph.JOINT_STATES].publish(message)
            if i % 3 == 0:
                publishers[graph.COLOR].publish(encode_color(np.zeros((4, 4, 3), np.uint8), now_ns, frame))
                depth = encode_depth(np.zeros((4, 4), np.uint16), now_ns + 5_000_000, frame)
                publishers[graph.DEPTH].publish(depth)
            if ended.wait(0.01):
                return

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        node.destroy_node()
        rclpy.try_shutdown(context=context)


@pytest.mark.ros
def test_a_stock_robot_keeps_the_contract_but_for_depth_beside_its_colour() -> None:
    with stock_robot():
        _, report = check()
    assert report["live"][graph.JOINT_STATES.name]["rate_hz"] == pytest.approx(100.0, rel=0.02)
    of = {name: {f["kind"] for f in report["findings"] if f["topic"] == name} for name in report["live"]}
    assert of[graph.JOINT_STATES.name] == {"missing_subscriber"}
    assert "stamp_offset" in of[graph.DEPTH.name] and report["live"][graph.DEPTH.name]["offset_ns"] == 5_000_000
    assert "wrong_rate" not in of[graph.COLOR.name] | of[graph.DEPTH.name]


@pytest.mark.ros
def test_an_empty_domain_is_an_error_that_says_what_to_do() -> None:
    pytest.importorskip("rclpy")
    result = run_command()
    assert result.returncode == 1
    assert "no node of the stack is running" in result.stderr and "Traceback" not in result.stderr
