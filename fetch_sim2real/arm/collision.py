"""What the arm must stay clear of, and by how much it does: workspace, table, body, itself.

Clearances are distances of spheres in metres, negative in violation. Along a path they are made to hold *between* two
samples as well: on the chord between them, by the plane through the nearest point of the obstacle, seen from the
chord's middle. A sphere that is beyond a plane at both ends of a chord is beyond it all along the chord.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from fetch_sim2real.arm.fetch.joints import TORSO_RANGE_M
from fetch_sim2real.arm.fetch.spheres import (
    FINGER_SPHERES,
    FOREARM_SPHERES,
    HAND_SPHERE,
    SHOULDER_SPHERES,
    UPPERARM_SPHERES,
    WRIST_SPHERES,
    Box,
    LinkSphere,
    Point,
    body_boxes,
)
from fetch_sim2real.arm.kinematics import (
    ARM_LINKS,
    FLEX_LINKS,
    GRIP_SITE_X_M,
    chain_rotations,
    link_coefficients,
    shoulder_pan_origin_m,
)
from fetch_sim2real.arm.sphere_pairs import SpherePairs
from fetch_sim2real.common.small_arrays import any_true
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.types import FloatArray

# Columns of sphere centres: the fine fingers, the arm from shoulder to gripper, the coarse hand; then the grip site.
# A table's checks use the fine fingers, all others the coarse hand.
_ARM: Final = (*SHOULDER_SPHERES, *UPPERARM_SPHERES, *FOREARM_SPHERES, *WRIST_SPHERES)
SPHERES: Final = (*FINGER_SPHERES, *_ARM, HAND_SPHERE)
GRIP_COLUMN: Final = len(SPHERES)
_SHOULDER: Final = len(FINGER_SPHERES)
_UPPERARM: Final = _SHOULDER + len(SHOULDER_SPHERES)
_FOREARM: Final = _UPPERARM + len(UPPERARM_SPHERES)
_WRIST: Final = _FOREARM + len(FOREARM_SPHERES)
TABLE_COLUMNS: Final = range(0, GRIP_COLUMN - 1)
# The shoulder cannot reach the body it is mounted on; the forearm cannot fold onto the upper arm (the elbow stops at
# 129 degrees). What can touch the upper arm and the shoulder is the wrist and all that follows it.
BODY_COLUMNS: Final = range(_UPPERARM, GRIP_COLUMN)
INNER_COLUMNS: Final = range(_SHOULDER, _FOREARM)
OUTER_COLUMNS: Final = range(_WRIST, GRIP_COLUMN)
# Farther than this from a box around the whole upper body, its parts are not looked at one by one.
_HULL_MARGIN_M: Final = 0.01
_PIECE: Final = 128  # configurations


@dataclass(frozen=True)
class Scene:
    """What surrounds the arm, in ``base_link`` [m]: torso lift, tables (solid boxes), and the grip site's workspace."""

    torso_height_m: float
    workspace_lower_m: Point
    workspace_upper_m: Point
    tables: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        low, high = TORSO_RANGE_M
        if not low <= self.torso_height_m <= high:
            raise FetchSim2RealError(
                f"scene: torso_height_m is {self.torso_height_m}, expected {low} to {high} (Fetch's torso travel)"
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
        self._coefficients = center_coefficients(SPHERES)
        self._start = shoulder_pan_origin_m(scene.torso_height_m)[:, None, None, None]
        radius = np.array([sphere.radius_m for sphere in SPHERES])
        body = body_boxes(scene.torso_height_m)
        tables = [(column, table) for table in scene.tables for column in TABLE_COLUMNS]
        body_hulls = [(column, box) for box in (body[0], _hull(body[1:])) for column in BODY_COLUMNS]
        itself = [(inner, outer) for inner in INNER_COLUMNS for outer in OUTER_COLUMNS]
        self._pairs = SpherePairs([*tables, *body_hulls], itself, radius)
        # Where the pairs of table, body and arm itself begin, the table's only if there is one.
        self._begins = np.array([0, len(tables), len(tables) + len(body_hulls)])[0 if tables else 1 :]
        self._body_parts = SpherePairs([(column, box) for box in body for column in BODY_COLUMNS], [], radius)
        self._workspace_lower = np.array(scene.workspace_lower_m)[:, None, None]
        self._workspace_upper = np.array(scene.workspace_upper_m)[:, None, None]

    def clearance(self, position: FloatArray) -> Clearance:
        """Clearances (...,) of the configurations (..., 7) [rad]."""
        position = np.asarray(position, dtype=np.float64)
        return self.path_clearance(position[..., None, :])

    def path_clearance(self, samples: FloatArray) -> Clearance:
        """Clearances (...,) along paths sampled at P configurations, (..., P, 7) [rad].

        They hold on the chords between neighbouring samples too; the caller answers for how far points of the arm are
        from these chords on the true path.
        """
        samples = np.asarray(samples, dtype=np.float64)
        shape = samples.shape[:-2]
        result = self.path_clearances(samples.reshape(-1, *samples.shape[-2:]))
        return Clearance(*(values.reshape(shape) for values in result))

    def path_clearances(self, paths: FloatArray) -> FloatArray:
        """``path_clearance`` of paths (B, P, 7), as rows (4, B) in the order of ``Clearance``."""
        result = np.empty((4, len(paths)))
        # Pieces that stay in the cache: a large batch in one go is several times slower.
        step = max(1, _PIECE // paths.shape[1])
        for first in range(0, len(paths), step):
            self._piece_clearance(paths[first : first + step], result[:, first : first + step])
        return result

    def _piece_clearance(self, paths: FloatArray, out: FloatArray) -> None:
        """Fill ``out`` (4, B) with the clearances of ``paths`` (B, P, 7)."""
        # Sample index first: neighbours in a path are whole blocks then.
        ordered = paths.transpose(1, 0, 2)
        shape = ordered.shape[:2]
        chain = chain_rotations(ordered.reshape(-1, 7)).reshape(-1, 12)
        # Coordinates before all else: sums over them are then sums of whole blocks.
        centers = (chain @ self._coefficients).reshape(*shape, 3, -1).transpose(2, 0, 1, 3)
        centers = np.add(centers, self._start, order="C")

        grip = centers[..., GRIP_COLUMN]
        out[0] = np.minimum.reduce(np.minimum(grip - self._workspace_lower, self._workspace_upper - grip), axis=(0, 1))
        chords = centers[None]
        if shape[0] > 1:
            chords = np.array([centers[:, 1:] + centers[:, :-1], centers[:, 1:] - centers[:, :-1]])
            chords *= 0.5
        clearance = self._pairs.clearance(chords)
        out[1] = np.inf
        out[-len(self._begins) :] = np.minimum.reduceat(clearance, self._begins, axis=1).T
        near = out[2] < _HULL_MARGIN_M
        if any_true(near):
            parts = self._body_parts.clearance(chords[:, :, :, near])
            out[2, near] = np.minimum.reduce(parts, axis=1)


@cache
def center_coefficients(spheres: tuple[LinkSphere, ...]) -> FloatArray:
    """Coefficients (12, N + 1) of the centres of N spheres and, last, the grip site; see ``chain_rotations``.

    Read-only: they are made once.
    """
    origins, axes = link_coefficients()
    columns = []
    for sphere in (*spheres, LinkSphere("gripper_link", (GRIP_SITE_X_M, 0.0, 0.0), 0.0)):
        link = ARM_LINKS.index(sphere.link)
        if link in FLEX_LINKS and sphere.center_m[2] != 0.0:
            raise ValueError(f"sphere {sphere}: centre off the xy plane of a flex link, which has no z coefficients")
        columns.append((origins[link] + np.tensordot(sphere.center_m, axes[link], 1)).reshape(12))
    coefficients = np.ascontiguousarray(np.array(columns).T)
    coefficients.setflags(write=False)
    return coefficients


def _hull(boxes: tuple[Box, ...]) -> Box:
    """The box around ``boxes``."""
    lower = np.min([box.lower_m for box in boxes], axis=0).tolist()
    upper = np.max([box.upper_m for box in boxes], axis=0).tolist()
    return Box("hull", (lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2]))
