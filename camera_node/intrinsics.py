"""The SDK's intrinsics as a pinhole and a distortion, its extrinsics as a pose."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from camera_node.faults import CameraError, Fault
from camera_node.source import Distortion
from fetch_sim2real.perception.camera import CameraModel, Pose

# The SDK's projection takes the coefficients of "modified" and "inverse" Brown-Conrady as those of the plain model:
# it agrees with plumb_bob within hundredths of a pixel.
_PLUMB_BOB: Final = ("brown_conrady", "modified_brown_conrady", "inverse_brown_conrady")
_PLUMB_BOB_COEFFICIENTS: Final = 5
_EQUIDISTANT_COEFFICIENTS: Final = 4


def camera_model(intrinsics: Any) -> CameraModel:
    """The pinhole of a pyrealsense2.intrinsics. Both sides put (0, 0) at the centre of the top left pixel."""
    return CameraModel(
        width=int(intrinsics.width),
        height=int(intrinsics.height),
        fx=float(intrinsics.fx),
        fy=float(intrinsics.fy),
        cx=float(intrinsics.ppx),
        cy=float(intrinsics.ppy),
    )


def distortion(intrinsics: Any) -> Distortion:
    """CameraInfo's distortion model and coefficients; CameraError if it has none that fits."""
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
    """``b_T_a`` of the extrinsics from a to b. The SDK's rotations are float32, column by column."""
    rotation = np.array(extrinsics.rotation, dtype=np.float64).reshape(3, 3).T
    # The nearest rotation: float32 is not orthonormal enough for a pose.
    u, _, vt = np.linalg.svd(rotation)
    return Pose(np.array(extrinsics.translation, dtype=np.float64), u @ vt)
