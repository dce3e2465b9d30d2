"""Spheres of the arm against what they can touch, all pairs at once: a path has few configurations but many pairs, and
many small numpy calls would cost more than the arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.arm.fetch.spheres import Box
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
        seen, gap = self._seen(chords)
        products = np.add.reduce(seen * gap, axis=1)
        distance = np.sqrt(products[0])
        if len(products) > 1:
            distance -= np.abs(products[1]) / np.maximum(distance, 1e-12)
        distance -= self._touching_m
        return np.asarray(np.minimum.reduce(distance, axis=0))

    def gaps(self, chords: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """What ``clearance`` is made of, chord by chord: across the gap, how far the middle is clear, and the swing.

        The unit vector (3, C, B, M) from the obstacle to the sphere, zero where the sphere's centre is inside; the
        clearance (C, B, M) [m] of the chord's middle; and how much more (or less) that of its end is (C, B, M) [m].
        """
        seen, gap = self._seen(chords)
        distance = np.sqrt(gap[0] * gap[0] + gap[1] * gap[1] + gap[2] * gap[2])
        across = gap / np.maximum(distance, 1e-12)
        swing = seen[1, 0] * across[0] + seen[1, 1] * across[1] + seen[1, 2] * across[2]
        return across, distance - self._touching_m, swing

    def _seen(self, chords: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Chords (2, 3, C, B, M) as seen from the other sphere, or from the box's nearest point; and the gap, [0]."""
        boxes = self._boxes
        seen = chords.take(self._sphere, axis=-1)
        seen[..., boxes:] -= chords.take(self._other, axis=-1)
        gap = seen[0]
        gap[..., :boxes] -= np.minimum(np.maximum(gap[..., :boxes], self._lower_m), self._upper_m)
        return seen, gap

    @property
    def spheres(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Columns (M,) of each pair's sphere, and of the other one, -1 where that is a box."""
        return self._sphere, np.concatenate([np.full(self._boxes, -1), self._other])
