"""Which calibration the policy node uses: files and lenses that are refused, what it tells, what is made of it."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from calibration_bundle import NOMINAL, RECORD

from fetch_sim2real.calibration.camera_file import (
    CameraCalibration,
    IntrinsicsRecord,
    ResidualRecord,
    load_calibration,
    save_calibration,
)
from fetch_sim2real.calibration.in_force import CalibrationInForce, CameraPose
from fetch_sim2real.errors import CalibrationError
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.policy.manifest import PoseRecord

# A D435's colour camera, and the same at a third of the size, 1.33 columns cut off on either side.
LARGE = CameraModel(1280, 720, 915.0, 914.0, 646.0, 355.0)
SMALL = CameraModel(424, 240, 305.0, 304.7, (646.0 + 0.5) / 3 - 0.5 - 4 / 3, (355.0 + 0.5) / 3 - 0.5)


def calibration(pose: Pose = NOMINAL, camera: CameraModel = LARGE) -> CameraCalibration:
    return CameraCalibration(
        format_version=1,
        base_T_camera=PoseRecord.of(pose),
        intrinsics=IntrinsicsRecord.of(camera),
        date=datetime.date(2026, 1, 2),
        method="measured",
        residual=ResidualRecord(rms=0.0, unit="m", points=1),
    )


def written(path: Path, pose: Pose = NOMINAL, camera: CameraModel = LARGE) -> str:
    save_calibration(calibration(pose, camera), path)
    return str(path)


def info_of(camera: CameraModel) -> SimpleNamespace:
    k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    return SimpleNamespace(width=camera.width, height=camera.height, k=k, d=[], distortion_model="plumb_bob")


def test_what_a_node_tells_is_read_back_and_no_file_is_none(tmp_path: Path) -> None:
    in_force = CalibrationInForce.load(written(tmp_path / "c.yaml"))
    assert in_force is not None
    assert CalibrationInForce.told(in_force.text()) == in_force
    assert CalibrationInForce.load("") is None and CalibrationInForce.told("") is None
    for text in ("none", "{}", '{"file": "c.yaml", "calibration": {"format_version": 1}}'):
        with pytest.raises(CalibrationError, match="cannot be read"):
            CalibrationInForce.told(text)


def test_missing_broken_and_old_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    with pytest.raises(CalibrationError, match=r"c\.yaml cannot be read"):
        CameraPose(RECORD, str(file))
    file.write_text("[1, 2")
    with pytest.raises(CalibrationError, match="is not YAML"):
        CameraPose(RECORD, str(file))
    content = yaml.safe_load(Path(written(file)).read_text())
    for change, word in (({"format_version": 0}, "format_version"), ({"base_T_camera": {}}, "position_m")):
        file.write_text(yaml.safe_dump(content | change))
        with pytest.raises(CalibrationError, match=word):
            CameraPose(RECORD, str(file))


def test_the_same_lens_is_known_in_another_size_and_another_lens_is_not(tmp_path: Path) -> None:
    in_force = CalibrationInForce("c.yaml", calibration())
    for right in (LARGE, SMALL):
        in_force.require_lens_of(right)
    for wrong in (
        replace(SMALL, fx=309.0),
        replace(SMALL, fy=300.0),
        replace(SMALL, cx=SMALL.cx + 3),
        replace(LARGE, cy=349.0),
        CameraModel.from_fovy(424, 240, float(np.deg2rad(55.0))),
    ):
        with pytest.raises(CalibrationError, match=r"c\.yaml is of another lens: made with 1280x720 fx 915\.0"):
            in_force.require_lens_of(wrong)


def test_without_a_file_the_camera_is_where_it_was_in_training() -> None:
    camera = CameraPose(RECORD, "")
    camera.on_info(info_of(SMALL))
    camera.require_right()
    assert camera.text() == camera.warning == "" and "in training" in camera.words()
    np.testing.assert_allclose(camera.base_T_camera.position, NOMINAL.position)


def test_a_file_moves_the_camera_and_a_far_one_is_warned_of(tmp_path: Path) -> None:
    near, far = (Pose(NOMINAL.position + np.array([x_m, 0.0, 0.0]), NOMINAL.rotation) for x_m in (0.005, 0.03))
    camera = CameraPose(RECORD, written(tmp_path / "c.yaml", near))
    np.testing.assert_allclose(camera.base_T_camera.position, near.position)
    assert camera.warning == "" and "c.yaml of 2026-01-02" in camera.words()
    told = CalibrationInForce.told(camera.text())
    assert told is not None and told.calibration == load_calibration(tmp_path / "c.yaml")
    assert "-30 mm along x" in CameraPose(RECORD, written(tmp_path / "c.yaml", far)).warning


def test_the_first_usable_intrinsics_decide(tmp_path: Path) -> None:
    camera = CameraPose(RECORD, written(tmp_path / "c.yaml"))
    uncalibrated = info_of(SMALL)
    uncalibrated.k = [0.0] * 9
    camera.on_info(uncalibrated)
    camera.require_right()
    camera.on_info(info_of(replace(SMALL, fx=330.0)))
    assert not camera.is_usable
    with pytest.raises(CalibrationError, match="another lens"):
        camera.require_right()
