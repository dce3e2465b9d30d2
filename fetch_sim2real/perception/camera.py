"""Pinhole camera and rigid poses.

Pixel coordinates follow OpenCV and ROS: (0, 0) is the *centre* of the top left pixel, so an image of width W covers
u from -0.5 to W - 0.5. Optical frames follow REP 103: x right, y down, z forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fetch_sim2real.errors import ObservationError
from fetch_sim2real.perception.distortion import NO_DISTORTION, LensDistortion
from fetch_sim2real.types import FloatArray

_ROTATION_TOLERANCE = 1e-6


@dataclass(frozen=True)
class CameraModel:
    """Intrinsics of a camera: size, focal lengths and principal point, all in pixels, and its lens' distortion."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: LensDistortion = NO_DISTORTION

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ObservationError(f"camera image is {self.width}x{self.height}, expected a positive size")
        if not np.all(np.isfinite([self.fx, self.fy, self.cx, self.cy])) or self.fx <= 0 or self.fy <= 0:
            raise ObservationError(
                f"camera intrinsics are fx={self.fx}, fy={self.fy}, cx={self.cx}, cy={self.cy}; expected finite "
                "numbers with positive focal lengths. An uncalibrated CameraInfo carries zeros: calibrate the camera"
            )

    @staticmethod
    def from_fovy(width: int, height: int, fovy_rad: float) -> CameraModel:
        """Return an ideal camera with square pixels, its axis through the image's middle (what MuJoCo renders)."""
        if not 0.0 < fovy_rad < np.pi:
            raise ObservationError(f"vertical field of view is {fovy_rad} rad, expected a number between 0 and pi")
        focal = height / 2 / np.tan(fovy_rad / 2)
        return CameraModel(width, height, float(focal), float(focal), (width - 1) / 2, (height - 1) / 2)

    @property
    def fovy_rad(self) -> float:
        """Vertical field of view from the upper to the lower edge of the image, of the pinhole."""
        above = np.arctan((self.cy + 0.5) / self.fy)
        below = np.arctan((self.height - 0.5 - self.cy) / self.fy)
        return float(above + below)

    def project(self, points_m: ArrayLike) -> FloatArray:
        """Return the pixels (..., 2) of points (..., 3) in the optical frame.

        NaN for points that are not in front of it.
        """
        points = np.asarray(points_m, dtype=np.float64)
        z = np.where(points[..., 2] > 0, points[..., 2], np.nan)
        if not self.distortion.is_none:
            rays = self.distortion.bend(np.stack([points[..., 0] / z, points[..., 1] / z], axis=-1))
            return np.stack([self.fx * rays[..., 0] + self.cx, self.fy * rays[..., 1] + self.cy], axis=-1)
        return np.stack([self.fx * points[..., 0] / z + self.cx, self.fy * points[..., 1] / z + self.cy], axis=-1)

    def deproject(self, pixels: ArrayLike, depth_m: ArrayLike) -> FloatArray:
        """Return the points (..., 3) in the optical frame at pixels (..., 2); depth (...) is along z."""
        uv = np.asarray(pixels, dtype=np.float64)
        z = np.asarray(depth_m, dtype=np.float64)
        x, y = (uv[..., 0] - self.cx) / self.fx, (uv[..., 1] - self.cy) / self.fy
        if not self.distortion.is_none:
            x, y = np.moveaxis(self.distortion.straighten(np.stack([x, y], axis=-1)), -1, 0)
        x, y = x * z, y * z
        return np.stack(np.broadcast_arrays(x, y, z), axis=-1)


