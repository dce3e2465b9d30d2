"""A stock Fetch's side of the contract: ROS 1 topics, as rosbridge carries them in JSON. Their names are here alone.

What is sent is written here; what comes in is read by ``ros1_messages``.

Facts are from fetchrobotics/robot_controllers (follow_joint_trajectory.cpp, trajectory.h, parallel_gripper.cpp),
fetch_robots (default_controllers.yaml), fetch_driver_msgs (RobotState) and rosbridge_suite (ROSBRIDGE_PROTOCOL.md,
message_conversion.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from fetch_sim2real.errors import CommandError
from fetch_sim2real.rosbridge.messages import ArmGoal
from fetch_sim2real.types import BasePose, JointTrajectory, TrajectoryPoint

Json = dict[str, Any]
DEFAULT_PORT: Final = 9090  # rosbridge_server's own default
_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True)
class Ros1Topic:
    """Name and type as rosbridge wants them."""

    name: str
    type: str
    throttle_ms: int = 0
    """Least time between two messages; 0: all of them."""


def _action(name: str, kind: str) -> tuple[Ros1Topic, Ros1Topic, Ros1Topic]:
    """Goal, result and status of an action, which in ROS 1 are plain topics."""
    return (
        Ros1Topic(f"{name}/goal", f"control_msgs/{kind}ActionGoal"),
        Ros1Topic(f"{name}/result", f"control_msgs/{kind}ActionResult"),
        Ros1Topic(f"{name}/status", "actionlib_msgs/GoalStatusArray"),
    )


ARM_GOAL, ARM_RESULT, ARM_STATUS = _action("/arm_controller/follow_joint_trajectory", "FollowJointTrajectory")
GRIPPER_GOAL, GRIPPER_RESULT, GRIPPER_STATUS = _action("/gripper_controller/gripper_action", "GripperCommand")
JOINT_STATES: Final = Ros1Topic("/joint_states", "sensor_msgs/JointState")
ROBOT_STATE: Final = Ros1Topic("/robot_state", "fetch_driver_msgs/RobotState")
ODOMETRY: Final = Ros1Topic("/odom", "nav_msgs/Odometry", throttle_ms=50)
CLOCK: Final = Ros1Topic("/clock", "rosgraph_msgs/Clock")
GET_TIME: Final = "/rosapi/get_time"
# A goal lasts at least this long, so that the next one always finds it running: the controller then goes on from where
# it wants the arm to be, and not from where it measures it.
GOAL_HORIZON_S: Final = 0.3

# actionlib_msgs/GoalStatus. A goal that a newer one replaces ends PREEMPTED, or RECALLED if it had not begun.
PENDING, ACTIVE, PREEMPTED, SUCCEEDED, ABORTED, REJECTED, RECALLED, LOST = 0, 1, 2, 3, 4, 5, 8, 9
# control_msgs/FollowJointTrajectoryResult
ERROR_NAMES: Final[Mapping[int, str]] = {
    0: "SUCCESSFUL",
    -1: "INVALID_GOAL",
    -2: "INVALID_JOINTS",
    -3: "OLD_HEADER_TIMESTAMP",
    -4: "PATH_TOLERANCE_VIOLATED",
    -5: "GOAL_TOLERANCE_VIOLATED",
}
INVALID_JOINTS, PATH_TOLERANCE_VIOLATED, GOAL_TOLERANCE_VIOLATED = -2, -4, -5


def time_json(stamp_ns: int) -> Json:
    """Return a ROS 1 time or duration."""
    secs, nsecs = divmod(stamp_ns, _NS_PER_S)
    return {"secs": secs, "nsecs": nsecs}


def odometry_json(pose: BasePose, header: Json) -> Json:
    """Return nav_msgs/Odometry, as far as it is read."""
    position = {"x": pose.x_m, "y": pose.y_m, "z": 0.0}
    orientation = {"x": 0.0, "y": 0.0, "z": math.sin(pose.yaw_rad / 2), "w": math.cos(pose.yaw_rad / 2)}
    return {"header": header, "pose": {"pose": {"position": position, "orientation": orientation}}}


def header_json(stamp_ns: int) -> Json:
    """Return a header; always with a stamp, because rosbridge fills a missing one in with the robot's present time."""
    return {"seq": 0, "stamp": time_json(stamp_ns), "frame_id": ""}


