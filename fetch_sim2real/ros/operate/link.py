"""The operator's connection to policy and driver: services, goals, moves, and what the nodes say."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import NodeNameNonExistentError
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.errors import GraphError
from fetch_sim2real.messages.motion import encode_trajectory
from fetch_sim2real.messages.poses import encode_goal
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.messages.statuses import GoalStatus, MoveStatus, decode_goal_status, decode_move_status
from fetch_sim2real.operation.slow_move import SlowMove
from fetch_sim2real.ros.heartbeat import Heartbeat
from fetch_sim2real.ros.namespaces import local_node_name
from fetch_sim2real.ros.operate.topic_monitors import JointWatch, ShadowWatch
from fetch_sim2real.ros.session import RosSession
from fetch_sim2real.ros.topics import local_name, publish_to, resolved_name, subscribe_to
from fetch_sim2real.types import Goal, JointTrajectory, TrajectoryPoint

ANSWER_LIMIT_S: Final = 10.0
_SERVICES: Final = (
    graph.DRIVER_ENABLE, graph.DRIVER_DISABLE, graph.DRIVER_STOP, graph.DRIVER_RESET,
    graph.POLICY_RESET, graph.POLICY_START, graph.POLICY_HOLD,
)  # fmt: skip
_NODES: Final = (graph.POLICY_NODE, graph.ARM_DRIVER)
# Answers of a driver that follows no more commands.
_INACTIVE: Final = frozenset(
    f"refused:{reason}" for reason in ("not_active", "command_timeout", "stale_joints", "tracking_error")
)


class RobotLink:
    """Talks to the nodes on a robot, or of a simulated graph. Every wait has a limit."""

    def __init__(self, session: RosSession) -> None:
        self.session = session
        node = session.node
        self.joints, self.shadow = JointWatch(), ShadowWatch()
        self.last_decision = ""
        self._clock_ns: int | None = None
        # Beats from an enable to the end of what it was for.
        self.heartbeat = Heartbeat(node)
        self._goal, self._move = publish_to(node, graph.GOAL), publish_to(node, graph.MOVE)
        self._goal_answers: list[GoalStatus] = []
        self._move_answers: list[MoveStatus] = []
        self._diagnostics: dict[str, dict[str, str]] = {}
        self._reports: dict[str, int] = {}
        subscribe_to(node, graph.GOAL_STATUS, self._on_goal_status)
        subscribe_to(node, graph.MOVE_STATUS, self._on_move_status)
        subscribe_to(node, graph.DIAGNOSTICS, self._on_diagnostics)
        subscribe_to(node, graph.JOINT_STATES, self._on_joint_state)
        subscribe_to(node, graph.CLOCK, self._on_clock)
        subscribe_to(node, graph.SHADOW_ARM, self.shadow.on_message)
        subscribe_to(node, replace(graph.SETPOINT, subscribe=graph.RELIABLE_100), self._on_setpoint)
        self._triggers = {name: node.create_client(Trigger, local_name(node, name)) for name in _SERVICES}

    # -- the graph -----------------------------------------------------------------------------------------------

    def wait_for_nodes(self, limit_s: float) -> None:
        """Wait until policy and driver are there, connected, and have said something; GraphError names who is not."""
        self.session.wait_until(lambda: not self._missing(), limit_s, lambda: " and no ".join(self._missing()[:3]))

    def _missing(self) -> list[str]:
        missing = [
            f"service {client.service_name}" for client in self._triggers.values() if not client.service_is_ready()
        ]
        for publisher in (self._goal, self._move):
            if publisher.get_subscription_count() == 0:
                missing.append(f"subscriber of {publisher.topic_name}")
        silent = [f"{self.session.namespace}/{node}" for node in _NODES if node not in self._reports]
        return missing + [f"word from {node} on {graph.DIAGNOSTICS.name}" for node in silent]

    @property
    def is_simulated(self) -> bool:
        """Whether the simulation stands in for the robot."""
        return self.session.node.count_publishers(graph.CLOCK.name) > 0

    def publishers_of(self, *topics: graph.Topic) -> dict[str, tuple[str, ...]]:
        """Names of the nodes that publish each topic."""
        node = self.session.node
        ends = {t.name: node.get_publishers_info_by_topic(resolved_name(node, t.name)) for t in topics}
        return {name: tuple(info.node_name for info in infos) for name, infos in ends.items()}

    def senders_of_goals(self) -> dict[str, tuple[str, ...]]:
        """Names of the nodes that could send the robot's controllers a goal by action, for each action."""
        node = self.session.node
        clients: dict[str, list[str]] = {action: [] for action in graph.ROBOT_ACTIONS}
        contract_names = {resolved_name(node, action): action for action in graph.ROBOT_ACTIONS}
        for name, namespace in node.get_node_names_and_namespaces():
            try:
                services = node.get_client_names_and_types_by_node(name, namespace)
            except NodeNameNonExistentError:
                continue  # it has just ended
            for service, _ in services:
                action = service.removesuffix("/_action/send_goal")
                if action != service and action in contract_names:
                    clients[contract_names[action]].append(name)
        return {action: tuple(names) for action, names in clients.items()}

    def now_ns(self) -> int:
        """The present in the time base of the stamps."""
        return time.time_ns() if self._clock_ns is None else self._clock_ns

    def arrived_ns(self) -> int | None:
        """The present by the steady clock; None in a simulation, whose stamps may jump ahead of it."""
        return time.monotonic_ns() if self._clock_ns is None else None

    def diagnostics(self, node: str) -> Mapping[str, str]:
        """What ``node`` said last; empty if nothing."""
        return self._diagnostics.get(node, {})

    def news(self) -> Callable[[], bool]:
        """A function that says whether policy and driver have both reported since this call."""
        heard = dict(self._reports)
        return lambda: all(self._reports.get(node, 0) > heard.get(node, 0) for node in _NODES)

    def wait_for_news(self) -> None:
        """Wait, a second or so, until ``diagnostics`` tells of the present."""
        self.session.wait_until(self.news(), ANSWER_LIMIT_S, lambda: f"word from {' and '.join(_NODES)}")

    # -- what the operator does ----------------------------------------------------------------------------------

    def call(self, service: str, limit_s: float = ANSWER_LIMIT_S) -> tuple[bool, str]:
        """Call a Trigger service: whether it succeeded, and its message. GraphError if it does not answer."""
        if service not in self._triggers:
            self._triggers[service] = self.session.node.create_client(
                Trigger, local_name(self.session.node, service)
            )
        client = self._triggers[service]
        self.session.wait_until(client.service_is_ready, limit_s, lambda: f"service {client.service_name}")
        future = client.call_async(Trigger.Request())
        self.session.wait_until(future.done, limit_s, lambda: f"answer from {service}")
        answer = future.result()
        return bool(answer.success), str(answer.message)

    def demand(self, service: str) -> str:
        """Call a Trigger service that has to succeed; GraphError with its reason if it does not."""
        succeeded, message = self.call(service)
        if not succeeded:
            raise GraphError(f"{service} failed: {message}")
        return message

    def state_goal(self, goal: Goal) -> tuple[bool, str]:
        """Whether the policy accepts ``goal``, and the reason."""
        self._goal_answers.clear()
        message = encode_goal(goal)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(self.now_ns(), 1_000_000_000)
        self._goal.publish(message)
        self.session.wait_until(
            lambda: bool(self._goal_answers), ANSWER_LIMIT_S, lambda: f"answer to the goal from {graph.POLICY_NODE}"
        )
        answer = self._goal_answers[-1]
        return answer.accepted, answer.reason

    def move(self, move: SlowMove, limit_s: float, aborted: Callable[[], bool]) -> tuple[bool, str]:
        """Let the policy follow ``move``, the driver being enabled: whether it arrived, and why not.

        Ends it after ``limit_s`` or when ``aborted()``; the caller disables the driver.
        """
        points = [TrajectoryPoint(float(i), q, q * 0.0) for i, q in enumerate(move.waypoints)]
        message = encode_trajectory(JointTrajectory(ARM.joint_names, tuple(points)), 0)
        self._move_answers.clear()
        self._move.publish(message)
        self.session.wait_until(lambda: bool(self._move_answers), ANSWER_LIMIT_S, lambda: "answer to the move")
        end = time.monotonic() + limit_s
        while self._move_answers[-1].state == "moving":
            if aborted() or time.monotonic() > end:
                self.call(graph.DRIVER_STOP)
                return False, "aborted" if time.monotonic() <= end else f"not there after {limit_s:.0f} s"
            self.session.spin(0.05)
        answer = self._move_answers[-1]
        return answer.state == "done", answer.reason

    @property
    def is_followed(self) -> bool:
        """Whether the driver's last answer was that of a driver that follows commands."""
        return self.last_decision not in _INACTIVE

    # -- messages ------------------------------------------------------------------------------------------------

    def _on_goal_status(self, message: String) -> None:
        self._goal_answers.append(decode_goal_status(message.data))

    def _on_move_status(self, message: String) -> None:
        self._move_answers.append(decode_move_status(message.data))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            # All robots of a network report on the same topic.
            name = local_node_name(status.name, self.session.namespace)
            if name is not None:
                self._diagnostics[name] = {value.key: value.value for value in status.values}
                self._reports[name] = self._reports.get(name, 0) + 1

    def _on_setpoint(self, message: JointState) -> None:
        self.last_decision = message.header.frame_id

    def _on_joint_state(self, message: JointState) -> None:
        self.joints.on_message(message, self.arrived_ns())
        if self._clock_ns is None:
            self.joints.note_age(self.now_ns())

    def _on_clock(self, message: Clock) -> None:
        # The simulation publishes joint states first and then their time.
        self._clock_ns = decode_stamp(message.clock)
        self.joints.note_age(self._clock_ns)