@dataclass(frozen=True, eq=False)
class Pose:
    """A rigid transform ``a_T_b``: ``apply`` takes points of frame b to frame a. position (3,) [m], rotation (3, 3)."""

    position: FloatArray
    rotation: FloatArray

    def __post_init__(self) -> None:
        position = np.array(self.position, dtype=np.float64)
        rotation = np.array(self.rotation, dtype=np.float64)
        if position.shape != (3,) or not np.all(np.isfinite(position)):
            raise ObservationError(f"a pose's position must be three finite numbers, got {position.tolist()}")
        if rotation.shape != (3, 3) or not np.all(np.isfinite(rotation)):
            raise ObservationError(f"a pose's rotation must be a finite 3x3 matrix, got shape {rotation.shape}")
        off = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
        if off > _ROTATION_TOLERANCE or np.linalg.det(rotation) < 0:
            raise ObservationError(
                f"a pose's rotation must be orthonormal and right-handed; it is off by {off:.2g} with determinant "
                f"{np.linalg.det(rotation):.3f}"
            )
        position.setflags(write=False)
        rotation.setflags(write=False)
        object.__setattr__(self, "position", position)
        object.__setattr__(self, "rotation", rotation)

    @staticmethod
    def identity() -> Pose:
        return Pose(np.zeros(3), np.eye(3))

    @staticmethod
    def from_quaternion(position: ArrayLike, quaternion_xyzw: ArrayLike) -> Pose:
        """Return the pose of position (3,) and unit quaternion (4,) in ROS' order x, y, z, w (normalised here within
        1e-3).
        """
        q = np.asarray(quaternion_xyzw, dtype=np.float64)
        norm = float(np.linalg.norm(q)) if q.shape == (4,) else float("nan")
        if not abs(norm - 1.0) < 1e-3:
            raise ObservationError(f"quaternion (x, y, z, w) is {q.tolist()}, expected four numbers of norm 1")
        x, y, z, w = q / norm
        rotation = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )
        return Pose(np.asarray(position, dtype=np.float64), rotation)

    @staticmethod
    def looking_at(position: ArrayLike, target: ArrayLike, up: ArrayLike = (0.0, 0.0, 1.0)) -> Pose:
        """Return the pose of an optical frame at ``position`` whose z axis points to ``target`` with ``up`` up in the
        image.
        """
        eye = np.asarray(position, dtype=np.float64)
        forward = np.asarray(target, dtype=np.float64) - eye
        right = np.cross(forward, np.asarray(up, dtype=np.float64))
        if np.linalg.norm(forward) < 1e-9 or np.linalg.norm(right) < 1e-9 * np.linalg.norm(forward):
            raise ObservationError(
                f"a camera at {eye.tolist()} cannot look at {np.asarray(target).tolist()}: the target coincides with "
                "the camera or lies along its up direction"
            )
        z = forward / np.linalg.norm(forward)
        x = right / np.linalg.norm(right)
        return Pose(eye, np.stack([x, np.cross(z, x), z], axis=1))

    @property
    def quaternion_xyzw(self) -> FloatArray:
        """Unit quaternion (4,), x, y, z, w with w >= 0."""
        r = self.rotation
        # Squares of the four components; starting from the largest keeps the divisions well conditioned.
        squares = (
            np.array(
                [
                    1 + r[0, 0] - r[1, 1] - r[2, 2],
                    1 - r[0, 0] + r[1, 1] - r[2, 2],
                    1 - r[0, 0] - r[1, 1] + r[2, 2],
                    1 + r[0, 0] + r[1, 1] + r[2, 2],
                ]
            )
            / 4
        )
        products = np.array(
            [
                [squares[0], (r[0, 1] + r[1, 0]) / 4, (r[0, 2] + r[2, 0]) / 4, (r[2, 1] - r[1, 2]) / 4],
                [(r[0, 1] + r[1, 0]) / 4, squares[1], (r[1, 2] + r[2, 1]) / 4, (r[0, 2] - r[2, 0]) / 4],
                [(r[0, 2] + r[2, 0]) / 4, (r[1, 2] + r[2, 1]) / 4, squares[2], (r[1, 0] - r[0, 1]) / 4],
                [(r[2, 1] - r[1, 2]) / 4, (r[0, 2] - r[2, 0]) / 4, (r[1, 0] - r[0, 1]) / 4, squares[3]],
            ]
        )
        row = products[int(np.argmax(squares))]
        q: FloatArray = row / np.linalg.norm(row)
        return -q if q[3] < 0 else q

    def apply(self, points_m: ArrayLike) -> FloatArray:
        """Return the points (..., 3) of frame b in frame a."""
        result: FloatArray = np.asarray(points_m, dtype=np.float64) @ self.rotation.T + self.position
        return result

    def inverse(self) -> Pose:
        """Return ``b_T_a``."""
        return Pose(-self.rotation.T @ self.position, self.rotation.T)

    def compose(self, other: Pose) -> Pose:
        """Return ``a_T_c`` from this ``a_T_b`` and ``other`` = ``b_T_c``."""
        # Long chains would drift off the rotations: the nearest rotation keeps every pose valid.
        u, _, vt = np.linalg.svd(self.rotation @ other.rotation)
        return Pose(self.apply(other.position), u @ vt)

    def __matmul__(self, other: Pose) -> Pose:
        return self.compose(other)


def camera_rotation(position_m: FloatArray, look_at_m: FloatArray) -> FloatArray:
    """Return the rotation (3, 3) of the optical frame (x right, y down, z forward) in base_link of a level camera."""
    forward = np.asarray(look_at_m, float) - np.asarray(position_m, float)
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right = right / np.linalg.norm(right)
    return np.column_stack([right, np.cross(forward, right), forward])
