"""A policy bundle whose camera stands where the simulated worlds have it: what calibration commands are judged by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from test_bundle import make_actor, make_content, make_golden

from fetch_sim2real.observation.camera import Pose
from fetch_sim2real.policy.bundle import save_bundle
from fetch_sim2real.policy.manifest import CameraRecord, PoseRecord

NOMINAL = Pose.looking_at((1.0, 0.64, 1.5), (0.63, 0.0, 0.77))
RECORD = CameraRecord(
    base_T_camera=PoseRecord.of(NOMINAL), position_range_m=(0.01, 0.01, 0.02), rotation_range_rad=float(np.deg2rad(1.7))
)


def write_bundle(folder: Path) -> Path:
    """An untrained bundle with this camera and the torso of the simulated worlds."""
    content = make_content().model_copy(update={"camera": RECORD, "torso_height_m": 0.35})
    actor = make_actor(content)
    save_bundle(folder, content, actor, make_golden(content, actor))
    return folder
