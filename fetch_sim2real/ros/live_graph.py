"""What a running graph looks like from outside."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import JointState

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.common.raw_header import HEADED_TYPES, STAMPED_TYPES, frame_id_in, stamp_ns_in
from fetch_sim2real.graph import CHECK_GRAPH, JOINT_STATES, Qos, Topic
from fetch_sim2real.policy.synchronization import stamp_offset_ns
from fetch_sim2real.ros.namespaces import hint_of_namespaces
from fetch_sim2real.ros.session import RosSession
from fetch_sim2real.ros.topics import local_name, message_class, qos_profile, resolved_name
from fetch_sim2real.stack.graph_check import Endpoint, LiveGraph, LiveTopic

NODE_NAME: Final = CHECK_GRAPH
# Nodes that are started together find each other in a third of a second, others may need some seconds.
_DISCOVERY_S: Final = 3.0
_MIN_STEPS: Final = 3


class _Listener:
    """Stamps and frames that came in on one topic."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self.messages = 0
        self.stamps_ns: list[int] = []
        self.frame_ids: set[str] = set()

    def note(self, message: bytes) -> None:
        self.messages += 1
        if self._topic.type in STAMPED_TYPES and (stamp_ns := stamp_ns_in(message)):
            self.stamps_ns.append(stamp_ns)
        if self._topic.frame_id is not None and self._topic.type in HEADED_TYPES:
            self.frame_ids.add(frame_id_in(message) or "")

    def rate_hz(self) -> float | None:
        """By the median step between stamps."""
        return _rate_hz(self.stamps_ns)

    def missing_joints(self) -> tuple[str, ...]:
        """Return joints of the arm that no message named; none where joints are not the topic's matter."""
        return ()


class _JointListener(_Listener):
    """Each joint has its own rate: robots send groups of joints in messages of their own."""

    def __init__(self, topic: Topic) -> None:
        super().__init__(topic)
        self._arm_ns: dict[str, list[int]] = {name: [] for name in ARM.joint_names}

    def note(self, message: bytes) -> None:
        super().note(message)
        stamp_ns = stamp_ns_in(message)
        for name in deserialize_message(message, JointState).name:
            if stamp_ns and name in self._arm_ns:
                self._arm_ns[name].append(stamp_ns)

    def rate_hz(self) -> float | None:
        """Of the joint of the arm that comes most seldom."""
        rates = [_rate_hz(stamps_ns) for stamps_ns in self._arm_ns.values()]
        known = [rate for rate in rates if rate is not None]
        return min(known) if len(known) == len(rates) else None

    def missing_joints(self) -> tuple[str, ...]:
        return tuple(name for name, stamps_ns in self._arm_ns.items() if not stamps_ns)


def _rate_hz(stamps_ns: Sequence[int]) -> float | None:
    """By the median step, which a few lost messages, repeated stamps and odd ones do not change; None of too few."""
    steps = [late - early for early, late in pairwise(stamps_ns) if late > early]
    return 1e9 / statistics.median(steps) if len(steps) >= _MIN_STEPS else None


@dataclass(frozen=True)
class Observed:
    """A graph, by the contract's names, and in words where other stacks are, if there are any."""

    live: LiveGraph
    elsewhere: str


def observe(
    contract: Sequence[Topic], duration_s: float, watch: Callable[[], None] = lambda: None, namespace: str = ""
) -> Observed:
    """Watch the graph of this ROS domain and ``namespace`` for ``duration_s`` and describe it."""
    with RosSession(NODE_NAME, watch, namespace=namespace) as session:
        session.spin(_DISCOVERY_S)
        # Ends are looked up before the listeners are made, which would be among them.
        ends = {topic.name: _ends(session.node, resolved_name(session.node, topic.name)) for topic in contract}
        listeners = {topic.name: _listen(session.node, topic) for topic in contract}
        session.spin(duration_s)
        nodes = tuple(sorted(_nodes(session.node, namespace)))
        elsewhere = hint_of_namespaces(session.node, namespace)
    topics = {}
    for topic in contract:
        publishers, subscribers = ends[topic.name]
        heard = listeners[topic.name]
        reference = None if topic.stamped_as is None else listeners.get(topic.stamped_as)
        topics[topic.name] = LiveTopic(
            publishers,
            subscribers,
            frozenset(heard.frame_ids),
            heard.messages,
            heard.rate_hz() if topic.rate_hz is not None else None,
            heard.missing_joints(),
            None if reference is None else stamp_offset_ns(heard.stamps_ns, reference.stamps_ns),
        )
    return Observed(LiveGraph(nodes, topics), elsewhere)


def _nodes(node: Node, namespace: str) -> list[str]:
    """Names of the nodes in ``namespace``; all, where there is none."""
    found = node.get_node_names_and_namespaces()
    return [name for name, where in found if name != NODE_NAME and where == (namespace or where)]


def _ends(node: Node, topic: str) -> tuple[tuple[Endpoint, ...], tuple[Endpoint, ...]]:
    publishers = tuple(map(_endpoint, node.get_publishers_info_by_topic(topic)))
    subscribers = tuple(map(_endpoint, node.get_subscriptions_info_by_topic(topic)))
    return publishers, subscribers


def _endpoint(info: TopicEndpointInfo) -> Endpoint:
    return Endpoint(info.node_name, info.topic_type, _qos(info.qos_profile))


def _qos(profile: QoSProfile) -> Qos:
    reliable = profile.reliability == ReliabilityPolicy.RELIABLE
    latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    return Qos(
        reliability="reliable" if reliable else "best_effort",
        depth=profile.depth,
        durability="transient_local" if latched else "volatile",
    )


def _listen(node: Node, topic: Topic) -> _Listener:
    listener = (_JointListener if topic.name == JOINT_STATES.name else _Listener)(topic)
    # Best effort connects to every publisher, whatever it offers.
    qos = qos_profile(Qos("best_effort", 20))
    node.create_subscription(message_class(topic.type), local_name(node, topic.name), listener.note, qos, raw=True)
    return listener
