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

from fetch_sim2real import graph
from fetch_sim2real.graph import Qos, Topic


def local_name(node: Node, name: str) -> str:
    """Return a contract's name as ``node`` has to ask for it, so that namespaces, node names and remaps apply to it.

    What lies under the node's own name in the contract is private to it (``~/``), other names are relative; those that
    all robots share stay as they are.
    """
    if name in graph.GLOBAL_NAMES:
        return name
    own = f"/{getattr(node, 'role', '')}/"
    return f"~/{name.removeprefix(own)}" if name.startswith(own) else name.lstrip("/")


def resolved_name(node: Node, name: str) -> str:
    """Return the whole name that a contract's ``name`` has for ``node``, with its namespace and remaps."""
    resolved: str = node.resolve_topic_name(local_name(node, name))
    return resolved


@cache
def message_class(type_name: str) -> Any:
    """Return the class of a message type as the contract writes it, for example ``sensor_msgs/msg/Image``."""
    package, kind, name = type_name.split("/")
    return getattr(import_module(f"{package}.{kind}"), name)


def qos_profile(qos: Qos) -> QoSProfile:
    """Return rclpy's form of a contract's QoS."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=qos.depth,
        reliability=ReliabilityPolicy.RELIABLE if qos.reliability == "reliable" else ReliabilityPolicy.BEST_EFFORT,
        durability=(
            DurabilityPolicy.TRANSIENT_LOCAL if qos.durability == "transient_local" else DurabilityPolicy.VOLATILE
        ),
    )


def publish_to(node: Node, topic: Topic) -> Publisher:
    """Create ``node``'s publisher on ``topic``."""
    return node.create_publisher(message_class(topic.type), local_name(node, topic.name), qos_profile(topic.publish))


def subscribe_to(node: Node, topic: Topic, callback: Callable[[Any], None]) -> Subscription:
    """Create ``node``'s subscription to ``topic``."""
    name = local_name(node, topic.name)
    return node.create_subscription(message_class(topic.type), name, callback, qos_profile(topic.subscribe))


def serve_trigger(node: Node, name: str, action: Callable[[], tuple[bool, str]]) -> Service:
    """Serve a Trigger service, ``name`` as in the contract: ``action`` returns whether it succeeded and a message."""

    def answer(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = action()
        return response

    return node.create_service(Trigger, local_name(node, name), answer)
