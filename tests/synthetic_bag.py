"""A bag of a few frames that a policy answered, made without ROS; its commands come from the core's own functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from rosbags.typesys import Stores, get_typestore

from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.control.action import action_to_command
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.policy.runtime import PolicyRuntime, Sensed
from fetch_sim2real.timing import CONTROL_PERIOD_NS
from fetch_sim2real.types import JointCommand, JointSample, JointSetpoint, RgbdFrame

STORE: Final = get_typestore(Stores.ROS2_JAZZY)
CAMERA: Final = CameraModel(48, 36, 50.0, 50.0, 23.5, 17.5)
START_NS: Final = 5_000_000_000
RECEIVED_NS: Final = 1_700_000_000_000_000_000
GOAL_M: Final = (0.05, 0.02, 0.0)
_FINGER_M: Final = 0.01


@dataclass(frozen=True)
class Message:
    """A serialized message, as a recorder gets it."""

    topic: graph.Topic
    received_ns: int
    data: bytes


def make(kind: str, /, **fields: Any) -> Any:
    """A message of the type ``kind``, as rosbags has it."""
    return STORE.types[kind](**fields)


def header(stamp_ns: int, frame_id: str = "") -> Any:
    stamp = make("builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def image(stamp_ns: int, pixels: np.ndarray, encoding: str) -> Any:
    height, width = pixels.shape[:2]
    return make(
        "sensor_msgs/msg/Image", header=header(stamp_ns, graph.COLOR_OPTICAL_FRAME), height=height, width=width,
        encoding=encoding, is_bigendian=0, step=pixels.nbytes // height, data=pixels.view(np.uint8).ravel(),
    )  # fmt: skip


def camera_info(stamp_ns: int) -> Any:
    k = np.array([CAMERA.fx, 0, CAMERA.cx, 0, CAMERA.fy, CAMERA.cy, 0, 0, 1], dtype=np.float64)
    roi = make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return make(
        "sensor_msgs/msg/CameraInfo", header=header(stamp_ns, graph.COLOR_OPTICAL_FRAME), height=CAMERA.height,
        width=CAMERA.width, distortion_model="plumb_bob", d=np.zeros(5), k=k, r=np.eye(3).ravel(),
        p=np.zeros(12), binning_x=0, binning_y=0, roi=roi,
    )  # fmt: skip


def joint_state(stamp_ns: int, names: tuple[str, ...], position: Any, velocity: Any, frame_id: str = "") -> Any:
    return make(
        "sensor_msgs/msg/JointState", header=header(stamp_ns, frame_id), name=list(names),
        position=np.array(position, dtype=np.float64), velocity=np.array(velocity, dtype=np.float64),
        effort=np.zeros(0),
    )  # fmt: skip


def command_message(command: JointCommand) -> Any:
    names = ARM.joint_names if command.finger_position_m is None else ARM.command_joints
    fingers = [] if command.finger_position_m is None else [command.finger_position_m] * 2
    assert command.velocity is not None
    point = make(
        "trajectory_msgs/msg/JointTrajectoryPoint", positions=np.array([*command.position, *fingers]),
        velocities=np.array([*command.velocity, *(0.0 for _ in fingers)]), accelerations=np.zeros(0),
        effort=np.zeros(0), time_from_start=make("builtin_interfaces/msg/Duration", sec=0, nanosec=33_333_333),
    )  # fmt: skip
    return make(
        "trajectory_msgs/msg/JointTrajectory", header=header(command.stamp_ns), joint_names=list(names), points=[point]
    )


def goal_message() -> Any:
    point = make("geometry_msgs/msg/Point", x=GOAL_M[0], y=GOAL_M[1], z=GOAL_M[2])
    turn = make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
    pose = make("geometry_msgs/msg/Pose", position=point, orientation=turn)
    return make("geometry_msgs/msg/PoseStamped", header=header(0, graph.BLOCK_FRAME), pose=pose)


def messages(bundle: PolicyBundle, frames: int) -> Iterator[Message]:
    """An episode of ``frames`` frames: goal, activation, then for each its pictures, joints, command and reply."""

    def message(topic: graph.Topic, after_ms: float, content: Any) -> Message:
        received_ns = RECEIVED_NS + round(after_ms * 1e6)
        return Message(topic, received_ns, bytes(STORE.serialize_cdr(content, topic.type)))

    manifest, rng = bundle.manifest, np.random.default_rng(0)
    runtime, ik = PolicyRuntime.of_bundle(bundle), DifferentialIk(manifest.torso_height_m)
    setpoint = JointSetpoint.at_rest(ARM.home_rad)
    yield message(graph.GOAL, 0, goal_message())
    activated = joint_state(START_NS - 1, ARM.joint_names, setpoint.position, setpoint.velocity, "activated")
    yield message(graph.SETPOINT, 1, activated)
    for index in range(frames):
        stamp_ns, at_ms = START_NS + index * CONTROL_PERIOD_NS, 10 + 33 * index
        rgb = rng.integers(0, 256, (CAMERA.height, CAMERA.width, 3), dtype=np.uint8)
        depth_mm = rng.integers(300, 2000, (CAMERA.height, CAMERA.width)).astype(np.uint16)
        joints = JointSample(stamp_ns, setpoint.position + 0.001, setpoint.velocity, _FINGER_M)
        measured = [*joints.position, _FINGER_M, _FINGER_M, manifest.torso_height_m]
        now = Sensed(RgbdFrame(stamp_ns, rgb, depth_mm), CAMERA, joints, np.array(GOAL_M), setpoint)
        command = action_to_command(
            runtime.act([now])[0], setpoint, ik, manifest.action.scale_m, manifest.action.gripper == "controlled",
            manifest.action.target_box_m, stamp_ns,
        )  # fmt: skip
        assert command.velocity is not None
        setpoint = JointSetpoint(command.position, command.velocity)
        yield message(graph.COLOR, at_ms, image(stamp_ns, rgb, "rgb8"))
        yield message(graph.COLOR_INFO, at_ms + 1, camera_info(stamp_ns))
        yield message(graph.DEPTH, at_ms + 2, image(stamp_ns, depth_mm, "16UC1"))
        names, still = (*ARM.command_joints, ARM.torso_joint), [*joints.velocity, 0.0, 0.0, 0.0]
        yield message(graph.JOINT_STATES, at_ms + 3, joint_state(stamp_ns, names, measured, still))
        yield message(graph.JOINT_COMMAND, at_ms + 8, command_message(command))
        reply = joint_state(stamp_ns, ARM.joint_names, setpoint.position, setpoint.velocity, "command")
        yield message(graph.SETPOINT, at_ms + 9, reply)


def text_message(topic: graph.Topic, after_ms: float, text: str) -> Message:
    """A text on ``topic``, received ``after_ms`` after the first message."""
    data = STORE.serialize_cdr(make("std_msgs/msg/String", data=text), topic.type)
    return Message(topic, RECEIVED_NS + round(after_ms * 1e6), bytes(data))


def write_sqlite(folder: Path, content: list[Message], compression: str = "none") -> Path:
    """As rosbag2's default recorder of Humble does, by rosbags' writer; ``compression`` of each "message" or "file"."""
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    writer = Writer(folder, version=8, storage_plugin=StoragePlugin.SQLITE3)
    if compression != "none":
        writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
    with writer:
        connections = {
            topic.name: writer.add_connection(topic.name, topic.type, typestore=STORE)
            for topic in {message.topic for message in content}
        }
        for message in content:
            writer.write(connections[message.topic.name], message.received_ns, message.data)
    return folder


def write_mcap(
    file: Path, content: list[Message], compression: str = "zstd", chunked: bool = True, checked: bool = True
) -> Path:
    """One MCAP file by the ``mcap`` package, which knows nothing of us; ``compression`` none, zstd or lz4.

    ``chunked``: in chunks, ``checked``: with a checksum of each.
    """
    from mcap.writer import CompressionType, Writer

    with file.open("wb") as stream:
        writer = Writer(
            stream, chunk_size=20_000, compression=CompressionType[compression.upper()], use_chunking=chunked,
            enable_crcs=checked,
        )  # fmt: skip
        writer.start(profile="ros2", library="test")
        channels = {}
        for topic in sorted({message.topic for message in content}, key=lambda topic: topic.name):
            definition, _ = STORE.generate_msgdef(topic.type, ros_version=2)
            schema = writer.register_schema(topic.type, "ros2msg", definition.encode())
            channels[topic.name] = writer.register_channel(topic.name, "cdr", schema)
        for message in content:
            writer.add_message(channels[message.topic.name], message.received_ns, message.data, message.received_ns)
        writer.finish()
    return file
