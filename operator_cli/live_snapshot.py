"""Snapshots of the running graph: the camera's topics and the joint states, of the same moments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sensor_msgs.msg import CameraInfo, Image, JointState

from fetch_sim2real import graph
from fetch_sim2real.calibration.camera_file import IntrinsicsRecord, intrinsics_of_camera_info
from fetch_sim2real.calibration.snapshot import MeasuredJoints, Snapshot
from fetch_sim2real.observation.observe import MAX_JOINT_SKEW_NS
from fetch_sim2real.policy.joint_history import JointHistory
from node_support.images import color_of, depth_of
from node_support.joint_states import JointStateMerger
from node_support.stamps import stamp_ns_of
from node_support.topics import message_class, qos_profile, subscribe_to
from operator_cli.session import RosSession

NODE_NAME: Final = "camera_calibration"
# Frames and joint states may come in any order; some tenths of a second of either are enough to find partners.
_KEPT: Final = 60
# Not the newest only, as the policy does: colour and depth of one moment are wanted, however slowly they are taken.
_IMAGE_QOS: Final = qos_profile(graph.Qos("best_effort", 10))


class _Collector:
    """Keeps what comes in until colour, depth, intrinsics and joints of one moment are there."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []
        self.heard: set[str] = set()
        self._intrinsics: IntrinsicsRecord | None = None
        self._images: dict[int, dict[str, Image]] = {}
        self._history = JointHistory()
        self._merger = JointStateMerger(needs_velocity=False)

    def on_info(self, message: CameraInfo) -> None:
        self.heard.add(graph.COLOR_INFO.name)
        size = (int(message.width), int(message.height))
        self._intrinsics = intrinsics_of_camera_info(
            size, list(message.k), list(message.d), message.distortion_model, graph.COLOR_INFO.name
        )

    def on_joints(self, message: JointState) -> None:
        sample = self._merger.merge(message)
        if sample is not None:
            self.heard.add(graph.JOINT_STATES.name)
            self._history.add(sample)

    def on_image(self, topic: str, message: Image) -> None:
        self.heard.add(topic)
        pair = self._images.setdefault(stamp_ns_of(message.header.stamp), {})
        pair[topic] = message
        while len(self._images) > _KEPT:
            del self._images[next(iter(self._images))]

    def collect(self) -> None:
        """Make snapshots of all pairs whose joints are known by now."""
        for stamp_ns in sorted(self._images):
            pair = self._images[stamp_ns]
            sample = self._history.at(stamp_ns)
            if len(pair) < 2 or sample is None or self._intrinsics is None:
                continue
            if abs(sample.stamp_ns - stamp_ns) > MAX_JOINT_SKEW_NS:
                continue
            joints = MeasuredJoints(sample.position, sample.finger_position_m, self._merger.torso_height_m)
            rgb, depth_mm = color_of(pair[graph.COLOR.name]), depth_of(pair[graph.DEPTH.name])
            self.snapshots.append(Snapshot(rgb, depth_mm, self._intrinsics, joints))
            del self._images[stamp_ns]


def live_snapshots(count: int, limit_s: float, watch: Callable[[], None] = lambda: None) -> list[Snapshot]:
    """``count`` snapshots of the graph in this ROS domain; GraphError names what is missing after ``limit_s``."""
    collector = _Collector()
    wanted = (graph.COLOR, graph.DEPTH, graph.COLOR_INFO, graph.JOINT_STATES)

    def enough() -> bool:
        collector.collect()
        return len(collector.snapshots) >= count

    def missing() -> str:
        silent = [topic.name for topic in wanted if topic.name not in collector.heard]
        next_one = f"frame {len(collector.snapshots) + 1} of {count} with depth, intrinsics and joints of its moment"
        return f"{next_one}; nothing came on {', '.join(silent)}" if silent else next_one

    def images_of(topic: graph.Topic) -> Callable[[Any], None]:
        return lambda message: collector.on_image(topic.name, message)

    with RosSession(NODE_NAME, watch) as session:
        for topic in (graph.COLOR, graph.DEPTH):
            session.node.create_subscription(message_class(topic.type), topic.name, images_of(topic), _IMAGE_QOS)
        subscribe_to(session.node, graph.COLOR_INFO, collector.on_info)
        subscribe_to(session.node, graph.JOINT_STATES, collector.on_joints)
        session.wait_until(enough, limit_s, missing)
    return collector.snapshots[:count]
