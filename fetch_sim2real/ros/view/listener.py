"""The view's subscriptions: topics of the contract into a ``LiveState``. It publishes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import String

from fetch_sim2real import graph
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.graph import BEST_EFFORT_1, Qos, Topic
from fetch_sim2real.messages.camera_info import decode_camera_info
from fetch_sim2real.messages.images import decode_color, decode_depth
from fetch_sim2real.messages.joint_states import JointStateMerger
from fetch_sim2real.messages.motion import decode_setpoint_report
from fetch_sim2real.messages.poses import decode_position
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.messages.statuses import decode_object
from fetch_sim2real.ros.namespaces import local_node_name
from fetch_sim2real.ros.topics import subscribe_to
from fetch_sim2real.ros.view.goal_mark import trained_camera_pose
from fetch_sim2real.ros.view.live_state import COLOR, DEPTH, LiveState

# No publisher waits for this reader or sends it anything twice. What comes often may be lost; what comes once has room.
_SELDOM: Final = Qos("best_effort", 10)


class Listener:
    """Subscribes to all that the view shows."""

    def __init__(self, node: Node, state: LiveState, policy: str | None = None, namespace: str = "") -> None:
        """Hears the graph of ``namespace``, which is ``node``'s.

        ``policy`` names the bundle whose camera pose the goal is drawn by; None asks the policy node for it.
        """
        self._state, self._namespace = state, namespace
        self._merger = JointStateMerger()
        self._asked: Future | None = None
        self._taken: Future | None = None
        self.has_heard = False
        self.world: str | None = None
        """The world that the policy node was last found to work in, empty for none; None while it has not said."""
        self._pose_is_fixed = policy is not None
        self._policy_node = node.create_client(GetParameters, f"{graph.POLICY_NODE}/get_parameters")
        if policy is not None:
            self._take_pose_of(policy)
        subscriptions: tuple[tuple[Topic, Qos, Callable[[Any, int], None]], ...] = (
            (graph.COLOR, BEST_EFFORT_1, self._on_color),
            (graph.DEPTH, BEST_EFFORT_1, self._on_depth),
            (graph.COLOR_INFO, BEST_EFFORT_1, self._on_info),
            (graph.JOINT_STATES, _SELDOM, self._on_joints),  # a Fetch sends arm and gripper in turn
            (graph.SETPOINT, _SELDOM, self._on_setpoint),
            (graph.GOAL_STATUS, _SELDOM, self._on_goal_status),
            (graph.MOVE_STATUS, _SELDOM, self._on_move_status),
            (graph.DIAGNOSTICS, _SELDOM, self._on_diagnostics),
            (graph.SIM_BLOCK_POSE, BEST_EFFORT_1, self._on_block),
            (graph.SIM_OUTCOME, _SELDOM, self._on_outcome),
        )
        for topic, qos, callback in subscriptions:
            subscribe_to(node, replace(topic, subscribe=qos), self._guarded(topic, callback))

    def poll(self) -> None:
        """Ask each policy node that comes up for its bundle and its world. Call this now and then; it never waits."""
        if not self._policy_node.service_is_ready():
            # The next one may run another policy.
            self._asked = None
        elif self._asked is None:
            self._asked = self._policy_node.call_async(GetParameters.Request(names=["policy", "world"]))
        elif self._asked.done() and self._asked is not self._taken:
            self._taken = self._asked
            answer = self._asked.result()
            if answer is not None and len(answer.values) == 2:
                policy, self.world = (value.string_value for value in answer.values)
                if not self._pose_is_fixed:
                    self._take_pose_of(policy)

    def _take_pose_of(self, policy: str) -> None:
        try:
            self._state.on_camera_pose(trained_camera_pose(policy), f"camera pose in the bundle '{Path(policy).name}'")
        except FetchSim2RealError as error:
            self._state.on_camera_pose(None, f"{error}; name a copy of the bundle here: view --policy")

    def _guarded(self, topic: Topic, callback: Callable[[Any, int], None]) -> Callable[..., None]:
        """Whatever comes in must not end the view: what cannot be understood is counted."""

        def call(message: Any, info: Mapping[str, Any]) -> None:
            try:
                callback(message, int(info["source_timestamp"]))
            except (FetchSim2RealError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
                self._state.on_ignored(f"{topic.name}: {error}"[:300])

        return call

    def _on_color(self, message: Image, published_ns: int) -> None:
        self._state.on_picture(COLOR, decode_color(message), decode_stamp(message.header.stamp), published_ns)

    def _on_depth(self, message: Image, published_ns: int) -> None:
        self._state.on_picture(DEPTH, decode_depth(message), decode_stamp(message.header.stamp), published_ns)

    def _on_info(self, message: CameraInfo, _: int) -> None:
        self._state.on_camera(decode_camera_info(message))

    def _on_joints(self, message: JointState, _: int) -> None:
        sample = self._merger.merge(message)
        if sample is not None:
            self._state.on_joints(sample, self._merger.torso_height_m)

    def _on_setpoint(self, message: JointState, published_ns: int) -> None:
        self._state.on_setpoint_report(decode_setpoint_report(message), published_ns)

    def _on_goal_status(self, message: String, _: int) -> None:
        self._state.on_goal_status(decode_object(message.data, "status"))

    def _on_move_status(self, message: String, _: int) -> None:
        self._state.on_move_status(decode_object(message.data, "status"))

    def _on_block(self, message: PoseStamped, _: int) -> None:
        self._state.on_block(decode_position(message))

    def _on_outcome(self, message: String, _: int) -> None:
        self._state.on_outcome(decode_object(message.data, "status"))

    def _on_diagnostics(self, message: DiagnosticArray, _: int) -> None:
        for status in message.status:
            values = {value.key: value.value for value in status.values}
            name = local_node_name(status.name, self._namespace)
            if name is None:
                continue
            self.has_heard = True
            if name.endswith(graph.POLICY_NODE) and "goal" in values:
                # For a view that was not there when the goal was stated, and after a reset, which takes it back.
                goal = values["goal"]
                self._state.on_policy_goal(None if goal == "none" else decode_object(goal, "the policy's goal"))
            self._state.on_diagnostics(name, int.from_bytes(status.level, "little"), status.message, values)
