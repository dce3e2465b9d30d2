"""The simulated colour camera: exposure, white balance, blur and noise are as specified, at every resolution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.perception.preprocess import ImageSpec, preprocess
from fetch_sim2real.sim.sensors.color_camera import ColorCamera, ColorSample
from fetch_sim2real.types import RgbdFrame

D435 = CameraModel.from_fovy(424, 240, np.deg2rad(42.5))
TRAINING = CameraModel.from_fovy(168, 168, np.deg2rad(42.5))
CLEAN = ColorSample(1.0, 1.0, (1.0, 1.0), 0.0, 0.0, 0.0, 0.0)


def _camera(camera: CameraModel = D435, **changes: object) -> ColorCamera:
    return ColorCamera(replace(CLEAN, **changes), camera, np.random.default_rng(0))  # type: ignore[arg-type]


def _grey(level: int, camera: CameraModel = D435) -> NDArray[np.uint8]:
    return np.full((camera.height, camera.width, 3), level, np.uint8)


def test_a_perfect_camera_changes_nothing() -> None:
    image = np.random.default_rng(1).integers(0, 256, (240, 424, 3), dtype=np.uint8)
    np.testing.assert_array_equal(_camera().rgb(image), image)


def test_exposure_white_balance_and_gamma() -> None:
    assert _camera(exposure=1.5).rgb(_grey(100))[0, 0].tolist() == [150, 150, 150]
    assert _camera(white_balance=(1.2, 0.8)).rgb(_grey(100))[0, 0].tolist() == [120, 100, 80]
    assert _camera(gamma=2.0).rgb(_grey(128))[0, 0, 0] == round(255 * (128 / 255) ** 2)


def test_read_noise_is_constant_and_shot_noise_grows_with_the_root_of_brightness() -> None:
    read, shot = _camera(read_noise=0.02), _camera(shot_noise=0.04)
    assert np.std(read.rgb(_grey(60)).astype(float)) == pytest.approx(5.1, rel=0.03)
    assert np.std(read.rgb(_grey(180)).astype(float)) == pytest.approx(5.1, rel=0.03)
    dark, bright = (np.std(shot.rgb(_grey(level)).astype(float)) for level in (50, 200))
    assert bright / dark == pytest.approx(2.0, rel=0.03)
    assert bright == pytest.approx(255 * 0.04 * np.sqrt(200 / 255), rel=0.03)


def test_noise_differs_from_frame_to_frame() -> None:
    camera = _camera(read_noise=0.03)
    a, b = (camera.rgb(_grey(128)).astype(float).ravel() for _ in range(2))
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.02


def test_averaged_to_the_actors_image_noise_and_blur_are_the_same_from_every_resolution() -> None:
    spec = ImageSpec(size=84, fov_deg=35.0, depth_near_m=0.3, depth_far_m=2.0, channels="rgbd")
    noise, slope = {}, {}
    for camera in (D435, TRAINING):
        empty = np.zeros((camera.height, camera.width), np.uint16)

        noisy = _camera(camera, read_noise=0.06).rgb(_grey(128, camera))
        noise[camera.width] = np.std(preprocess(RgbdFrame(0, noisy, empty), camera, spec).rgb.astype(float))
        step = _grey(0, camera)
        step[:, camera.width // 2 :] = 200
        blurred = _camera(camera, blur_px=3.0).rgb(step)
        seen = preprocess(RgbdFrame(0, blurred, empty), camera, spec).rgb.astype(float)
        slope[camera.width] = np.abs(np.diff(seen[40, :, 0])).max()
    assert noise[168] == pytest.approx(noise[424], rel=0.12)
    assert slope[168] == pytest.approx(slope[424], rel=0.12)


def test_vignetting_darkens_the_edge_and_not_the_middle() -> None:
    shaded = _camera(vignetting=0.3).rgb(_grey(200))
    assert shaded[120, 212, 0] >= 199
    assert shaded[0, 212, 0] == pytest.approx(200 * 0.7, abs=3)
