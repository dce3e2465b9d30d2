"""Publishers and subscriptions made from the graph's contract, so that no node states a name, type or QoS itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.service import Service
from rclpy.subscription import Subscription
from std_srvs.srv import Trigger

from fetch_sim2real.graph import Qos, Topic


@cache
def message_class(type_name: str) -> Any:
    """The class of a message type as the contract writes it, for example ``sensor_msgs/msg/Image``."""
    package, kind, name = type_name.split("/")
    return getattr(import_module(f"{package}.{kind}"), name)


def qos_profile(qos: Qos) -> QoSProfile:
    """rclpy's form of a contract's QoS."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=qos.depth,
        reliability=ReliabilityPolicy.RELIABLE if qos.reliability == "reliable" else ReliabilityPolicy.BEST_EFFORT,
        durability=(
            DurabilityPolicy.TRANSIENT_LOCAL if qos.durability == "transient_local" else DurabilityPolicy.VOLATILE
        ),
    )


def publish_to(node: Node, topic: Topic) -> Publisher:
    """``node``'s publisher on ``topic``."""
    return node.create_publisher(message_class(topic.type), topic.name, qos_profile(topic.publish))


def subscribe_to(node: Node, topic: Topic, callback: Callable[[Any], None]) -> Subscription:
    """``node``'s subscription to ``topic``."""
    return node.create_subscription(message_class(topic.type), topic.name, callback, qos_profile(topic.subscribe))


def serve_trigger(node: Node, name: str, action: Callable[[], tuple[bool, str]]) -> Service:
    """A Trigger service: ``action`` returns whether it succeeded and a message."""

    def answer(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = action()
        return response

    return node.create_service(Trigger, name, answer)
