"""Tools that draw beside a simulated graph: they are told where everything is, and the arm moves as without them."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("foxglove")

from foxglove_client import FoxgloveClient
from scipy.spatial.transform import Rotation

from benchmarks.rig.graph_harness import START_LIMIT_S, run_episode, simulated_graph, write_untrained_bundle
from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.kinematics import grip_position
from fetch_sim2real.arm.mjcf import GRIP_SITE
from fetch_sim2real.common.supervision import Child, Supervisor
from fetch_sim2real.ros.topics import subscribe_to
from fetch_sim2real.ros.view.goal_mark import trained_camera_pose
from fetch_sim2real.stack.options import SimGraphOptions
from fetch_sim2real.stack.ros_environment import free_port

pytestmark = [pytest.mark.ros, pytest.mark.gl, pytest.mark.slow]

SEED = 3
OFFERED = [topic for topic in graph.SCENE if importlib.util.find_spec(topic.type.partition("/")[0])]
SEEN = (
    graph.COLOR, graph.COLOR_INFO, graph.DEPTH, graph.JOINT_STATES, graph.SETPOINT, graph.GOAL_STATUS,
    graph.SIM_OUTCOME, graph.DIAGNOSTICS, *graph.SCENE,
)  # fmt: skip


def grip_by(transforms: list[Any]) -> np.ndarray:
    """Where the grip site is in the base frame, by frames as a tool has them."""
    parents = {transform.child_frame_id: transform for transform in transforms}
    place_m, frame = np.zeros(3), GRIP_SITE
    while frame != graph.BASE_FRAME:
        transform = parents[frame].transform
        turn, way = transform.rotation, transform.translation
        place_m = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).apply(place_m) + np.array([way.x, way.y, way.z])
        frame = parents[frame].header.frame_id
    return place_m


def newest_of_one_stamp(frames: list[Any], joints: list[Any]) -> tuple[list[Any], dict[str, float]]:
    """The newest frames whose joint state has come too, and its positions; best effort may lose some."""
    known = {(message.header.stamp.sec, message.header.stamp.nanosec): message for message in joints}
    for message in reversed(frames):
        stamp = message.transforms[0].header.stamp
        if (same := known.get((stamp.sec, stamp.nanosec))) is not None:
            return message.transforms, dict(zip(same.name, same.position, strict=True))
    raise AssertionError(f"none of {len(frames)} frames has the stamp of one of {len(joints)} joint states")


def expect_grip_where_kinematics_have_it(moving: list[Any], fixed: list[Any], came: dict[str, list[Any]]) -> None:
    """Frames are chained from the base to the grip, moving and fixed ones."""
    frames, joints = newest_of_one_stamp(moving, came[graph.JOINT_STATES.name])
    position = np.array([joints[name] for name in ARM.joint_names])
    placed_m = grip_by([*frames, *fixed[-1].transforms])
    np.testing.assert_allclose(placed_m, grip_position(position, joints[ARM.torso_joint]), atol=1e-6)


def test_tools_are_told_all_and_the_arm_moves_the_same(tmp_path: Path) -> None:
    write_untrained_bundle(tmp_path / "bundle")
    options = SimGraphOptions(policy=str(tmp_path / "bundle"), lockstep=True, episode_s=1.5, scene=True)
    ports = free_port(), free_port()
    command = [sys.executable, "-m", "fetch_sim2real.cli.main", "view", "--port", str(ports[0])]
    command += ["--foxglove", "--foxglove-port", str(ports[1])]
    child = Child("view", command, {}, required=False)
    may_end = (graph.SCENE_PUBLISHER,)
    with (
        simulated_graph(options, tmp_path / "graph", may_end=may_end) as simulated,
        Supervisor([child], tmp_path / "view") as viewing,
    ):
        wait = simulated.session.wait_until
        heard: dict[str, list[Any]] = {topic.name: [] for topic in OFFERED}
        for topic in OFFERED:
            # As a tool that comes late: what is latched comes all the same.
            subscribe_to(simulated.session.node, topic, heard[topic.name].append)
        latched = [topic.name for topic in OFFERED if topic != graph.TF]
        wait(lambda: all(heard[name] for name in latched), START_LIMIT_S, lambda: f"message on each of {latched}")
        description = ElementTree.fromstring(heard[graph.ROBOT_DESCRIPTION.name][-1].data)
        assert {joint.get("name") for joint in description.iter("joint")} > set(ARM.command_joints)
        log = simulated.supervisor.log_path(graph.SCENE_PUBLISHER).read_text()
        for topic in set(graph.SCENE) - set(OFFERED):
            assert f"{topic.name} is not published: the ROS package {topic.type.partition('/')[0]}" in log

        viewing.wait_until(
            lambda: "ws://" in viewing.log_path("view").read_text(), START_LIMIT_S, lambda: "server for Foxglove"
        )
        assert str(ports[1]) in viewing.log_path("view").read_text()
        process = psutil.Process(viewing.pids()["view"])
        listening = {c.laddr.ip for c in process.net_connections("tcp") if c.status == "LISTEN"}
        assert listening == {"127.0.0.1"}
        with FoxgloveClient(ports[1]) as client:
            client.subscribe([topic.name for topic in SEEN])
            first = run_episode(simulated.operator, SEED)
            client.receive_until(lambda: all(client.messages[topic.name] for topic in SEEN), "message on each topic")
            came = client.messages
            expect_grip_where_kinematics_have_it(came[graph.TF.name], came[graph.TF_STATIC.name], came)
            camera = {t.child_frame_id: t for t in came[graph.TF_STATIC.name][-1].transforms}[graph.COLOR_OPTICAL_FRAME]
            way = camera.transform.translation
            expected = trained_camera_pose(str(tmp_path / "bundle")).position
            np.testing.assert_allclose([way.x, way.y, way.z], expected)
            drawn = {marker.ns for array in came[graph.MARKERS.name] for marker in array.markers if marker.action == 0}
            assert drawn == {"goal", "path", "table", "workspace"}
            assert came[graph.COLOR.name][-1].encoding == "rgb8" and came[graph.DEPTH.name][-1].encoding == "16UC1"
            if graph.TF in OFFERED:
                wait(lambda: heard[graph.TF.name], 10.0, lambda: "frames on ROS")
                expect_grip_where_kinematics_have_it(heard[graph.TF.name], heard[graph.TF_STATIC.name], came)
            if graph.MARKERS in OFFERED:
                told = heard[graph.MARKERS.name]
                wait(
                    lambda: any(m.action == 0 and m.ns == "goal" for array in told for m in array.markers),
                    10.0,
                    lambda: "goal among the markers on ROS",
                )
        # Nobody waits for a publisher of pictures for people, whether it hangs or is gone.
        publisher = simulated.supervisor.pids()[graph.SCENE_PUBLISHER]
        os.kill(publisher, signal.SIGSTOP)
        second = run_episode(simulated.operator, SEED)
        os.kill(publisher, signal.SIGKILL)
        third = run_episode(simulated.operator, SEED)
        assert len({each["setpoints_sha256"] for each in (first, second, third)}) == 1
        assert second["missed"] == third["missed"] == 0