def arm_goal_json(
    trajectory: JointTrajectory, goal_id: str, tolerance_rad: Sequence[float], settle_s: float, sent_ns: int = 0
) -> Json:
    """Return a goal that starts when the controller takes it: the trajectory's stamp is 0.

    ``tolerance_rad`` (n,) is both the path's and the goal's: without one the controller aborts a goal whose arm rests
    more than 0.02 rad off, as one that leans on something does. ``settle_s``: how long after its end it may take.
    ``sent_ns`` stamps the message, which servers ignore. The goal's id has stamp 0, which they fill in themselves: they
    drop a goal whose stamp is before the last one's.
    """
    tolerances = [
        {"name": name, "position": float(tolerance), "velocity": 0.0, "acceleration": 0.0}
        for name, tolerance in zip(trajectory.joint_names, tolerance_rad, strict=True)
    ]
    points = [
        {
            "positions": point.position.tolist(),
            "velocities": point.velocity.tolist(),
            "accelerations": [],
            "effort": [],
            "time_from_start": time_json(round(point.time_from_start_s * _NS_PER_S)),
        }
        for point in trajectory.points
    ]
    return {
        "header": header_json(sent_ns),
        "goal_id": {"stamp": time_json(0), "id": goal_id},
        "goal": {
            "trajectory": {"header": header_json(0), "joint_names": list(trajectory.joint_names), "points": points},
            "path_tolerance": tolerances,
            "goal_tolerance": tolerances,
            "goal_time_tolerance": time_json(round(settle_s * _NS_PER_S)),
        },
    }


def trajectory_of_goal(goal: ArmGoal, joint_names: Sequence[str]) -> JointTrajectory:
    """Return the trajectory of a goal, its joints in the order of ``joint_names``.

    CommandError for other joints, wrong lengths or numbers that are none.
    """
    names = goal.trajectory.joint_names
    if sorted(names) != sorted(joint_names):
        raise CommandError(f"goal for joints {names}, expected {list(joint_names)}")
    order = [names.index(name) for name in joint_names]
    points = []
    for point in goal.trajectory.points:
        if not len(point.positions) == len(point.velocities) == len(names):
            raise CommandError(
                f"goal with {len(point.positions)} positions and {len(point.velocities)} velocities in a point, "
                f"expected {len(names)}"
            )
        position, velocity = np.array(point.positions)[order], np.array(point.velocities)[order]
        if not np.all(np.isfinite([position, velocity])):
            raise CommandError(f"goal with {position.tolist()} rad, {velocity.tolist()} rad/s, expected finite numbers")
        points.append(TrajectoryPoint(point.time_from_start.ns / _NS_PER_S, position, velocity))
    times_s = [0.0, *(point.time_from_start_s for point in points)]
    if any(late < early for early, late in pairwise(times_s)):
        raise CommandError(f"goal with points at {times_s[1:]} s, expected times that do not go back")
    return JointTrajectory(tuple(joint_names), tuple(points))


def gripper_goal_json(gap_m: float, effort_n: float, goal_id: str, sent_ns: int = 0) -> Json:
    """Return a goal for the gripper: ``gap_m`` is the distance between the fingers, 0 to 0.1 m."""
    return {
        "header": header_json(sent_ns),
        "goal_id": {"stamp": time_json(0), "id": goal_id},
        "goal": {"command": {"position": gap_m, "max_effort": effort_n}},
    }


def status_json(goal_id: str, status: int, text: str = "") -> Json:
    """Return actionlib_msgs/GoalStatus."""
    return {"goal_id": {"stamp": time_json(0), "id": goal_id}, "status": status, "text": text}
