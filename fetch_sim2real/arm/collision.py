"""What the arm must stay clear of, and by how much it does: workspace, table, body, itself.

Clearances are distances of spheres in metres, negative in violation. Along a path they are made to hold *between* two
samples as well: on the chord between them, by the plane through the nearest point of the obstacle, seen from the
chord's middle. A sphere that is beyond a plane at both ends of a chord is beyond it all along the chord.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.kinematics import kinematics_of
from fetch_sim2real.arm.spec import ArmSpec, Box, Point
from fetch_sim2real.common.small_arrays import any_true
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.types import FloatArray

# Farther than this from a box around the whole upper body, its parts are not checked one by one.
_HULL_MARGIN_M: Final = 0.01
_PIECE: Final = 128  # configurations


@dataclass(frozen=True)
class Scene:
    """What surrounds an arm, in ``base_link`` [m]: torso lift, tables (solid boxes), and the grip site's workspace."""

    torso_height_m: float
    workspace_lower_m: Point
    workspace_upper_m: Point
    tables: tuple[Box, ...] = ()
    arm: ArmSpec = ARM

    def __post_init__(self) -> None:
        low, high = self.arm.torso_range_m
        if not low <= self.torso_height_m <= high:
            raise FetchSim2RealError(
                f"scene: torso_height_m is {self.torso_height_m}, expected {low} to {high} (the torso travel of "
                f"the arm '{self.arm.name}')"
            )
        workspace = Box("workspace", self.workspace_lower_m, self.workspace_upper_m)
        for box in (workspace, *self.tables):
            if not np.all(np.isfinite([*box.lower_m, *box.upper_m])) or np.any(
                np.asarray(box.lower_m) >= np.asarray(box.upper_m)
            ):
                raise FetchSim2RealError(
                    f"scene: box '{box.name}' goes from {box.lower_m} to {box.upper_m} m, expected finite corners with "
                    "every lower coordinate below the upper one"
                )


@dataclass(frozen=True)
class Clearance:
    """Signed clearances [m], one array each: grip site in the workspace, arm to tables, to the body, to itself.

    That to the body may be understated beyond 1 cm; a sphere whose centre is inside a box counts as minus its radius.
    """

    workspace: FloatArray
    table: FloatArray
    body: FloatArray
    itself: FloatArray

    @property
    def least(self) -> FloatArray:
        """The smallest of the four."""
        return np.minimum(np.minimum(self.workspace, self.table), np.minimum(self.body, self.itself))


