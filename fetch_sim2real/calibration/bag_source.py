"""Snapshots out of a bag that holds the graph's camera topics and joint states. Needs no ROS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.bags.reading import RecordedBag
from fetch_sim2real.calibration.camera_file import IntrinsicsRecord, intrinsics_of_camera_info
from fetch_sim2real.calibration.snapshot import (
    MAX_MOTION_RAD,
    MeasuredJoints,
    Snapshot,
    combined,
    is_new_pose,
    joints_of,
)
from fetch_sim2real.common.raw_header import stamp_ns_in
from fetch_sim2real.errors import CalibrationError
from fetch_sim2real.messages.images import decode_color, decode_depth
from fetch_sim2real.policy.synchronization import FramePairer
from fetch_sim2real.timing import CONTROL_PERIOD_NS

_REST_RAD_S: Final = 0.01
# Fewer frames alike may be those of a slow arm.
_LEAST_AT_REST: Final = 5
# Frames that may be incomplete at a time: a recorder writes one topic before the other.
_KEPT: Final = 60


def snapshots_at(bag: RecordedBag, at_s: float, count: int) -> list[Snapshot]:
    """Return ``count`` frames in order, the first of them ``at_s`` after the bag's first frame."""
    found = []
    first_ns: int | None = None
    for stamp_ns, snapshot in _snapshots(bag):
        first_ns = stamp_ns if first_ns is None else first_ns
        if stamp_ns >= first_ns + round(at_s * 1e9):
            found.append(snapshot)
        if len(found) == count:
            break
    return found


def snapshots_at_rest(bag: RecordedBag, limit: int) -> list[Snapshot]:
    """Return one frame of each pose in which the arm rested, at most ``limit``: for a board that the gripper shows
    around.
    """
    found: list[Snapshot] = []
    before: tuple[int, Snapshot] | None = None
    for stamp_ns, snapshot in _snapshots(bag):
        if before is not None and stamp_ns > before[0]:
            speed = np.abs(snapshot.joints.arm_rad - before[1].joints.arm_rad).max() / (stamp_ns - before[0]) * 1e9
            if speed < _REST_RAD_S and is_new_pose(snapshot.joints, found):
                found.append(snapshot)
        if len(found) == limit:
            break
        before = (stamp_ns, snapshot)
    return found


def poses_at_rest(bag: RecordedBag, at_s: float, count: int, frames: int) -> list[Snapshot]:
    """Return one snapshot of ``frames`` frames at each of the first ``count`` poses in which the arm rested after
    ``at_s`` [s].
    """
    found: list[Snapshot] = []
    still: list[Snapshot] = []
    first_ns: int | None = None
    for stamp_ns, snapshot in _snapshots(bag):
        first_ns = stamp_ns if first_ns is None else first_ns
        if stamp_ns < first_ns + round(at_s * 1e9):
            continue
        if still and np.abs(snapshot.joints.arm_rad - still[0].joints.arm_rad).max() > MAX_MOTION_RAD:
            still.clear()
        still = [*still, snapshot][-max(frames, _LEAST_AT_REST) :]
        if len(still) >= max(frames, _LEAST_AT_REST) and is_new_pose(snapshot.joints, found):
            found.append(combined(still[-frames:]))
        if len(found) == count:
            break
    return found


def _snapshots(bag: RecordedBag) -> Iterator[tuple[int, Snapshot]]:
    """Every stamp for which the bag holds colour, depth, intrinsics and, within a period, joints; in order."""
    joints = _joints(bag)
    yield from _pairs(bag, _intrinsics(bag), joints)


def _messages(bag: RecordedBag, *topics: str) -> Iterator[tuple[str, int, Any]]:
    """Topic, stamp [ns] and content of each message. CalibrationError where a topic has none."""
    missing = set(topics)
    for raw, message in bag.decoded_messages(topics):
        missing.discard(raw.topic)
        yield raw.topic, stamp_ns_in(raw.data) or 0, message
    if missing:
        raise CalibrationError(
            f"the bag holds no {', '.join(sorted(missing))}: record with the recorder, or these topics"
        )


def _joints(bag: RecordedBag) -> tuple[np.ndarray, list[MeasuredJoints]]:
    """Stamps (n,) in order, and the joints at each; messages of the gripper alone fill in the others."""
    known: dict[str, float] = {}
    samples: list[tuple[int, MeasuredJoints]] = []
    for _, stamp_ns, message in _messages(bag, graph.JOINT_STATES.name):
        known |= dict(zip(message.name, (float(p) for p in message.position), strict=False))
        if ARM.joint_names[0] in message.name:
            samples.append((stamp_ns, joints_of(list(known), list(known.values()), "the bag's joint states")))
    samples.sort(key=lambda sample: sample[0])
    return np.array([stamp for stamp, _ in samples], dtype=np.int64), [sample for _, sample in samples]


def _intrinsics(bag: RecordedBag) -> IntrinsicsRecord:
    _, _, message = next(_messages(bag, graph.COLOR_INFO.name))
    k, d = [float(value) for value in message.k], [float(value) for value in message.d]
    size = (int(message.width), int(message.height))
    return intrinsics_of_camera_info(size, k, d, str(message.distortion_model), "the bag's camera_info")


def _pairs(
    bag: RecordedBag, intrinsics: IntrinsicsRecord, joints: tuple[np.ndarray, list[MeasuredJoints]]
) -> Iterator[tuple[int, Snapshot]]:
    stamps, samples = joints
    pairer = FramePairer(_KEPT)
    for topic, stamp_ns, message in _messages(bag, graph.COLOR.name, graph.DEPTH.name):
        if topic == graph.COLOR.name:
            pairer.add("info", stamp_ns, intrinsics)  # one for the whole bag
        frame = pairer.add("color" if topic == graph.COLOR.name else "depth", stamp_ns, message)
        if frame is None:
            continue
        nearest = int(np.argmin(np.abs(stamps - frame.stamp_ns))) if len(stamps) else -1
        if nearest < 0 or abs(int(stamps[nearest]) - frame.stamp_ns) > CONTROL_PERIOD_NS:
            continue
        rgb, depth_mm = decode_color(frame.color), decode_depth(frame.depth)
        yield frame.stamp_ns, Snapshot(rgb, depth_mm, intrinsics, samples[nearest])
