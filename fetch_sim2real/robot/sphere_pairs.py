"""Spheres of the arm against what they can touch, all pairs at once: a path has few configurations but many pairs, and
many small numpy calls would cost more than the arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fetch_sim2real.robot.arm_spheres import Box
from fetch_sim2real.types import FloatArray


class SpherePairs:
    """M pairs of a sphere with a box, and after these of a sphere with a sphere. Immutable.

    Spheres are columns of the arrays of centres; ``radius_m`` (N,) holds their radii.
    """

    def __init__(
        self, with_boxes: Sequence[tuple[int, Box]], with_spheres: Sequence[tuple[int, int]], radius_m: FloatArray
    ) -> None:
        self._boxes = len(with_boxes)
        self._sphere = np.array([sphere for sphere, _ in (*with_boxes, *with_spheres)])
        self._other = np.array([other for _, other in with_spheres], dtype=np.intp)
        corners = np.array([[box.lower_m, box.upper_m] for _, box in with_boxes])
        self._lower_m, self._upper_m = corners.transpose(1, 2, 0)[:, :, None, None]
        self._touching_m = radius_m[self._sphere]
        self._touching_m[self._boxes :] += radius_m[self._other]

    def clearance(self, chords: FloatArray) -> FloatArray:
        """Least clearance (B, M) [m] on chords (2, 3, C, B, N) given by their middles and halves; (1, ...) for points.

        It is how far a chord stays beyond the plane across the gap, which is the vector from the obstacle's nearest
        point to the chord's middle.
        """
        boxes = self._boxes
        # Seen from the other sphere, or from the nearest point of the box: the gap, and how the chord swings about it.
        seen = chords.take(self._sphere, axis=-1)
        seen[..., boxes:] -= chords.take(self._other, axis=-1)
        gap = seen[0]
        gap[..., :boxes] -= np.minimum(np.maximum(gap[..., :boxes], self._lower_m), self._upper_m)
        products = np.add.reduce(seen * gap, axis=1)
        distance = np.sqrt(products[0])
        if len(products) > 1:
            distance -= np.abs(products[1]) / np.maximum(distance, 1e-12)
        distance -= self._touching_m
        return np.asarray(np.minimum.reduce(distance, axis=0))
