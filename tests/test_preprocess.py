"""The actor's image depends on the scene and the camera's axis, not on the camera's resolution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from fetch_sim2real.errors import ObservationError
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.perception.normalize import HOLE, normalize_images, to_tensor
from fetch_sim2real.perception.preprocess import Channels, CropWindow, Image, ImageSpec, crop_window, preprocess
from fetch_sim2real.types import RgbdFrame

SPEC = ImageSpec(size=84, fov_deg=40.0, depth_near_m=0.4, depth_far_m=1.6, channels="rgbd")
HALF = np.tan(np.deg2rad(20.0))
TRAINING = CameraModel.from_fovy(168, 168, np.deg2rad(40.0))
CAMERAS = {
    "training": TRAINING,
    "424x240": CameraModel.from_fovy(424, 240, np.deg2rad(42.5)),
    "640x480": CameraModel.from_fovy(640, 480, np.deg2rad(42.5)),
    "real 424x240": CameraModel(424, 240, 307.3, 306.1, 215.6, 121.4),
    "real 640x480": CameraModel(640, 480, 615.2, 617.9, 318.3, 243.1),
}


def scene(camera: CameraModel) -> RgbdFrame:
    """A scene given by the ray's slopes: colour grows to the right and downwards, depth steps at three lines."""
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    x, y = (u - camera.cx) / camera.fx / HALF, (v - camera.cy) / camera.fy / HALF
    rgb = np.stack([127 + 100 * x, 127 + 100 * y, 127 + 50 * np.sin(3 * x)], axis=-1)
    depth = 800 + 300 * (x > 0.31) + 150 * (y > -0.52)
    depth[(np.abs(x) < 0.1) & (np.abs(y) < 0.1)] = 0
    return RgbdFrame(0, np.clip(np.rint(rgb), 0, 255).astype(np.uint8), depth.astype(np.uint16))


@pytest.mark.parametrize("name", CAMERAS)
def test_every_camera_gives_the_picture_that_geometry_says(name: str) -> None:
    camera = CAMERAS[name]
    image = preprocess(scene(camera), camera, SPEC)
    assert image.rgb.shape == (84, 84, 3) and image.rgb.dtype == np.uint8
    assert image.depth_mm.shape == (84, 84) and image.depth_mm.dtype == np.uint16
    centre = (np.arange(84) + 0.5) / 84 * 2 - 1
    # Windows are rounded to whole pixels: half a camera pixel, plus rounding of the colour itself.
    slack = 100 * 0.5 / (camera.fx * HALF) + 1.0
    assert np.abs(image.rgb[:, :, 0] - (127 + 100 * centre)[None, :]).max() <= slack
    assert np.abs(image.rgb[:, :, 1] - (127 + 100 * centre)[:, None]).max() <= slack
    # Depth edges within one pixel of the actor's image.
    ideal = preprocess(scene(SPEC.camera()), SPEC.camera(), SPEC).depth_mm.astype(int)
    off = image.depth_mm.astype(int) != ideal
    edges = np.zeros_like(off)
    for axis in (0, 1):
        step = np.diff(ideal, axis=axis) != 0
        pad = [(0, 1) if a == axis else (0, 0) for a in (0, 1)]
        edges |= np.pad(step, pad) | np.pad(step, [p[::-1] for p in pad])
    assert not np.any(off & ~edges)


def test_training_frames_are_averaged_two_by_two_and_their_depth_picked() -> None:
    rng = np.random.default_rng(3)
    frame = RgbdFrame(
        0,
        rng.integers(0, 256, (168, 168, 3), dtype=np.uint8),
        rng.integers(0, 3000, (168, 168)).astype(np.uint16),
    )
    image = preprocess(frame, TRAINING, SPEC)
    mean = frame.rgb.reshape(84, 2, 84, 2, 3).astype(np.float64).mean(axis=(1, 3))
    assert np.abs(image.rgb - mean).max() <= 0.5
    np.testing.assert_array_equal(image.depth_mm, frame.depth_mm[1::2, 1::2])


@pytest.mark.parametrize("name", CAMERAS)
def test_depth_is_never_a_mixture(name: str) -> None:
    camera = CAMERAS[name]
    frame = scene(camera)
    speckle = np.random.default_rng(4).choice(np.array([500, 1200], np.uint16), frame.depth_mm.shape)
    image = preprocess(RgbdFrame(0, frame.rgb, speckle), camera, SPEC)
    assert set(np.unique(image.depth_mm)) == {500, 1200}


@pytest.mark.parametrize("name", CAMERAS)
def test_fine_stripes_become_their_mean(name: str) -> None:
    """Sampling would turn them into a coarse pattern that is not in the scene."""
    camera = CAMERAS[name]
    rgb = np.zeros((camera.height, camera.width, 3), np.uint8)
    rgb[:, ::2] = 200
    frame = RgbdFrame(0, rgb, np.zeros((camera.height, camera.width), np.uint16))
    window = crop_window(camera, SPEC)
    # A pixel covers window / 84 columns, of which a stripe more or less is half a column's weight.
    slack = 100 * 84 / window.width + 1
    assert np.abs(preprocess(frame, camera, SPEC).rgb.astype(int) - 100).max() <= slack


def test_window_of_a_known_camera() -> None:
    # 100 px focal length, 45 degrees: tan(22.5) * 100 = 41.42 px each side of the axis at column 100.0, row 60.0.
    camera = CameraModel(200, 120, 100.0, 100.0, 99.5, 59.5)
    spec = ImageSpec(size=32, fov_deg=45.0, depth_near_m=0.4, depth_far_m=1.6, channels="rgbd")
    assert crop_window(camera, spec) == CropWindow(left=59, top=19, width=82, height=82)


