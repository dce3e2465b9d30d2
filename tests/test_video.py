"""What a stream of pictures adds to single ones: motion blur, rolling shutter, auto-exposure, compression."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.sensors.video import AutoExposure, RowMixer, VideoSample, compressed
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.types import JointTrajectory, TrajectoryPoint

STILL = VideoSample(0.0, 0.0, 0.0, 1.0, 100)
ROWS = 61


def _moments(*levels: int) -> list[NDArray[np.uint8]]:
    return [np.full((ROWS, 4, 3), level, np.uint8) for level in levels]


def test_without_exposure_time_a_picture_is_its_own_moment() -> None:
    assert STILL.earlier_moments == 0
    mixed = RowMixer(STILL, ROWS).mix(_moments(77))
    np.testing.assert_array_equal(mixed, 77)


def test_motion_blur_is_the_mean_over_the_exposure() -> None:
    blurred = replace(STILL, exposure_time_s=1.0 / 120.0)
    assert blurred.earlier_moments == 1
    np.testing.assert_array_equal(RowMixer(blurred, ROWS).mix(_moments(0, 200)), 100)
    half = replace(STILL, exposure_time_s=0.5 / 120.0)
    np.testing.assert_array_equal(RowMixer(half, ROWS).mix(_moments(0, 200)), 150)


def test_a_rolling_shutter_takes_the_upper_rows_first() -> None:
    rolling = replace(STILL, readout_s=1.0 / 120.0)
    rows = RowMixer(rolling, ROWS).mix(_moments(0, 240))[:, 0, 0]
    np.testing.assert_array_equal(rows, np.linspace(0, 240, ROWS))
    longer = replace(STILL, readout_s=2.0 / 120.0)
    rows = RowMixer(longer, ROWS).mix(_moments(0, 120, 240))[:, 0, 0]
    np.testing.assert_array_equal(rows, np.linspace(0, 240, ROWS))


def test_the_first_frame_has_no_earlier_moments() -> None:
    blurred = replace(STILL, exposure_time_s=0.016)
    np.testing.assert_array_equal(RowMixer(blurred, ROWS).mix(_moments(90)), 90)


def test_auto_exposure_makes_good_its_share_of_a_wrong_brightness() -> None:
    scene = 0.1
    for strength, brightness in ((0.0, scene), (0.5, np.sqrt(scene * 0.45)), (1.0, 0.4)):
        metering = AutoExposure(replace(STILL, auto_exposure=strength, auto_exposure_rate=0.5))
        for _ in range(30):
            metering.see(np.full((4, 4, 3), round(255 * min(1.0, scene * metering.gain)), np.uint8))
        # The gain ends at 4: a camera cannot see in the dark.
        assert scene * metering.gain == pytest.approx(brightness, rel=0.02)


def test_compression_loses_more_at_a_lower_quality() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    errors = [np.abs(compressed(picture, quality).astype(int) - picture).mean() for quality in (20, 80, 100)]
    assert errors[0] > errors[1] > errors[2] == 0.0


def _simulation(folder: Path, video: dict[str, float]) -> Simulation:
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({"extends": "nominal", "name": "own", "sensor": {"video": video}}))
    return Simulation(load_world(str(path), worlds_dir()), find_task("push"), (168, 168))


def _picture_of_a_moving_arm(sim: Simulation) -> NDArray[np.uint8]:
    sim.reset(1)
    target = sim.measured().position + np.array([0.3, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    sim.send_arm(JointTrajectory(ARM.joint_names, (TrajectoryPoint(0.4, target, np.zeros(7)),)))
    for _ in range(9):
        captured = sim.advance_to_next_frame()
    sim.close()
    assert captured is not None and captured.frame is not None
    return captured.frame.rgb


@pytest.mark.parametrize("video", [{"exposure_time_s": 0.016}, {"readout_s": 0.016}])
def test_what_moves_is_blurred_and_what_rests_is_not(video: dict[str, float], tmp_path: Path) -> None:
    still, moving = (_picture_of_a_moving_arm(_simulation(tmp_path, each)) for each in ({}, video))
    difference = np.abs(still.astype(int) - moving).max(axis=2)
    assert (difference > 10).sum() > 50
    # The table, far from the arm, is the same.
    assert (difference > 0).mean() < 0.3
