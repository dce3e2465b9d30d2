"""Unplanned changes and injected faults: what each does to the simulated world, and that nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from mujoco_simulation import mujoco_of

from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.episode import TRAINING_CAMERA_SIZE
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.policy.default_observation import IMAGE
from fetch_sim2real.sim.disturbances.changes import draw_goal_change
from fetch_sim2real.sim.disturbances.conditions import (
    FAULTS,
    NO_CONDITIONS,
    PERTURBATIONS,
    Conditions,
    ConditionsError,
    Faults,
    Perturbation,
    conditions_of,
    faults_of,
    generator,
)
from fetch_sim2real.sim.disturbances.faults import with_faults
from fetch_sim2real.sim.mujoco.scene import CAMERA, PASSERS
from fetch_sim2real.sim.randomization.sample import draw_episode
from fetch_sim2real.sim.sensors.camera_timing import FrameFaults, FrameTimes
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import World, load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.timing import PHYSICS_STEPS_PER_PERIOD
from fetch_sim2real.training.labelled_images import ImageAlbum
from fetch_sim2real.types import FloatArray

TIMES = FrameTimes(first_step=0, latency_steps=24, depth_steps=0, jitter_steps=(0,))


@pytest.fixture(scope="module")
def world() -> World:
    return load_world("nominal", worlds_dir())


@pytest.fixture(scope="module")
def sim(world: World) -> Iterator[Simulation]:
    made = Simulation(world, find_task("push"), None)
    yield made
    made.close()


def block_path(sim: Simulation, seed: int, *perturb: Perturbation) -> FloatArray:
    """Block positions (n, 3) frame by frame, with the arm at rest."""
    sim.reset(seed, conditions=Conditions(perturb=perturb))
    path = []
    while (captured := sim.advance_to_next_frame()) is not None:
        path.append(captured.truth.objects_m["block"])
    return np.array(path)


def test_text_of_conditions_is_read_back() -> None:
    conditions = Conditions(perturb=("shove", "occlude"), faults=Faults(jitter_ms=20.0))
    assert Conditions.from_text(conditions.to_text()) == conditions
    assert NO_CONDITIONS.to_text() == "" and Conditions.from_text("") == NO_CONDITIONS
    assert conditions.summary() == "shove, occlude, jitter_ms 20"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"perturb": ["earthquake"]}, "perturb.0"),
        ({"perturb": ["shove", "shove"]}, "each change once"),
        ({"faults": {"drop_share": 2.0}}, "faults.drop_share"),
        ({"faults": {"latency": 2.0}}, "faults.latency"),
    ],
)
def test_conditions_that_cannot_be_are_named(values: object, named: str) -> None:
    with pytest.raises(ConditionsError, match=named):
        conditions_of(values)


def test_a_fault_on_the_command_line() -> None:
    assert faults_of(["extra_latency_ms=60"]) == {"extra_latency_ms": 60.0}
    with pytest.raises(ConditionsError, match="name=size"):
        faults_of(["extra_latency_ms"])


def test_a_shove_moves_the_block_within_reach_and_once(sim: Simulation, world: World) -> None:
    part = world.episode_of(find_task("push"))
    for seed in range(6):
        path = block_path(sim, seed, "shove")
        moved_m = float(np.linalg.norm(path[-1] - path[0]))
        assert 0.045 < moved_m < 0.115
        assert abs(path[-1, 2] - path[0, 2]) < 0.002  # it did not topple
        moving = np.flatnonzero(np.linalg.norm(np.diff(path, axis=0), axis=1) > 0.001)
        assert moving[0] / 30 > 0.08 * part.episode_s - 0.1 and moving[-1] / 30 < 0.5 * part.episode_s + 0.5
        assert moving[-1] - moving[0] < 15  # half a second: a shove, not a push
        for axis, (starts, goals) in enumerate(((part.object_x_m, part.goal_m[0]), (part.object_y_m, part.goal_m[1]))):
            low, high = min(starts.low, goals.low), max(starts.high, goals.high)
            assert low - 0.01 <= path[-1, axis] <= high + 0.01


def test_kept_shoving_comes_every_two_seconds_and_leaves_three_at_the_end(sim: Simulation) -> None:
    path = block_path(sim, 2, "keep_shoving")
    moving = np.flatnonzero(np.linalg.norm(np.diff(path, axis=0), axis=1) > 0.003)
    begins_s = [moving[0] / 30, *(later / 30 for earlier, later in pairwise(moving) if later - earlier > 15)]
    assert begins_s == pytest.approx([1.0, 3.0, 5.0], abs=0.1)


def test_what_is_hidden_is_not_seen_for_a_second(world: World) -> None:
    sim = Simulation(world, find_task("push"), TRAINING_CAMERA_SIZE)
    sim.reset(3, conditions=Conditions(perturb=("hide",)))
    album = ImageAlbum(sim, IMAGE)
    while (captured := sim.advance_to_next_frame()) is not None:
        album.add(captured)
    sim.close()
    seen = album.images().objects_seen[:, 0]
    hidden = np.flatnonzero(~seen)
    assert 28 <= len(hidden) <= 34 and hidden[-1] - hidden[0] == len(hidden) - 1
    assert 0.07 * len(seen) < hidden[0] < 0.51 * len(seen)


def test_a_world_may_ask_for_more_than_a_task_does(world: World) -> None:
    strict = world.with_tolerance_m(0.02)
    assert strict.episode_of(find_task("push")).tolerance_m == 0.02
    assert world.episode_of(find_task("push")).tolerance_m == 0.05


def test_generators_of_uses_stay_what_they_were() -> None:
    """Else episodes with a change or a fault would be others in every version."""
    drawn = [generator(7, use).integers(1000) for use in ("move_block", "occlude", "extra_latency_ms")]
    assert drawn == [_of_place(0), _of_place(6), _of_place(7)]


def _of_place(place: int) -> int:
    return int(np.random.default_rng(np.random.SeedSequence(7, spawn_key=(1000 + place,))).integers(1000))


def test_without_a_shove_the_block_lies_still(sim: Simulation) -> None:
    path = block_path(sim, 0, "push_arm", "switch_light", "bump_camera", "occlude")
    assert np.ptp(path, axis=0).max() < 5e-4  # it settles


def test_a_push_moves_the_arm_and_lets_go(sim: Simulation) -> None:
    def grips(*perturb: Perturbation) -> FloatArray:
        sim.reset(3, conditions=Conditions(perturb=perturb))
        path = []
        while (captured := sim.advance_to_next_frame()) is not None:
            path.append(captured.truth.grip_m)
        return np.array(path)

    off_m = np.linalg.norm(grips("push_arm") - grips(), axis=1)
    assert 0.003 < off_m.max() < 0.10
    assert off_m[-1] < 0.002 and off_m[5] < 1e-9


def test_a_bump_moves_the_camera_once_and_stays_within_the_episode(sim: Simulation) -> None:
    draw = sim.reset(2, conditions=Conditions(perturb=("bump_camera",)))
    camera = mujoco_of(sim).model.camera(CAMERA).id
    positions = [mujoco_of(sim).model.cam_pos[camera].copy()]
    while sim.advance_to_next_frame() is not None:
        positions.append(mujoco_of(sim).model.cam_pos[camera].copy())
    shifts_m = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    assert np.count_nonzero(shifts_m) == 1 and 0.005 <= shifts_m.max() <= 0.010
    assert np.allclose(positions[0], draw.camera.position_m)
    sim.reset(2)
    assert np.allclose(mujoco_of(sim).model.cam_pos[camera], positions[0])


def test_a_hand_crosses_the_line_of_sight_and_goes(sim: Simulation) -> None:
    draw = sim.reset(4, conditions=Conditions(perturb=("occlude",)))
    hand = mujoco_of(sim).model.geom(PASSERS[0]).id
    sight_m = draw.camera.position_m - draw.main_object.position_m
    unit = sight_m / np.linalg.norm(sight_m)
    off_sight_m = []
    while sim.advance_to_next_frame() is not None:
        if mujoco_of(sim).model.geom_rgba[hand, 3] > 0.0:
            offset = mujoco_of(sim).model.geom_pos[hand] - draw.main_object.position_m
            off_sight_m.append(float(np.linalg.norm(offset - (offset @ unit) * unit)))
    assert 20 < len(off_sight_m) < 90
    assert min(off_sight_m) < 0.02 < 0.3 < off_sight_m[0]
    assert mujoco_of(sim).model.geom_rgba[hand, 3] == 0.0


def test_a_goal_moves_at_its_frame_far_enough(sim: Simulation, world: World) -> None:
    draw = sim.reset(7, conditions=Conditions(perturb=("move_goal",)))
    change = draw_goal_change(world, draw, DifferentialIk(world.workcell.torso_height_m))
    goals = []
    while True:
        due = sim.due_goal_m()
        if sim.advance_to_next_frame() is None:
            break
        assert (due is not None) == (len(goals) == change.frame)
        goals.append(sim.goal_m)
    assert np.array_equal(goals[change.frame - 1], draw.goal_m) and np.array_equal(goals[change.frame], change.goal_m)
    after_s = (len(goals) - change.frame) / 30
    episode = world.episode_of(find_task("push"))
    assert after_s == pytest.approx(episode.episode_s, abs=0.15), "another goal has the time of a first one"
    assert np.linalg.norm(change.goal_m - draw.goal_m) >= episode.min_start_distance_m
    assert sim.distance_m() == pytest.approx(np.linalg.norm(sim.main_object().position_m - change.goal_m))


def test_what_is_not_asked_for_does_not_change(sim: Simulation) -> None:
    """Each use has a generator of its own: the same shove comes with or without the others."""
    alone, beside = block_path(sim, 1, "shove"), block_path(sim, 1, "push_arm", "switch_light", "shove")
    assert np.abs(alone - beside).max() < 0.02  # the arm's push is not near the block
    assert np.array_equal(block_path(sim, 1), block_path(sim, 1))


def test_faults_that_stay(world: World) -> None:
    draw = draw_episode(world, find_task("push"), 0, DifferentialIk(world.workcell.torso_height_m))
    faulty = with_faults(
        draw,
        Faults(
            extra_latency_ms=60.0, command_latency_ms=25.0, depth_noise_px=0.3, joint_bias_deg=1.0, calibration_mm=10.0,
            calibration_deg=2.0,
        ),
    )  # fmt: skip
    assert faulty.camera_latency_s == pytest.approx(draw.camera_latency_s + 0.060)
    assert faulty.command_latency_s == pytest.approx(draw.command_latency_s + 0.025)
    bias = faulty.dynamics.joint_offset_rad - draw.dynamics.joint_offset_rad
    assert np.allclose(np.abs(bias), np.deg2rad(1.0)) and len(set(np.sign(bias))) == 2
    assert np.linalg.norm(faulty.camera.position_m - draw.camera.position_m) == pytest.approx(0.010)
    turn = draw.camera.rotation.T @ faulty.camera.rotation
    assert np.degrees(np.arccos((np.trace(turn) - 1.0) / 2.0)) == pytest.approx(2.0)
    assert faulty.sensor.depth.noise_px == pytest.approx(np.hypot(draw.sensor.depth.noise_px, 0.3))
    assert np.array_equal(faulty.goal_m, draw.goal_m)


def test_frames_keep_their_order_under_jitter() -> None:
    schedule = FrameFaults(5, Faults(jitter_ms=120.0), TIMES)
    steps = np.array([schedule.publication_step(index) for index in range(180)])
    late = steps - np.arange(180) * PHYSICS_STEPS_PER_PERIOD - 24
    assert np.all(np.diff(steps) >= 4) and late.min() >= 0 and 20 < late.max() <= 60
    plain = FrameFaults(5, Faults(), TIMES)
    assert [plain.publication_step(index) for index in range(3)] == [24, 40, 56]


def test_shares_of_lost_and_frozen_frames() -> None:
    schedule = FrameFaults(1, Faults(drop_share=0.3, freeze_share=0.25), TIMES, 60_000)
    assert np.mean([schedule.is_lost(i) for i in range(60_000)]) == pytest.approx(0.3, abs=0.01)
    assert np.mean([schedule.is_repeated(i) for i in range(60_000)]) == pytest.approx(0.25, abs=0.02)
    assert not schedule.is_lost(0) and not schedule.is_repeated(0)


def test_lost_frames_never_come(sim: Simulation, world: World) -> None:
    sim.reset(0, conditions=Conditions(faults=Faults(drop_share=0.5)))
    stamps = []
    while (captured := sim.advance_to_next_frame()) is not None:
        stamps.append(captured.stamp_ns)
    gaps = np.rint(np.diff(stamps) / 1e9 * 30).astype(int)
    all_frames = world.episode_of(find_task("push")).episode_s * 30
    assert 0.35 < len(stamps) / all_frames < 0.65 and gaps.min() == 1 and gaps.max() >= 3
    assert sim.outcome().steps == len(stamps)


@pytest.mark.gl
def test_a_frozen_camera_gives_old_pictures_new_stamps(world: World) -> None:
    sim = Simulation(world.with_episode_s(1.5), find_task("push"), (64, 48))
    sim.reset(0, conditions=Conditions(faults=Faults(freeze_share=0.5)))
    frames = []
    while (captured := sim.advance_to_next_frame()) is not None:
        assert captured.frame is not None and captured.frame.stamp_ns == captured.stamp_ns
        frames.append(captured.frame)
    schedule = FrameFaults(0, Faults(freeze_share=0.5), TIMES)
    same = [a.rgb is b.rgb for a, b in pairwise(frames)]
    assert same == [schedule.is_repeated(index) for index in range(1, len(frames))] and any(same)
    sim.close()


def test_every_name_has_a_generator() -> None:
    from fetch_sim2real.sim.disturbances.conditions import generator

    first = {generator(0, name).random() for name in (*PERTURBATIONS, *FAULTS)}
    assert len(first) == len(PERTURBATIONS) + len(FAULTS)
