"""Changed pictures: another appearance, the same labels."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.testing import assert_array_equal

from fetch_sim2real.common.ranges import Range
from fetch_sim2real.training.encoder import AugmentSettings, augment
from fetch_sim2real.training.labelled_images import PoseImages

SIZE, COUNT = 84, 200
RED = [Range(low=-10.0, high=10.0)]


def pictures() -> PoseImages:
    """Grey ones, with object and gripper anywhere."""
    rng = np.random.default_rng(3)
    rgb, depth_mm = np.full((COUNT, SIZE, SIZE, 3), 100, np.uint8), np.full((COUNT, SIZE, SIZE), 900, np.uint16)
    places_px = rng.uniform(0, SIZE - 1, (2, COUNT, 2)).astype(np.float32)
    unused = np.zeros((COUNT, 3), np.float32)
    seen = np.ones((COUNT, 1), bool)
    return PoseImages(rgb, depth_mm, unused[:, None], unused, places_px[0][:, None], places_px[1], seen)


def test_patches_keep_clear_of_object_and_gripper() -> None:
    plain = AugmentSettings(exposure_factor=1.0, tint_factor=1.0, ghost_share=0.0)
    images, settings = pictures(), replace(plain, hide_share=0.0)
    _, depth_mm, hidden = augment(images, np.arange(COUNT), settings, RED, np.random.default_rng(0))
    assert not hidden.any()
    row, column = np.indices((SIZE, SIZE))
    is_changed = depth_mm != 900
    assert 0.3 < np.mean(np.any(is_changed, axis=(1, 2))) < 1.0
    for centers_px in (images.objects_uv[:, 0], images.grip_uv):
        away_px = np.hypot(column - centers_px[:, 0, None, None], row - centers_px[:, 1, None, None])
        assert not np.any(is_changed & (away_px < settings.clear_px))


def test_a_share_of_the_pictures_has_the_object_behind_something() -> None:
    images, settings = pictures(), AugmentSettings(patches=0, hide_share=0.3)
    _, depth_mm, hidden = augment(images, np.arange(COUNT), settings, RED, np.random.default_rng(0))
    assert 0.2 < hidden.mean() < 0.4
    u, v = np.rint(images.objects_uv[:, 0]).astype(int).T
    behind = depth_mm[np.arange(COUNT), v, u] != 900
    assert (behind == hidden[:, 0]).all()
    assert (depth_mm[~hidden[:, 0]] == 900).all()


def test_patches_have_no_hue_of_any_object() -> None:
    images, settings = pictures(), AugmentSettings(exposure_factor=1.0, tint_factor=1.0, ghost_share=0.0)
    hues_deg = [*RED, Range(low=100.0, high=130.0)]
    rgb, depth_mm, _ = augment(images, np.arange(COUNT), settings, hues_deg, np.random.default_rng(0))
    hsv = cv2.cvtColor(rgb[depth_mm != 900][None].astype(np.float32) / 255.0, cv2.COLOR_RGB2HSV)[0]
    hue_deg = hsv[(hsv[:, 1] > 0.2) & (hsv[:, 2] > 0.2), 0]
    for taken in hues_deg:
        away_deg = np.abs((hue_deg - taken.middle + 180.0) % 360.0 - 180.0) - 0.5 * (taken.high - taken.low)
        assert away_deg.min() > settings.hue_gap_deg - 3.0


def test_changes_follow_from_the_generator_and_leave_the_originals_alone() -> None:
    images, index = pictures(), np.array([4, 9, 17])
    rngs = [np.random.default_rng(seed) for seed in (1, 1, 2)]
    first, second, other = (augment(images, index, AugmentSettings(), RED, rng) for rng in rngs)
    assert_array_equal(first[0], second[0])
    assert_array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0])
    assert np.all(images.rgb == 100) and np.all(images.depth_mm == 900)
    assert first[0].dtype == np.uint8 and first[1].dtype == np.uint16
