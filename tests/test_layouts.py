"""The layouts for RViz and Foxglove: every topic in them is the graph's, of a type and a QoS that can connect."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.mjcf import GRIP_SITE
from fetch_sim2real.arm.robot_tree import robot_tree
from fetch_sim2real.paths import shared_dir
from fetch_sim2real.ros.view.scene import SceneState

TOPICS = {topic.name: topic for topic in (*graph.CONTRACT, *graph.SCENE)}
FRAMES = {graph.COLOR_OPTICAL_FRAME, *(link.name for link in robot_tree(ARM).links)}
MARKERS = set(SceneState().shapes())
# What RViz's displays and Foxglove's panels take.
RVIZ_TYPES = {"RobotModel": "String", "MarkerArray": "MarkerArray", "Image": "Image", "Pose": "PoseStamped"}
FOXGLOVE_TYPES = {
    "imageTopic": "Image", "calibrationTopic": "CameraInfo", "topic": "String", "topicToRender": "DiagnosticArray"
}  # fmt: skip


def kind_of(name: str) -> str:
    return TOPICS[name].type.rpartition("/")[2]


@pytest.fixture(scope="module")
def rviz() -> dict[str, Any]:
    layout = yaml.safe_load((shared_dir("config") / "scene.rviz").read_text(encoding="utf-8"))
    manager: dict[str, Any] = layout["Visualization Manager"]
    return manager


@pytest.fixture(scope="module")
def foxglove() -> dict[str, Any]:
    layout: dict[str, Any] = json.loads((shared_dir("config") / "foxglove.json").read_text(encoding="utf-8"))
    return layout


def pairs_in(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a nested structure with its value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key, item
            yield from pairs_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from pairs_in(item)


def test_rviz_shows_topics_of_the_graph_with_a_qos_that_connects(rviz: dict[str, Any]) -> None:
    asked = [
        (display["Class"].rpartition("/")[2], key, item)
        for display in rviz["Displays"]
        for key, item in display.items()
        if key.endswith("Topic")
    ]
    assert len(asked) >= 6
    for display, key, item in asked:
        name = item["Value"] if isinstance(item, dict) else item
        assert name in TOPICS, f"{display}: {name}"
        if display == "DepthCloud":
            assert (key, name) in {("Color Image Topic", graph.COLOR.name), ("Depth Map Topic", graph.DEPTH.name)}
            continue
        assert kind_of(name) == RVIZ_TYPES[display]
        offered = TOPICS[name].publish
        # A reliable or latched reader hears nothing of a writer that offers less.
        assert item["Reliability Policy"] == "Best Effort" or offered.reliability == "reliable"
        assert (item["Durability Policy"] == "Transient Local") == (offered.durability == "transient_local")
    assert {name["Value"] for _, _, name in asked if isinstance(name, dict)} >= {
        graph.ROBOT_DESCRIPTION.name, graph.MARKERS.name, graph.COLOR.name, graph.DEPTH.name
    }  # fmt: skip


def test_rviz_names_frames_and_markers_that_exist_and_publishes_nothing(rviz: dict[str, Any]) -> None:
    assert rviz["Global Options"]["Fixed Frame"] == graph.BASE_FRAME
    (frames,) = (display["Frames"] for display in rviz["Displays"] if display["Class"].endswith("/TF"))
    assert set(frames) - {"All Enabled"} <= FRAMES and {GRIP_SITE, graph.COLOR_OPTICAL_FRAME} <= set(frames)
    (markers,) = (display["Namespaces"] for display in rviz["Displays"] if display["Class"].endswith("/MarkerArray"))
    assert set(markers) == MARKERS
    assert not [tool for tool in rviz["Tools"] if re.search("Goal|Pose|Point", tool["Class"])]


def test_foxglove_shows_topics_of_the_graph(foxglove: dict[str, Any]) -> None:
    named = set()
    for key, value in pairs_in(foxglove["configById"]):
        if key == "topics":
            named |= set(value)
        elif key in FOXGLOVE_TYPES:
            assert kind_of(value) == FOXGLOVE_TYPES[key], value
            named.add(value)
        elif key in ("topicPath", "value") and isinstance(value, str):
            named.add(re.split(r"[.\[]", value)[0])
    assert named <= set(TOPICS), named - set(TOPICS)
    # No topic hides where this test does not look.
    text = json.dumps(foxglove["configById"])
    assert {re.split(r"[.\[]", found)[0] for found in re.findall(r'"(/[^"]*)"', text)} == named
    assert {graph.ROBOT_DESCRIPTION.name, graph.MARKERS.name, graph.SIM_OUTCOME.name, graph.GOAL_STATUS.name} <= named


def test_foxglove_names_panels_frames_and_markers_that_exist(foxglove: dict[str, Any]) -> None:
    panels = set(re.findall(r'"([A-Za-z0-9]+![a-z]+)"', json.dumps(foxglove["layout"])))
    assert panels == set(foxglove["configById"])
    scene = foxglove["configById"]["3D!scene"]
    assert scene["followTf"] == graph.BASE_FRAME
    assert {name.removeprefix("frame:") for name in scene["transforms"]} <= FRAMES
    for config in foxglove["configById"].values():
        shown = config.get("topics", {}).get(graph.MARKERS.name, {}).get("namespaces", {})
        assert set(shown) in (set(), MARKERS)


def test_foxglove_plots_each_joint_of_the_arm(foxglove: dict[str, Any]) -> None:
    paths = {path["value"] for path in foxglove["configById"]["Plot!joints"]["paths"]}
    for topic in (graph.JOINT_STATES, graph.SETPOINT):
        assert {f"{topic.name}.position[{i}]" for i in range(ARM.joint_count)} <= paths
