"""The calibration file, and its comparison with what a policy was trained for."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest
import yaml
from calibration_bundle import NOMINAL, RECORD, write_bundle
from typer.testing import CliRunner

from fetch_sim2real.calibration.camera_file import (
    CameraCalibration,
    IntrinsicsRecord,
    ResidualRecord,
    load_calibration,
    load_intrinsics,
    save_calibration,
)
from fetch_sim2real.calibration.rotations import pose_of_vector, vector_of_pose
from fetch_sim2real.calibration.trained_range import judge
from fetch_sim2real.cli import check_calibration
from fetch_sim2real.errors import CalibrationError, ObservationError
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.policy.manifest import PoseRecord

CAMERA = CameraModel.from_fovy(424, 240, float(np.deg2rad(42.5)))


def calibration(pose: Pose, camera: CameraModel = CAMERA) -> CameraCalibration:
    return CameraCalibration(
        format_version=1,
        base_T_camera=PoseRecord.of(pose),
        intrinsics=IntrinsicsRecord.of(camera),
        date=datetime.date(2026, 5, 4),
        method="board_on_table",
        residual=ResidualRecord(rms=0.2, unit="px", points=12),
    )


def displaced(position_m: tuple[float, float, float], turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Pose:
    turned = NOMINAL @ pose_of_vector([0.0, 0.0, 0.0, *np.deg2rad(turn_deg)])
    return Pose(turned.position + np.array(position_m), turned.rotation)


def test_six_numbers_and_back() -> None:
    for vector in ([0.1, -0.2, 0.3, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 0.3, -0.8, 1.1]):
        np.testing.assert_allclose(vector_of_pose(pose_of_vector(vector)), vector, atol=1e-12)


def test_a_saved_file_reads_back_the_same(tmp_path: Path) -> None:
    written = calibration(displaced((0.01, 0.0, -0.02), (1.0, 2.0, 3.0)))
    save_calibration(written, tmp_path / "camera.yaml")
    assert load_calibration(tmp_path / "camera.yaml") == written


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"intrinsics": None}, "intrinsics"),
        ({"format_version": 2}, "format_version"),
        ({"method": "guessed"}, "method"),
        ({"extra": 1}, "extra"),
        ({"base_T_camera": {"position_m": [0, 0, 0], "quaternion_xyzw": [0, 0, 0, 2]}}, "quaternion_xyzw"),
        ({"base_T_camera": {"position_m": [0, float("nan"), 0], "quaternion_xyzw": [0, 0, 0, 1]}}, "position_m"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: dict[str, object], named: str) -> None:
    content = {**calibration(NOMINAL).model_dump(mode="json"), **change}
    path = tmp_path / "camera.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(CalibrationError, match=named):
        load_calibration(path)


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", ""])
def test_what_is_no_calibration_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    with pytest.raises(CalibrationError, match=r"camera\.yaml"):
        load_calibration(path)
    with pytest.raises(CalibrationError, match="cannot be read"):
        load_calibration(tmp_path / "none.yaml")


def test_intrinsics_from_a_printed_camera_info(tmp_path: Path) -> None:
    path = tmp_path / "info.yaml"
    k = "[600.0, 0.0, 320.5, 0.0, 601.0, 240.5, 0.0, 0.0, 1.0]"
    head = f"header:\n  frame_id: camera\nheight: 480\nwidth: 640\nk: {k}\n"
    path.write_text(head + "distortion_model: plumb_bob\nd: [0.1, 0.0, 0.0, 0.0, 0.0]\n---\n")
    got = load_intrinsics(path)
    assert (got.width, got.height, got.fx, got.fy, got.cx, got.cy) == (640, 480, 600.0, 601.0, 320.5, 240.5)
    assert got.distortion == (0.1, 0.0, 0.0, 0.0, 0.0)
    path.write_text(head + "distortion_model: equidistant\nd: [0.1, 0.0, 0.0, 0.0]\n")
    with pytest.raises(CalibrationError, match="equidistant"):
        load_intrinsics(path)


def test_inside_and_on_the_edge() -> None:
    assert judge(RECORD, NOMINAL).inside
    assert judge(RECORD, displaced((0.01, -0.01, 0.02), (1.69, 0.0, 0.0))).inside


def test_outside_says_by_how_much_and_along_which_axis() -> None:
    verdict = judge(RECORD, displaced((0.002, -0.025, 0.0), (0.0, 3.0, 0.0)))
    assert not verdict.inside
    np.testing.assert_allclose(verdict.excess_m, [0.0, -0.015, 0.0], atol=1e-9)
    assert np.rad2deg(verdict.excess_rad) == pytest.approx(1.3, abs=1e-6)
    np.testing.assert_allclose(np.rad2deg(verdict.offset.rotation_rad), [0.0, 3.0, 0.0], atol=1e-6)
    # The advice undoes the offset.
    assert "+25 mm along y" in verdict.advice()
    assert "-3.0 deg about its y" in verdict.advice()


def test_the_command_judges_a_file_against_a_policy(tmp_path: Path) -> None:
    path, policy = tmp_path / "camera.yaml", str(write_bundle(tmp_path / "policy"))
    save_calibration(calibration(NOMINAL), path)
    inside = CliRunner().invoke(check_calibration.app, [str(path), "--policy", policy])
    assert inside.exit_code == 0, inside.output
    assert "inside the trained range" in inside.output
    save_calibration(calibration(displaced((0.0, 0.0, 0.05))), path)
    outside = CliRunner().invoke(check_calibration.app, [str(path), "--policy", policy])
    assert outside.exit_code == 1
    assert "outside by 30.0 mm" in outside.output
    save_calibration(calibration(NOMINAL, CameraModel.from_fovy(424, 240, 0.3)), path)
    narrow = CliRunner().invoke(check_calibration.app, [str(path), "--policy", policy])
    assert isinstance(narrow.exception, ObservationError)
