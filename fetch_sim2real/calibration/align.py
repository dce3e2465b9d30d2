"""How far the camera is from where it is believed to be, from depth pictures of one or more poses of the arm.

Robot and table are rendered from the believed pose; the measured depth is brought onto them by point-to-plane steps,
pixel against pixel, and rendered anew from the corrected pose until nothing changes. Pixels that do not fit (clutter,
edges, holes, a block that stands elsewhere) lose their weight. The table gives the tilt and, where its height is known,
the camera's height; the arm says the rest. A table whose height is taken for granted and wrong would pull the camera
with it, and nothing would show: so it is found too, unless it was measured. Several poses of the arm share one
camera and one table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.calibration.expected_view import NOTHING, ON_BLOCK, ON_TABLE, View
from fetch_sim2real.calibration.rotations import pose_of_vector
from fetch_sim2real.errors import CalibrationError
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.types import FloatArray

Render = Callable[[Pose, float], View]
"""The view from a pose (``base_T_camera``) with a table of a height [m]."""


@dataclass(frozen=True)
class Sight:
    """One pose of the arm: the measured depth (H, W) [mm], and what renders it as expected."""

    depth_mm: NDArray[np.uint16]
    render: Render


_MAX_ITERATIONS: Final = 60
# Residuals [m at 1 m] beyond this count little: wide at first, so that the arm pulls from centimetres away.
_FIRST_SCALE_M, _LAST_SCALE_M, _SHRINK = 0.05, 0.006, 0.85
_CONVERGED: Final = 2e-5  # m and rad
# Neighbours further apart than this share of the depth are not one surface.
_EDGE_SHARE: Final = 0.02
# Surfaces seen at a flatter angle than this are noise.
_MIN_COSINE: Final = 0.2
# Depth noise is correlated over about this many pixels of a 424 pixels wide picture: so many count as one.
_CORRELATED_PX: Final = 25.0
_REFERENCE_WIDTH_PX: Final = 424.0
_LEFT_OPEN: Final = 1e-9
MIN_PIXELS: Final = 500
# Beyond this the result says nothing about the camera.
MAX_SIGMA_M: Final = 0.01
MAX_SIGMA_RAD: Final = float(np.deg2rad(1.0))
MAX_RMS_M: Final = 0.015
MIN_FITTING_SHARE: Final = 0.5


@dataclass(frozen=True)
class Alignment:
    """The camera's pose that fits the depth best.

    ``rms_m`` over ``pixels`` that fit, which are ``fitting_share`` of those compared; ``sigma_m`` (3,) along the axes
    of base_link and ``sigma_rad`` (3,) about the camera's: standard deviations from depth noise alone, without what is
    systematic (joint zeros, depth scale).
    """

    base_T_camera: Pose
    table_height_m: float
    rms_m: float
    pixels: int
    fitting_share: float
    sigma_m: FloatArray
    sigma_rad: FloatArray

    def doubts(self) -> list[str]:
        """Return reasons not to trust the result, each with the next step; none if it is well determined."""
        found = []
        if self.sigma_m.max() > MAX_SIGMA_M or self.sigma_rad.max() > MAX_SIGMA_RAD:
            found.append(
                f"the picture leaves the pose open by {1000 * self.sigma_m.max():.0f} mm and "
                f"{np.rad2deg(self.sigma_rad.max()):.1f} deg (1 sigma): bring more of the arm into the picture, at an "
                "angle to the table"
            )
        if self.rms_m > MAX_RMS_M or self.fitting_share < MIN_FITTING_SHARE:
            found.append(
                f"only {100 * self.fitting_share:.0f} % of the pixels fit, with {1000 * self.rms_m:.0f} mm left: check "
                "table height, torso and joints, and clear the table"
            )
        return found


def align(
    sights: Sequence[Sight], camera: CameraModel, nominal: Pose, table_height_m: float, height_known: bool
) -> Alignment:
    """Find the pose near ``nominal`` whose rendered depth agrees with the measured one of all ``sights``.

    With ``height_known`` the table is at ``table_height_m``, else that is only where the search for it begins.
    CalibrationError if fewer than MIN_PIXELS can be compared in any of them.
    """
    measured = [sight.depth_mm.astype(np.float64) * 1e-3 for sight in sights]

    def compared(pose: Pose, height_m: float) -> _Pairs:
        views = [sight.render(pose, height_m) for sight in sights]
        parts = [_pairs(depth_m, camera, pose, view, unknowns) for depth_m, view in zip(measured, views, strict=True)]
        return _Pairs.joined(parts)

    pose, height_m, scale = nominal, table_height_m, _FIRST_SCALE_M
    unknowns = slice(0, 6 if height_known else 7)
    for _ in range(_MAX_ITERATIONS):
        pairs = compared(pose, height_m)
        normal, slope = pairs.normal_equations(pairs.weights(scale))
        step = np.linalg.solve(normal, -slope)
        pose = pose @ pose_of_vector(step[:6])
        height_m += float(step[6:].sum())
        if scale == _LAST_SCALE_M and np.abs(step).max() < _CONVERGED:
            break
        scale = max(scale * _SHRINK, _LAST_SCALE_M)
    return _result(compared(pose, height_m), pose, height_m, camera)


@dataclass(frozen=True)
class _Pairs:
    """Measured points (n, 3) in the camera's frame against planes of the rendered picture.

    ``residual_m`` (n,) along the plane's normal, ``jacobian`` (n, 6 or 7) with respect to a motion of the camera
    (position, rotation) in its own frame and a rise of the table, ``depth_m`` (n,).
    """

    residual_m: FloatArray
    jacobian: FloatArray
    depth_m: FloatArray

    @staticmethod
    def joined(parts: Sequence[_Pairs]) -> _Pairs:
        """Those of several pictures, all as they are: each pose counts as much as it shows."""
        if len(parts) == 1:
            return parts[0]
        return _Pairs(
            np.concatenate([part.residual_m for part in parts]),
            np.concatenate([part.jacobian for part in parts]),
            np.concatenate([part.depth_m for part in parts]),
        )

    def weights(self, scale_m: float) -> FloatArray:
        """Geman-McClure's, of residuals in which a stereo camera's growth of noise with depth squared is undone."""
        at_1_m = self.residual_m / self.depth_m**2
        robust = (scale_m**2 / (scale_m**2 + at_1_m**2)) ** 2
        return robust / self.depth_m**4

    def normal_equations(self, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
        weighted = self.jacobian * weight[:, None]
        normal = weighted.T @ self.jacobian
        # What the picture leaves open stays where it is, and comes out with a large deviation.
        return normal + _LEFT_OPEN * np.trace(normal) * np.eye(len(normal)), weighted.T @ self.residual_m


def _pairs(measured_m: FloatArray, camera: CameraModel, pose: Pose, view: View, unknowns: slice) -> _Pairs:
    """Every pixel where both pictures have a surface."""
    rows, columns = np.mgrid[: camera.height, : camera.width]
    pixels = np.stack([columns, rows], axis=-1)
    expected = camera.deproject(pixels, view.depth_m)
    normals, smooth = _normals(expected)
    use = smooth & (view.shows != NOTHING) & (measured_m > 0)
    if use.sum() < MIN_PIXELS:
        raise CalibrationError(
            f"only {int(use.sum())} pixels show depth where robot or table are expected, need {MIN_PIXELS}: does the "
            "camera look at the table, is the depth aligned to colour and in millimetres?"
        )
    point, normal = camera.deproject(pixels[use], measured_m[use]), normals[use]
    residual = np.einsum("ij,ij->i", normal, point - expected[use])
    # A motion t, w of the camera moves the measured point by t + w x p.
    # A table that rises takes what lies on it along, away under the measured point.
    rises = np.isin(view.shows[use], (ON_TABLE, ON_BLOCK)) * -(normal @ pose.rotation[2])
    jacobian = np.hstack([normal, np.cross(point, normal), rises[:, None]])[:, unknowns]
    return _Pairs(residual, jacobian, measured_m[use])


def _normals(points_m: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Unit normals (H, W, 3) of rendered points, and where (H, W) they are of one smooth surface, not too steep."""
    normal = np.zeros_like(points_m)
    smooth = np.zeros(points_m.shape[:2], np.bool_)
    right = points_m[1:-1, 2:] - points_m[1:-1, :-2]
    down = points_m[2:, 1:-1] - points_m[:-2, 1:-1]
    cross = np.cross(down, right)
    length = np.linalg.norm(cross, axis=-1, keepdims=True)
    normal[1:-1, 1:-1] = cross / np.maximum(length, 1e-12)
    z = points_m[..., 2]
    inner = z[1:-1, 1:-1]
    jumps = [np.abs(other - inner) for other in (z[1:-1, 2:], z[1:-1, :-2], z[2:, 1:-1], z[:-2, 1:-1])]
    ray = points_m / np.linalg.norm(points_m, axis=-1, keepdims=True)
    facing = np.abs(np.einsum("hwi,hwi->hw", normal, ray))
    smooth[1:-1, 1:-1] = np.max(jumps, axis=0) < _EDGE_SHARE * inner
    return normal, smooth & (facing > _MIN_COSINE)


def _result(pairs: _Pairs, pose: Pose, table_height_m: float, camera: CameraModel) -> Alignment:
    weight = pairs.weights(_LAST_SCALE_M)
    fits = np.abs(pairs.residual_m) / pairs.depth_m**2 < 3 * _LAST_SCALE_M
    if not fits.any():
        raise CalibrationError("no pixel fits: the camera is too far from its nominal place to be aligned")
    variance = float(np.average(pairs.residual_m[fits] ** 2 / pairs.depth_m[fits] ** 4))
    correlated_px = _CORRELATED_PX * (camera.width / _REFERENCE_WIDTH_PX) ** 2
    normal, _ = pairs.normal_equations(weight)
    covariance = np.linalg.inv(normal)[:6, :6] * variance * correlated_px
    in_base = pose.rotation @ covariance[:3, :3] @ pose.rotation.T
    return Alignment(
        base_T_camera=pose,
        table_height_m=table_height_m,
        rms_m=float(np.sqrt(np.mean(pairs.residual_m[fits] ** 2))),
        pixels=int(fits.sum()),
        fitting_share=float(fits.mean()),
        sigma_m=np.sqrt(np.diag(in_base)),
        sigma_rad=np.sqrt(np.diag(covariance)[3:]),
    )
