"""Snapshots of the running graph: the camera's topics and the joint states, of the same moments."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from sensor_msgs.msg import CameraInfo, JointState

from fetch_sim2real import graph
from fetch_sim2real.calibration.camera_file import IntrinsicsRecord, intrinsics_of_camera_info
from fetch_sim2real.calibration.snapshot import MeasuredJoints, Snapshot
from fetch_sim2real.messages.images import decode_color, decode_depth
from fetch_sim2real.messages.joint_states import JointStateMerger
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.perception.observe import MAX_JOINT_SKEW_NS
from fetch_sim2real.policy.synchronization import FrameMessages, FramePairer, JointHistory
from fetch_sim2real.ros.session import RosSession
from fetch_sim2real.ros.topics import message_class, qos_profile, subscribe_to

NODE_NAME: Final = "camera_calibration"
# Frames and joint states may come in any order; some tenths of a second of either are enough to find partners.
_KEPT: Final = 60
# Not the newest only, as the policy does: colour and depth of one moment are wanted, however slowly they are taken.
_CAMERA_QOS: Final = qos_profile(graph.Qos("best_effort", 10))
_PARTS: Final = {graph.COLOR: "color", graph.COLOR_INFO: "info", graph.DEPTH: "depth"}


class _Collector:
    """Keeps what comes in until colour, depth, intrinsics and joints of one moment are there."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []
        self.heard: set[str] = set()
        self._pairer = FramePairer(_KEPT)
        self._frames: deque[FrameMessages] = deque(maxlen=_KEPT)
        self._history = JointHistory()
        self._merger = JointStateMerger(needs_velocity=False)

    def on_joints(self, message: JointState) -> None:
        sample = self._merger.merge(message)
        if sample is not None:
            self.heard.add(graph.JOINT_STATES.name)
            self._history.add(sample)

    def on_part(self, topic: graph.Topic, message: Any) -> None:
        """Take in colour, depth or intrinsics."""
        self.heard.add(topic.name)
        frame = self._pairer.add(_PARTS[topic], decode_stamp(message.header.stamp), message)
        if frame is not None:
            self._frames.append(frame)

    def collect(self) -> None:
        """Make snapshots of all frames whose joints are known by now."""
        for frame in list(self._frames):
            sample = self._history.at(frame.stamp_ns)
            if sample is None or abs(sample.stamp_ns - frame.stamp_ns) > MAX_JOINT_SKEW_NS:
                continue
            self._frames.remove(frame)
            joints = MeasuredJoints(sample.position, sample.finger_position_m, self._merger.torso_height_m)
            self.snapshots.append(
                Snapshot(decode_color(frame.color), decode_depth(frame.depth), _intrinsics_of(frame.info), joints)
            )

    def missing(self) -> str:
        """Return what there is to say of what does not come; empty if nothing."""
        silent = [topic.name for topic in (*_PARTS, graph.JOINT_STATES) if topic.name not in self.heard]
        return f"nothing came on {', '.join(silent)}" if silent else self._pairer.trouble()


def _intrinsics_of(message: CameraInfo) -> IntrinsicsRecord:
    size = (int(message.width), int(message.height))
    return intrinsics_of_camera_info(
        size, list(message.k), list(message.d), message.distortion_model, graph.COLOR_INFO.name
    )


def live_snapshots(count: int, limit_s: float, watch: Callable[[], None] = lambda: None) -> list[Snapshot]:
    """Return ``count`` snapshots of this ROS domain's graph; GraphError names what is missing after ``limit_s``."""
    collector = _Collector()
    def enough() -> bool:
        collector.collect()
        return len(collector.snapshots) >= count

    def missing() -> str:
        next_one = f"frame {len(collector.snapshots) + 1} of {count} with depth, intrinsics and joints of its moment"
        return f"{next_one}; {reason}" if (reason := collector.missing()) else next_one

    with RosSession(NODE_NAME, watch) as session:
        for topic in _PARTS:
            take = partial(collector.on_part, topic)
            session.node.create_subscription(message_class(topic.type), topic.name, take, _CAMERA_QOS)
        subscribe_to(session.node, graph.JOINT_STATES, collector.on_joints)
        session.wait_until(enough, limit_s, missing)
    return collector.snapshots[:count]
