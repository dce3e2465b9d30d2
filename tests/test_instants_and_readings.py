"""When colour, depth and frames are taken and come, what encoders report, and the shapes of the block."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
import yaml
from mujoco_simulation import mujoco_of

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.engine import Truth
from fetch_sim2real.sim.mujoco.scene import object_body
from fetch_sim2real.sim.randomization.sample import draw_episode
from fetch_sim2real.sim.sensors.camera_timing import CameraTiming, FrameTimes, Picture
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.steps import stamp_of_step, steps_of
from fetch_sim2real.sim.world_file import World, load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.timing import CONTROL_PERIOD_S, PHYSICS_STEPS_PER_PERIOD
from fetch_sim2real.types import FloatArray, JointTrajectory, RgbdFrame, TrajectoryPoint

FIRST = 480


def own_world(folder: Path, change: dict[str, object], base: str = "nominal") -> World:
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({"extends": base, "name": "own", **change}))
    return load_world(str(path), worlds_dir())


class _Asked:
    """Stands in for an engine: notes of which moments pictures are asked for."""

    def __init__(self) -> None:
        self.requests: list[tuple[int, int, int | None]] = []
        self.earlier: list[list[int]] = []

    def take(
        self, color: FloatArray, stamp_ns: int, depth: FloatArray | None, earlier: Sequence[FloatArray]
    ) -> Future[Picture]:
        self.earlier.append([int(each[0]) for each in earlier])
        self.requests.append((stamp_ns, int(color[0]), None if depth is None else int(depth[0])))
        done: Future[Picture] = Future()
        done.set_result(Picture(RgbdFrame(stamp_ns, np.zeros(0, np.uint8), np.zeros(0, np.uint16)), 0.0, 0.0))
        return done


def _run(times: FrameTimes, picture_every: int = 1) -> tuple[list[tuple[int, int, int | None]], list[int]]:
    """What is asked for, and the steps at which frames come, in six periods whose positions are the step."""
    asked, came = _Asked(), []
    timing = CameraTiming(times, asked.take, picture_every)
    truth = Truth(np.zeros(3), {})
    for step in range(FIRST, FIRST + 6 * PHYSICS_STEPS_PER_PERIOD):
        if timing.is_due(step):
            timing.take(step, partial(np.array, [step]), truth)
        if step == timing.next_publication_step():
            came.append(step)
            timing.publish()
    return asked.requests, came


@pytest.mark.parametrize("skew", [-14, -7, 3, 7])
def test_depth_is_of_its_own_moment_and_the_stamp_of_colours(skew: int) -> None:
    requests, came = _run(FrameTimes(FIRST, 14, skew, (0,)))
    colors = [FIRST + k * PHYSICS_STEPS_PER_PERIOD for k in range(len(requests))]
    assert len(colors) >= 5
    assert requests == [(stamp_of_step(color), color, max(FIRST, color + skew)) for color in colors]
    assert came == [color + 14 for color in colors[: len(came)]]


def test_without_skew_one_picture_is_asked_for_and_only_where_one_is_wanted() -> None:
    requests, came = _run(FrameTimes(FIRST, 14, 0, (0,)), picture_every=2)
    assert [(color, depth) for _, color, depth in requests] == [(FIRST + 32 * k, None) for k in range(3)]
    assert len(came) == 6


def test_a_frame_does_not_come_before_its_depth() -> None:
    _, came = _run(FrameTimes(FIRST, 2, 5, (0, -2, 2)))
    assert came == [FIRST + k * PHYSICS_STEPS_PER_PERIOD + 5 for k in range(len(came))]


@pytest.mark.gl
def test_skew_changes_the_depth_of_what_moves_and_nothing_else(tmp_path: Path) -> None:
    pictures = []
    for skew_s in (0.0, 0.0125):
        sim = Simulation(own_world(tmp_path, {"timing": {"depth_skew_s": skew_s}}), find_task("reach"), (84, 84))
        sim.reset(2)
        target = sim.measured().position + np.array([0.4, 0, 0, 0, 0, 0, 0])
        sim.send_arm(JointTrajectory(ARM.joint_names, (TrajectoryPoint(0.4, target, np.zeros(7)),)))
        frames = [sim.advance_to_next_frame() for _ in range(8)]
        pictures.append([captured.frame for captured in frames if captured and captured.frame])
        sim.close()
    for together, skewed in zip(*pictures, strict=True):
        assert together.stamp_ns == skewed.stamp_ns
        np.testing.assert_array_equal(together.rgb, skewed.rgb)
    share = [np.mean(a.depth_mm != b.depth_mm) for a, b in zip(*pictures, strict=True)]
    # The arm has hardly begun to move at the first frame.
    assert share[0] < 0.001 and 0.002 < share[-1] < 0.2


def test_frames_come_unevenly_by_what_the_world_says_and_the_seed_decides(tmp_path: Path) -> None:
    world = own_world(tmp_path, {"timing": {"publication_jitter_s": 0.004}})
    sim = Simulation(world, find_task("push"), None)
    runs: list[FloatArray] = []
    for seed in (1, 1, 2):
        draw = sim.reset(seed)
        late, stamps = [], []
        while (captured := sim.advance_to_next_frame()) is not None:
            late.append(sim.now_ns - captured.stamp_ns)
            stamps.append(captured.stamp_ns)
        assert np.ptp(np.diff(stamps)) <= 1
        runs.append(np.array(late) * 1e-9 - draw.camera_latency_s)
    assert np.abs(runs[0]).max() < 0.004 + CONTROL_PERIOD_S / PHYSICS_STEPS_PER_PERIOD
    assert len(np.unique(np.rint(runs[0] * 1e6))) == 2 * steps_of(0.004) + 1
    np.testing.assert_allclose(runs[0], runs[1], atol=1e-8)
    assert np.abs(runs[0] - runs[2]).max() > 1e-3


def test_encoders_report_steps_with_noise_that_asking_does_not_change(tmp_path: Path) -> None:
    errors = {"encoder_step_deg": 0.1, "encoder_noise_deg": 0.2, "velocity_noise_deg_s": 0.5}
    sim = Simulation(own_world(tmp_path, {"robot": errors}), find_task("push"), None)
    runs: list[list[Any]] = []
    for asks in (0, 3):
        sim.reset(4)
        true = sim.true_arm_position()
        while sim.advance_to_next_frame() is not None:
            for _ in range(asks):
                sim.measured()
        runs.append(sim.take_joint_samples())
    position, again = (np.array([sample.position for sample in run]) for run in runs)
    np.testing.assert_array_equal(position, again)
    steps = np.rad2deg(position) / 0.1
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-6)
    # Nothing moves the arm: what varies is noise.
    assert np.rad2deg(np.std(position - true, axis=0)) == pytest.approx(np.full(7, 0.2), rel=0.15)
    velocity = np.array([sample.velocity for sample in runs[0]])
    assert np.rad2deg(np.std(velocity, axis=0)) == pytest.approx(np.full(7, 0.5), rel=0.15)


@pytest.mark.parametrize("task", ["push", "pick_and_place"])
def test_gap_has_blocks_of_three_shapes_that_change_nothing_else(task: str, tmp_path: Path) -> None:
    gap = load_world("gap", worlds_dir())
    boxes = own_world(tmp_path, {"block": {"shape": ["box"]}}, base="gap")
    ik = DifferentialIk(gap.workcell.torso_height_m)
    seen = set()
    for seed in range(12):
        draw, box = (draw_episode(world, find_task(task), seed, ik) for world in (gap, boxes))
        item, cube = draw.main_object.physics, box.main_object.physics
        flat = item.half_extents_m[2] < 0.8 * item.half_extents_m[0]
        seen.add((item.shape, bool(flat)))
        assert (item.mass_kg, item.friction) == (cube.mass_kg, cube.friction)
        np.testing.assert_array_equal(draw.goal_m, box.goal_m)
        np.testing.assert_array_equal(draw.main_object.position_m[:2], box.main_object.position_m[:2])
        np.testing.assert_array_equal(draw.arm_start_rad, box.arm_start_rad)
        np.testing.assert_array_equal(draw.appearance.object_rgb["block"], box.appearance.object_rgb["block"])
        if not flat and item.shape == "box":
            np.testing.assert_array_equal(item.half_extents_m, cube.half_extents_m)
        assert draw.main_object.position_m[2] == pytest.approx(draw.dynamics.table_height_m + item.half_extents_m[2])
    assert seen == {("box", False), ("box", True), ("cylinder", False)}


def test_every_shape_lies_still_where_it_is_put() -> None:
    sim = Simulation(load_world("gap", worlds_dir()), find_task("push"), None)
    shapes = set()
    for seed in range(6):
        draw = sim.reset(seed)
        shapes.add(int(mujoco_of(sim).model.geom_type[mujoco_of(sim).model.geom(object_body("block")).id]))
        sim.advance_to(sim.step + 480)
        np.testing.assert_allclose(sim.main_object().position_m, draw.main_object.position_m, atol=2e-3)
    assert shapes == {int(mujoco.mjtGeom.mjGEOM_BOX), int(mujoco.mjtGeom.mjGEOM_CYLINDER)}


def test_nominal_has_none_of_it() -> None:
    world = load_world("nominal", worlds_dir())
    draw = draw_episode(world, find_task("push"), 0, DifferentialIk(world.workcell.torso_height_m))
    assert draw.depth_skew_s == draw.publication_jitter_s == 0.0
    assert replace(draw.encoders, seed=0) == type(draw.encoders)(0.0, 0.0, 0.0, 0)
    assert world.objects_of(find_task("push"))["block"].shape == ("box",)
