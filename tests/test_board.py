"""Boards drawn into pictures at known poses: the camera's pose comes back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from calibration_bundle import NOMINAL
from numpy.typing import NDArray

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.calibration.board import BoardSpec, SeenBoard, board_picture, find_board
from fetch_sim2real.calibration.camera_file import IntrinsicsRecord
from fetch_sim2real.calibration.rotations import pose_of_vector
from fetch_sim2real.calibration.solve import (
    board_on_table,
    board_pose,
    gripper_pose,
    solve_board_at,
    solve_board_in_gripper,
)
from fetch_sim2real.calibration.trained_range import CameraOffset
from fetch_sim2real.errors import CalibrationError
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.types import FloatArray

BOARD = BoardSpec()
TORSO_M = 0.35
INTRINSICS = IntrinsicsRecord(width=1280, height=720, fx=915.0, fy=914.0, cx=646.0, cy=355.0, distortion=(0.0,) * 5)
BENT = INTRINSICS.model_copy(update={"distortion": (0.12, -0.2, 0.001, -0.0005, 0.05)})
ON_TABLE = board_on_table((0.55, 0.10, 0.72), np.deg2rad(200.0))
# Held like a tray, some centimetres before the fingers.
GRIPPER_T_BOARD = pose_of_vector([0.08, -0.1, 0.06, 0.1, -0.2, 0.05])


def draw(camera_T_board: Pose, intrinsics: IntrinsicsRecord = INTRINSICS) -> NDArray[np.uint8]:
    """A picture of the board, drawn at four times the size and averaged, with the lens' distortion."""
    scale, px_per_m = 4, 2000.0
    size = (int(BOARD.columns * BOARD.square_m * px_per_m), int(BOARD.rows * BOARD.square_m * px_per_m))
    printed = BOARD.opencv().generateImage(size, marginSize=0)
    picture = np.full((intrinsics.height, intrinsics.width, 3), 200, np.uint8)
    # Only around the board: at four times the size the whole picture would take half a gigabyte.
    ends = intrinsics.camera().project(camera_T_board.apply(BOARD.corners_m()))
    (left, top), (right, bottom) = ends.min(axis=0).astype(int) - 70, ends.max(axis=0).astype(int) + 70
    v, u = np.mgrid[scale * top : scale * bottom, scale * left : scale * right].astype(np.float64)
    pixels = np.stack([(u + 0.5) / scale - 0.5, (v + 0.5) / scale - 0.5], axis=-1).reshape(-1, 1, 2)
    if np.any(intrinsics.distortion):
        coefficients = np.array(intrinsics.distortion)
        pixels = cv2.undistortPoints(pixels, intrinsics.matrix, coefficients, P=intrinsics.matrix)
    rays = intrinsics.camera().deproject(pixels.reshape(-1, 2), 1.0)
    # Where each ray meets the board's plane.
    normal, origin = camera_T_board.rotation[:, 2], camera_T_board.position
    points = rays * ((normal @ origin) / (rays @ normal))[:, None]
    at = ((points - origin) @ camera_T_board.rotation[:, :2] * px_per_m - 0.5).astype(np.float32).reshape(*v.shape, 2)
    big = cv2.remap(printed, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderValue=200)
    grey = cv2.resize(big, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    picture[top:bottom, left:right] = grey[..., None]
    return picture


def projected(camera_T_board: Pose, name: str, noise_px: float, rng: np.random.Generator) -> SeenBoard:
    points = BOARD.corners_m()
    pixels = INTRINSICS.camera().project(camera_T_board.apply(points))
    return SeenBoard(name, points, pixels + noise_px * rng.standard_normal(pixels.shape))


def assert_close(found: Pose, true: Pose, position_m: float, angle_deg: float) -> None:
    offset = CameraOffset.between(true, found)
    assert np.linalg.norm(offset.position_m) < position_m, offset
    assert np.rad2deg(offset.angle_rad) < angle_deg, offset


def arm_poses(count: int, turn_rad: float, rng: np.random.Generator) -> list[FloatArray]:
    return [ARM.home_rad + turn_rad * rng.uniform(-1.0, 1.0, 7) for _ in range(count)]


@pytest.mark.parametrize("intrinsics", [INTRINSICS, BENT])
def test_a_board_on_the_table_gives_the_camera(intrinsics: IntrinsicsRecord) -> None:
    seen = find_board(draw(NOMINAL.inverse() @ ON_TABLE, intrinsics), BOARD, "drawn")
    solution = solve_board_at([seen], ON_TABLE, intrinsics)
    assert_close(solution.base_T_camera, NOMINAL, 0.002, 0.2)
    assert solution.residual_px < 0.3
    assert solution.points == len(seen.pixels) == (BOARD.columns - 1) * (BOARD.rows - 1)


def test_a_board_in_the_gripper_gives_camera_and_board() -> None:
    rng = np.random.default_rng(1)
    grippers = [gripper_pose(arm, TORSO_M) for arm in arm_poses(12, 0.5, rng)]
    boards = [
        projected(NOMINAL.inverse() @ gripper @ GRIPPER_T_BOARD, f"{i}.png", 0.1, rng)
        for i, gripper in enumerate(grippers)
    ]
    solution = solve_board_in_gripper(boards, grippers, INTRINSICS)
    assert_close(solution.base_T_camera, NOMINAL, 0.002, 0.2)
    assert solution.gripper_T_board is not None
    assert_close(solution.gripper_T_board, GRIPPER_T_BOARD, 0.002, 0.2)
    assert 0.08 < solution.residual_px < 0.2


def test_too_few_poses_or_too_little_turning_is_refused() -> None:
    rng = np.random.default_rng(1)
    for arms, message in ((arm_poses(4, 0.5, rng), "at least 5"), (arm_poses(8, 0.01, rng), "tilt the board")):
        grippers = [gripper_pose(arm, TORSO_M) for arm in arms]
        boards = [projected(NOMINAL.inverse() @ g @ GRIPPER_T_BOARD, "p", 0.1, rng) for g in grippers]
        with pytest.raises(CalibrationError, match=message):
            solve_board_in_gripper(boards, grippers, INTRINSICS)


def test_joints_of_another_picture_are_noticed() -> None:
    rng = np.random.default_rng(1)
    grippers = [gripper_pose(arm, TORSO_M) for arm in arm_poses(8, 0.5, rng)]
    boards = [
        projected(NOMINAL.inverse() @ g @ GRIPPER_T_BOARD, f"{i}.png", 0.1, rng) for i, g in enumerate(grippers)
    ]
    with pytest.raises(CalibrationError, match="px from where they should be"):
        solve_board_in_gripper(boards, [*grippers[1:], grippers[0]], INTRINSICS)


def test_a_picture_without_the_board_is_named() -> None:
    with pytest.raises(CalibrationError, match=r"empty\.png: 0 corners"):
        find_board(np.full((240, 424, 3), 128, np.uint8), BOARD, "empty.png")


def test_the_print_is_seen_from_the_front_with_z_into_the_paper() -> None:
    picture = board_picture(BOARD, 100)
    square_px = round(BOARD.square_m * 1000 / 25.4 * 100)
    assert picture.shape[1] - BOARD.columns * square_px == picture.shape[0] - BOARD.rows * square_px > 0
    height, width = picture.shape
    front = IntrinsicsRecord(width=width, height=height, fx=1500.0, fy=1500.0, cx=width / 2, cy=height / 2,
                             distortion=(0.0,) * 5)  # fmt: skip
    pose = board_pose(find_board(np.repeat(picture[..., None], 3, axis=-1), BOARD, "print"), front)
    np.testing.assert_allclose(pose.rotation, np.eye(3), atol=0.02)


@pytest.mark.parametrize("change", [{"columns": 2}, {"marker_m": 0.06}, {"columns": 11, "rows": 11}])
def test_impossible_boards_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(CalibrationError):
        BoardSpec(**change)  # type: ignore[arg-type]
