"""Everything that the simulated robot and camera publish."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String

from fetch_sim2real import graph
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.ros.camera_info import camera_info_message
from fetch_sim2real.ros.images import color_message, depth_message
from fetch_sim2real.ros.joint_states import joint_state_message
from fetch_sim2real.ros.stamps import stamp_message
from fetch_sim2real.ros.topics import publish_to
from fetch_sim2real.types import FloatArray, JointSample, RgbdFrame


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
        """Simulated time."""
        self._clock.publish(Clock(clock=stamp_message(now_ns)))

    def joint_states(self, samples: Iterable[JointSample]) -> None:
        """Measured joints."""
        if self._joint_states is None:
            return
        for sample in samples:
            self._joint_states.publish(joint_state_message(sample, self._torso_height_m))

    def frame(self, frame: RgbdFrame, camera: CameraModel, depth_camera: CameraModel) -> None:
        """An RGB-D pair and the intrinsics of both, all of one stamp."""
        color = color_message(frame.rgb, frame.stamp_ns, graph.COLOR_OPTICAL_FRAME)
        depth = depth_message(frame.depth_mm, frame.stamp_ns, self._depth_frame_id)
        self._color_info.publish(camera_info_message(camera, frame.stamp_ns, graph.COLOR_OPTICAL_FRAME))
        self._depth_info.publish(camera_info_message(depth_camera, frame.stamp_ns, self._depth_frame_id))
        self._color.publish(color)
        self._depth.publish(depth)

    def block(self, position_m: FloatArray, quaternion_wxyz: FloatArray, now_ns: int) -> None:
        """Where the block truly is: for tests and evaluation."""
        message = PoseStamped()
        message.header.stamp = stamp_message(now_ns)
        message.header.frame_id = graph.BASE_FRAME
        point, turn = message.pose.position, message.pose.orientation
        point.x, point.y, point.z = position_m.tolist()
        turn.w, turn.x, turn.y, turn.z = quaternion_wxyz.tolist()
        self._block_pose.publish(message)

    def goal(self, position_m: FloatArray, frame_id: str, now_ns: int) -> None:
        """The goal that the operator is to state now."""
        message = PoseStamped()
        message.header.stamp = stamp_message(now_ns)
        message.header.frame_id = frame_id
        message.pose.position.x, message.pose.position.y, message.pose.position.z = position_m.tolist()
        message.pose.orientation.w = 1.0
        self._goal.publish(message)

    def outcome(self, text: str) -> None:
        """The result of an episode."""
        self._outcome.publish(String(data=text))


def blank(frame: RgbdFrame) -> RgbdFrame:
    """The frame of a covered lens: black, without depth."""
    return RgbdFrame(frame.stamp_ns, np.zeros_like(frame.rgb), np.zeros_like(frame.depth_mm))
