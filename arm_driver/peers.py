"""Whether commander and driver hear each other: discovery takes up to seconds, and until then messages are lost."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription


def missing_peer(node: Node, commands: Subscription, setpoints: Publisher) -> str:
    """What is not connected yet, empty if everything is."""
    if commands.get_publisher_count() == 0:
        return f"nobody publishes {commands.topic_name}: start the policy first"
    listeners = {info.node_name for info in node.get_subscriptions_info_by_topic(setpoints.topic_name)}
    for commander in node.get_publishers_info_by_topic(commands.topic_name):
        if commander.node_name not in listeners:
            return (
                f"{commander.node_name} publishes commands and does not listen to {setpoints.topic_name}, from where "
                "commands have to start (or it is not connected yet)"
            )
    known, connected = node.count_subscribers(setpoints.topic_name), setpoints.get_subscription_count()
    if connected < known:
        return f"{connected} of {known} listeners to {setpoints.topic_name} are connected: try again in a moment"
    return ""
