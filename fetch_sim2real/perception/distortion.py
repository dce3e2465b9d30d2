"""A lens' distortion, as CameraInfo and the RealSense SDK name it: where rays through a pinhole come out instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import ArrayLike

from fetch_sim2real.errors import ObservationError
from fetch_sim2real.types import FloatArray

# All are OpenCV's polynomial (k1, k2, p1, p2, k3, k4, k5, k6, s1..s4) of fewer or more terms. What the SDK calls
# modified or inverse Brown-Conrady projects as the plain model does, within hundredths of a pixel.
_POLYNOMIAL: Final = (
    "plumb_bob",
    "rational_polynomial",
    "brown_conrady",
    "modified_brown_conrady",
    "inverse_brown_conrady",
)
_EQUIDISTANT: Final = ("equidistant", "fisheye", "kannala_brandt4")
_NONE: Final = ("", "none")
_COUNTS: Final = {"polynomial": (5, 8, 12), "equidistant": (4,)}
_STEPS: Final = 100
_CLOSE: Final = 1e-12


@dataclass(frozen=True)
class LensDistortion:
    """``coefficients`` are OpenCV's for its polynomial or equidistant model; none at all of a pinhole."""

    model: Literal["polynomial", "equidistant"] = "polynomial"
    coefficients: tuple[float, ...] = ()

    @staticmethod
    def named(name: str, coefficients: Sequence[float]) -> LensDistortion:
        """Return the lens of CameraInfo's name and numbers.

        ObservationError for an unknown model or numbers that do not fit it.
        """
        values = [float(value) for value in coefficients]
        got = f"distortion model {name!r} with {len(values)} coefficients {values}"
        if not np.all(np.isfinite(values)):
            raise ObservationError(f"{got}, expected finite numbers: calibrate the camera")
        while values and values[-1] == 0.0:
            values.pop()  # some drivers fill up with zeros
        if name in _NONE:
            if values:
                raise ObservationError(f"{got}, expected none without a model: name the model in CameraInfo")
            return LensDistortion()
        if name not in _POLYNOMIAL + _EQUIDISTANT:
            known = ", ".join((*_POLYNOMIAL, *_EQUIDISTANT, "none"))
            raise ObservationError(f"{got}, expected one of {known}: use rectified images")
        model: Literal["polynomial", "equidistant"] = "equidistant" if name in _EQUIDISTANT else "polynomial"
        if not values and (model == "polynomial" or len(coefficients) == 0):
            return LensDistortion()
        count = next((count for count in _COUNTS[model] if count >= len(values)), None)
        if count is None:
            raise ObservationError(f"{got}, expected at most {_COUNTS[model][-1]}: use rectified images")
        return LensDistortion(model, (*values, *[0.0] * (count - len(values))))

    @property
    def is_none(self) -> bool:
        """Whether it is a pinhole's."""
        return not self.coefficients

    def bend(self, rays: ArrayLike) -> FloatArray:
        """Return where rays (..., 2), x/z and y/z of the pinhole, come out: the same, distorted."""
        given = np.asarray(rays, dtype=np.float64)
        if self.is_none or not given.size:
            return given
        points, pinhole, numbers = given.reshape(-1, 1, 2), np.eye(3), np.array(self.coefficients)
        if self.model == "equidistant":
            bent = cv2.fisheye.distortPoints(points, pinhole, numbers)
        else:
            ahead = np.concatenate([points, np.ones_like(points[..., :1])], axis=-1)
            bent, _ = cv2.projectPoints(ahead, np.zeros(3), np.zeros(3), pinhole, numbers)
        return np.asarray(bent, dtype=np.float64).reshape(given.shape)

    def straighten(self, rays: ArrayLike) -> FloatArray:
        """Invert ``bend`` (..., 2), as near as a hundred steps come where the lens folds the picture."""
        given = np.asarray(rays, dtype=np.float64)
        found = given.copy()
        for _ in range(_STEPS):
            error = self.bend(found) - given
            found -= error
            if not np.any(np.abs(error) > _CLOSE):
                break
        return found


NO_DISTORTION: Final = LensDistortion()
