"""What a camera gives of the simulated worlds, and the same as files, as a bag and as messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import yaml
from calibration_bundle import NOMINAL
from numpy.typing import NDArray
from rosbags.typesys import Stores, get_typestore

from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.calibration.camera_file import IntrinsicsRecord
from fetch_sim2real.calibration.expected_view import ExpectedView, Setting
from fetch_sim2real.calibration.rotations import pose_of_vector
from fetch_sim2real.calibration.snapshot import MeasuredJoints, Snapshot
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.ros.recorder.bag import Bag
from fetch_sim2real.sim.world_file import World, load_world

CAMERA = CameraModel.from_fovy(424, 240, float(np.deg2rad(42.5)))
SETTING = Setting(ARM.home_rad, 0.02, 0.35, (0.62, 0.12), 0.3)
TABLE_M = 0.72
TOPICS = (graph.COLOR, graph.COLOR_INFO, graph.DEPTH, graph.JOINT_STATES)


def nominal_world() -> World:
    return load_world("nominal", worlds_dir())


def moved(position_m: float, turn_deg: float, seed: int) -> Pose:
    """The nominal camera, displaced and turned by so much in a random direction."""
    rng = np.random.default_rng(seed)
    way, axis = (vector / np.linalg.norm(vector) for vector in rng.standard_normal((2, 3)))
    turned = NOMINAL @ pose_of_vector([0.0, 0.0, 0.0, *(np.deg2rad(turn_deg) * axis)])
    return Pose(turned.position + position_m * way, turned.rotation)


@contextmanager
def expecting(setting: Setting = SETTING, camera: CameraModel = CAMERA) -> Iterator[ExpectedView]:
    view = ExpectedView(nominal_world(), setting, camera)
    try:
        yield view
    finally:
        view.close()


def depth_from(pose: Pose, setting: Setting = SETTING, table_m: float = TABLE_M) -> NDArray[np.uint16]:
    """Depth without noise [mm], as an ideal camera at ``pose`` gives it."""
    with expecting(setting) as view:
        return np.rint(1000 * view.render(pose, table_m).depth_m).astype(np.uint16)


def snapshot_from(pose: Pose, setting: Setting = SETTING) -> Snapshot:
    depth_mm = depth_from(pose, setting)
    grey = np.clip(depth_mm // 10, 0, 255).astype(np.uint8)
    joints = MeasuredJoints(setting.arm_rad, setting.finger_m, setting.torso_height_m)
    return Snapshot(np.repeat(grey[..., None], 3, axis=-1), depth_mm, IntrinsicsRecord.of(CAMERA), joints)


def write_files(snapshot: Snapshot, folder: Path) -> list[str]:
    """The snapshot as files, and the options that name them."""
    joints, lens = snapshot.joints, snapshot.intrinsics
    cv2.imwrite(str(folder / "color.png"), snapshot.rgb[..., ::-1])
    cv2.imwrite(str(folder / "depth.png"), snapshot.depth_mm)
    arm = dict(zip(ARM.joint_names, joints.arm_rad.tolist(), strict=True))
    content = {**arm, ARM.torso_joint: joints.torso_height_m}
    (folder / "joints.yaml").write_text(yaml.safe_dump(content))
    (folder / "lens.yaml").write_text(yaml.safe_dump(lens.model_dump(mode="json")))
    names = {"--color": "color.png", "--depth": "depth.png", "--joints": "joints.yaml", "--intrinsics": "lens.yaml"}
    return [part for option, name in names.items() for part in (option, str(folder / name))]


def write_bag(snapshots: list[Snapshot], folder: Path) -> Path:
    """Snapshots at 30 Hz as a bag of the graph's topics, joints in two messages as a Fetch sends them."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types = store.types
    with Bag(folder, TOPICS, {}, compress=False) as bag:

        def write(topic: graph.Topic, message: object, stamp_ns: int) -> None:
            bag.write(topic.name, bytes(store.serialize_cdr(message, topic.type)), stamp_ns)

        for i, snapshot in enumerate(snapshots):
            stamp_ns = 1_000_000_000 + round(i / 30 * 1e9)
            stamp = types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 1_000_000_000))
            header = types["std_msgs/msg/Header"](stamp, graph.COLOR_OPTICAL_FRAME)
            height, width = snapshot.depth_mm.shape
            image, joint_state = types["sensor_msgs/msg/Image"], types["sensor_msgs/msg/JointState"]
            positions = np.array([*snapshot.joints.arm_rad, *[snapshot.joints.finger_m] * 2], dtype=np.float64)
            for names, values in ((ARM.command_joints[7:], positions[7:]), (ARM.command_joints[:7], positions[:7])):
                write(graph.JOINT_STATES, joint_state(header, list(names), values, values * 0, values * 0), stamp_ns)
            rgb, depth = snapshot.rgb.ravel(), np.ascontiguousarray(snapshot.depth_mm).view(np.uint8).ravel()
            write(graph.COLOR, image(header, height, width, "rgb8", 0, 3 * width, rgb), stamp_ns)
            write(graph.DEPTH, image(header, height, width, "16UC1", 0, 2 * width, depth), stamp_ns)
            write(graph.COLOR_INFO, _info(types, header, snapshot.intrinsics), stamp_ns)
    return folder


def _info(types: dict[str, type], header: object, lens: IntrinsicsRecord) -> object:
    region = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    d, r, p = np.array(lens.distortion), np.eye(3).ravel(), np.hstack([lens.matrix, np.zeros((3, 1))]).ravel()
    return types["sensor_msgs/msg/CameraInfo"](
        header, lens.height, lens.width, "plumb_bob", d, lens.matrix.ravel(), r, p, 0, 0, region
    )
