"""A scene for depth cameras, computed exactly: a table that leans, a wall behind it and a ball."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.types import FloatArray

# Planes as (normal, distance): normal . p = distance. In the colour camera's optical frame [m].
_TABLE = (np.array([0.05, 0.8, 0.6]) / np.linalg.norm([0.05, 0.8, 0.6]), 0.75)
_WALL = (np.array([0.1, 0.0, 1.0]) / np.linalg.norm([0.1, 0.0, 1.0]), 1.6)
_BALL_CENTRE = np.array([-0.1, 0.05, 0.8])
_BALL_RADIUS = 0.12


def depth_m(camera: CameraModel, color_T_camera: Pose) -> FloatArray:
    """Depth (H, W) [m] along z of ``camera``, which stands at ``color_T_camera``."""
    v, u = np.mgrid[0 : camera.height, 0 : camera.width]
    # Rays of z = 1, so that the distance along a ray is its depth.
    rays = camera.deproject(np.stack([u, v], axis=-1), 1.0) @ color_T_camera.rotation.T
    eye = color_T_camera.position
    hits = [_plane(eye, rays, *_TABLE), _plane(eye, rays, *_WALL), _ball(eye, rays)]
    result: FloatArray = np.min(hits, axis=0)
    return result


def _plane(eye: FloatArray, rays: FloatArray, normal: FloatArray, distance: float) -> FloatArray:
    along = rays @ normal
    depth = (distance - eye @ normal) / np.where(along == 0.0, np.nan, along)
    return np.where(depth > 0.0, depth, np.inf)


def _ball(eye: FloatArray, rays: FloatArray) -> FloatArray:
    away = eye - _BALL_CENTRE
    a, b, c = np.sum(rays**2, axis=-1), rays @ away, away @ away - _BALL_RADIUS**2
    root = b**2 - a * c
    return np.where(root > 0.0, (-b - np.sqrt(np.maximum(root, 0.0))) / a, np.inf)


def away_from_edges(depth: FloatArray, margin_px: int) -> NDArray[np.bool_]:
    """Pixels (H, W) with no jump of depth, and no border of the image, within ``margin_px``."""
    edge = np.zeros(depth.shape, dtype=bool)
    for axis in (0, 1):
        jump = np.abs(np.diff(depth, axis=axis)) > 0.03
        for side in (0, 1):
            pad = [(0, 0), (0, 0)]
            pad[axis] = (side, 1 - side)
            edge |= np.pad(jump, pad)
    height, width = edge.shape
    near = np.ones_like(edge)
    near[margin_px : height - margin_px, margin_px : width - margin_px] = False
    for v, u in zip(*np.nonzero(edge), strict=True):
        near[max(v - margin_px, 0) : v + margin_px + 1, max(u - margin_px, 0) : u + margin_px + 1] = True
    return ~near
