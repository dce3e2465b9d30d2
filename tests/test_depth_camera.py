"""The simulated stereo camera's errors have the statistics that they are specified with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.perception.preprocess import ImageSpec, preprocess
from fetch_sim2real.sim.sensors.depth_camera import BASELINE_M, DEPTH_FOCAL_PX, DepthCamera, DepthSample
from fetch_sim2real.sim.sensors.noise import NoiseField
from fetch_sim2real.types import RgbdFrame

D435 = CameraModel.from_fovy(424, 240, np.deg2rad(42.5))
TRAINING = CameraModel.from_fovy(168, 168, np.deg2rad(42.5))
CLEAN = DepthSample(
    noise_px=0.0,
    noise_size_px=3.0,
    step_px=0.0,
    shadow_factor=0.0,
    edge_jitter_px=0.0,
    flying_share=0.0,
    misalignment_px=(0.0, 0.0),
    hole_share=0.0,
    hole_size_px=5.0,
    dark_level=0.0,
    dark_hole_share=0.0,
    glare_level=1.0,
    glare_hole_share=0.0,
)


def _camera(camera: CameraModel = D435, seed: int = 0, **changes: object) -> DepthCamera:
    return DepthCamera(replace(CLEAN, **changes), camera, np.random.default_rng(seed))  # type: ignore[arg-type]


def _flat(depth_m: float, camera: CameraModel = D435) -> NDArray[np.float32]:
    return np.full((camera.height, camera.width), depth_m, np.float32)


def _grey(level: int, camera: CameraModel = D435) -> NDArray[np.uint8]:
    return np.full((camera.height, camera.width, 3), level, np.uint8)


def _box(near_m: float, far_m: float, columns: slice) -> NDArray[np.float32]:
    depth = _flat(far_m)
    depth[60:180, columns] = near_m
    return depth


def test_without_errors_depth_is_true_and_far_things_are_holes() -> None:
    depth = _flat(0.85)
    depth[:, :200] = 3.5
    millimetres = _camera().depth_mm(depth, _grey(128))
    assert np.all(millimetres[:, 200:] == 850)
    assert np.all(millimetres[:, :200] == 0)


@pytest.mark.parametrize("camera", [D435, TRAINING])
def test_noise_grows_with_the_square_of_the_distance_and_is_a_d435s(camera: CameraModel) -> None:
    def sigma_mm(depth_m: float) -> float:
        depth_camera = _camera(camera, noise_px=0.1)
        frames = [depth_camera.depth_mm(_flat(depth_m, camera), _grey(128, camera)) for _ in range(8)]
        return float(np.std(np.stack(frames).astype(float)))

    at_085 = sigma_mm(0.85)
    assert at_085 == pytest.approx(1e3 * 0.85**2 * 0.1 / (BASELINE_M * DEPTH_FOCAL_PX), rel=0.08)
    assert at_085 == pytest.approx(7.0, abs=1.0)
    assert sigma_mm(1.7) / at_085 == pytest.approx(4.0, rel=0.08)


def test_noise_has_unit_variance_and_one_correlation_angle_at_every_resolution() -> None:
    def half_width_deg(camera: CameraModel) -> float:
        rng = np.random.default_rng(1)
        fields = [NoiseField(camera, 6.0, 0.0, rng) for _ in range(6)]
        rows = np.concatenate([field.draw(rng) for field in fields])
        assert np.std(rows) == pytest.approx(1.0, rel=0.06)
        correlation = [float(np.mean(rows[:, :-lag] * rows[:, lag:])) for lag in range(1, 12)]
        lag = np.interp(-0.5, -np.array([1.0, *correlation]), np.arange(12))
        return float(np.rad2deg(np.arctan(lag / camera.fx)))

    fine, coarse = half_width_deg(D435), half_width_deg(TRAINING)
    assert fine == pytest.approx(np.rad2deg(0.6 * 6.0 / 308.6), rel=0.25)
    assert coarse == pytest.approx(fine, rel=0.15)


def test_half_of_the_noise_stays_from_frame_to_frame() -> None:
    depth_camera = _camera(noise_px=0.1, noise_size_px=2.0)
    a, b = (depth_camera.depth_mm(_flat(1.0), _grey(128)).astype(float).ravel() for _ in range(2))
    assert np.corrcoef(a, b)[0, 1] == pytest.approx(0.5, abs=0.06)


def test_depth_comes_in_steps_of_disparity() -> None:
    ramp = np.broadcast_to(np.linspace(0.8, 1.6, 424, dtype=np.float32), (240, 424))
    values = np.unique(_camera(step_px=0.125).depth_mm(ramp, _grey(128)))
    disparity = BASELINE_M * DEPTH_FOCAL_PX / (values / 1000.0)
    np.testing.assert_allclose(np.diff(disparity), -0.125, atol=0.03)
    assert np.diff(values.astype(int)).max() > 2.5 * np.diff(values.astype(int)).min()


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_shadows_lie_left_of_near_things_and_are_as_wide_as_the_baseline_makes_them(factor: float) -> None:
    millimetres = _camera(shadow_factor=factor).depth_mm(_box(0.6, 1.0, slice(150, 250)), _grey(128))
    width = factor * D435.fx * BASELINE_M * (1.0 / 0.6 - 1.0 / 1.0)
    holes = np.flatnonzero(millimetres[120] == 0)
    assert len(holes) == pytest.approx(width, abs=0.51)
    assert holes.max() == 149
    assert holes.min() == 150 - len(holes)
    assert np.all(millimetres[30] == 1000)


def test_flying_pixels_lie_between_both_sides_of_an_edge_and_nowhere_else() -> None:
    millimetres = _camera(flying_share=0.3).depth_mm(_box(0.6, 1.0, slice(150, 250)), _grey(128))
    flying = (millimetres != 600) & (millimetres != 1000)
    assert np.all((millimetres[flying] > 600) & (millimetres[flying] < 1000))
    rows, columns = np.nonzero(flying)
    at_side = np.minimum(np.abs(columns - 149.5), np.abs(columns - 249.5)) <= 1
    at_end = np.minimum(np.abs(rows - 59.5), np.abs(rows - 179.5)) <= 1
    assert np.all(at_side | at_end)
    assert flying[70:170, 149:151].mean() == pytest.approx(0.3, abs=0.08)


def test_edges_wander_by_the_jitter() -> None:
    def spread(jitter_px: float) -> float:
        box = _box(0.6, 1.0, slice(150, 250))
        millimetres = _camera(edge_jitter_px=jitter_px).depth_mm(box, _grey(128))
        return float(np.std([np.flatnonzero(row == 600)[0] for row in millimetres[70:170]]))

    assert spread(0.0) == 0.0
    assert 0.5 < spread(1.0) < 1.6


@pytest.mark.parametrize(("camera", "columns"), [(D435, 3), (TRAINING, 2)])
def test_misalignment_is_an_angle(camera: CameraModel, columns: int) -> None:
    depth = _flat(1.0, camera)
    depth[:, 80:] = 0.8
    millimetres = _camera(camera, misalignment_px=(3.0, 0.0)).depth_mm(depth, _grey(128, camera))
    assert np.flatnonzero(millimetres[50] == 800)[0] == 80 + columns


def test_dark_and_glaring_places_lose_depth() -> None:
    depth_camera = _camera(
        hole_share=0.01, dark_level=0.2, dark_hole_share=0.8, glare_level=0.8, glare_hole_share=0.5, hole_size_px=2.0
    )

    def hole_share(level: int) -> float:
        return float(np.mean([depth_camera.depth_mm(_flat(1.0), _grey(level)) == 0 for _ in range(6)]))

    assert hole_share(128) == pytest.approx(0.01, abs=0.006)
    assert hole_share(0) == pytest.approx(0.81, abs=0.05)
    assert hole_share(255) == pytest.approx(0.51, abs=0.05)
    assert 0.1 < hole_share(32) < 0.6


def test_the_actor_sees_the_same_statistics_from_training_and_from_the_camera() -> None:
    spec = ImageSpec(size=84, fov_deg=35.0, depth_near_m=0.3, depth_far_m=2.0, channels="rgbd")
    changes = {"noise_px": 0.12, "noise_size_px": 4.0, "hole_share": 0.03, "hole_size_px": 6.0}
    seen = {}
    for camera in (D435, TRAINING):
        images = []
        for seed in range(12):
            millimetres = _camera(camera, seed, **changes).depth_mm(_flat(0.9, camera), _grey(128, camera))
            images.append(preprocess(RgbdFrame(0, _grey(128, camera), millimetres), camera, spec).depth_mm)
        stack = np.stack(images).astype(float)
        valid = np.where(stack > 0, stack, np.nan)
        neighbours = np.nanmean((valid[:, :, 1:] - 900.0) * (valid[:, :, :-1] - 900.0))
        seen[camera.width] = (np.nanstd(valid), neighbours / np.nanvar(valid), float(np.mean(stack == 0)))
    fine, coarse = seen[424], seen[168]
    assert coarse[0] == pytest.approx(fine[0], rel=0.06)
    assert coarse[1] == pytest.approx(fine[1], abs=0.06)
    assert coarse[2] == pytest.approx(fine[2], abs=0.012)
