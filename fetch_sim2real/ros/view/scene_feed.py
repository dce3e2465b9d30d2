"""From a running graph to tools that draw: hears what moves, and sends description, frames and markers.

It hears best effort and with short queues, so nobody waits for it, and commands nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, Protocol

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.calibration.in_force import CalibrationInForce
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.graph import BEST_EFFORT_1, Qos, Topic
from fetch_sim2real.messages.motion import decode_trajectory
from fetch_sim2real.messages.poses import decode_position
from fetch_sim2real.messages.scene import encode_frames, encode_markers, encode_text
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.messages.statuses import decode_object
from fetch_sim2real.ros.namespaces import local_node_name
from fetch_sim2real.ros.topics import subscribe_to
from fetch_sim2real.ros.view.live_state import goal_of
from fetch_sim2real.ros.view.scene import SceneState

# As often as a screen shows it, however often a robot reports its joints.
FRAMES_PERIOD_S: Final = 1 / 30
MARKERS_PERIOD_S: Final = 0.1
# What comes often may be lost; what comes once has room.
_SELDOM: Final = Qos("best_effort", 10)
# Joint states of a robot come in turn and a little out of order; so far back only those of another graph are.
_RESTART_NS: Final = 1_000_000_000


class SceneSink(Protocol):
    """Where the messages go."""

    def send(self, topic: Topic, data: bytes) -> None:
        """Pass on a serialized message of one of ``graph.SCENE``."""

    def restart(self) -> None:
        """Forget what was sent: stamps begin anew, with another graph."""


class SceneFeed:
    """Subscribes to all that ``scene`` needs and sends what follows from it, by the wall clock."""

    def __init__(
        self,
        node: Node,
        scene: SceneState,
        sink: SceneSink,
        description: str,
        on_ignored: Callable[[str], None],
        namespace: str = "",
    ) -> None:
        """``description`` is the URDF; ``on_ignored`` is told of messages that cannot be understood."""
        self._scene, self._sink, self._namespace = scene, sink, namespace
        self._on_ignored = on_ignored
        self._description = encode_text(description)
        self._sent_stamp_ns: int | None = None
        self._fixed = b""
        self._markers = b""
        self._told_calibration = ""
        subscriptions: tuple[tuple[Topic, Qos, Callable[[Any], None]], ...] = (
            (graph.JOINT_STATES, _SELDOM, self._on_joints),  # a Fetch sends arm and gripper in turn
            (graph.GOAL_STATUS, _SELDOM, self._on_goal_status),
            (graph.DIAGNOSTICS, _SELDOM, self._on_diagnostics),
            (graph.SIM_BLOCK_POSE, BEST_EFFORT_1, self._on_block),
            (graph.ARM_TRAJECTORY, BEST_EFFORT_1, self._on_trajectory),
            (graph.SHADOW_ARM, BEST_EFFORT_1, self._on_trajectory),
        )
        for topic, qos, callback in subscriptions:
            subscribe_to(node, replace(topic, subscribe=qos), self._guarded(topic, callback))
        # Simulated time may stand still, and a tool that comes meanwhile is to see something.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(FRAMES_PERIOD_S, self._send_frames, clock=steady)
        node.create_timer(MARKERS_PERIOD_S, self._send_what_changed, clock=steady)
        self._sink.send(graph.ROBOT_DESCRIPTION, self._description)

    def send_again(self) -> None:
        """Send what is sent only when it changes, for those who came too late to hear it."""
        self._sink.send(graph.ROBOT_DESCRIPTION, self._description)
        self._fixed = self._markers = b""
        self._sent_stamp_ns = None
        self._send_what_changed()
        self._send_frames()

    def _guarded(self, topic: Topic, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        def call(message: Any) -> None:
            try:
                callback(message)
            except (FetchSim2RealError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
                self._on_ignored(f"{topic.name}: {error}"[:300])

        return call

    def _on_joints(self, message: JointState) -> None:
        stamp_ns = decode_stamp(message.header.stamp)
        known_ns = self._scene.stamp_ns
        if known_ns is not None and stamp_ns < known_ns - _RESTART_NS:
            self._sent_stamp_ns = None
            self._sink.restart()
        elif known_ns is not None:
            stamp_ns = max(stamp_ns, known_ns)
        self._scene.on_joints(dict(zip(message.name, message.position, strict=True)), stamp_ns)

    def _on_goal_status(self, message: String) -> None:
        status = decode_object(message.data, "status")
        if status.get("accepted"):
            self._scene.on_goal(goal_of(status))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if local_node_name(status.name, self._namespace) != graph.POLICY_NODE:
                continue
            values = {value.key: value.value for value in status.values}
            if (goal := values.get("goal")) is not None:
                self._scene.on_goal(None if goal == "none" else goal_of(decode_object(goal, "the policy's goal")))
            told = values.get("calibration", "")
            if told and told != self._told_calibration:
                self._told_calibration = told
                in_force = CalibrationInForce.told(told)
                if in_force is not None:
                    self._scene.on_calibration(in_force.calibration.base_T_camera.pose())

    def _on_block(self, message: PoseStamped) -> None:
        self._scene.on_block(decode_position(message))

    def _on_trajectory(self, message: JointTrajectory) -> None:
        self._scene.on_trajectory(decode_trajectory(message, ARM.joint_names))

    def _send_frames(self) -> None:
        stamp_ns = self._scene.stamp_ns
        if stamp_ns is not None and stamp_ns != self._sent_stamp_ns:
            self._sent_stamp_ns = stamp_ns
            self._sink.send(graph.TF, encode_frames(self._scene.moving_frames(), stamp_ns))

    def _send_what_changed(self) -> None:
        # Frames that hold at all times: tools take stamp 0 for them.
        fixed, markers = encode_frames(self._scene.fixed_frames(), 0), encode_markers(self._scene.shapes())
        if fixed != self._fixed:
            self._fixed = fixed
            self._sink.send(graph.TF_STATIC, fixed)
        if markers != self._markers:
            self._markers = markers
            self._sink.send(graph.MARKERS, markers)
