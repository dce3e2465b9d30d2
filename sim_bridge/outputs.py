"""Everything that the simulated robot and camera publish."""

from __future__ import annotations

from collections.abc import Iterable

from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String

from fetch_sim2real import graph
from fetch_sim2real.messages.camera_info import encode_camera_info
from fetch_sim2real.messages.images import encode_color, encode_depth
from fetch_sim2real.messages.joint_states import encode_joint_state
from fetch_sim2real.messages.poses import encode_goal, encode_pose
from fetch_sim2real.messages.stamps import encode_stamp
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.ros.topics import publish_to
from fetch_sim2real.types import FloatArray, Goal, JointSample, RgbdFrame


class Outputs:
    """The bridge's publishers."""

    def __init__(self, node: Node, torso_height_m: float, is_camera: bool, has_joint_states: bool = True) -> None:
        """``is_camera``: frames go to the camera's topics; otherwise to those that a software device is fed from.
        ``has_joint_states`` False: joint states take another way, and somebody else publishes them.
        """
        self._torso_height_m = torso_height_m
        self._depth_frame_id = graph.COLOR_OPTICAL_FRAME if is_camera else graph.DEPTH_OPTICAL_FRAME
        self._joint_states = publish_to(node, graph.JOINT_STATES) if has_joint_states else None
        self._clock = publish_to(node, graph.CLOCK)
        self._color = publish_to(node, graph.COLOR if is_camera else graph.SIM_COLOR)
        self._color_info = publish_to(node, graph.COLOR_INFO if is_camera else graph.SIM_COLOR_INFO)
        self._depth = publish_to(node, graph.DEPTH if is_camera else graph.SIM_DEPTH)
        self._depth_info = publish_to(node, graph.DEPTH_INFO if is_camera else graph.SIM_DEPTH_INFO)
        self._block_pose = publish_to(node, graph.SIM_BLOCK_POSE)
        self._goal = publish_to(node, graph.SIM_GOAL)
        self._outcome = publish_to(node, graph.SIM_OUTCOME)

    def clock(self, now_ns: int) -> None:
        """Publish simulated time."""
        self._clock.publish(Clock(clock=encode_stamp(now_ns)))

    def joint_states(self, samples: Iterable[JointSample]) -> None:
        """Publish measured joints."""
        if self._joint_states is None:
            return
        for sample in samples:
            self._joint_states.publish(encode_joint_state(sample, self._torso_height_m))

    def frame(self, frame: RgbdFrame, camera: CameraModel, depth_camera: CameraModel) -> None:
        """Publish an RGB-D pair and the intrinsics of both, all of one stamp."""
        color = encode_color(frame.rgb, frame.stamp_ns, graph.COLOR_OPTICAL_FRAME)
        depth = encode_depth(frame.depth_mm, frame.stamp_ns, self._depth_frame_id)
        self._color_info.publish(encode_camera_info(camera, frame.stamp_ns, graph.COLOR_OPTICAL_FRAME))
        self._depth_info.publish(encode_camera_info(depth_camera, frame.stamp_ns, self._depth_frame_id))
        self._color.publish(color)
        self._depth.publish(depth)

    def block(self, position_m: FloatArray, quaternion_wxyz: FloatArray, now_ns: int) -> None:
        """Publish where the object that the task is about truly is: for tests and evaluation."""
        self._block_pose.publish(encode_pose(position_m, quaternion_wxyz, graph.BASE_FRAME, now_ns))

    def goal(self, position_m: FloatArray, frame_id: str, now_ns: int) -> None:
        """Publish the goal that the operator is to state now."""
        self._goal.publish(encode_goal(Goal(frame_id, position_m), now_ns))

    def outcome(self, text: str) -> None:
        """Publish the result of an episode."""
        self._outcome.publish(String(data=text))
