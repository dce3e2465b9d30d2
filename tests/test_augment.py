"""Changed pictures: another appearance, the same labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.testing import assert_array_equal

from fetch_sim2real.training.encoder import AugmentSettings, augment
from fetch_sim2real.training.labelled_images import PoseImages

SIZE, COUNT = 84, 200


def pictures() -> PoseImages:
    """Grey ones, with object and gripper anywhere."""
    rng = np.random.default_rng(3)
    rgb, depth_mm = np.full((COUNT, SIZE, SIZE, 3), 100, np.uint8), np.full((COUNT, SIZE, SIZE), 900, np.uint16)
    places_px = rng.uniform(0, SIZE - 1, (2, COUNT, 2)).astype(np.float32)
    unused = np.zeros((COUNT, 3), np.float32)
    return PoseImages(rgb, depth_mm, unused, unused, places_px[0], places_px[1], np.ones(COUNT, bool))


def test_patches_keep_clear_of_object_and_gripper_and_are_not_red() -> None:
    plain = AugmentSettings(exposure_factor=1.0, tint_factor=1.0, ghost_share=0.0)
    images, settings = pictures(), replace(plain, hide_share=0.0)
    rgb, depth_mm, hidden = augment(images, np.arange(COUNT), settings, np.random.default_rng(0))
    assert not hidden.any()
    row, column = np.indices((SIZE, SIZE))
    is_changed = depth_mm != 900
    assert 0.3 < np.mean(np.any(is_changed, axis=(1, 2))) < 1.0
    for centers_px in (images.object_uv, images.grip_uv):
        away_px = np.hypot(column - centers_px[:, 0, None, None], row - centers_px[:, 1, None, None])
        assert not np.any(is_changed & (away_px < settings.clear_px))
    red, green, blue = rgb[is_changed].astype(int).T
    assert np.all(red <= np.maximum(green, blue))


def test_a_share_of_the_pictures_has_the_object_behind_something() -> None:
    images, settings = pictures(), AugmentSettings(patches=0, hide_share=0.3)
    _, depth_mm, hidden = augment(images, np.arange(COUNT), settings, np.random.default_rng(0))
    assert 0.2 < hidden.mean() < 0.4
    u, v = np.rint(images.object_uv).astype(int).T
    behind = depth_mm[np.arange(COUNT), v, u] != 900
    assert (behind == hidden).all()
    assert (depth_mm[~hidden] == 900).all()


def test_changes_follow_from_the_generator_and_leave_the_originals_alone() -> None:
    images, index = pictures(), np.array([4, 9, 17])
    rngs = [np.random.default_rng(seed) for seed in (1, 1, 2)]
    first, second, other = (augment(images, index, AugmentSettings(), rng) for rng in rngs)
    assert_array_equal(first[0], second[0])
    assert_array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0])
    assert np.all(images.rgb == 100) and np.all(images.depth_mm == 900)
    assert first[0].dtype == np.uint8 and first[1].dtype == np.uint16