class CollisionModel:
    """The sphere model of the arm in one scene. Immutable; results depend on the arguments alone."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        arm = scene.arm
        self._joints = arm.joint_count
        self._columns = SphereColumns(arm)
        self._start = arm.first_joint_m(scene.torso_height_m)[:, None, None, None]
        body = arm.body_boxes(scene.torso_height_m)
        hulls = (*body[:1], _hull(body[1:])) if len(body) > 1 else body
        shapes, radius_m = arm.shapes, self._columns.radius_m
        tables = [(column, table) for table in scene.tables for column in shapes.table_spheres]
        body_hulls = [(column, box) for box in hulls for column in shapes.body_spheres]
        self._pairs = SpherePairs([*tables, *body_hulls], shapes.self_pairs, radius_m)
        # Where the pairs of table, body and arm itself begin, and which rows of the clearances are theirs: of kinds of
        # which there are any.
        counts = np.array([len(tables), len(body_hulls), len(shapes.self_pairs)])
        there = np.flatnonzero(counts)
        self._begins = (np.cumsum(counts) - counts)[there]
        self._rows = there + 1
        parts = [(column, box) for box in body for column in shapes.body_spheres]
        self._body_parts = SpherePairs(parts, (), radius_m)
        self._workspace_lower = np.array(scene.workspace_lower_m)[:, None, None]
        self._workspace_upper = np.array(scene.workspace_upper_m)[:, None, None]

    def clearance(self, position: FloatArray) -> Clearance:
        """Return clearances (...,) of the configurations (..., n) [rad]."""
        position = np.asarray(position, dtype=np.float64)
        return self.path_clearance(position[..., None, :])

    def path_clearance(self, samples: FloatArray) -> Clearance:
        """Return clearances (...,) along paths sampled at P configurations, (..., P, n) [rad].

        They hold on the chords between neighbouring samples too; the caller answers for how far points of the arm are
        from these chords on the true path.
        """
        samples = np.asarray(samples, dtype=np.float64)
        shape = samples.shape[:-2]
        result = self.path_clearances(samples.reshape(-1, *samples.shape[-2:]))
        return Clearance(*(values.reshape(shape) for values in result))

    def path_clearances(self, paths: FloatArray) -> FloatArray:
        """Return ``path_clearance`` of paths (B, P, n), as rows (4, B) in the order of ``Clearance``."""
        result = np.empty((4, len(paths)))
        # Pieces that stay in the cache: a large batch in one go is several times slower.
        step = max(1, _PIECE // paths.shape[1])
        for first in range(0, len(paths), step):
            self._piece_clearance(paths[first : first + step], result[:, first : first + step])
        return result

    def _piece_clearance(self, paths: FloatArray, out: FloatArray) -> None:
        """Fill ``out`` (4, B) with the clearances of ``paths`` (B, P, n)."""
        # Sample index first: neighbours in a path are whole blocks then.
        ordered = paths.transpose(1, 0, 2)
        shape = ordered.shape[:2]
        # Coordinates before all else: sums over them are then sums of whole blocks.
        centers = self._columns.centers(ordered.reshape(-1, self._joints)).reshape(*shape, 3, -1).transpose(2, 0, 1, 3)
        centers = np.add(centers, self._start, order="C")

        grip = centers[..., -1]
        out[0] = np.minimum.reduce(np.minimum(grip - self._workspace_lower, self._workspace_upper - grip), axis=(0, 1))
        chords = centers[None]
        if shape[0] > 1:
            chords = np.array([centers[:, 1:] + centers[:, :-1], centers[:, 1:] - centers[:, :-1]])
            chords *= 0.5
        clearance = self._pairs.clearance(chords)
        out[1:] = np.inf
        if len(self._begins):
            out[self._rows] = np.minimum.reduceat(clearance, self._begins, axis=1).T
        near = out[2] < _HULL_MARGIN_M
        if any_true(near):
            parts = self._body_parts.clearance(chords[:, :, :, near])
            out[2, near] = np.minimum.reduce(parts, axis=1)


class SphereColumns:
    """Centres of an arm's spheres, in the order of ``CollisionShapes.spheres``, and last the grip site. Immutable."""

    def __init__(self, arm: ArmSpec) -> None:
        kinematics, spheres = kinematics_of(arm), arm.shapes.spheres
        self._features = kinematics.features
        points = [kinematics.point(sphere.link, sphere.center_m) for sphere in spheres]
        self.coefficients = np.ascontiguousarray(np.array([*points, kinematics.grip]).T)
        """Coefficients (F, N + 1); see ``Kinematics.features``."""
        self.radius_m = np.array([sphere.radius_m for sphere in spheres])
        """Radii (N,)."""
        links = (*(sphere.link for sphere in spheres), arm.tool.link)
        self.moved_by = np.array([kinematics.moving_joints(link) for link in links])
        """Which joints move each of the points: (N + 1, n) of 0 and 1."""

    def centers(self, position: FloatArray) -> FloatArray:
        """Return the points (3 B, N + 1), of each configuration three rows, for joint angles (B, n) [rad].

        They are relative to the first joint.
        """
        features = self._features(position)
        return features.reshape(-1, features.shape[2]) @ self.coefficients


class SpherePairs:
    """M pairs of a sphere with a box, and after these of a sphere with a sphere. Immutable.

    All pairs at once: a path has few configurations but many pairs, and many small numpy calls would cost more than the
    arithmetic. Spheres are columns of the arrays of centres; ``radius_m`` (N,) holds their radii.
    """

    def __init__(
        self, with_boxes: Sequence[tuple[int, Box]], with_spheres: Sequence[tuple[int, int]], radius_m: FloatArray
    ) -> None:
        self._boxes = len(with_boxes)
        self._sphere = np.array([sphere for sphere, _ in (*with_boxes, *with_spheres)], dtype=np.intp)
        self._other = np.array([other for _, other in with_spheres], dtype=np.intp)
        corners = np.array([[box.lower_m, box.upper_m] for _, box in with_boxes]).reshape(-1, 2, 3)
        self._lower_m, self._upper_m = corners.transpose(1, 2, 0)[:, :, None, None]
        self._touching_m = radius_m[self._sphere]
        self._touching_m[self._boxes :] += radius_m[self._other]

    def clearance(self, chords: FloatArray) -> FloatArray:
        """Return least clearances (B, M) [m] on chords (2, 3, C, B, N), their middles and halves; (1, ...) for points.

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
        """Return what ``clearance`` is made of, chord by chord: across the gap, how far the middle is clear, the swing.

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


def _hull(boxes: tuple[Box, ...]) -> Box:
    """The box around ``boxes``."""
    lower = np.min([box.lower_m for box in boxes], axis=0).tolist()
    upper = np.max([box.upper_m for box in boxes], axis=0).tolist()
    return Box("hull", (lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2]))
