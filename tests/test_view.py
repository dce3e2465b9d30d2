"""The live view without ROS: what it makes of what it hears, and what it serves to whom."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from importlib.resources import files

import cv2
import numpy as np
import pytest

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.errors import SetupError
from fetch_sim2real.messages.motion import SetpointReport
from fetch_sim2real.paths import find_policy
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.ros.view.address import is_loopback
from fetch_sim2real.ros.view.goal_mark import trained_camera_pose
from fetch_sim2real.ros.view.live_state import COLOR, DEPTH, LiveState
from fetch_sim2real.ros.view.server import PictureMaker, ViewServer
from fetch_sim2real.types import JointSample, JointSetpoint

CAMERA = CameraModel(424, 240, 300.0, 300.0, 211.5, 119.5)
# Looks straight down from 1 m above (0.6, 0, 0.8): right in the picture is +x, down is -y.
BASE_T_CAMERA = Pose(np.array([0.6, 0.0, 1.8]), np.diag([1.0, -1.0, -1.0]))


def accepted(frame: str, *position_m: float) -> dict[str, object]:
    return {"accepted": True, "reason": "accepted", "frame_id": frame, "position_m": list(position_m)}


@pytest.fixture
def state() -> LiveState:
    state = LiveState(clock=lambda: 5.0)
    state.on_camera(CAMERA)
    state.on_camera_pose(BASE_T_CAMERA, "test pose")
    return state


@pytest.fixture
def server(state: LiveState) -> Iterator[ViewServer]:
    with ViewServer(state, port=0) as server:
        yield server


def get(server: ViewServer, path: str, host: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*server.address, timeout=10)
    try:
        connection.request("GET", path, headers={} if host is None else {"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_goal_is_drawn_where_it_projects_to(state: LiveState) -> None:
    state.on_goal_status(accepted("base_link", 0.7, -0.1, 0.8))
    u, v = state.snapshot()["goal_mark"]["pixel"]
    assert (u, v) == pytest.approx((211.5 + 300 * 0.1, 119.5 + 300 * 0.1))
    state.on_picture(COLOR, np.zeros((240, 424, 3), np.uint8), 1, 1)
    state.on_picture(DEPTH, np.zeros((240, 424), np.uint16), 1, 1)
    for kind in (COLOR, DEPTH):
        data = PictureMaker(state).jpeg(kind)
        assert data is not None
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        rows, columns = np.nonzero((bgr[..., 2] > 150) & (bgr[..., 0] < 80))
        assert (columns.mean(), rows.mean()) == pytest.approx((u, v), abs=1.0)


def test_goals_are_drawn_from_every_frame_or_it_is_said_why_not(state: LiveState) -> None:
    state.on_goal_status(accepted("block", 0.0, 0.0, 0.1))
    assert "only a simulation" in state.snapshot()["goal_mark"]["note"]
    state.on_block(np.array([0.6, 0.0, 0.7]))
    assert state.snapshot()["goal_mark"]["pixel"] == pytest.approx([211.5, 119.5])
    state.on_camera_pose(None, "no bundle here")
    assert "no bundle here" in state.snapshot()["goal_mark"]["note"]
    state.on_goal_status(accepted("camera_color_optical_frame", 0.0, 0.1, 1.0))  # needs no pose
    assert state.snapshot()["goal_mark"]["pixel"] == pytest.approx([211.5, 149.5])
    state.on_goal_status(accepted("camera_color_optical_frame", 0.0, 0.0, -1.0))
    assert state.snapshot()["goal_mark"] == {"pixel": None, "note": "outside of the picture"}


def test_a_refused_goal_leaves_the_one_before_in_force(state: LiveState) -> None:
    state.on_goal_status(accepted("base_link", 0.7, 0.0, 0.8))
    state.on_goal_status({**accepted("base_link", 9.0, 0.0, 0.8), "accepted": False, "reason": "too far"})
    said = state.snapshot()
    assert said["goal"]["position_m"] == [0.7, 0.0, 0.8] and said["goal_status"]["reason"] == "too far"
    state.on_policy_goal(None)
    assert state.snapshot()["goal"] is None


def test_latency_is_between_the_senders_times(state: LiveState) -> None:
    for stamp in range(4):
        state.on_picture(COLOR, np.zeros((2, 2, 3), np.uint8), stamp, 1_000_000_000 + stamp)
    state.on_picture(COLOR, np.zeros((2, 2, 3), np.uint8), 2, 1_500_000_000)  # sent again: the first time counts
    state.on_setpoint_report(SetpointReport(2, "command", None), 1_000_000_002 + 7_000_000)
    state.on_picture(COLOR, np.zeros((2, 2, 3), np.uint8), 2, 1_600_000_000)  # and is answered once
    state.on_setpoint_report(SetpointReport(2, "command", None), 2_000_000_000)
    state.on_setpoint_report(SetpointReport(99, "refused:stale", None), 1_500_000_000)  # of a frame that was not seen
    # Sent before the only sending of its frame that was seen.
    state.on_setpoint_report(SetpointReport(3, "command", None), 1_000_000_000)
    said = state.snapshot()
    assert said["latency"]["trace_ms"] == [7.0]
    assert said["driver"]["decisions"] == {"command": 3, "refused:stale": 1}
    assert said["driver"]["last_refusal"] == {"age_s": 0.0, "reason": "refused:stale"}


def test_joints_come_with_their_limits(state: LiveState) -> None:
    position = np.linspace(-1.0, 1.0, 7)
    state.on_joints(JointSample(1, position, 0.1 * position, 0.02), 0.35)
    state.on_setpoint_report(SetpointReport(1, "command", JointSetpoint(position + 0.01, position)), 1)
    joints = state.snapshot()["joints"]
    assert [j["name"] for j in joints[-2:]] == ["finger", "torso_lift"]
    arm = joints[:7]
    assert [j["position"] for j in arm] == position.tolist()
    assert [j["commanded"] for j in arm] == (position + 0.01).tolist()
    assert [j["lower"] for j in arm] == ARM.position_lower_rad.tolist()
    assert [j["upper"] for j in arm] == ARM.position_upper_rad.tolist()


def test_what_is_served_is_strict_json(server: ViewServer, state: LiveState) -> None:
    state.on_goal_status(accepted("base_link", float("nan"), 0.0, 0.8))
    state.on_outcome({"seed": 3, "success": False, "final_distance_m": float("inf"), "steps": 5})

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} in JSON, which no browser takes")

    status, body = get(server, "/state.json")
    said = json.loads(body, parse_constant=refuse)
    assert status == 200 and said["goal"]["position_m"][0] is None
    assert said["episodes"] == {
        "successes": 0,
        "count": 1,
        "last": [{"seed": 3, "success": False, "final_distance_m": None, "steps": 5}],
    }


def test_it_listens_on_the_loopback_interface_and_to_this_machines_names_only(server: ViewServer) -> None:
    host, port = server.address
    assert host == "127.0.0.1"
    assert get(server, "/")[0] == 200
    assert get(server, "/state.json", host=f"localhost:{port}")[0] == 200
    assert get(server, "/color.jpg", host=f"evil.example:{port}")[0] == 403
    assert not is_loopback("0.0.0.0") and is_loopback("localhost")


def test_pictures_are_served_as_they_come(server: ViewServer, state: LiveState) -> None:
    assert get(server, "/color.jpg")[0] == 404
    for grey in (50, 200):
        state.on_picture(COLOR, np.full((24, 42, 3), grey, np.uint8), grey, grey)
        status, body = get(server, f"/color.jpg?{grey}")
        pixels = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
        assert status == 200 and pixels.shape == (24, 42, 3) and abs(float(pixels.mean()) - grey) < 3


def test_events_tell_of_changes_until_the_server_ends(state: LiveState) -> None:
    with ViewServer(state, port=0) as server:
        connection = http.client.HTTPConnection(*server.address, timeout=10)
        connection.request("GET", "/events")
        stream = connection.getresponse()
        assert b'"count": 0' in stream.readline()
        state.on_outcome({"seed": 1, "success": True})
        # One more may have been on its way; each is followed by an empty line.
        assert any(b'"count": 1' in stream.readline() for _ in range(4))
    while stream.readline():  # ends with the server
        pass
    connection.close()


def test_a_port_that_is_taken_is_named(server: ViewServer) -> None:
    port = server.address[1]
    with pytest.raises(SetupError, match=rf"127.0.0.1:{port}.*--port"):
        ViewServer(LiveState(), port=port)


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = files("fetch_sim2real.ros.view").joinpath("page.html").read_text(encoding="utf-8")
    assert not re.findall(r"https?://|(?:src|href)=\"//|@import", page)


def test_the_pose_of_a_shipped_policy_is_read_and_others_are_named() -> None:
    assert trained_camera_pose("push").position == pytest.approx([1.0, 0.64, 1.5])
    with pytest.raises(SetupError, match="nothing_like_it"):
        trained_camera_pose(str(find_policy("push") / "nothing_like_it"))
