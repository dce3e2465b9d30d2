"""Where the goal lies in the picture, by what the policy takes the camera's pose to be."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.errors import ObservationError, SetupError
from fetch_sim2real.graph import BASE_FRAME, BLOCK_FRAME, COLOR_OPTICAL_FRAME
from fetch_sim2real.paths import find_policy
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.types import Goal


@dataclass(frozen=True)
class GoalMark:
    """Pixel (u, v) of the goal, None where it cannot be drawn, for the reason in ``note``."""

    pixel: tuple[float, float] | None
    note: str


def mark_goal(
    goal: Goal | None,
    camera: CameraModel | None,
    base_T_camera: Pose | None,
    pose_note: str,
    block_m: NDArray[np.float64] | None,
) -> GoalMark:
    """Project ``goal``. ``block_m`` (3,) in base_link is what goals relative to the block need, in simulation only."""
    if goal is None:
        return GoalMark(None, "no goal")
    if camera is None:
        return GoalMark(None, "not drawn: no intrinsics of the camera have come")
    point_m = goal.position_m
    if goal.frame_id != COLOR_OPTICAL_FRAME:
        if base_T_camera is None:
            return GoalMark(None, f"not drawn: {pose_note}")
        if goal.frame_id == BLOCK_FRAME and block_m is None:
            return GoalMark(None, "not drawn: it is relative to the block, whose place only a simulation says")
        if goal.frame_id not in (BASE_FRAME, BLOCK_FRAME):
            return GoalMark(None, f"not drawn: frame '{goal.frame_id}' is unknown")
        in_base_m = point_m + block_m if goal.frame_id == BLOCK_FRAME and block_m is not None else point_m
        point_m = base_T_camera.inverse().apply(in_base_m)
    u, v = (float(value) for value in camera.project(point_m))
    # A pixel beyond the edge belongs to the picture's border; a NaN compares false.
    if not (-0.5 <= u <= camera.width - 0.5 and -0.5 <= v <= camera.height - 0.5):
        return GoalMark(None, "outside of the picture")
    return GoalMark((u, v), f"drawn by the {pose_note}")


def trained_camera_pose(policy: str) -> Pose:
    """Return ``base_T_camera`` of a bundle's manifest, without loading the bundle; SetupError if there is none.

    Only to draw by: the policy node checks the bundle before anything moves, and this process needs no torch for it.
    """
    path = find_policy(policy) / "manifest.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))["camera"]["base_T_camera"]
        return Pose.from_quaternion(record["position_m"], record["quaternion_xyzw"])
    except (OSError, ValueError, KeyError, TypeError, ObservationError) as error:
        raise SetupError(f"{path} does not say where the policy takes its camera to be: {error!r}") from error