def test_a_window_follows_the_principal_point() -> None:
    centred = crop_window(CameraModel(424, 240, 307.0, 307.0, 211.5, 119.5), SPEC)
    moved = crop_window(CameraModel(424, 240, 307.0, 307.0, 221.5, 114.5), SPEC)
    assert (moved.left - centred.left, moved.top - centred.top) == (10, -5)


def test_a_frame_that_does_not_cover_the_field_of_view_is_refused_with_numbers() -> None:
    camera = CameraModel(424, 240, 400.0, 400.0, 211.5, 119.5)
    with pytest.raises(ObservationError, match=r"40 x 40 degrees .* rows -26\.\.266 .* rows 0\.\.240"):
        preprocess(scene(camera), camera, SPEC)


def test_an_axis_off_the_middle_can_leave_the_image() -> None:
    with pytest.raises(ObservationError, match=r"rows -\d+\.\."):
        crop_window(CameraModel(424, 240, 308.0, 308.0, 211.5, 105.0), SPEC)


def test_a_camera_coarser_than_the_policys_image_is_refused() -> None:
    with pytest.raises(ObservationError, match="more pixels"):
        crop_window(CameraModel.from_fovy(106, 60, np.deg2rad(42.5)), SPEC)


@pytest.mark.parametrize(
    ("rgb", "depth", "words"),
    [
        (np.zeros((168, 160, 3), np.uint8), np.zeros((168, 168), np.uint16), "colour image"),
        (np.zeros((168, 168, 3), np.float32), np.zeros((168, 168), np.uint16), "colour image"),
        (np.zeros((168, 168, 3), np.uint8), np.zeros((84, 84), np.uint16), "depth image"),
        (np.zeros((168, 168, 3), np.uint8), np.zeros((168, 168), np.float32), "depth image"),
    ],
)
def test_frames_that_contradict_their_camera_are_refused(rgb: np.ndarray, depth: np.ndarray, words: str) -> None:
    with pytest.raises(ObservationError, match=words):
        preprocess(RgbdFrame(0, rgb, depth), TRAINING, SPEC)


def test_frames_of_a_message_need_no_copy() -> None:
    frame = scene(TRAINING)
    frame.rgb.setflags(write=False)
    frame.depth_mm.setflags(write=False)
    assert preprocess(frame, TRAINING, SPEC).rgb.shape == (84, 84, 3)


def test_normalized_values() -> None:
    depth = np.zeros((84, 84), np.uint16)
    depth[0, :6] = [0, 100, 400, 1000, 1600, 9000]
    rgb = np.zeros((84, 84, 3), np.uint8)
    rgb[5, 7] = (0, 51, 255)
    tensor = to_tensor(Image(rgb, depth), SPEC)
    assert tensor.shape == (4, 84, 84) and tensor.dtype == torch.float32
    torch.testing.assert_close(tensor[3, 0, :6], torch.tensor([HOLE, -0.5, -0.5, 0.0, 0.5, 0.5]))
    torch.testing.assert_close(tensor[:3, 5, 7], torch.tensor([-0.5, -0.3, 0.5]))


@pytest.mark.parametrize(("channels", "blind"), [("rgb", slice(3, 4)), ("depth", slice(0, 3))])
def test_channels_that_are_left_out_do_not_show(channels: Channels, blind: slice) -> None:
    rng = np.random.default_rng(0)
    image = Image(rng.integers(0, 256, (84, 84, 3), np.uint8), rng.integers(400, 1600, (84, 84), np.uint16))
    spec = SPEC.model_copy(update={"channels": channels})
    both, part, nothing = (to_tensor(*x) for x in ((image, SPEC), (image, spec), (_dark(), SPEC)))
    torch.testing.assert_close(part[blind], nothing[blind], rtol=0, atol=0)
    seen = slice(0, 3) if channels == "rgb" else slice(3, 4)
    torch.testing.assert_close(part[seen], both[seen], rtol=0, atol=0)


def _dark() -> Image:
    return Image(np.zeros((84, 84, 3), np.uint8), np.zeros((84, 84), np.uint16))


def test_a_hole_looks_like_no_distance() -> None:
    every_mm = torch.arange(65536).to(torch.uint16).reshape(1, 256, 256)
    rgb = torch.zeros(1, 256, 256, 3, dtype=torch.uint8)
    depth = normalize_images(rgb, every_mm, SPEC)[0, 3].flatten()
    assert depth[0] == HOLE
    assert depth[1:].min() == -0.5 and depth[1:].max() == 0.5
    assert bool((depth[1:].diff() >= 0).all())


def test_batches_and_single_images_are_normalized_alike() -> None:
    images = [preprocess(scene(camera), camera, SPEC) for camera in CAMERAS.values()]
    batch = normalize_images(
        torch.from_numpy(np.stack([image.rgb for image in images])),
        torch.from_numpy(np.stack([image.depth_mm for image in images])),
        SPEC,
    )
    for one, image in zip(batch, images, strict=True):
        assert torch.equal(one, to_tensor(image, SPEC))


def test_an_empty_depth_range_is_refused() -> None:
    with pytest.raises(ValidationError, match="depth_near_m"):
        ImageSpec(size=84, fov_deg=40.0, depth_near_m=1.0, depth_far_m=1.0, channels="rgbd")
