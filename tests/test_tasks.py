"""Starts and goals of every task, and the object's nature in the simulation."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
from mujoco_simulation import mujoco_of

from fetch_sim2real.errors import FetchSim2RealError, WorldFileError
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.mujoco.scene import BLOCK, BLOCK_JOINT
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import TASKS, find_task


@pytest.mark.parametrize("name", TASKS)
def test_starts_repeat_are_unsolved_and_goals_lie_in_their_box(name: str) -> None:
    sim = Simulation(load_world("randomized", worlds_dir()), find_task(name), None)
    part = sim.task_part
    seen = set()
    for seed in range(12):
        draw = sim.reset(seed)
        assert sim.distance_m() >= part.min_start_distance_m - 0.002
        for axis, value in zip(part.goal_m[:2], draw.goal_m, strict=False):
            assert axis.low <= value <= axis.high
        in_air = part.air_share > 0.0 and part.air_z_m.low <= draw.goal_m[2] <= part.air_z_m.high
        assert in_air or part.goal_m[2].low <= draw.goal_m[2] <= part.goal_m[2].high
        np.testing.assert_array_equal(draw.goal_m, sim.reset(seed).goal_m)
        seen.add(tuple(draw.goal_m))
    assert len(seen) == 12


def test_half_of_the_goals_of_pick_and_place_are_in_the_air_or_more() -> None:
    sim = Simulation(load_world("nominal", worlds_dir()), find_task("pick_and_place"), None)
    heights = [sim.reset(seed).goal_m[2] for seed in range(40)]
    assert 0.3 < np.mean(np.array(heights) > 0.79) < 0.9


def test_in_reach_the_object_is_out_of_the_way() -> None:
    sim = Simulation(load_world("nominal", worlds_dir()), find_task("reach"), None)
    sim.reset(0)
    assert sim.block_position_m[0] < -1.0


def _slide_m(tmp_path: Path, friction: float) -> float:
    path = tmp_path / f"slippery_{friction}.yaml"
    path.write_text(f"extends: nominal\nname: slippery\nblock: {{friction: {friction}, drag: 0.0}}\n")
    sim = Simulation(load_world(str(path), worlds_dir()), find_task("push"), None)
    sim.reset(1)
    start = sim.block_position_m
    mujoco_of(sim).data.qvel[mujoco_of(sim).model.joint(BLOCK_JOINT).dofadr[0]] = 0.3
    for _ in range(240):
        mujoco.mj_step(mujoco_of(sim).model, mujoco_of(sim).data)
    return float(np.linalg.norm(sim.block_position_m - start))


def test_the_objects_own_friction_decides_how_far_it_slides(tmp_path: Path) -> None:
    slippery, rough = _slide_m(tmp_path, 0.2), _slide_m(tmp_path, 0.6)
    # v^2 / (2 mu g)
    assert slippery == pytest.approx(0.3**2 / (2 * 0.2 * 9.81), rel=0.3)
    assert rough < 0.6 * slippery


def test_the_puck_is_a_cylinder_with_its_inertia() -> None:
    sim = Simulation(load_world("nominal", worlds_dir()), find_task("slide"), None)
    draw = sim.reset(0)
    thing, model = draw.dynamics.object, mujoco_of(sim).model
    assert model.geom_type[model.geom(BLOCK).id] == mujoco.mjtGeom.mjGEOM_CYLINDER
    about_axis = 0.5 * thing.mass_kg * thing.half_extents_m[0] ** 2
    assert model.body_inertia[model.body(BLOCK).id][2] == pytest.approx(about_axis)


def test_unknown_tasks_are_named(tmp_path: Path) -> None:
    with pytest.raises(FetchSim2RealError, match="pick_and_place"):
        find_task("juggle")
    path = tmp_path / "odd.yaml"
    path.write_text("extends: nominal\nname: odd\ntasks: {juggle: {}}\n")
    with pytest.raises(WorldFileError):
        load_world(str(path), worlds_dir())
    world = load_world("nominal", worlds_dir())
    bare = world.model_copy(update={"tasks": {}})
    with pytest.raises(WorldFileError, match="nothing about the task 'push'"):
        bare.task("push")
