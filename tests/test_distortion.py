"""Lenses that distort: understood by name, judged and corrected where the policy looks, refused with the figure."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from fetch_sim2real.calibration.camera_file import intrinsics_of_camera_info
from fetch_sim2real.errors import CalibrationError, ObservationError
from fetch_sim2real.messages.camera_info import decode_camera_info
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.perception.distortion import NO_DISTORTION, LensDistortion
from fetch_sim2real.perception.preprocess import MAX_DISTORTION_PX, ImageSpec, crop_distortion_px, preprocess
from fetch_sim2real.types import RgbdFrame

SPEC = ImageSpec(size=84, fov_deg=35.0, depth_near_m=0.4, depth_far_m=1.6, channels="rgbd")
HALF = np.tan(np.deg2rad(17.5))
D435 = CameraModel(424, 240, 308.6, 308.4, 212.3, 119.1)
WIDE = CameraModel(424, 240, 223.0, 222.8, 211.2, 120.4)  # 87 degrees, as a D405 and a D455 have
LENSES = {
    "D405": ("inverse_brown_conrady", (-0.055, 0.066, 0.0003, 0.0006, -0.021)),
    "D455": ("plumb_bob", (-0.056, 0.067, -0.0008, 0.0003, -0.021)),
    "eight": ("plumb_bob", (0.45, -2.6, 0.0006, -0.0003, 1.5, 0.33, -2.4, 1.44)),
    "rational": ("rational_polynomial", (0.45, -2.6, 0.0006, -0.0003, 1.5, 0.33, -2.4, 1.44)),
    "four": ("plumb_bob", (-0.1, 0.05, 0.001, -0.001)),
    "fisheye": ("equidistant", (0.2, 0.1, 0.0, 0.0)),
}


def scene(camera: CameraModel) -> RgbdFrame:
    """A scene given by the rays' slopes, through the camera's lens: colours grow evenly, depth steps at two lines."""
    v, u = np.mgrid[0 : camera.height, 0 : camera.width]
    x, y = np.moveaxis(camera.deproject(np.stack([u, v], axis=-1), 1.0)[..., :2], -1, 0) / HALF
    rgb = np.stack([127 + 100 * x, 127 + 100 * y, 127 + 50 * np.sin(3 * x)], axis=-1)
    depth = 800 + 300 * (x > 0.71) + 150 * (y > -0.72)
    return RgbdFrame(0, np.clip(np.rint(rgb), 0, 255).astype(np.uint8), depth.astype(np.uint16))


def lens(name: str) -> LensDistortion:
    return LensDistortion.named(*LENSES[name])


@pytest.mark.parametrize("name", LENSES)
def test_what_the_policy_sees_through_a_lens_is_what_a_pinhole_sees(name: str) -> None:
    camera = replace(WIDE, distortion=lens(name))
    assert 0.1 < crop_distortion_px(camera, SPEC) <= MAX_DISTORTION_PX
    expected, seen = preprocess(scene(WIDE), WIDE, SPEC), preprocess(scene(camera), camera, SPEC)
    # 100 of 255 steps over 42 pixels: a tenth of a pixel is a quarter of a step; the rest is rounding.
    assert np.abs(seen.rgb.astype(int) - expected.rgb.astype(int)).max() <= 2
    # Where depth steps, at two lines, half a pixel of the camera decides.
    assert np.count_nonzero(seen.depth_mm != expected.depth_mm) < 2 * SPEC.size


def test_without_distortion_not_a_bit_changes() -> None:
    frame = scene(D435)
    expected = preprocess(frame, D435, SPEC)
    given = [("plumb_bob", count) for count in (0, 4, 5, 8)] + [("none", 5), ("", 0), ("equidistant", 0)]
    for name, count in given:
        distortion = LensDistortion.named(name, (0.0,) * count)
        seen = preprocess(frame, replace(D435, distortion=distortion), SPEC)
        assert np.array_equal(seen.rgb, expected.rgb) and np.array_equal(seen.depth_mm, expected.depth_mm)
        assert distortion == NO_DISTORTION


def test_the_edge_of_the_picture_that_nobody_looks_at_is_not_judged() -> None:
    """This lens moves the picture's corners by many pixels, and the crop by a fraction of one."""
    camera = replace(WIDE, distortion=LensDistortion.named("plumb_bob", (0.0, 0.0, 0.0, 0.0, 0.3)))
    corner = camera.distortion.bend([camera.cx / camera.fx, camera.cy / camera.fy])
    assert np.abs(camera.fx * corner - [camera.cx, camera.cy]).max() > 50.0
    assert crop_distortion_px(camera, SPEC) < 0.5
    preprocess(scene(replace(WIDE)), camera, SPEC)


