"""The camera's pose in base_link from pictures of a board.

Either the board's place in base_link is known (it lies on the table, measured), or the gripper holds it: then its place
in the gripper is unknown too, and both follow from pictures at several poses of the gripper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from scipy.optimize import least_squares

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.kinematics import forward_kinematics
from fetch_sim2real.calibration.board import SeenBoard
from fetch_sim2real.calibration.camera_file import IntrinsicsRecord
from fetch_sim2real.calibration.rotations import pose_of_vector, rotation_vector, vector_of_pose
from fetch_sim2real.errors import CalibrationError
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.types import FloatArray

MIN_GRIPPER_POSES: Final = 5
# With less turning between the gripper's poses, an error of a pixel moves the result by centimetres.
MIN_TURN_RAD: Final = float(np.deg2rad(20))
# A larger reprojection error means another board, wrong intrinsics or a wrong place, not noise.
MAX_RESIDUAL_PX: Final = 2.0


@dataclass(frozen=True)
class Solution:
    """``base_T_camera``; residual [px] over all corners and by picture; how many corners; the board in the gripper."""

    base_T_camera: Pose
    residual_px: float
    residual_by_picture_px: dict[str, float]
    points: int
    gripper_T_board: Pose | None = None


def board_on_table(origin_m: Sequence[float], yaw_rad: float) -> Pose:
    """Return ``base_T_board`` of a board that lies face up: its origin (3,) and the direction of its x axis about
    base_link's z axis.
    """
    c, s = float(np.cos(yaw_rad)), float(np.sin(yaw_rad))
    # z of the board points into the table.
    return Pose(np.array(origin_m, dtype=np.float64), np.array([[c, s, 0.0], [s, -c, 0.0], [0.0, 0.0, -1.0]]))


def gripper_pose(arm_rad: FloatArray, torso_height_m: float) -> Pose:
    """Return ``base_T_gripper``, the pose of the tool's link, of measured joints (n,) [rad]."""
    links = forward_kinematics(arm_rad, torso_height_m)
    at = ARM.links.index(ARM.tool.link)
    return Pose(links.position[at], links.rotation[at])


def board_pose(seen: SeenBoard, intrinsics: IntrinsicsRecord) -> Pose:
    """Return ``camera_T_board`` from one picture."""
    found, turn, position = cv2.solvePnP(seen.points_m, _ideal_pixels(seen, intrinsics), intrinsics.matrix, None)
    if not found or position[2, 0] <= 0:
        raise CalibrationError(f"{seen.name}: no pose of the board fits its corners. Are the intrinsics this camera's?")
    return pose_of_vector(np.concatenate([position.ravel(), turn.ravel()]))


def solve_board_at(boards: Sequence[SeenBoard], base_T_board: Pose, intrinsics: IntrinsicsRecord) -> Solution:
    """Solve for the camera's pose from pictures of a board that lies at ``base_T_board``, camera and board at rest."""
    start = base_T_board @ board_pose(boards[0], intrinsics).inverse()
    camera = intrinsics.camera()
    pixels = [_ideal_pixels(seen, intrinsics) for seen in boards]

    def errors(base_T_camera: Pose) -> list[FloatArray]:
        camera_T_base = base_T_camera.inverse()
        return [
            _reprojection(camera, camera_T_base @ base_T_board, seen, uv)
            for seen, uv in zip(boards, pixels, strict=True)
        ]

    def residuals(x: FloatArray) -> FloatArray:
        return np.concatenate(errors(pose_of_vector(x)))

    best = pose_of_vector(_least_squares(residuals, vector_of_pose(start)))
    return _solution(boards, errors(best), best, None)


def solve_board_in_gripper(
    boards: Sequence[SeenBoard], base_T_gripper: Sequence[Pose], intrinsics: IntrinsicsRecord
) -> Solution:
    """Solve for the camera's pose from pictures of a board fixed to the gripper, one for each pose of it.

    CalibrationError for fewer than MIN_GRIPPER_POSES or if the gripper hardly turned, about one axis only.
    """
    _require_turns(base_T_gripper)
    seen_poses = [board_pose(seen, intrinsics) for seen in boards]
    start = _hand_eye(base_T_gripper, seen_poses)
    camera = intrinsics.camera()
    pixels = [_ideal_pixels(seen, intrinsics) for seen in boards]

    def errors(base_T_camera: Pose, gripper_T_board: Pose) -> list[FloatArray]:
        camera_T_base = base_T_camera.inverse()
        return [
            _reprojection(camera, camera_T_base @ gripper @ gripper_T_board, seen, uv)
            for seen, gripper, uv in zip(boards, base_T_gripper, pixels, strict=True)
        ]

    def residuals(x: FloatArray) -> FloatArray:
        return np.concatenate(errors(pose_of_vector(x[:6]), pose_of_vector(x[6:])))

    x = _least_squares(residuals, np.concatenate([vector_of_pose(pose) for pose in start]))
    base_T_camera, gripper_T_board = pose_of_vector(x[:6]), pose_of_vector(x[6:])
    return _solution(boards, errors(base_T_camera, gripper_T_board), base_T_camera, gripper_T_board)


