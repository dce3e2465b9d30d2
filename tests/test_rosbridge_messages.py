"""What rosbridge sends is read once, at the edge: what cannot be read is refused with the field and what was got."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from fetch_sim2real.errors import MessageError
from fetch_sim2real.rosbridge.messages import (
    ActionResult,
    JointStates,
    Other,
    Published,
    RobotState,
    ServiceResponse,
    Status,
    TimeAnswer,
    read,
    read_frame,
)

JOINTS = {
    "header": {"seq": 1, "stamp": {"secs": 1_700_000_000, "nsecs": 5}, "frame_id": ""},
    "name": ["elbow_flex_joint", "head_pan_joint"],
    "position": [1, 0.5],
    "velocity": [0.0, None],
    "effort": [],
}


def test_a_joint_state_is_read_with_nan_for_null() -> None:
    read_back = read(JointStates, JOINTS, "/joint_states")
    assert read_back.header.stamp.ns == 1_700_000_000_000_000_005
    assert read_back.position == [1.0, 0.5] and math.isnan(read_back.velocity[1] or 0.0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"velocity": ...}, "field 'velocity' is missing"),
        ({"velocity": [0.0]}, "'velocity' has 1 numbers for 2 names"),
        ({"position": []}, "'position' has 0 numbers for 2 names"),
        ({"position": ["1", 0.5]}, "field 'position.0' is '1': Input should be a valid number"),
        ({"position": [True, 0.5]}, "field 'position.0' is True"),
        ({"position": [10**400, 0.5]}, "field 'position.0' is 1000"),
        ({"name": None}, "field 'name' is None"),
        ({"header": {"stamp": {"secs": -1, "nsecs": 0}}}, "field 'header.stamp.secs' is -1"),
        ({"header": {"stamp": {"secs": 1.5, "nsecs": 0}}}, "field 'header.stamp.secs' is 1.5"),
        ({"header": {"stamp": {"sec": 1, "nanosec": 0}}}, "this is a ROS 2 rosbridge"),
        ({"header": "now"}, "field 'header' is 'now'"),
    ],
)
def test_a_field_that_is_wrong_is_named_with_what_was_got(change: dict[str, Any], named: str) -> None:
    message = {key: value for key, value in {**JOINTS, **change}.items() if value is not ...}
    with pytest.raises(MessageError) as caught:
        read(JointStates, message, "/joint_states")
    assert str(caught.value).startswith("/joint_states: ") and named in str(caught.value)
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


def test_what_nobody_needs_is_not_judged() -> None:
    assert read(RobotState, {"faulted": False, "runstopped": False, "ready": "?", "motors": 3}, "x").faulted is False
    gripper = {"status": {"goal_id": {"id": "g"}, "status": 3}, "result": {"position": 0.1, "stalled": True}}
    assert read(ActionResult, gripper, "x").result.error_code == 0


@pytest.mark.parametrize("message", [None, [], 3, "text", {"time": {"secs": 1}}])
def test_other_things_than_messages_are_refused(message: object) -> None:
    with pytest.raises(MessageError, match=r"^/rosapi/get_time: .+"):
        read(TimeAnswer, message, "/rosapi/get_time")


def test_frames_are_told_apart() -> None:
    def frame(**content: Any) -> Any:
        return read_frame(json.dumps(content).encode(), False)

    assert frame(op="publish", topic="/a", msg={"x": 1}) == Published("/a", {"x": 1})
    assert frame(op="service_response", id="7", values={"y": 2}, result=True) == ServiceResponse("7", True, {"y": 2})
    assert frame(op="service_response", id="7", values="why", result=False) == ServiceResponse("7", False, "why")
    assert frame(op="status", level="error", msg="no such type") == Status("no such type")
    assert frame(op="set_level", level="none") == Other("set_level")


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        (b"", "not JSON"),
        (b"{\"op\": \"publish\", ", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"9" * 10_000, "not JSON"),
        (b"[1, 2]", "expected a JSON object"),
        (b"{}", "'op' is None"),
        (b"{\"op\": \"publish\", \"topic\": 3, \"msg\": {}}", "without 'topic' or 'msg'"),
        (b"{\"op\": \"publish\", \"topic\": \"/a\"}", "without 'topic' or 'msg'"),
        (b"{\"op\": \"fragment\", \"data\": \"{\"}", "max_message_size"),
        (b"{\"op\": \"png\", \"data\": \"iVBORw0KGgo=\"}", "compression"),
    ],
)
def test_a_frame_that_cannot_be_read_says_so_in_one_line(payload: bytes, named: str) -> None:
    with pytest.raises(MessageError) as caught:
        read_frame(payload, False)
    assert named in str(caught.value) and len(str(caught.value)) < 300


def test_a_binary_frame_is_refused() -> None:
    with pytest.raises(MessageError, match="binary frame"):
        read_frame(b"{}", True)
