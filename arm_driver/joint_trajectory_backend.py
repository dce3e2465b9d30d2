"""Trajectories on topics: for ros2_control's joint_trajectory_controller, a relay to ROS 1, or the simulated robot."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from rclpy.node import Node

from arm_driver.backend import Backend
from arm_driver.controller_watch import ControllerWatch
from arm_driver.driver_interface import Driver
from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.messages.motion import encode_trajectory
from fetch_sim2real.ros.topics import publish_to
from fetch_sim2real.types import JointTrajectory, TrajectoryPoint


def _gripper_trajectory(opening_m: float) -> JointTrajectory:
    """Both fingers to ``opening_m``. It cannot say with which force: that is the controller's own limit."""
    opening = np.full(len(ARM.gripper_joints), opening_m)
    return JointTrajectory(ARM.gripper_joints, (TrajectoryPoint(ARM.finger_travel_s, opening, np.zeros_like(opening)),))


class PublishedTrajectories(Backend):
    """Publishes what is sent on two topics."""

    def __init__(self, node: Node, arm: graph.Topic, gripper: graph.Topic) -> None:
        self._arm, self._gripper = publish_to(node, arm), publish_to(node, gripper)
        self._arm_count, self._gripper_count = 0, 0

    def send_arm(self, trajectory: JointTrajectory) -> None:
        """See Backend."""
        self._arm_count += 1
        self._arm.publish(encode_trajectory(trajectory, self._arm_count))

    def send_gripper(self, opening_m: float) -> None:
        """See Backend."""
        self._gripper_count += 1
        self._gripper.publish(encode_trajectory(_gripper_trajectory(opening_m), self._gripper_count))

    def close(self) -> None:
        """See Backend."""


class JointTrajectoryBackend(PublishedTrajectories):
    """Publishes to the arm's and the gripper's trajectory topics, and looks at the arm's controller."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver.node, graph.ARM_TRAJECTORY, graph.GRIPPER_TRAJECTORY)
        self.outputs = (self._arm, self._gripper)
        self._driver = driver
        # A simulated controller does as its world says.
        self._watch = None if driver.is_simulated else ControllerWatch(driver.node, self._arm, lambda: driver.is_active)

    def complaint(self) -> str:
        """See Backend."""
        return "" if self._watch is None else self._watch.complaint()

    def tick(self) -> None:
        """See Backend."""
        if self._watch is not None and not self._driver.is_active:
            self._watch.look()

    def report(self) -> Mapping[str, object]:
        """See Backend."""
        return {} if self._watch is None else self._watch.report()
