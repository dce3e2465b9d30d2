"""``fetch-sim2real calibrate-camera`` from folders and bags, and snapshots of a running graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from calibration_bundle import NOMINAL
from calibration_scenes import write_bag
from test_board import BOARD, GRIPPER_T_BOARD, INTRINSICS, ON_TABLE, TORSO_M, arm_poses, draw
from typer.testing import CliRunner

from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.calibration.camera_file import load_calibration
from fetch_sim2real.calibration.snapshot import MeasuredJoints, Snapshot
from fetch_sim2real.calibration.solve import gripper_pose
from fetch_sim2real.calibration.trained_range import CameraOffset
from fetch_sim2real.cli import calibrate_camera
from fetch_sim2real.errors import CalibrationError, GraphError
from fetch_sim2real.types import FloatArray, JointSample

PLACE = ["--on-table", "0.55", "0.10", "0.72", "200"]


def arms_that_show_the_board(count: int) -> list[FloatArray]:
    """Arm poses in which all of the board is in the picture, its face to the camera."""
    rng, found = np.random.default_rng(3), list[FloatArray]()
    while len(found) < count:
        for arm in arm_poses(50, 0.6, rng):
            pose = NOMINAL.inverse() @ gripper_pose(arm, TORSO_M) @ GRIPPER_T_BOARD
            corners = INTRINSICS.camera().project(pose.apply(BOARD.corners_m()))
            inside = (corners > 80).all() and (corners < [INTRINSICS.width - 80, INTRINSICS.height - 80]).all()
            if pose.rotation[2, 2] > 0.5 and inside:
                found.append(arm)
    return found[:count]


def view_of_board(arm: FloatArray) -> Snapshot:
    rgb = draw(NOMINAL.inverse() @ gripper_pose(arm, TORSO_M) @ GRIPPER_T_BOARD)
    joints = MeasuredJoints(arm, 0.0, TORSO_M)
    return Snapshot(rgb, np.full(rgb.shape[:2], 1000, np.uint16), INTRINSICS, joints)


def check(file: Path, most_m: float, most_deg: float) -> None:
    offset = CameraOffset.between(NOMINAL, load_calibration(file).base_T_camera.pose())
    assert np.linalg.norm(offset.position_m) < most_m
    assert np.rad2deg(offset.angle_rad) < most_deg


def write_lens(folder: Path) -> str:
    (folder / "lens.yaml").write_text(yaml.safe_dump(INTRINSICS.model_dump(mode="json")))
    return str(folder / "lens.yaml")


def test_pictures_of_a_board_on_the_table(tmp_path: Path) -> None:
    views = tmp_path / "views"
    views.mkdir()
    cv2.imwrite(str(views / "a.png"), draw(NOMINAL.inverse() @ ON_TABLE))
    cv2.imwrite(str(views / "b.png"), np.full((720, 1280, 3), 90, np.uint8))
    file = tmp_path / "c.yaml"
    arguments = ["--pictures", str(views), "--intrinsics", write_lens(tmp_path), *PLACE, "--output", str(file)]
    result = CliRunner().invoke(calibrate_camera.app, arguments)
    assert result.exit_code == 0, result.output
    assert "left out: b.png" in result.output
    check(file, 0.002, 0.2)
    assert load_calibration(file).method == "board_on_table"


def test_a_folder_with_joints_beside_the_pictures(tmp_path: Path) -> None:
    for i, arm in enumerate(arms_that_show_the_board(12)):
        cv2.imwrite(str(tmp_path / f"{i}.png"), view_of_board(arm).rgb)
        (tmp_path / f"{i}.yaml").write_text(yaml.safe_dump(dict(zip(ARM.joint_names, arm.tolist(), strict=True))))
    file, lens = tmp_path / "result.yaml", write_lens(tmp_path)
    arguments = ["--pictures", str(tmp_path), "--intrinsics", lens, "--output", str(file)]
    without_torso = CliRunner().invoke(calibrate_camera.app, arguments)
    assert isinstance(without_torso.exception, CalibrationError)
    assert "--torso" in str(without_torso.exception)
    result = CliRunner().invoke(calibrate_camera.app, [*arguments, "--torso", str(TORSO_M)])
    assert result.exit_code == 0, result.output
    check(file, 0.002, 0.2)
    assert load_calibration(file).method == "board_in_gripper"


def test_a_bag_in_which_the_gripper_shows_the_board(tmp_path: Path) -> None:
    poses = [view_of_board(arm) for arm in arms_that_show_the_board(12)]
    # At rest for two frames at each pose, and one blurred frame in between that must not be taken.
    between = [
        replace(view, rgb=np.full_like(view.rgb, 90), joints=replace(view.joints, arm_rad=view.joints.arm_rad + 0.2))
        for view in poses
    ]
    frames = [frame for view, moving in zip(poses, between, strict=True) for frame in (view, view, moving)]
    bag, file = write_bag(frames, tmp_path / "bag"), tmp_path / "c.yaml"
    result = CliRunner().invoke(
        calibrate_camera.app, ["--bag", str(bag), "--torso", str(TORSO_M), "--output", str(file)]
    )
    assert result.exit_code == 0, result.output
    assert "frame 12:" in result.output
    check(file, 0.002, 0.2)


def test_sources_that_are_missing_are_named(tmp_path: Path) -> None:
    for arguments, message in (
        ([], "--on-table"),
        (["--pictures", str(tmp_path), *PLACE], "--intrinsics"),
        (["--pictures", str(tmp_path), *PLACE, "--intrinsics", write_lens(tmp_path)], r"holds no \*.png"),
        (["--pictures", ".", "--bag", "."], "give one"),
    ):
        result = CliRunner().invoke(calibrate_camera.app, arguments)
        assert isinstance(result.exception, CalibrationError), arguments
        assert message.replace("\\", "") in str(result.exception)


def test_the_board_is_written_for_printing(tmp_path: Path) -> None:
    path = tmp_path / "board.png"
    result = CliRunner().invoke(calibrate_camera.app, ["--write-board", str(path)])
    assert result.exit_code == 0, result.output
    assert "250 x 200 mm" in result.output
    assert cv2.imread(str(path)) is not None


@pytest.mark.ros
@pytest.mark.parametrize("depth_offset_ns", [0, 5_000_000])
def test_snapshots_of_a_running_graph(depth_offset_ns: int) -> None:
    pytest.importorskip("rclpy")
    from fetch_sim2real.messages.camera_info import encode_camera_info
    from fetch_sim2real.messages.images import encode_color, encode_depth
    from fetch_sim2real.messages.joint_states import encode_joint_state
    from fetch_sim2real.ros.live_snapshot import live_snapshots
    from fetch_sim2real.ros.session import RosSession
    from fetch_sim2real.ros.topics import publish_to

    camera = replace(INTRINSICS.camera(), width=64, height=48)
    rgb, depth_mm = np.full((48, 64, 3), 77, np.uint8), np.full((48, 64), 1234, np.uint16)
    with RosSession("stand_in") as session:
        topics = (graph.COLOR, graph.DEPTH, graph.COLOR_INFO, graph.JOINT_STATES)
        publishers = [publish_to(session.node, topic) for topic in topics]
        sent = [0]

        def publish() -> None:
            sent[0] += 1
            if sent[0] % 8:  # each call serves one message at most
                return
            stamp_ns = sent[0] * 4_000_000
            sample = JointSample(stamp_ns, np.linspace(0.0, 0.6, 7), np.zeros(7), 0.03)
            frame = graph.COLOR_OPTICAL_FRAME
            for publisher, message in zip(
                publishers,
                (encode_color(rgb, stamp_ns, frame), encode_depth(depth_mm, stamp_ns + depth_offset_ns, frame),
                 encode_camera_info(camera, stamp_ns, frame), encode_joint_state(sample, 0.21)),
                strict=True,
            ):  # fmt: skip
                publisher.publish(message)

        with pytest.raises(GraphError, match=r"nothing came on .*joint_states"):
            live_snapshots(1, 0.3)
        snapshots = live_snapshots(2, 30.0, publish)
    assert len(snapshots) == 2
    np.testing.assert_array_equal(snapshots[1].depth_mm, depth_mm)
    np.testing.assert_array_equal(snapshots[1].rgb, rgb)
    assert snapshots[1].joints.torso_height_m == 0.21
    assert snapshots[1].intrinsics.camera() == camera
    np.testing.assert_allclose(snapshots[1].joints.arm_rad, np.linspace(0.0, 0.6, 7))
