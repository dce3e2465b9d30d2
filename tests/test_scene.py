"""What tools that draw are told, without a graph: frames, markers, and Foxglove's server."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from foxglove_client import FoxgloveClient

from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.kinematics import grip_position
from fetch_sim2real.arm.mjcf import GRIP_SITE
from fetch_sim2real.control.trajectory import stopping_trajectory
from fetch_sim2real.errors import SetupError
from fetch_sim2real.messages.ros_types import definition_of, ros_types
from fetch_sim2real.messages.scene import encode_frames, encode_markers, encode_text
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.ros.view.foxglove_server import FORWARDED, FoxgloveServer
from fetch_sim2real.ros.view.scene import PATH_LIMIT_S, SceneState
from fetch_sim2real.types import Goal, JointSetpoint
from fetch_sim2real.workcell import load_workcell

BASE_T_CAMERA = Pose.looking_at((1.0, 0.64, 1.5), (0.63, 0.0, 0.77))
WORKCELL = load_workcell("nominal", worlds_dir())


@pytest.fixture
def scene() -> SceneState:
    scene = SceneState(clock=lambda: 10.0)
    scene.on_surroundings(WORKCELL.scene())
    return scene


def decoded(data: bytes, kind: str) -> Any:
    return ros_types().deserialize_cdr(data, kind)


def markers_of(scene: SceneState) -> dict[str, Any]:
    array = decoded(encode_markers(scene.shapes()), "visualization_msgs/msg/MarkerArray")
    return {marker.ns: marker for marker in array.markers}


def test_frames_are_sent_with_names_stamp_and_the_calibrated_camera(scene: SceneState) -> None:
    scene.on_trained_pose(Pose.identity())
    scene.on_calibration(BASE_T_CAMERA)
    message = decoded(encode_frames(scene.fixed_frames(), 3_000_000_007), "tf2_msgs/msg/TFMessage")
    sent = {transform.child_frame_id: transform for transform in message.transforms}
    camera = sent[graph.COLOR_OPTICAL_FRAME]
    assert camera.header.frame_id == graph.BASE_FRAME
    assert (camera.header.stamp.sec, camera.header.stamp.nanosec) == (3, 7)
    turn, way = camera.transform.rotation, camera.transform.translation
    pose = Pose.from_quaternion((way.x, way.y, way.z), (turn.x, turn.y, turn.z, turn.w))
    np.testing.assert_allclose(pose.position, BASE_T_CAMERA.position)
    np.testing.assert_allclose(pose.rotation, BASE_T_CAMERA.rotation, atol=1e-12)
    assert sent[GRIP_SITE].header.frame_id == ARM.tool.link
    scene.on_calibration(None)
    (camera_frame,) = (f for f in scene.fixed_frames() if f.child == graph.COLOR_OPTICAL_FRAME)
    assert not camera_frame.position_m.any(), "where it was in training holds again"


def test_a_camera_of_which_nothing_is_known_is_not_placed(scene: SceneState) -> None:
    assert graph.COLOR_OPTICAL_FRAME not in {frame.child for frame in scene.fixed_frames()}


def test_joints_are_placed_as_they_become_known(scene: SceneState) -> None:
    moving = {frame.child for frame in scene.moving_frames()}
    assert len(moving) == 1, "the torso, where the world says it is"
    scene.on_joints(dict.fromkeys(ARM.joint_names, 0.1), 5)
    assert len(scene.moving_frames()) == 1 + ARM.joint_count
    scene.on_joints(dict.fromkeys(ARM.gripper_joints, 0.02) | {"l_wheel": 3.0}, 6)
    assert len(scene.moving_frames()) == 1 + len(ARM.command_joints)
    assert scene.stamp_ns == 6
    (torso,) = (frame for frame in scene.moving_frames() if frame.child in moving)
    assert ARM.torso is not None
    assert torso.position_m[2] == pytest.approx(ARM.torso.origin_m[2] + WORKCELL.torso_height_m)
    scene.on_joints({ARM.torso_joint: 0.1, ARM.joint_names[0]: float("nan")}, 7)
    (torso, *others) = scene.moving_frames()
    assert torso.position_m[2] == pytest.approx(ARM.torso.origin_m[2] + 0.1)
    assert len(others) == len(ARM.command_joints) - 1, "a joint without a position is left out"


def test_table_and_workspace_are_those_of_the_safety_filter(scene: SceneState) -> None:
    markers, known = markers_of(scene), WORKCELL.scene()
    table = markers["table"]
    middle = np.array([table.pose.position.x, table.pose.position.y, table.pose.position.z])
    half = 0.5 * np.array([table.scale.x, table.scale.y, table.scale.z])
    np.testing.assert_allclose(middle - half, known.tables[0].lower_m)
    np.testing.assert_allclose(middle + half, known.tables[0].upper_m)
    corners = np.array([[p.x, p.y, p.z] for p in markers["workspace"].points])
    np.testing.assert_allclose(corners.min(axis=0), known.workspace_lower_m)
    np.testing.assert_allclose(corners.max(axis=0), known.workspace_upper_m)
    edges = corners.reshape(12, 2, 3)
    assert len({edge.tobytes() for edge in edges}) == 12
    assert all(np.count_nonzero(a != b) == 1 for a, b in edges), "edges are along the axes"


def test_a_goal_is_drawn_where_it_is_or_taken_away(scene: SceneState) -> None:
    assert markers_of(scene)["goal"].action == 2, "deleted"
    scene.on_goal(Goal("block", np.array([0.0, 0.1, 0.0])))
    assert markers_of(scene)["goal"].action == 2, "where the block is is not known"
    scene.on_block(np.array([0.6, 0.0, 0.8]))
    goal = markers_of(scene)["goal"]
    assert (goal.action, goal.header.frame_id) == (0, graph.BASE_FRAME)
    assert [goal.pose.position.x, goal.pose.position.y, goal.pose.position.z] == pytest.approx([0.6, 0.1, 0.8])
    scene.on_goal(Goal(graph.COLOR_OPTICAL_FRAME, np.array([0.0, 0.0, 1.0])))
    assert markers_of(scene)["goal"].header.frame_id == graph.COLOR_OPTICAL_FRAME
    scene.on_goal(None)
    assert markers_of(scene)["goal"].action == 2


def test_the_path_is_the_grippers_by_the_trajectory_until_it_is_old() -> None:
    now = SimpleNamespace(s=0.0)
    scene = SceneState(clock=lambda: now.s)
    scene.on_surroundings(WORKCELL.scene())
    velocity = np.full(ARM.joint_count, 0.2)
    trajectory = stopping_trajectory(JointSetpoint(ARM.home_rad, velocity), np.full(ARM.joint_count, 2.0))
    scene.on_trajectory(trajectory)
    path = markers_of(scene)["path"]
    places = np.array([[p.x, p.y, p.z] for p in path.points])
    for place, point in ((places[0], trajectory.points[0]), (places[-1], trajectory.points[-1])):
        np.testing.assert_allclose(place, grip_position(point.position, WORKCELL.torso_height_m), atol=1e-9)
    # Braking from a fifth of a radian a second: centimetres, without a jump.
    assert 0.005 < np.linalg.norm(np.diff(places, axis=0), axis=1).sum() < 0.2
    now.s = PATH_LIMIT_S + 0.1
    assert markers_of(scene)["path"].action == 2


def test_definitions_hold_all_that_is_in_a_type() -> None:
    text = definition_of("tf2_msgs/msg/TFMessage")
    for part in ("TransformStamped", "Quaternion", "builtin_interfaces/Time"):
        assert f"MSG: {'' if '/' in part else 'geometry_msgs/'}{part}" in text


def test_foxglove_hears_what_it_subscribes_to_and_can_command_nothing() -> None:
    pytest.importorskip("foxglove")
    with FoxgloveServer(port=0) as server, FoxgloveClient(server.port) as client:
        assert set(client.channels) == {topic.name for topic in (*FORWARDED, *graph.SCENE)}
        for topic in (*FORWARDED, *graph.SCENE):
            channel = client.channels[topic.name]
            assert (channel["schemaName"], channel["encoding"]) == (topic.type, "cdr")
        # To fetch meshes is all that a client may ask for.
        assert client.info["capabilities"] == ["assets"]
        assert client.asset("package://gymnasium_robotics/gripper_link.stl")
        assert client.asset("file:///etc/hostname") is None
        client.subscribe([graph.ROBOT_DESCRIPTION.name])
        # Whoever has just come asks for what is sent once; the answer to this tells that the server knows of it.
        client.asset("package://nothing")
        assert server.has_newcomers() and not server.has_newcomers()
        server.send(graph.ROBOT_DESCRIPTION, encode_text("<robot/>"))
        client.receive_until(lambda: client.messages[graph.ROBOT_DESCRIPTION.name], "description")
        assert client.messages[graph.ROBOT_DESCRIPTION.name][0].data == "<robot/>"
        before = client.info["sessionId"]
        server.restart()
        client.receive_until(lambda: client.info["sessionId"] != before, "new session")
        with pytest.raises(SetupError, match=rf"127.0.0.1:{server.port}.*--foxglove-port"):
            FoxgloveServer(port=server.port)


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "foxglove", None)
    with pytest.raises(SetupError, match=r"pip install 'fetch-sim2real\[foxglove\]'"):
        FoxgloveServer(port=0)
