"""Starts and goals of every task, and the object's nature in the simulation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
from mujoco_simulation import mujoco_of

from fetch_sim2real.errors import FetchSim2RealError, WorldFileError
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.mujoco.scene import object_body, object_joint
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.base import RED_BLOCK, Task, fixed, uniform
from fetch_sim2real.tasks.registry import built_in_names, find_task
from fetch_sim2real.types import BoolArray, FloatArray


@pytest.mark.parametrize("name", built_in_names())
def test_starts_repeat_are_unsolved_and_goals_lie_in_their_box(name: str) -> None:
    sim = Simulation(load_world("randomized", worlds_dir()), find_task(name), None)
    part = sim.episode_config
    seen = set()
    for seed in range(12):
        draw = sim.reset(seed)
        assert sim.distance_m() >= part.min_start_distance_m - 0.002
        for axis, value in zip(part.goal_m[:2], draw.goal_m, strict=False):
            assert axis.low <= value <= axis.high
        in_air = part.air_share > 0.0 and part.air_z_m.low <= draw.goal_m[2] <= part.air_z_m.high
        assert in_air or part.goal_m[2].low <= draw.goal_m[2] <= part.goal_m[2].high
        np.testing.assert_array_equal(draw.goal_m, sim.reset(seed).goal_m)
        seen.add((*draw.goal_m, *draw.main_object.position_m))
    assert len(seen) == 12


def test_half_of_the_goals_of_pick_and_place_are_in_the_air_or_more() -> None:
    sim = Simulation(load_world("nominal", worlds_dir()), find_task("pick_and_place"), None)
    heights = [sim.reset(seed).goal_m[2] for seed in range(40)]
    assert 0.3 < np.mean(np.array(heights) > 0.79) < 0.9


def test_in_reach_the_object_is_out_of_the_way() -> None:
    sim = Simulation(load_world("nominal", worlds_dir()), find_task("reach"), None)
    sim.reset(0)
    assert sim.main_object().position_m[0] < -1.0


def _slide_m(tmp_path: Path, friction: float) -> float:
    path = tmp_path / f"slippery_{friction}.yaml"
    path.write_text(f"extends: nominal\nname: slippery\nblock: {{friction: {friction}, drag: 0.0}}\n")
    sim = Simulation(load_world(str(path), worlds_dir()), find_task("push"), None)
    sim.reset(1)
    start = sim.main_object().position_m
    mujoco_of(sim).data.qvel[mujoco_of(sim).model.joint(object_joint("block")).dofadr[0]] = 0.3
    for _ in range(240):
        mujoco.mj_step(mujoco_of(sim).model, mujoco_of(sim).data)
    return float(np.linalg.norm(sim.main_object().position_m - start))


def test_the_objects_own_friction_decides_how_far_it_slides(tmp_path: Path) -> None:
    slippery, rough = _slide_m(tmp_path, 0.2), _slide_m(tmp_path, 0.6)
    # v^2 / (2 mu g)
    assert slippery == pytest.approx(0.3**2 / (2 * 0.2 * 9.81), rel=0.3)
    assert rough < 0.6 * slippery


def test_the_puck_is_a_cylinder_with_its_inertia() -> None:
    sim = Simulation(load_world("nominal", worlds_dir()), find_task("slide"), None)
    draw = sim.reset(0)
    body, model = draw.main_object.physics, mujoco_of(sim).model
    assert model.geom_type[model.geom(object_body("puck")).id] == mujoco.mjtGeom.mjGEOM_CYLINDER
    about_axis = 0.5 * body.mass_kg * body.half_extents_m[0] ** 2
    assert model.body_inertia[model.body(object_body("puck")).id][2] == pytest.approx(about_axis)


def test_unknown_tasks_are_named(tmp_path: Path) -> None:
    with pytest.raises(FetchSim2RealError, match="pick_and_place"):
        find_task("juggle")
    path = tmp_path / "odd.yaml"
    path.write_text("extends: nominal\nname: odd\ntasks: {juggle: {}}\n")
    with pytest.raises(WorldFileError):
        load_world(str(path), worlds_dir())
    path.write_text("extends: nominal\nname: odd\nobjects: {blok: {}}\n")
    with pytest.raises(
        WorldFileError, match=r"'objects'.*\['blok'\] are in no task, available: block, blue_block, puck"
    ):
        load_world(str(path), worlds_dir())


def test_a_world_changes_what_it_states_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "extends: nominal\nname: own\ntasks: {push: {tolerance_m: 0.02}}\nobjects: {block: {mass_kg: [0.2, 0.4]}}\n"
    )
    world, push = load_world(str(path), worlds_dir()), find_task("push")
    assert world.episode_of(push) == push.episode.model_copy(update={"tolerance_m": 0.02})
    mass_kg = uniform(0.2, 0.4)
    assert world.objects_of(push)["block"] == push.objects["block"].model_copy(update={"mass_kg": mass_kg})
    assert world.objects_of(find_task("slide")) == find_task("slide").objects
    assert world.with_episode_s(2.0).episode_of(push).episode_s == 2.0


def test_sections_of_an_earlier_layout_are_objects(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("extends: randomized\nname: own\nblock: {friction: [0.1, 0.2]}\npuck: {mass_kg: 0.3}\n")
    world = load_world(str(path), worlds_dir())
    block = world.objects_of(find_task("push"))["block"]
    assert block.friction == uniform(0.1, 0.2)
    assert block.half_size_m == uniform(0.022, 0.028), "what the world that is extended says stays"
    assert world.objects_of(find_task("slide"))["puck"].mass_kg == fixed(0.3)
    path.write_text("extends: nominal\nname: own\nblock: {}\nobjects: {block: {}}\n")
    with pytest.raises(WorldFileError, match="'block' is also given in 'objects'"):
        load_world(str(path), worlds_dir())


def test_names_of_tasks_are_those_of_their_files() -> None:
    assert built_in_names() == (
        "intercept",
        "pick_and_place",
        "push",
        "reach",
        "reach_block",
        "slide",
        "stack",
        "track",
    )
    assert [find_task(name).name for name in built_in_names()] == list(built_in_names())
    with pytest.raises(FetchSim2RealError, match=r"'pusch' is unknown, available: intercept, .*mean 'push'\?"):
        find_task("pusch")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"target": "cube"}, "target is 'cube', expected gripper, block"),
        ({"goal_frame": "table"}, "goal_frame is 'table', expected base_link, block"),
        ({"target": "block", "goal_frame": "block"}, "offsets from itself"),
        ({"name": "a task"}, "'a task' is no name"),
        ({"objects": {"gripper": RED_BLOCK}}, "an object is called 'gripper'"),
    ],
)
def test_a_task_that_cannot_be_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(FetchSim2RealError, match=said):
        Task(**{"name": "own", "description": "", "objects": {"block": RED_BLOCK}} | wrong)


def test_names_are_found_without_loading_a_task() -> None:
    code = (
        "import sys; from fetch_sim2real.tasks.registry import find_task, task_names; task_names();"
        "print(*sorted({'numpy', 'pydantic'} & set(sys.modules))); [find_task(name) for name in task_names()];"
        "print(*sorted({'torch', 'mujoco', 'mink', 'cv2'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == []


def test_a_stacked_block_counts_once_it_is_let_go() -> None:
    world, stack = load_world("randomized", worlds_dir()).with_episode_s(1.0), find_task("stack")
    block_m, blue_m = np.array([[0.6, 0.1, 0.79]] * 4), np.array([[0.6, 0.1, 0.74]] * 4)
    grip_m = block_m + np.array([[0.0, 0.0, z] for z in (0.0, 0.0, 0.05, 0.07)])
    allowed = stack.skills_allowed(
        grip_m, {"block": block_m, "blue_block": blue_m}, np.array([0.05, 0.028, 0.039, 0.0])
    )
    np.testing.assert_array_equal(allowed, [[True, True, last] for last in (True, False, False, True)])
    for held in (False, True):
        sim = Simulation(world, _Held(**vars(stack)) if held else stack, None)
        for seed in range(2):
            sample = sim.reset(seed)
            sim.engine.place_object("block", sample.objects["blue_block"].position_m + sample.goal_m, 0.3)
            sim.advance_to(sim.step + 480)
            assert sim.distance_m() < 0.01, "it stays on the other one"
            assert sim.outcome().success == (not held)


class _Held(Task):
    def skills_allowed(self, grip_m: FloatArray, *_: Any) -> BoolArray:
        return np.zeros((len(grip_m), len(self.skills)), bool)
