"""Clearances of the arm computed in the plain way, to judge ``CollisionModel`` and the limiter by.

Shares with them only the data (spheres and boxes) and ``forward_kinematics``, which has its own test.
"""

from __future__ import annotations

import numpy as np

from fetch_sim2real.arm.collision import Clearance, Scene
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.fetch.spheres import (
    FINGER_SPHERES,
    FOREARM_SPHERES,
    HAND_SPHERE,
    SHOULDER_SPHERES,
    UPPERARM_SPHERES,
    WRIST_SPHERES,
)
from fetch_sim2real.arm.kinematics import ArmPose, forward_kinematics
from fetch_sim2real.arm.spec import Box, LinkSphere
from fetch_sim2real.types import FloatArray

TABLE_SCENE = Scene(
    torso_height_m=0.35,
    workspace_lower_m=(0.46, -0.32, 0.745),
    workspace_upper_m=(0.82, 0.32, 1.00),
    tables=(Box("table", (0.45, -0.6, 0.0), (1.15, 0.6, 0.72)),),
)
# A workspace that hardly binds and a low bench: here body, self, position limits and table edges come into play.
OPEN_SCENE = Scene(
    torso_height_m=0.30,
    workspace_lower_m=(-0.3, -1.1, 0.05),
    workspace_upper_m=(1.1, 1.1, 1.9),
    tables=(Box("bench", (0.50, -0.4, 0.0), (0.9, 0.5, 0.6)), Box("shelf", (0.4, 0.65, 0.8), (0.8, 1.2, 1.0))),
)


def sphere_centers(pose: ArmPose, spheres: tuple[LinkSphere, ...]) -> FloatArray:
    """Centres (B, N, 3) of the spheres."""
    links = [ARM.links.index(sphere.link) for sphere in spheres]
    offsets = np.array([sphere.center_m for sphere in spheres])
    return pose.position[:, links] + np.einsum("bnij,nj->bni", pose.rotation[:, links], offsets)


def radii(spheres: tuple[LinkSphere, ...]) -> FloatArray:
    return np.array([sphere.radius_m for sphere in spheres])


def box_distance(points: FloatArray, box: Box) -> FloatArray:
    """Signed Euclidean distance (...) of points (..., 3) to a box."""
    beyond = np.maximum(np.asarray(box.lower_m) - points, points - np.asarray(box.upper_m))
    outside = np.linalg.norm(np.maximum(beyond, 0.0), axis=-1)
    return outside + np.minimum(beyond.max(axis=-1), 0.0)


def euclidean_clearance(positions: FloatArray, scene: Scene) -> Clearance:
    """Clearances (B,) of configurations (B, 7)."""
    pose = forward_kinematics(positions, scene.torso_height_m)
    lower, upper = np.asarray(scene.workspace_lower_m), np.asarray(scene.workspace_upper_m)
    workspace = np.minimum(pose.grip - lower, upper - pose.grip).min(axis=-1)
    arm = (*UPPERARM_SPHERES, *FOREARM_SPHERES, *WRIST_SPHERES)

    def clear_of(boxes: tuple[Box, ...], spheres: tuple[LinkSphere, ...]) -> FloatArray:
        centers, radius = sphere_centers(pose, spheres), radii(spheres)
        return np.min([(box_distance(centers, box) - radius).min(axis=-1) for box in boxes], axis=0)

    table = clear_of(scene.tables, (*SHOULDER_SPHERES, *arm, *FINGER_SPHERES))
    body = clear_of(ARM.body_boxes(scene.torso_height_m), (*arm, HAND_SPHERE))
    inner, outer = (*SHOULDER_SPHERES, *UPPERARM_SPHERES), (*WRIST_SPHERES, HAND_SPHERE)
    between = sphere_centers(pose, inner)[:, :, None] - sphere_centers(pose, outer)[:, None]
    itself = np.linalg.norm(between, axis=-1) - radii(inner)[:, None] - radii(outer)
    return Clearance(workspace, table, body, itself.min(axis=(1, 2)))
