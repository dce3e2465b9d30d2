"""Topics that are recorded beside the graph's: found when somebody publishes them, of any type that is installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rclpy.subscription import Subscription
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from fetch_sim2real.errors import GraphError
from fetch_sim2real.graph import Qos, Topic
from fetch_sim2real.ros.recorder.bag import Bag, FieldDefinitions
from fetch_sim2real.ros.topics import message_class, qos_profile

_DEPTH: Final = 200


class FurtherTopics:
    """Subscribes to each of ``names`` once it is published, and writes what comes to ``bag``.

    Names are taken as they are: a namespace does not apply to them. One whose type cannot be recorded is said once and
    left out.
    """

    def __init__(
        self, node: Node, bag: Bag, names: Sequence[str], writer_of: Callable[[str], Callable[[bytes], None]]
    ) -> None:
        """``writer_of`` returns what takes the serialized messages of a topic. GraphError for what is no name."""
        wrong = next((name for name in names if not name.startswith("/")), None)
        if wrong is not None:
            raise GraphError(f"parameter 'also' has '{wrong}', expected names that begin with /: /tf /robot_state")
        self._node, self._bag, self._writer_of = node, bag, writer_of
        self._waiting = [name for name in dict.fromkeys(names) if name not in bag.topics]
        self._subscriptions: list[Subscription] = []

    def look(self) -> None:
        """Subscribe to what has come into being since the last look."""
        types = dict(self._node.get_topic_names_and_types()) if self._waiting else {}
        for name in [name for name in self._waiting if name in types]:
            if not (qos := self._offered(name)):
                continue  # somebody only listens
            self._waiting.remove(name)
            topic = Topic(name, types[name][0], "*", (), qos, qos)
            try:
                kind = message_class(topic.type)
                self._bag.add(topic, None if self._bag.knows(topic.type) else definitions_of(topic.type))
            except (ImportError, AttributeError, GraphError) as error:
                self._node.get_logger().warning(f"{name} is not recorded, its type {topic.type} is not known: {error}")
                continue
            write = self._writer_of(name)
            self._subscriptions.append(self._node.create_subscription(kind, name, write, qos_profile(qos), raw=True))
            self._node.get_logger().info(f"recording {name} too")

    def _offered(self, name: str) -> Qos | None:
        """The best that all publishers offer; None while there is none."""
        profiles = [publisher.qos_profile for publisher in self._node.get_publishers_info_by_topic(name)]
        if not profiles:
            return None
        is_reliable = all(profile.reliability == ReliabilityPolicy.RELIABLE for profile in profiles)
        is_kept = all(profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for profile in profiles)
        return Qos("reliable" if is_reliable else "best_effort", _DEPTH, "transient_local" if is_kept else "volatile")


def share_of(package: str) -> Path:
    """Return the folder of an installed ROS package's files. GraphError if it is not installed."""
    try:
        return Path(get_package_share_directory(package))
    except PackageNotFoundError as error:
        raise GraphError(f"the package {package} is not installed") from error


def definitions_of(type_name: str, share: Callable[[str], Path] = share_of) -> FieldDefinitions:
    """Return the definitions of a message type and of all types in it that are none of ROS's own.

    They are read from the .msg files of the packages, in the folders that ``share`` returns. GraphError if one is
    missing.
    """
    own = get_typestore(Stores.ROS2_JAZZY).fielddefs
    found: dict[str, object] = {}
    missing = [type_name]
    while missing:
        name = missing.pop()
        package, _, message = name.split("/")
        file = share(package) / "msg" / f"{message}.msg"
        if not file.is_file():
            raise GraphError(f"{file} is missing")
        parsed = get_types_from_msg(file.read_text(encoding="utf-8"), name)
        found |= parsed
        missing += [inner for inner in _types_in(parsed) if inner not in own and inner not in found]
    return found


def _types_in(parsed: FieldDefinitions) -> list[str]:
    names = []
    for _, fields in parsed.values():
        for _, (kind, what) in fields:
            if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
                kind, what = what[0]
            if kind == Nodetype.NAME:
                names.append(str(what))
    return names
