"""Where the gripper is aimed ends before the safety filter takes from its motion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fetch_sim2real.control.action import box_text, box_told, common_box, target_box_of
from fetch_sim2real.episode import ActionSettings, ClosedLoop
from fetch_sim2real.errors import SetupError
from fetch_sim2real.paths import find_policy, worlds_dir
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import World, load_world
from fetch_sim2real.tasks.registry import find_task


def world_with(tmp_path: Path, text: str) -> World:
    path = tmp_path / "own.yaml"
    path.write_text(f"extends: nominal\nname: own\n{text}\n")
    return load_world(str(path), worlds_dir())


def swept_m(world: World) -> float:
    """How far the gripper comes in half a second to the side while the actor also wants it down on the table."""
    manifest = load_bundle(find_policy("push")).manifest
    loop = ClosedLoop(Simulation(world, find_task("reach_block"), None), ActionSettings.of_bundle(manifest))
    loop.reset(3)
    places = []
    for step in range(60):
        captured = loop.next_frame()
        assert captured is not None
        aside = 0.0 if step < 40 else -np.sign(places[39][1])
        loop.act(np.array([0.0, 0.4 * aside, -1.0, 0.0]), captured)
        places.append(loop.sim.truth().grip_m.copy())
    loop.sim.close()
    assert places[39][2] == pytest.approx(places[-1][2], abs=0.006), "it was down before it went aside"
    return float(abs(places[-1][1] - places[39][1]))


def test_a_higher_table_or_a_smaller_workspace_is_slid_along(tmp_path: Path) -> None:
    known = swept_m(load_world("nominal", worlds_dir()))
    assert known > 0.08
    assert swept_m(world_with(tmp_path, "workcell: {table: {height_m: 0.745}}")) > 0.8 * known
    higher_floor = "workcell: {workspace_m: [[0.46, 0.82], [-0.32, 0.32], [0.78, 1.0]]}"
    assert swept_m(world_with(tmp_path, higher_floor)) > 0.8 * known


def test_in_the_worlds_of_training_nothing_is_taken_from_what_an_actor_was_trained_with() -> None:
    for policy in ("reach_block", "push", "pick_and_place"):
        own = load_bundle(find_policy(policy)).manifest.action.target_box_m
        for name in ("nominal", "randomized", "gap"):
            common = common_box(own, target_box_of(load_world(name, worlds_dir()).workcell))
            assert np.array_equal(common, own), f"bit for bit: {policy} in {name}"


def test_boxes_with_nothing_in_common_are_named(tmp_path: Path) -> None:
    own = load_bundle(find_policy("push")).manifest.action.target_box_m
    elsewhere = world_with(tmp_path, "workcell: {workspace_m: [[0.90, 1.20], [-0.32, 0.32], [0.745, 1.0]]}")
    with pytest.raises(SetupError, match=r"0\.81.*0\.91.*workspace_m"):
        common_box(own, target_box_of(elsewhere.workcell))


def test_a_box_is_told_bit_for_bit() -> None:
    box = np.array([0.1 + 0.2, -0.3, 0.755]), np.array([0.9, 1 / 3, 1.0])
    told = box_told(box_text(box))
    assert told is not None and np.array_equal(told, box)
    assert box_told("") is None
    for wrong in ("[1, 2]", "nonsense", "[[1, 2], [3, 4]]"):
        with pytest.raises(SetupError, match="world_box_m"):
            box_told(wrong)
