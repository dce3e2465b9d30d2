"""Messages of a ROS 1 robot as rosbridge writes them in JSON, each read once where it comes in.

What ``read`` returns can be relied on; everything else is refused there, with the field's name. Fields that nobody
here needs are not declared, and so neither read nor judged. Facts: fetch_driver_msgs, actionlib_msgs, control_msgs,
and rosbridge_library's message_conversion.py, which writes null for numbers that are not finite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError, from_json

from fetch_sim2real.common.validation import field_of, shortened
from fetch_sim2real.errors import MessageError
from fetch_sim2real.types import BasePose

_NS_PER_S: Final = 1_000_000_000
_Number = float | None
_Seconds = Annotated[int, Field(ge=0, lt=2**32)]
_SignedSeconds = Annotated[int, Field(ge=-(2**31), lt=2**31)]
_Nanoseconds = Annotated[int, Field(ge=0, lt=_NS_PER_S)]


class Ros1Message(BaseModel):
    """Base of all."""

    model_config = ConfigDict(frozen=True, strict=True)


class Time(Ros1Message):
    """Seconds since 1970, or since a simulation began."""

    secs: _Seconds
    nsecs: _Nanoseconds

    @model_validator(mode="before")
    @classmethod
    def _refuse_ros2(cls, value: Any) -> Any:
        if isinstance(value, dict) and "nanosec" in value:
            raise PydanticCustomError(
                "ros2", "this is a ROS 2 rosbridge, expected ROS 1's: use backend:=joint_trajectory instead"
            )
        return value

    @property
    def ns(self) -> int:
        """The time [ns]."""
        return self.secs * _NS_PER_S + self.nsecs


class Duration(Ros1Message):
    """A duration; ROS normalizes so that nanoseconds are positive."""

    secs: _SignedSeconds
    nsecs: _Nanoseconds

    @property
    def ns(self) -> int:
        """The duration [ns]."""
        return self.secs * _NS_PER_S + self.nsecs


class Header(Ros1Message):
    """std_msgs/Header."""

    stamp: Time


class JointStates(Ros1Message):
    """sensor_msgs/JointState. Numbers that are not finite come as None and are turned into NaN."""

    header: Header
    name: list[str]
    position: list[_Number]
    velocity: list[_Number]
    effort: list[_Number] = []

    @model_validator(mode="after")
    def _same_lengths(self) -> JointStates:
        count = len(self.name)
        for field, values in (("position", self.position), ("velocity", self.velocity)):
            if len(values) != count and (values or field == "position"):
                raise PydanticCustomError("length", f"'{field}' has {len(values)} numbers for {count} names")
        return self

    @field_validator("position", "velocity", "effort")
    @classmethod
    def _nan_for_null(cls, values: list[_Number]) -> list[_Number]:
        return [math.nan if value is None else value for value in values] if None in values else values


class RobotState(Ros1Message):
    """fetch_driver_msgs/RobotState."""

    faulted: bool
    runstopped: bool


class Position(Ros1Message):
    """geometry_msgs/Point, as far as it lies on the floor; None for what is not finite."""

    x: _Number
    y: _Number


class Orientation(Ros1Message):
    """geometry_msgs/Quaternion."""

    x: _Number
    y: _Number
    z: _Number
    w: _Number


class Pose(Ros1Message):
    """geometry_msgs/Pose."""

    position: Position
    orientation: Orientation


class PoseWithCovariance(Ros1Message):
    """geometry_msgs/PoseWithCovariance."""

    pose: Pose


class Odometry(Ros1Message):
    """nav_msgs/Odometry."""

    pose: PoseWithCovariance

    @property
    def base_pose(self) -> BasePose:
        """Where the base is; not finite where a number is not."""
        place, turn = self.pose.pose.position, self.pose.pose.orientation
        numbers = (place.x, place.y, turn.x, turn.y, turn.z, turn.w)
        x_m, y_m, *quaternion = (math.nan if number is None else number for number in numbers)
        return BasePose.of(x_m, y_m, (quaternion[0], quaternion[1], quaternion[2], quaternion[3]))


class GoalId(Ros1Message):
    """actionlib_msgs/GoalID."""

    id: str


class GoalStatus(Ros1Message):
    """actionlib_msgs/GoalStatus."""

    goal_id: GoalId
    status: Annotated[int, Field(ge=0, lt=256)]
    text: str = ""


class GoalStatusArray(Ros1Message):
    """actionlib_msgs/GoalStatusArray: the goals that an action server knows."""

    status_list: list[GoalStatus]


class Result(Ros1Message):
    """A result of the arm's or the gripper's action; the gripper's has no code."""

    error_code: Annotated[int, Field(ge=-(2**31), lt=2**31)] = 0


