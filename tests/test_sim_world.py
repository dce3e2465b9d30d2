"""The simulated world: time, delays, pictures and ground truth."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.disturbances.conditions import Conditions
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.steps import stamp_of_step, steps_of
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.timing import CONTROL_PERIOD_S, PHYSICS_STEPS_PER_PERIOD
from fetch_sim2real.types import JointTrajectory, TrajectoryPoint


@pytest.fixture(scope="module")
def seeing() -> Iterator[Simulation]:
    sim = Simulation(load_world("randomized", worlds_dir()), find_task("reach_block"), (424, 240))
    yield sim
    sim.close()


@pytest.fixture
def blind() -> Simulation:
    return Simulation(load_world("nominal", worlds_dir()), find_task("reach_block"), None)


def _to(sim: Simulation, joint: int, change: float) -> JointTrajectory:
    target = sim.measured().position
    target[joint] += change
    return JointTrajectory(ARM.joint_names, (TrajectoryPoint(0.5, target, np.zeros(7)),))


def test_frames_come_at_the_control_rate_and_as_late_as_the_camera_is(blind: Simulation) -> None:
    draw = blind.reset(1)
    stamps, arrivals = [], []
    while (captured := blind.advance_to_next_frame()) is not None:
        stamps.append(captured.stamp_ns)
        arrivals.append(blind.now_ns)
    assert np.ptp(np.diff(stamps)) <= 1
    assert np.diff(stamps)[0] == pytest.approx(CONTROL_PERIOD_S * 1e9, abs=1)
    delay = np.array(arrivals) - np.array(stamps)
    np.testing.assert_allclose(delay, stamp_of_step(steps_of(draw.camera_latency_s)), atol=1)
    # Frames taken in the episode's last moments would arrive at its end or after it.
    room = steps_of(blind.episode_config.episode_s) - steps_of(draw.camera_latency_s)
    assert len(stamps) == -(-room // PHYSICS_STEPS_PER_PERIOD)


def test_a_command_takes_effect_after_its_latency(blind: Simulation) -> None:
    draw = blind.reset(1)
    blind.advance_to_next_frame()
    sent = blind.step
    blind.send_arm(_to(blind, 6, 0.5))
    latency = steps_of(draw.command_latency_s)
    start = blind.true_arm_position()[6]
    blind.advance_to(sent + latency)
    assert abs(blind.true_arm_position()[6] - start) < 1e-6
    blind.advance_to(sent + latency + 60)
    assert blind.true_arm_position()[6] > start + 0.02


def test_time_never_goes_back_over_a_reset(blind: Simulation) -> None:
    blind.reset(1)
    blind.advance_to_next_frame()
    before = blind.now_ns
    blind.reset(1)
    assert blind.now_ns > before + 1e9 * 0.9


def test_the_same_seed_is_the_same_episode_pixel_by_pixel(seeing: Simulation) -> None:
    pictures = []
    for _ in range(2):
        seeing.reset(7)
        seeing.send_arm(_to(seeing, 0, 0.2))
        frames = [seeing.advance_to_next_frame() for _ in range(5)]
        assert frames[-1] is not None and frames[-1].frame is not None
        pictures.append(frames[-1].frame)
    np.testing.assert_array_equal(pictures[0].rgb, pictures[1].rgb)
    np.testing.assert_array_equal(pictures[0].depth_mm, pictures[1].depth_mm)
    assert pictures[0].rgb.std() > 5


@pytest.mark.parametrize("seed", range(6))
def test_the_block_is_where_the_camera_model_says(seeing: Simulation, seed: int) -> None:
    draw = seeing.reset(seed)
    captured = seeing.advance_to_next_frame()
    assert captured is not None and captured.frame is not None
    in_camera = draw.camera.rotation.T @ (seeing.main_object().position_m - draw.camera.position_m)
    u, v = seeing.camera_model.project(in_camera)
    column, row = round(u), round(v)
    r, g, b = captured.frame.rgb[row, column].astype(int)
    assert r > 1.5 * max(g, b), "the block is red"
    # The ray meets the block's surface before its centre, by at most half a diagonal; holes are left out.
    patch = captured.frame.depth_mm[row - 1 : row + 2, column - 1 : column + 2]
    depth_m = float(np.median(patch[patch > 0])) / 1000.0
    half_diagonal = draw.main_object.physics.half_extents_m[0] * np.sqrt(3.0)
    assert in_camera[2] - half_diagonal - 0.01 < depth_m < in_camera[2] + 0.01


def test_moving_the_block_moves_it_once_and_far_enough(blind: Simulation) -> None:
    still = blind.reset(3)
    while blind.advance_to_next_frame() is not None:
        pass
    np.testing.assert_allclose(blind.main_object().position_m[:2], still.main_object.position_m[:2], atol=2e-3)
    draw = blind.reset(3, Conditions(perturb=("move_block",)))
    while blind.advance_to_next_frame() is not None:
        pass
    np.testing.assert_allclose(blind.main_object().position_m[:2], draw.move_to_xy_m, atol=2e-3)
    moved_m = np.linalg.norm(draw.move_to_xy_m - draw.main_object.position_m[:2])
    assert moved_m >= blind.world.perturbation.move_block_min_distance_m


def test_doing_nothing_is_no_success(blind: Simulation) -> None:
    for seed in range(10):
        blind.reset(seed)
        assert blind.distance_m() >= blind.episode_config.min_start_distance_m - 1e-6
        while blind.advance_to_next_frame() is not None:
            pass
        assert not blind.outcome().success


def test_joint_zero_errors_show_in_what_is_measured_and_not_in_the_motion(seeing: Simulation) -> None:
    draw = seeing.reset(11)
    assert np.abs(draw.dynamics.joint_offset_rad).max() > 0.0
    # To within the encoders' steps and noise.
    np.testing.assert_allclose(
        seeing.measured().position - seeing.true_arm_position(), draw.dynamics.joint_offset_rad, atol=2e-3
    )
    before = seeing.true_arm_position()
    seeing.advance_to(seeing.step + 240)
    np.testing.assert_allclose(seeing.true_arm_position(), before, atol=1e-3)
