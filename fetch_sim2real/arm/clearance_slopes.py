"""How clearances change with the joints: linear models of them along paths, pair by pair.

Where ``arm.collision`` answers how clear a path is, this answers which motion of the joints makes it clearer. Every
number of a path is computed by itself, so that it does not depend on the other paths of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.arm.collision import Scene, SphereColumns, SpherePairs
from fetch_sim2real.arm.kinematics import kinematics_of
from fetch_sim2real.types import FloatArray

# Rows of ``CollisionModel.path_clearances``.
_WORKSPACE, _TABLE, _BODY, _ITSELF = range(4)
_PIECE: Final = 16  # paths


@dataclass(frozen=True)
class Slopes:
    """K linear models of clearances, each at one sample of one path.

    ``path`` and ``sample`` (K,) say where, ``row`` (K,) which row of ``CollisionModel.path_clearances`` it belongs to.
    ``clearance_m`` (K,) is what a pair of sphere and obstacle has there, ``gradient_m`` (K, n) how that changes with
    the joints [m/rad].
    """

    path: NDArray[np.intp]
    sample: NDArray[np.intp]
    row: NDArray[np.intp]
    clearance_m: FloatArray
    gradient_m: FloatArray


class ClearanceSlopes:
    """Linear models of the clearances in one scene. Immutable."""

    def __init__(self, scene: Scene) -> None:
        arm = scene.arm
        columns, kinematics, shapes = SphereColumns(arm), kinematics_of(arm), arm.shapes
        tables = [(column, table) for table in scene.tables for column in shapes.table_spheres]
        body = [(column, box) for box in arm.body_boxes(scene.torso_height_m) for column in shapes.body_spheres]
        self._pairs = SpherePairs([*tables, *body], shapes.self_pairs, columns.radius_m)
        self._sphere, self._other = self._pairs.spheres
        self._row = np.repeat([_TABLE, _BODY, _ITSELF], [len(tables), len(body), len(shapes.self_pairs)])
        self._features = kinematics.features
        self._moved_by = columns.moved_by
        self._coefficients = np.hstack([columns.coefficients, kinematics.joint_axes, kinematics.joint_origins])
        self._joints, self._points = arm.joint_count, columns.coefficients.shape[1]
        self._start = arm.first_joint_m(scene.torso_height_m)[:, None, None, None]
        self._workspace_lower = np.array(scene.workspace_lower_m)[:, None, None]
        self._workspace_upper = np.array(scene.workspace_upper_m)[:, None, None]

    def of_paths(self, paths: FloatArray, within_m: FloatArray) -> Slopes:
        """Return models for all pairs nearer than ``within_m`` (B,) on paths of joint positions (B, P, n) [rad].

        A pair's are where it is nearest, and at the path's end if that is another sample. Clearances count between
        samples as they do in ``CollisionModel``. There are none at the first sample, which nothing can change, and
        none where a sphere's centre is inside an obstacle, which has no way out.
        """
        pieces = [
            self._of_piece(paths[first : first + _PIECE], within_m[first : first + _PIECE], first)
            for first in range(0, len(paths), _PIECE)
        ]
        return Slopes(*(np.concatenate([getattr(piece, name) for piece in pieces]) for name in Slopes.__annotations__))

    def _of_piece(self, paths: FloatArray, within_m: FloatArray, first: int) -> Slopes:
        ordered = paths.transpose(1, 0, 2)
        samples, count = ordered.shape[:2]
        chain = self._features(ordered.reshape(-1, self._joints))
        points = (chain @ self._coefficients).reshape(samples, count, 3, -1).transpose(2, 0, 1, 3)
        first_axis, first_origin = self._points, self._points + self._joints
        centers = points[..., :first_axis] + self._start
        axes = points[..., first_axis:first_origin]
        origins = points[..., first_origin:] + self._start

        chords = np.array([centers[:, 1:] + centers[:, :-1], centers[:, 1:] - centers[:, :-1]]) * 0.5
        across, middle, swing = self._pairs.gaps(chords)
        least = middle - np.abs(swing)
        row, pair = np.nonzero(np.minimum.reduce(least, axis=0) < within_m[:, None])
        # The last of several that are as near: an arm at rest is at its path's end.
        chord = samples - 2 - least[::-1, row, pair].argmin(axis=0)
        sample = chord + (swing[chord, row, pair] <= 0.0)
        inner = (sample > 0) & (sample < samples - 1)
        at_end = middle[-1, row, pair] + swing[-1, row, pair]
        last = at_end < within_m[row]
        clearance = np.concatenate([least[chord, row, pair][inner], at_end[last]])
        chord = np.concatenate([chord[inner], np.full(np.count_nonzero(last), samples - 2)])
        sample = np.concatenate([sample[inner], np.full(np.count_nonzero(last), samples - 1)])
        row, pair = (np.concatenate([of[inner], of[last]]) for of in (row, pair))

        normal = across[:, chord, row, pair]
        arm = _Arm(centers, axes, origins, self._moved_by)
        gradient = arm.gradient(normal, sample, row, self._sphere[pair])
        other = self._other[pair]
        both = np.flatnonzero(other >= 0)
        if both.size:
            gradient[both] -= arm.gradient(normal[:, both], sample[both], row[both], other[both])
        known = np.flatnonzero(normal.any(axis=0))
        of_pairs = row[known] + first, sample[known], self._row[pair[known]], clearance[known], gradient[known]
        of_walls = self._of_workspace(arm, within_m, first)
        return Slopes(*(np.concatenate(both_of) for both_of in zip(of_pairs, of_walls, strict=True)))

    def _of_workspace(
        self, arm: _Arm, within_m: FloatArray, first: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], FloatArray, FloatArray]:
        """The same for the grip site inside the six faces of the workspace."""
        grip = arm.centers[..., -1]
        inside = np.concatenate([grip - self._workspace_lower, self._workspace_upper - grip])
        samples = inside.shape[1]
        face, row = np.nonzero(np.minimum.reduce(inside, axis=1) < within_m)
        sample = samples - 1 - inside[face, ::-1, row].argmin(axis=1)
        inner = (sample > 0) & (sample < samples - 1)
        last = inside[face, -1, row] < within_m[row]
        sample = np.concatenate([sample[inner], np.full(np.count_nonzero(last), samples - 1)])
        face, row = (np.concatenate([of[inner], of[last]]) for of in (face, row))
        gradient = arm.gradient(_INWARDS[:, face], sample, row, np.full_like(row, self._points - 1))
        return row + first, sample, np.full_like(row, _WORKSPACE), inside[face, sample, row], gradient


@dataclass(frozen=True)
class _Arm:
    """Points of the arm (3, P, B, N), the joints' axes and origins (3, P, B, n) along paths; ``moved_by`` (N, n)."""

    centers: FloatArray
    axes: FloatArray
    origins: FloatArray
    moved_by: FloatArray

    def gradient(
        self, normal: FloatArray, sample: NDArray[np.intp], row: NDArray[np.intp], column: NDArray[np.intp]
    ) -> FloatArray:
        """Return how far (K, n) [m/rad] each joint moves a point, at (K,) places, along ``normal`` (3, K)."""
        axis = self.axes[:, sample, row]
        arm = self.centers[:, sample, row, column][..., None] - self.origins[:, sample, row]
        x, y, z = normal[..., None]
        along = (
            x * (axis[1] * arm[2] - axis[2] * arm[1])
            + y * (axis[2] * arm[0] - axis[0] * arm[2])
            + z * (axis[0] * arm[1] - axis[1] * arm[0])
        )
        return np.asarray(along * self.moved_by[column])


# Of the workspace's faces, lower ones first.
_INWARDS: Final = np.concatenate([np.eye(3), -np.eye(3)], axis=1)