@pytest.mark.parametrize(("name", "numbers"), [("plumb_bob", (-0.3, 0.0, 0.0, 0.0, 0.0)), ("equidistant", (0.0,) * 4)])
def test_too_much_in_the_crop_is_refused_with_the_figure(name: str, numbers: tuple[float, ...]) -> None:
    camera = replace(D435, distortion=LensDistortion.named(name, numbers))
    moved_px = crop_distortion_px(camera, SPEC)
    assert moved_px > MAX_DISTORTION_PX
    with pytest.raises(ObservationError, match=rf"by up to {moved_px:.1f} of its 84 pixels.*rectified"):
        preprocess(scene(D435), camera, SPEC)


def test_a_crop_that_the_lens_moves_out_of_the_picture_is_refused() -> None:
    tight = CameraModel(142, 142, 223.0, 223.0, 70.5, 70.5)
    preprocess(scene(tight), tight, SPEC)
    camera = replace(tight, distortion=LensDistortion.named("plumb_bob", (0.15, 0.0, 0.0, 0.0, 0.0)))
    with pytest.raises(ObservationError, match="out of its image"):
        preprocess(scene(tight), camera, SPEC)


@pytest.mark.parametrize(
    ("name", "numbers", "words"),
    [
        ("ftheta", (0.1,), "ftheta"),
        ("", (0.1, 0.0), "name the model"),
        ("none", (0.1,), "expected none"),
        ("plumb_bob", (0.0, np.nan), "finite"),
        ("rational_polynomial", (0.1,) * 14, "at most 12"),
        ("equidistant", (0.1,) * 5, "at most 4"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(name: str, numbers: tuple[float, ...], words: str) -> None:
    with pytest.raises(ObservationError, match=words):
        LensDistortion.named(name, numbers)


@pytest.mark.parametrize(("numbers", "model"), [(np.zeros(4), "equidistant"), (np.zeros(0), "polynomial")])
def test_numbers_may_come_as_an_array(numbers: np.ndarray, model: str) -> None:
    """As readers of bags give them. Without numbers nothing is said of the lens; four zeros are a fisheye's."""
    assert LensDistortion.named("equidistant", numbers).model == model


def test_bending_follows_the_models_formulas_and_has_an_inverse() -> None:
    rays = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, 9), np.linspace(-0.4, 0.4, 7)), axis=-1)
    x, y = rays[..., 0], rays[..., 1]
    r2 = x**2 + y**2
    k1, k2, p1, p2, k3 = LENSES["D405"][1]
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    bent_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2)
    bent_y = y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y
    expected = np.stack([bent_x, bent_y], axis=-1)
    np.testing.assert_allclose(lens("D405").bend(rays), expected, atol=1e-12)
    r = np.sqrt(r2) + 1e-300
    theta = np.arctan(r)
    bent = (theta + 0.2 * theta**3 + 0.1 * theta**5) / r
    np.testing.assert_allclose(lens("fisheye").bend(rays), rays * bent[..., None], atol=1e-12)
    for name in LENSES:
        np.testing.assert_allclose(lens(name).straighten(lens(name).bend(rays)), rays, atol=1e-9)


def test_project_and_deproject_go_through_the_lens() -> None:
    camera = replace(WIDE, distortion=lens("D405"))
    points = np.array([[0.2, -0.1, 1.0], [-0.3, 0.25, 0.9]])
    np.testing.assert_allclose(camera.deproject(camera.project(points), points[:, 2]), points, atol=1e-9)
    assert np.abs(camera.project(points) - WIDE.project(points)).max() > 0.1


@pytest.mark.parametrize("name", ["D455", "eight", "rational", "four"])
def test_a_message_and_a_calibration_take_the_same_lenses(name: str) -> None:
    model, numbers = LENSES[name]
    k = [WIDE.fx, 0.0, WIDE.cx, 0.0, WIDE.fy, WIDE.cy, 0.0, 0.0, 1.0]
    message = SimpleNamespace(width=424, height=240, k=k, d=list(numbers), distortion_model=model)
    assert decode_camera_info(message).distortion == lens(name)
    record = intrinsics_of_camera_info((424, 240), k, numbers, model, "test")
    assert record.distortion == lens(name).coefficients


def test_a_calibration_of_a_fisheye_is_refused_by_name() -> None:
    k = [WIDE.fx, 0.0, WIDE.cx, 0.0, WIDE.fy, WIDE.cy, 0.0, 0.0, 1.0]
    with pytest.raises(CalibrationError, match="equidistant"):
        intrinsics_of_camera_info((424, 240), k, (0.2, 0.1, 0.0, 0.0), "equidistant", "test")
