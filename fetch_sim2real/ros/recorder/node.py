"""The recorder as a ROS node: serialized messages go from the subscriptions straight into the bag."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

from rclpy.clock import Clock, ClockType
from rclpy.qos import ReliabilityPolicy
from rclpy.subscription import Subscription

from fetch_sim2real import __version__, graph
from fetch_sim2real.errors import GraphError
from fetch_sim2real.paths import expanded
from fetch_sim2real.ros.main_loop import StackNode
from fetch_sim2real.ros.recorder.bag import SUMMARY_FILE, Bag
from fetch_sim2real.ros.recorder.further_topics import FurtherTopics
from fetch_sim2real.ros.recorder.settings import TABLE
from fetch_sim2real.ros.topics import local_name, message_class, qos_profile

EVERY_S: Final = 1.0
# Half a second of images may wait while the disk is busy; more would be many megabytes.
_IMAGE_DEPTH: Final = 15
_OTHER_DEPTH: Final = 200

Reliability = Literal["reliable", "best_effort"]


class RecorderNode(StackNode):
    """Subscribes to every topic of the contract and writes what comes."""

    def __init__(self) -> None:
        super().__init__(graph.RECORDER, TABLE)
        output = self.parameters.text("output")
        if not output:
            raise GraphError("parameter 'output' is empty, expected a folder: -p output:=runs/my_bag")
        metadata = {"fetch_sim2real": __version__, **_texts(self.parameters.text("metadata"))}
        path = expanded(output)
        try:
            self._bag = Bag(path, graph.RECORDED, metadata, self.parameters.flag("compress"))
        except OSError as error:
            raise GraphError(f"the bag {path} cannot be made: {error}") from error
        self._by_topic = {topic.name: self._subscribe(topic, topic.publish.reliability) for topic in graph.RECORDED}
        self._also = FurtherTopics(self, self._bag, self.parameters.text("also").split(), self._writer_of)
        self.create_timer(EVERY_S, self._every_second, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.get_logger().info(f"recording {len(graph.RECORDED)} topics to {path}")

    def close(self) -> None:
        """Finish the bag and say what is in it."""
        try:
            summary = self._bag.close()
        except OSError as error:
            self.get_logger().error(f"the bag could not be finished ({error}): `mcap recover` restores its index")
            return
        self.get_logger().info(_closing_words(summary, self._bag.path))

    def _subscribe(self, topic: graph.Topic, reliability: Reliability) -> Subscription:
        is_image = topic.type == "sensor_msgs/msg/Image"
        qos = graph.Qos(reliability, _IMAGE_DEPTH if is_image else _OTHER_DEPTH, topic.publish.durability)
        name, write = local_name(self, topic.name), self._writer_of(topic.name)
        return self.create_subscription(message_class(topic.type), name, write, qos_profile(qos), raw=True)

    def _every_second(self) -> None:
        self._flush()
        self._also.look()
        for topic in graph.RECORDED:
            self._ask_for_less(topic)

    def _ask_for_less(self, topic: graph.Topic) -> None:
        """Ask for less where a publisher offers less than the contract: otherwise nothing of it would be recorded."""
        subscription = self._by_topic[topic.name]
        if subscription.qos_profile.reliability != ReliabilityPolicy.RELIABLE:
            return
        for publisher in self.get_publishers_info_by_topic(subscription.topic_name):
            if publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT:
                self.get_logger().warning(
                    f"{publisher.node_name} publishes {subscription.topic_name} best effort, the contract says "
                    "reliable: recorded best effort too, messages may be missing"
                )
                self.destroy_subscription(subscription)
                self._by_topic[topic.name] = self._subscribe(topic, "best_effort")
                return

    def _writer_of(self, name: str) -> Callable[[bytes], None]:
        def write(message: bytes) -> None:
            try:
                self._bag.write(name, message, time.time_ns())
            except OSError as error:
                raise GraphError(f"cannot write to the bag {self._bag.path}: {error}") from error

        return write

    def _flush(self) -> None:
        try:
            self._bag.flush()
        except OSError as error:
            raise GraphError(f"cannot write to the bag {self._bag.path}: {error}") from error


def _texts(metadata: str) -> dict[str, str]:
    try:
        content = json.loads(metadata)
    except ValueError as error:
        raise GraphError(f"parameter 'metadata' is not JSON ({error}), got: {metadata[:80]}") from None
    if not isinstance(content, dict):
        raise GraphError(f"parameter 'metadata' is a {type(content).__name__}, expected a JSON object")
    return {str(key): value if isinstance(value, str) else json.dumps(value) for key, value in content.items()}


def _closing_words(summary: dict[str, Any], path: Path) -> str:
    counts = ", ".join(f"{name} {topic['messages']}" for name, topic in summary["topics"].items() if topic["messages"])
    return (
        f"recorded {summary['messages']} messages, {summary['frames_lost']} frames lost ({counts or 'nothing came'}); "
        f"{path / SUMMARY_FILE}"
    )
