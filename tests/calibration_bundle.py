"""A policy bundle whose camera stands where the simulated worlds have it: what calibration commands are judged by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from test_bundle import make_actor, make_content, make_golden

from fetch_sim2real.graph import BASE_FRAME, COLOR_OPTICAL_FRAME
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.policy.bundle import save_bundle
from fetch_sim2real.policy.manifest import CameraRecord, GoalRecord, PoseRecord

NOMINAL = Pose.looking_at((1.0, 0.64, 1.5), (0.63, 0.0, 0.77))
RECORD = CameraRecord(
    base_T_camera=PoseRecord.of(NOMINAL), position_range_m=(0.01, 0.01, 0.02), rotation_range_rad=float(np.deg2rad(1.7))
)


GOALS = GoalRecord(
    frame=BASE_FRAME,
    accepted_frames=(BASE_FRAME, COLOR_OPTICAL_FRAME),
    lower_m=(0.5, -0.2, 0.7),
    upper_m=(0.7, 0.2, 0.9),
)


def write_bundle(folder: Path) -> Path:
    """An untrained bundle with this camera and goals, and the torso of the simulated worlds."""
    content = make_content().model_copy(update={"camera": RECORD, "goal": GOALS, "torso_height_m": 0.35})
    actor = make_actor(content)
    save_bundle(folder, content, actor, make_golden(content, actor))
    return folder