class ActionResult(Ros1Message):
    """control_msgs/FollowJointTrajectoryActionResult or GripperCommandActionResult."""

    status: GoalStatus
    result: Result = Result()


class Clock(Ros1Message):
    """rosgraph_msgs/Clock."""

    clock: Time


class TimeAnswer(Ros1Message):
    """What the service /rosapi/get_time answers."""

    time: Time


class Point(Ros1Message):
    """trajectory_msgs/JointTrajectoryPoint."""

    positions: list[float]
    velocities: list[float]
    time_from_start: Duration


class Trajectory(Ros1Message):
    """trajectory_msgs/JointTrajectory."""

    header: Header
    joint_names: list[str]
    points: list[Point]


class JointTolerance(Ros1Message):
    """control_msgs/JointTolerance."""

    name: str
    position: float


class ArmGoal(Ros1Message):
    """control_msgs/FollowJointTrajectoryGoal."""

    trajectory: Trajectory
    path_tolerance: list[JointTolerance]
    goal_tolerance: list[JointTolerance]
    goal_time_tolerance: Duration


class ArmActionGoal(Ros1Message):
    """control_msgs/FollowJointTrajectoryActionGoal."""

    header: Header
    goal_id: GoalId
    goal: ArmGoal


class GripperCommand(Ros1Message):
    """control_msgs/GripperCommand. To a Fetch an effort of 0 means all that it has."""

    position: float
    max_effort: float = 0.0


class GripperGoal(Ros1Message):
    """control_msgs/GripperCommandGoal."""

    command: GripperCommand


class GripperActionGoal(Ros1Message):
    """control_msgs/GripperCommandActionGoal."""

    header: Header
    goal_id: GoalId
    goal: GripperGoal


Kind = TypeVar("Kind", bound=Ros1Message)


def read(kind: type[Kind], message: object, where: str) -> Kind:
    """Return ``message``, as JSON decodes it, as a ``kind``; ``where`` it came from is for the error alone.

    Raises:
        MessageError: it is none; says which field is wrong, and what was got.
    """
    try:
        return kind.model_validate(message)
    except ValidationError as error:
        raise MessageError(f"{where}: {_words(error)}") from None


def _words(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "missing":
        return f"field '{field_of(first, '')}' is missing"
    if first["type"] == "length":
        return first["msg"]
    got = shortened(repr(first["input"]))
    return f"field '{field_of(first, '')}' is {got}: {first['msg']}" if first["loc"] else f"got {got}: {first['msg']}"


# Ways in which rosbridge wraps messages, only for clients that ask for it: what such a frame holds is lost.
_WRAPPINGS: Final = ("fragment", "png")


@dataclass(frozen=True)
class Published:
    """A message on a topic, not yet looked into."""

    topic: str
    message: Any


@dataclass(frozen=True)
class ServiceResponse:
    """The answer to the call ``id``: the response's fields if it ``succeeded``, else what went wrong."""

    id: str
    succeeded: bool
    values: Any


@dataclass(frozen=True)
class Status:
    """What rosbridge itself has to say: usually what was wrong with something that it was sent."""

    text: str


@dataclass(frozen=True)
class Other:
    """A frame that is none of a client's business."""

    op: str


Frame = Published | ServiceResponse | Status | Other


def read_frame(payload: bytes, is_binary: bool) -> Frame:
    """Return what one frame says.

    Raises:
        MessageError: it cannot be read, and may have been anything.
    """
    if is_binary:
        raise MessageError(f"rosbridge sent a binary frame ({len(payload)} bytes), expected text")
    try:
        content = from_json(payload)
    except ValueError as error:
        raise MessageError(f"rosbridge sent a frame that is not JSON ({error}): {shortened(payload)}") from None
    if not isinstance(content, dict):
        raise MessageError(f"rosbridge sent {shortened(content)}, expected a JSON object with 'op'")
    op = content.get("op")
    if op == "publish":
        if not isinstance(content.get("topic"), str) or "msg" not in content:
            raise MessageError(f"rosbridge sent op 'publish' without 'topic' or 'msg': {shortened(content)}")
        return Published(content["topic"], content["msg"])
    if op == "service_response":
        # As rosbridge's own clients take it: only a false 'result' says that the call failed.
        return ServiceResponse(str(content.get("id")), content.get("result") is not False, content.get("values"))
    if op == "status":
        return Status(shortened(content.get("msg")))
    if op in _WRAPPINGS:
        raise MessageError(
            f"rosbridge sent op '{op}', which this client did not ask for: start rosbridge_server without compression "
            "and without max_message_size"
        )
    if not isinstance(op, str):
        raise MessageError(f"rosbridge sent a frame whose 'op' is {shortened(op)}: {shortened(content)}")
    return Other(op)
