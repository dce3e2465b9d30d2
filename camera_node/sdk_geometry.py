"""The SDK's geometry as ours: intrinsics and extrinsics, and depth along the colour camera's axis.

The SDK's alignment moves each depth value to its pixel of the colour image and leaves the value as it was: the
distance along the *depth* camera's axis. Along the colour camera's axis, for a pixel's ray r (z = 1), it is

    z_color = (z_depth + (R^T t)_z) / (R^T r)_z        R, t: color_T_depth

A turn of 0.7 degrees between the two is 1 % of the depth at the edge of the image.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from camera_node.faults import CameraError, Fault
from camera_node.source import Distortion
from fetch_sim2real.perception.camera import CameraModel, Pose

# The SDK's projection takes the coefficients of "modified" and "inverse" Brown-Conrady as those of the plain model:
# it agrees with plumb_bob within hundredths of a pixel.
_PLUMB_BOB: Final = ("brown_conrady", "modified_brown_conrady", "inverse_brown_conrady")
_PLUMB_BOB_COEFFICIENTS: Final = 5
_EQUIDISTANT_COEFFICIENTS: Final = 4


def camera_model(intrinsics: Any) -> CameraModel:
    """Return the pinhole of a pyrealsense2.intrinsics. Both sides put (0, 0) at the centre of the top left pixel."""
    return CameraModel(
        width=int(intrinsics.width),
        height=int(intrinsics.height),
        fx=float(intrinsics.fx),
        fy=float(intrinsics.fy),
        cx=float(intrinsics.ppx),
        cy=float(intrinsics.ppy),
    )


def distortion(intrinsics: Any) -> Distortion:
    """Return CameraInfo's distortion model and coefficients; CameraError if it has none that fits."""
    name = str(intrinsics.model.name)
    coefficients = tuple(float(value) for value in intrinsics.coeffs)
    if name in ("none", *_PLUMB_BOB):
        if name == "none":
            coefficients = (0.0,) * _PLUMB_BOB_COEFFICIENTS
        return Distortion("plumb_bob", coefficients[:_PLUMB_BOB_COEFFICIENTS])
    if name == "kannala_brandt4":
        return Distortion("equidistant", coefficients[:_EQUIDISTANT_COEFFICIENTS])
    raise CameraError(
        Fault.DISTORTION,
        f"the colour camera's distortion is '{name}', expected none, {', '.join(_PLUMB_BOB)} or kannala_brandt4: "
        "CameraInfo has no name for it; use another camera",
    )


def pose_of(extrinsics: Any) -> Pose:
    """Return ``b_T_a`` of the extrinsics from a to b. The SDK's rotations are float32, column by column."""
    rotation = np.array(extrinsics.rotation, dtype=np.float64).reshape(3, 3).T
    # The nearest rotation: float32 is not orthonormal enough for a pose.
    u, _, vt = np.linalg.svd(rotation)
    return Pose(np.array(extrinsics.translation, dtype=np.float64), u @ vt)


# Corrections that would not change a millimetre at this distance are not made.
_FAR_MM: Final = 2000.0
_LARGEST_MM: Final = 2**16 - 1


class DepthConverter:
    """For one unit of raw depth, one colour camera, and one place of the depth camera relative to it."""

    def __init__(self, unit_m: float, color: CameraModel, color_T_depth: Pose) -> None:
        self.unit_m = unit_m
        v, u = np.mgrid[0 : color.height, 0 : color.width]
        rays = color.deproject(np.stack([u, v], axis=-1), 1.0)
        axis = color_T_depth.rotation[:, 2]
        gain = 1.0 / (rays @ axis)
        self._offset_mm = np.float32(1e3 * (axis @ color_T_depth.position))
        self._is_same_depth = bool(np.abs(gain - 1.0).max() * _FAR_MM < 0.5) and abs(self._offset_mm) < 0.5
        # The SDK's units are floats: 0.001 is not exactly a thousandth.
        self._is_millimetre = abs(unit_m - 1e-3) < 1e-9
        self._unit_mm = np.float32(1.0 if self._is_millimetre else unit_m * 1e3)
        self._gain = gain.astype(np.float32)

    def __call__(self, raw: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """depth_mm (H, W) of raw depth (H, W), 0 where there is none; ``raw`` itself if nothing has to be done."""
        if self._is_same_depth and self._is_millimetre:
            return raw
        millimetres = raw * self._unit_mm
        if not self._is_same_depth:
            millimetres += self._offset_mm
            millimetres *= self._gain
        millimetres += np.float32(0.5)  # the conversion cuts off
        # What 16 bits cannot hold, and what was no depth before, is none.
        millimetres[(raw == 0) | (millimetres > _LARGEST_MM) | (millimetres < 0.0)] = 0.0
        return millimetres.astype(np.uint16)
