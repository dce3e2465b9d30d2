"""Who else is in the graph: the policy that is played to, and those beside whom nothing may be played."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.topic_endpoint_info import TopicEndpointInfo

from fetch_sim2real import graph
from fetch_sim2real.bags.playing import PLAYED
from fetch_sim2real.errors import GraphError
from fetch_sim2real.graph import Topic
from fetch_sim2real.ros.topics import resolved_name, subscribe_to

# What the policy subscribes to.
_HEARD: Final = tuple(topic for topic in PLAYED if graph.POLICY_NODE in topic.subscribers)
_LISTENERS: Final = "listeners"


class Surroundings:
    """Looks at the graph on behalf of ``node``, which publishes the topics ``PLAYED``."""

    def __init__(self, node: Node, await_recorder: bool) -> None:
        self._node, self._await_recorder = node, await_recorder
        self._listeners: dict[str, int] = {}
        subscribe_to(node, graph.DIAGNOSTICS, self._on_diagnostics)

    def refuse_strangers(self) -> None:
        """Raise ``GraphError`` if somebody else publishes what is played, or commands an arm."""
        for topic in (*PLAYED, graph.ARM_TRAJECTORY, graph.GRIPPER_TRAJECTORY):
            strangers = [name for name in self._publishers(topic) if name != self._node.get_fully_qualified_name()]
            if topic == graph.GOAL:
                continue  # a person may state another one
            if strangers:
                raise GraphError(
                    f"{', '.join(strangers)} publishes {self._name(topic)} in ROS domain "
                    f"{os.environ.get('ROS_DOMAIN_ID', '0')}: a recording must meet no robot, driver, camera or "
                    "simulation; end that, or play in another domain (ROS_DOMAIN_ID) or namespace"
                )

    def missing(self) -> str:
        """What a beginning still waits for, in words; empty if nothing."""
        policies = self._publishers(graph.JOINT_COMMAND)
        if not policies:
            return f"policy, which publishes {resolved_name(self._node, graph.JOINT_COMMAND.name)}"
        recorder = [] if not self._await_recorder else [self._node.get_namespace().rstrip("/") + f"/{graph.RECORDER}"]
        for topic in _HEARD:
            there = _names(self._node.get_subscriptions_info_by_topic(self._name(topic)))
            for expected in (policies[0], *recorder):
                if expected not in there:
                    return f"subscription of {expected} to {self._name(topic)}"
        # Our end of a connection may be there before the other one is: what the policy said then would be lost.
        wanted, found = 1 + self._await_recorder, self._listeners.get(policies[0], 0)
        return "" if found >= wanted else f"word from {policies[0]} that its commands are heard"

    def require_one_policy(self) -> None:
        """Raise ``GraphError`` unless exactly one node answers."""
        policies = self._publishers(graph.JOINT_COMMAND)
        if len(policies) != 1:
            raise GraphError(
                f"{len(policies)} nodes publish {self._name(graph.JOINT_COMMAND)} ({', '.join(policies) or 'none'}), "
                "expected the one policy that is played to"
            )

    def _name(self, topic: Topic) -> str:
        return resolved_name(self._node, topic.name)

    def _publishers(self, topic: Topic) -> list[str]:
        return _names(self._node.get_publishers_info_by_topic(self._name(topic)))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values: Mapping[str, str] = {value.key: value.value for value in status.values}
            if _LISTENERS in values:
                self._listeners[f"/{status.name}"] = int(values[_LISTENERS])


def _names(ends: Sequence[TopicEndpointInfo]) -> list[str]:
    return [f"{end.node_namespace.rstrip('/')}/{end.node_name}" for end in ends]
