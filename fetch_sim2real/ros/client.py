"""The client of policy and driver: what an operator, a person's or a simulation's, asks of them and hears from them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from rclpy.node import NodeNameNonExistentError
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.control.homing import SlowMove
from fetch_sim2real.errors import GraphError, ObservationError
from fetch_sim2real.messages.motion import ENDS_ACTIVITY, SetpointReport, decode_setpoint_report, encode_trajectory
from fetch_sim2real.messages.poses import encode_goal
from fetch_sim2real.messages.statuses import GoalStatus, MoveStatus, decode_goal_status, decode_move_status
from fetch_sim2real.ros.heartbeat import Heartbeat
from fetch_sim2real.ros.session import RosSession
from fetch_sim2real.ros.topics import local_name, publish_to, resolved_name, subscribe_to
from fetch_sim2real.types import Goal, JointTrajectory, TrajectoryPoint

ANSWER_LIMIT_S: Final = 10.0
_SERVICES: Final = (
    graph.DRIVER_ENABLE, graph.DRIVER_DISABLE, graph.DRIVER_STOP, graph.DRIVER_RESET,
    graph.POLICY_RESET, graph.POLICY_START, graph.POLICY_HOLD,
)  # fmt: skip
_RETRY_S: Final = 0.05


class StackClient:
    """Talks to policy and driver, on a robot or in simulation. Every wait has a limit and says what it waited for.

    ``heartbeat`` tells the driver that somebody is there; it beats from ``start`` to ``stop``. ``last_outcome`` is what
    became of the last command, empty before the first.
    """

    def __init__(
        self,
        session: RosSession,
        services: Sequence[str] = (),
        on_report: Callable[[SetpointReport], None] = lambda report: None,
    ) -> None:
        """``services`` have to be there beside those of policy and driver.

        ``on_report`` is told of each setpoint report.
        """
        self.session = session
        node = session.node
        self.heartbeat = Heartbeat(node)
        self.last_outcome = ""
        self._on_report = on_report
        self._goal, self._move = publish_to(node, graph.GOAL), publish_to(node, graph.MOVE)
        self._goal_answers: list[GoalStatus] = []
        self._move_answers: list[MoveStatus] = []
        self._subscriptions = [
            subscribe_to(node, graph.GOAL_STATUS, self._on_goal_status),
            subscribe_to(node, graph.MOVE_STATUS, self._on_move_status),
            # Deep enough for every report of a second: they are counted.
            subscribe_to(node, replace(graph.SETPOINT, subscribe=graph.RELIABLE_100), self._on_setpoint),
        ]
        self._triggers = {name: node.create_client(Trigger, local_name(node, name)) for name in (*_SERVICES, *services)}

    # -- who is there --------------------------------------------------------------------------------------------

    def missing(self) -> list[str]:
        """Return what of policy and driver is not connected, in words; empty if nothing."""
        missing = [
            f"service {client.service_name}" for client in self._triggers.values() if not client.service_is_ready()
        ]
        for publisher in (self._goal, self._move):
            if publisher.get_subscription_count() == 0:
                missing.append(f"subscriber of {publisher.topic_name}")
        return missing + [f"publisher of {s.topic_name}" for s in self._subscriptions if s.get_publisher_count() == 0]

    @property
    def is_simulated(self) -> bool:
        """Whether the simulation stands in for the robot."""
        return self.session.node.count_publishers(graph.CLOCK.name) > 0

    def publishers_of(self, *topics: graph.Topic) -> dict[str, tuple[str, ...]]:
        """Return the names of the nodes that publish each topic."""
        node = self.session.node
        ends = {t.name: node.get_publishers_info_by_topic(resolved_name(node, t.name)) for t in topics}
        return {name: tuple(info.node_name for info in infos) for name, infos in ends.items()}

    def senders_of_goals(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the nodes that could send the robot's controllers a goal by action, for each action."""
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

    # -- services ------------------------------------------------------------------------------------------------

    def call(self, service: str, limit_s: float = ANSWER_LIMIT_S) -> tuple[bool, str]:
        """Call a Trigger service: whether it succeeded, and its message. GraphError if it does not answer."""
        node = self.session.node
        client = self._triggers.get(service)
        if client is None:
            client = self._triggers[service] = node.create_client(Trigger, local_name(node, service))
        self.session.wait_until(client.service_is_ready, limit_s, lambda: f"service {client.service_name}")
        future = client.call_async(Trigger.Request())
        self.session.wait_until(future.done, limit_s, lambda: f"answer from {service}")
        answer = future.result()
        return bool(answer.success), str(answer.message)

    def demand(self, service: str) -> str:
        """Call a Trigger service that has to succeed, and return its message; GraphError with its reason if not."""
        succeeded, message = self.call(service)
        if not succeeded:
            raise GraphError(f"{service} failed: {message}")
        return message

    def enable(self, limit_s: float) -> tuple[bool, str]:
        """Let commands through to the arm: whether the driver does, and its message.

        It is asked for ``limit_s``: it may just be finding its listeners, still see somebody who has ended, or the arm
        be coming to rest. Start the heartbeat before, unless somebody else sends one.
        """
        deadline = time.monotonic() + limit_s
        self.last_outcome = ""
        while True:
            succeeded, message = self.call(graph.DRIVER_ENABLE)
            if succeeded or time.monotonic() > deadline:
                return succeeded, message
            self.session.spin(_RETRY_S)

    @property
    def is_followed(self) -> bool:
        """Whether the driver follows commands, by its last report."""
        return self.last_outcome not in ENDS_ACTIVITY

    # -- goals and moves -----------------------------------------------------------------------------------------

    def state_goal(self, goal: Goal, now_ns: int) -> GoalStatus:
        """State ``goal`` at ``now_ns``, in the time base of the stamps, and return what the policy makes of it."""
        self._goal_answers.clear()
        self._goal.publish(encode_goal(goal, now_ns))
        self.session.wait_until(
            lambda: bool(self._goal_answers), ANSWER_LIMIT_S, lambda: f"answer to the goal from {graph.POLICY_NODE}"
        )
        return self._goal_answers[-1]

    def move(self, move: SlowMove, limit_s: float, aborted: Callable[[], bool]) -> tuple[bool, str]:
        """Have ``move`` followed, the driver being enabled: whether the arm arrived, and why not.

        Stops the driver after ``limit_s`` or when ``aborted()``; the caller disables it.
        """
        points = [TrajectoryPoint(float(i), q, q * 0.0) for i, q in enumerate(move.waypoints)]
        self._move_answers.clear()
        self._move.publish(encode_trajectory(JointTrajectory(ARM.joint_names, tuple(points)), 0))
        self.session.wait_until(lambda: bool(self._move_answers), ANSWER_LIMIT_S, lambda: "answer to the move")
        end = time.monotonic() + limit_s
        while self._move_answers[-1].state == "moving":
            if aborted() or time.monotonic() > end:
                self.call(graph.DRIVER_STOP)
                return False, "aborted" if time.monotonic() <= end else f"not there after {limit_s:.0f} s"
            self.session.spin(_RETRY_S)
        answer = self._move_answers[-1]
        return answer.state == "done", answer.reason

    # -- messages ------------------------------------------------------------------------------------------------

    def _on_goal_status(self, message: String) -> None:
        self._goal_answers.append(decode_goal_status(message.data))

    def _on_move_status(self, message: String) -> None:
        self._move_answers.append(decode_move_status(message.data))

    def _on_setpoint(self, message: JointState) -> None:
        try:
            report = decode_setpoint_report(message)
        except ObservationError:
            return  # the policy says what is wrong with it
        self.last_outcome = report.outcome
        self._on_report(report)
