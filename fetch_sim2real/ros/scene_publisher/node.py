"""The scene publisher as a ROS node: what ``SceneFeed`` sends goes to the topics whose ROS packages are installed."""

from __future__ import annotations

import os
from collections import Counter
from typing import Final

from rclpy.publisher import Publisher

from fetch_sim2real import graph
from fetch_sim2real.arm.urdf import urdf
from fetch_sim2real.calibration.camera_file import load_calibration
from fetch_sim2real.graph import Topic
from fetch_sim2real.paths import expanded, worlds_dir
from fetch_sim2real.ros.bounded_log import BoundedLog
from fetch_sim2real.ros.diagnostics import Diagnostics, Level, Report
from fetch_sim2real.ros.main_loop import StackNode
from fetch_sim2real.ros.scene_publisher.settings import TABLE
from fetch_sim2real.ros.topics import publish_to, resolved_name
from fetch_sim2real.ros.view.goal_mark import trained_camera_pose
from fetch_sim2real.ros.view.scene import SceneState
from fetch_sim2real.ros.view.scene_feed import SceneFeed
from fetch_sim2real.workcell import load_workcell

# Where processors are scarce the control loop goes first.
_NICENESS: Final = 10


class ScenePublisherNode(StackNode):
    """Publishes ``graph.SCENE``."""

    def __init__(self) -> None:
        super().__init__(graph.SCENE_PUBLISHER, TABLE)
        os.nice(_NICENESS)
        self._offered: dict[str, Publisher] = {}
        self._missing: list[str] = []
        self._sent: Counter[str] = Counter()
        self._warnings = BoundedLog(self.get_logger())
        for topic in graph.SCENE:
            self._offer(topic)
        feed_of = self.get_namespace().rstrip("/")
        self._feed = SceneFeed(self, self._scene(), self, urdf(), self._on_ignored, feed_of)
        self._diagnostics = Diagnostics(self, self._report)
        names = ", ".join(resolved_name(self, topic.name) for topic in graph.SCENE if topic.name in self._offered)
        self.get_logger().info(f"publishing {names}; frames follow the first joint states")

    def send(self, topic: Topic, data: bytes) -> None:
        """See ``SceneSink``."""
        publisher = self._offered.get(topic.name)
        if publisher is not None:
            publisher.publish(data)
            self._sent[topic.name] += 1

    def restart(self) -> None:
        """See ``SceneSink``: tools on ROS notice by themselves."""

    def _offer(self, topic: Topic) -> None:
        package = topic.type.partition("/")[0]
        try:
            self._offered[topic.name] = publish_to(self, topic)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != package:
                raise
            self._missing.append(f"{resolved_name(self, topic.name)} (no ROS package {package})")
            self.get_logger().warning(
                f"{resolved_name(self, topic.name)} is not published: the ROS package {package} is not installed "
                f"(on Ubuntu: sudo apt install ros-$ROS_DISTRO-{package.replace('_', '-')})"
            )

    def _scene(self) -> SceneState:
        """What the parameters say of camera and surroundings. FetchSim2RealError for what cannot be read."""
        scene = SceneState()
        world, policy = self.parameters.text("world"), self.parameters.text("policy")
        calibration = self.parameters.text("calibration")
        if world:
            scene.on_surroundings(load_workcell(world, worlds_dir()).scene())
        if policy:
            scene.on_trained_pose(trained_camera_pose(policy))
        if calibration:
            scene.on_calibration(load_calibration(expanded(calibration)).base_T_camera.pose())
        source = calibration or (f"the bundle {policy}: where it was in training" if policy else "")
        self.get_logger().info(f"camera by {source}" if source else "no pose of the camera is given: it is not placed")
        return scene

    def _on_ignored(self, reason: str) -> None:
        self._warnings.warn(reason.partition(":")[0], f"ignored {reason}")

    def _report(self) -> Report:
        message = f"not published: {', '.join(self._missing)}" if self._missing else "publishing"
        return Report(Level.OK, message, {f"sent_{topic.name}": self._sent[topic.name] for topic in graph.SCENE})
