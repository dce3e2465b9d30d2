"""Who else is in the graph: asked before the driver is enabled, and watched while the arm moves.

Discovery takes up to seconds, and until then messages are lost.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from rclpy.node import Node, NodeNameNonExistentError
from rclpy.publisher import Publisher
from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from fetch_sim2real import graph
from fetch_sim2real.ros.topics import local_name, resolved_name

# One look takes half a millisecond; the middleware itself needs longer to tell of a change.
WATCH_PERIOD_S: Final = 0.1
_TRIGGER: Final = "std_srvs/srv/Trigger"
_GOAL_SERVICE: Final = "/_action/send_goal"


Ask = Callable[[str, str], Sequence[tuple[str, list[str]]]]


class Peers:
    """Commander, robot, and those who should not be there.

    ``outputs`` are the publishers of what moves the robot, the arm's first; empty where the driver sends nothing, or on
    no topic. ``owns_joint_states`` says that the driver alone publishes them.
    """

    def __init__(
        self,
        node: Node,
        commands: Subscription,
        setpoints: Publisher,
        outputs: Sequence[Publisher],
        *,
        is_live: bool,
        owns_joint_states: bool,
    ) -> None:
        self._node, self._commands, self._setpoints = node, commands, setpoints
        self._outputs, self._is_live, self._owns_joint_states = tuple(outputs), is_live, owns_joint_states
        self._self = node.get_fully_qualified_name()
        self._needed = set(self._outputs[:1])
        self._robots: dict[Publisher, dict[tuple[int, ...], str]] = {}
        self._looked_s = 0.0
        self._awaits_name = False

    # -- what is asked -------------------------------------------------------------------------------------------

    def refusal(self) -> str:
        """Return why the arm must not move in this graph; empty if it may."""
        return self._stranger() or self._deaf_robot() or self._missing_commander()

    def begin(self) -> None:
        """Note that the driver is enabled: whoever is the robot now has to stay."""
        self._robots = {output: self._listeners(output) for output in self._outputs}
        self._awaits_name = False

    def release(self) -> None:
        """Note that the driver is disabled on purpose: what is enabled next may do without fingers."""
        self._needed = set(self._outputs[:1])

    def complaint(self) -> str:
        """Return what has changed in the graph since ``begin``, so that the arm must stop; looks now and then."""
        now_s = time.monotonic()
        if now_s - self._looked_s < WATCH_PERIOD_S:
            return ""
        self._looked_s = now_s
        complaint = self._lost_robot() or self._stranger()
        # Whoever is discovered has a name a moment later, by which people find it.
        self._awaits_name = graph.UNKNOWN_NODE in complaint and not self._awaits_name
        return "" if self._awaits_name else complaint

    def need_gripper(self) -> str:
        """Return why commanding fingers is of no use; empty if somebody listens or nothing is sent.

        They are needed from now on.
        """
        unneeded = [output for output in self._outputs[1:] if output not in self._needed]
        self._needed.update(unneeded)
        return next((unheard for output in unneeded if (unheard := self._unheard(output))), "")

    def report(self) -> Mapping[str, object]:
        """Return who listens to what moves the robot, for /diagnostics."""
        return {
            f"listeners{output.topic_name.replace('/', '_')}": ", ".join(self._listeners(output).values()) or "nobody"
            for output in self._outputs
        }

    # -- the robot -----------------------------------------------------------------------------------------------

    def _listeners(self, output: Publisher) -> dict[tuple[int, ...], str]:
        """Whom ``output`` may move: nodes that subscribe to it, but for those that only listen."""
        ends = self._subscribers(output.topic_name)
        return {tuple(end.endpoint_gid): _name(end) for end in ends if not graph.only_listens(end.node_name)}

    def _unheard(self, output: Publisher) -> str:
        if not self._listeners(output):
            return f"nobody who moves a robot subscribes to {output.topic_name}: start the robot's controller"
        return ""

    def _lost_robot(self) -> str:
        for output, robots in self._robots.items():
            gone = robots.keys() - self._listeners(output).keys()
            if gone and output in self._needed:
                names = ", ".join(sorted(robots[one] for one in gone))
                return f"{names} no longer subscribes to {output.topic_name}: enable again once it is back"
        return ""

    def _deaf_robot(self) -> str:
        """A robot that is not there, does not understand, or is not connected yet."""
        for output in self._outputs:
            if output in self._needed and (unheard := self._unheard(output)):
                return unheard
            ends = self._subscribers(output.topic_name)
            robots = [end for end in ends if not graph.only_listens(end.node_name)]
            twice = _repeated(map(_name, robots))
            if twice:
                return f"{twice} subscribes to {output.topic_name} twice: two robots would move, end one"
            names = [end.node_name for end in robots]
            if graph.SIM_BRIDGE in names and len(names) > 1:
                return f"{', '.join(names)} subscribe to {output.topic_name}: a simulation beside a robot, end one"
            own = [end for end in self._publishers(output.topic_name) if _name(end) == self._self]
            for end in robots if own else ():
                expected = own[0].topic_type
                if end.topic_type != expected:
                    return f"{_name(end)} subscribes to {output.topic_name} as {end.topic_type}, expected {expected}"
                # As the middleware tells them, which is not as the publisher was asked for: an absent deadline is one.
                compatibility, reason = qos_check_compatible(own[0].qos_profile, end.qos_profile)
                if compatibility == QoSCompatibility.ERROR:
                    return f"{_name(end)} subscribes to {output.topic_name} with a QoS that does not fit: {reason}"
            if output.get_subscription_count() < len(robots):
                return f"{', '.join(names)} is not connected to {output.topic_name} yet: try again in a moment"
        return ""

    # -- those who should not be there ---------------------------------------------------------------------------

    def _stranger(self) -> str:
        return self._second_driver() or self._rival() or self._second_robot()

    def _rival(self) -> str:
        """Somebody else who sends to the robot, by topic or by action."""
        for output in self._outputs:
            if others := self._other_publishers(output.topic_name):
                return f"{', '.join(others)} publishes {output.topic_name} too, which moves the robot: end it"
        for action in graph.ROBOT_ACTIONS if self._outputs else ():
            service = resolved_name(self._node, action) + _GOAL_SERVICE
            if self._node.count_clients(service):
                clients = self._nodes_with(service, self._node.get_client_names_and_types_by_node)
                who = ", ".join(clients) or "a node"
                return f"{who} is ready to send goals to {service.removesuffix(_GOAL_SERVICE)}: end it"
        return ""

    def _second_driver(self) -> str:
        """Another node that answers to the driver's names, or that takes the same commands to a robot."""
        others = self._other_publishers(self._setpoints.topic_name)
        enable = self._node.resolve_service_name(local_name(self._node, graph.DRIVER_ENABLE))
        if not others and self._node.count_services(enable) > 1:
            offers = self._nodes_with(enable, self._node.get_service_names_and_types_by_node)
            others = [name for name in offers if name != self._self] or [f"a second {self._self}"]
        if not others and self._is_live:
            others = self._renamed_drivers()
        if others:
            return (
                f"a second driver is there: {', '.join(others)}; both would obey: end it (one that was killed is gone "
                "when the middleware has noticed, after up to 20 s)"
            )
        return ""

    def _renamed_drivers(self) -> list[str]:
        """Drivers with another name that take the same commands. A shadow sends nothing, and may."""
        found = []
        for end in self._subscribers(self._commands.topic_name):
            name = _name(end)
            if name == self._self or graph.only_listens(end.node_name):
                continue
            services = _told(self._node.get_service_names_and_types_by_node, end.node_name, end.node_namespace)
            published = _told(self._node.get_publisher_names_and_types_by_node, end.node_name, end.node_namespace)
            is_driver = _TRIGGER in services.get(graph.DRIVER_ENABLE.replace(f"/{graph.ARM_DRIVER}", name, 1), ())
            is_shadow = graph.SHADOW_ARM.name.replace(f"/{graph.ARM_DRIVER}", name, 1) in published
            if is_driver and not is_shadow:
                found.append(name)
        return found

    def _second_robot(self) -> str:
        """Joint states of two robots: those of a Fetch come from several nodes, which all have different names."""
        topic = resolved_name(self._node, graph.JOINT_STATES.name)
        names = [_name(end) for end in self._publishers(topic)]
        if self._owns_joint_states and (others := self._other_publishers(topic)):
            return f"{', '.join(others)} publishes {topic} too, which come from the robot by this driver: end it"
        if twice := _repeated(names):
            return f"{twice} publishes {topic} twice: two robots or simulations share it, end one"
        if len(names) > 1 and any(name.rpartition("/")[2] == graph.SIM_BRIDGE for name in names):
            return f"{', '.join(sorted(names))} publish {topic}: a simulation beside a robot, end one"
        return ""

    # -- the commander -------------------------------------------------------------------------------------------

    def _missing_commander(self) -> str:
        """What is not connected yet between commander and driver."""
        node, commands, setpoints = self._node, self._commands, self._setpoints
        if commands.get_publisher_count() == 0:
            return f"nobody publishes {commands.topic_name}: start the policy first"
        listeners = {info.node_name for info in self._subscribers(setpoints.topic_name)}
        for commander in self._publishers(commands.topic_name):
            if commander.node_name not in listeners:
                return (
                    f"{commander.node_name} publishes commands and does not listen to {setpoints.topic_name}, from "
                    "where commands have to start (or it is not connected yet)"
                )
        known, connected = node.count_subscribers(setpoints.topic_name), setpoints.get_subscription_count()
        if connected < known:
            return f"{connected} of {known} listeners to {setpoints.topic_name} are connected: try again in a moment"
        return ""

    # -- the graph -----------------------------------------------------------------------------------------------

    def _publishers(self, topic: str) -> list[TopicEndpointInfo]:
        return list(self._node.get_publishers_info_by_topic(topic))

    def _subscribers(self, topic: str) -> list[TopicEndpointInfo]:
        return list(self._node.get_subscriptions_info_by_topic(topic))

    def _other_publishers(self, topic: str) -> list[str]:
        """Names of those who publish ``topic`` beside this driver."""
        names = [_name(end) for end in self._publishers(topic)]
        others = sorted(name for name in names if name != self._self)
        return others or [f"a second {self._self}"] * (len(names) - 1)

    def _nodes_with(self, service: str, ask: Ask) -> list[str]:
        """Full names of the nodes of which ``ask``, by name and namespace, tells ``service``."""
        return [
            f"{namespace.rstrip('/')}/{name}"
            for name, namespace in self._node.get_node_names_and_namespaces()
            if service in _told(ask, name, namespace)
        ]


def _told(ask: Ask, name: str, namespace: str) -> dict[str, list[str]]:
    """Names and types that ``ask`` tells of a node; nothing of one that has just ended or is not known by name yet."""
    if name == graph.UNKNOWN_NODE or not namespace.startswith("/"):
        return {}
    try:
        return dict(ask(name, namespace))
    except NodeNameNonExistentError:
        return {}


def _name(end: TopicEndpointInfo) -> str:
    return f"{end.node_namespace.rstrip('/')}/{end.node_name}"


def _repeated(names: Iterable[str]) -> str:
    """The first name that occurs more than once; empty if none does."""
    return next((name for name, count in sorted(Counter(names).items()) if count > 1), "")