def _least_squares(residuals: Callable[[FloatArray], FloatArray], start: FloatArray) -> FloatArray:
    """Return the (n,) near ``start`` with the least sum of squared ``residuals`` (m,), by Levenberg and Marquardt."""
    found: FloatArray = least_squares(residuals, start, jac="3-point", x_scale="jac", xtol=1e-12, ftol=1e-12).x
    return found


def _require_turns(base_T_gripper: Sequence[Pose]) -> None:
    if len(base_T_gripper) < MIN_GRIPPER_POSES:
        raise CalibrationError(
            f"{len(base_T_gripper)} pictures with the board seen, expected at least {MIN_GRIPPER_POSES} poses of the "
            "gripper; ten or more are better"
        )
    turns = np.array([rotation_vector(base_T_gripper[0].inverse() @ pose) for pose in base_T_gripper])
    # Two axes are needed: about one alone, the camera's place along that axis stays unknown.
    extents = np.linalg.svd(turns, compute_uv=False) / np.sqrt(len(turns))
    if extents[1] < MIN_TURN_RAD / 2:
        raise CalibrationError(
            f"the gripper turned by only {np.rad2deg(extents[1]):.0f} deg (root mean square) about a second axis, "
            f"expected {np.rad2deg(MIN_TURN_RAD / 2):.0f}: tilt the board by 20 deg or more about two different axes"
        )


def _hand_eye(base_T_gripper: Sequence[Pose], seen: Sequence[Pose]) -> tuple[Pose, Pose]:
    """Starting values of ``base_T_camera`` (X) and ``gripper_T_board`` (Y): A Y = X B for every picture, linearly.

    OpenCV 5 has no hand-eye calibration in its Python wheels.
    """
    rows = [
        np.hstack([np.kron(a.rotation, np.eye(3)), -np.kron(np.eye(3), b.rotation.T)])
        for a, b in zip(base_T_gripper, seen, strict=True)
    ]
    # The rotations, row by row, are the vector that all of them map to zero, up to its length and sign.
    null = np.linalg.svd(np.vstack(rows))[2][-1]
    y, x = null[:9].reshape(3, 3), null[9:].reshape(3, 3)
    sign = np.sign(np.linalg.det(x))
    rotation_y, rotation_x = _nearest_rotation(sign * y), _nearest_rotation(sign * x)
    matrix = np.vstack([np.hstack([a.rotation, -np.eye(3)]) for a in base_T_gripper])
    right = np.concatenate(
        [rotation_x @ b.position - a.position for a, b in zip(base_T_gripper, seen, strict=True)]
    )
    position = np.linalg.lstsq(matrix, right, rcond=None)[0]
    return Pose(position[3:], rotation_x), Pose(position[:3], rotation_y)


def _nearest_rotation(matrix: FloatArray) -> FloatArray:
    u, _, vt = np.linalg.svd(matrix)
    result: FloatArray = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    return result


def _ideal_pixels(seen: SeenBoard, intrinsics: IntrinsicsRecord) -> FloatArray:
    """Where the corners (n, 2) would be without distortion."""
    matrix, distortion = intrinsics.matrix, np.array(intrinsics.distortion)
    pixels = cv2.undistortPoints(seen.pixels[:, None], matrix, distortion, P=matrix)
    return np.asarray(pixels, dtype=np.float64).reshape(-1, 2)


def _reprojection(camera: CameraModel, pose_of_board: Pose, seen: SeenBoard, pixels: FloatArray) -> FloatArray:
    points = pose_of_board.apply(seen.points_m)
    # A step of the search may put the board behind the camera: far off, but a number.
    points[:, 2] = np.maximum(points[:, 2], 1e-3)
    return (camera.project(points) - pixels).ravel()


def _solution(
    boards: Sequence[SeenBoard], errors: Sequence[FloatArray], base_T_camera: Pose, gripper_T_board: Pose | None
) -> Solution:
    # Of a corner: two numbers make one distance.
    by_picture = {seen.name: _rms(error) for seen, error in zip(boards, errors, strict=True)}
    overall = _rms(np.concatenate(errors))
    if not overall <= MAX_RESIDUAL_PX:
        worst = max(by_picture, key=lambda name: by_picture[name])
        raise CalibrationError(
            f"the board's corners are {overall:.1f} px from where they should be, expected at most {MAX_RESIDUAL_PX} "
            f"(worst: {worst}, {by_picture[worst]:.1f} px). Check the size of the squares, the intrinsics, and that "
            "board and camera did not move; joints must be those of each picture"
        )
    return Solution(base_T_camera, overall, by_picture, sum(len(s.pixels) for s in boards), gripper_T_board)


def _rms(error: FloatArray) -> float:
    return float(np.sqrt(2 * np.mean(error**2)))
