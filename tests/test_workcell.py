"""The workcell: one section of a world file, read alike by safety, policy and simulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fetch_sim2real.control.action import target_box_of
from fetch_sim2real.errors import WorldFileError
from fetch_sim2real.paths import world_names, worlds_dir
from fetch_sim2real.sim.world_file import World, load_world
from fetch_sim2real.workcell import FORMER_SECTIONS, SIMULATION_SECTIONS, load_workcell

ALONE = """
workcell:
  torso_height_m: 0.3
  workspace_m: [[0.5, 0.8], [-0.3, 0.3], [0.75, 1.0]]
  table: {height_m: [0.70, 0.72], center_xy_m: [0.8, 0.1], size_xy_m: [0.6, 1.2]}
  camera: {position_m: [1.0, 0.6, 1.5], look_at_m: [0.6, 0.0, 0.8]}
"""


def written(folder: Path, text: str) -> str:
    path = folder / "own.yaml"
    path.write_text(text)
    return str(path)


def test_every_shipped_world_has_the_same_workcell_for_all_readers() -> None:
    for name in world_names():
        assert load_workcell(name, worlds_dir()) == load_world(name, worlds_dir()).workcell, name


def test_a_file_with_a_workcell_alone_is_enough_for_driver_and_policy(tmp_path: Path) -> None:
    workcell = load_workcell(written(tmp_path, ALONE), worlds_dir())
    scene = workcell.scene()
    assert (scene.torso_height_m, scene.workspace_lower_m, scene.workspace_upper_m) == (
        0.3, (0.5, -0.3, 0.75), (0.8, 0.3, 1.0),
    )  # fmt: skip
    # A table of varying height counts at its highest.
    (table,) = scene.tables
    assert np.allclose([table.lower_m, table.upper_m], [(0.5, -0.5, 0.0), (1.1, 0.7, 0.72)])
    assert np.allclose(target_box_of(workcell), [(0.51, -0.29, 0.76), (0.79, 0.29, 0.99)])


def test_a_simulation_needs_more_than_a_workcell(tmp_path: Path) -> None:
    with pytest.raises(WorldFileError, match="Field required"):
        load_world(written(tmp_path, ALONE), worlds_dir())


def test_a_widened_world_has_the_same_table_for_all_readers(tmp_path: Path) -> None:
    path = written(tmp_path, "extends: randomized\nwiden: 3\nname: own\nblock: {friction: [0.1, 0.2]}\n")
    workcell = load_workcell(path, worlds_dir())
    assert workcell.table.height_m.high == pytest.approx(0.75)
    assert workcell == load_world(path, worlds_dir()).workcell


def test_what_an_earlier_layout_says_is_taken(tmp_path: Path) -> None:
    earlier = (
        "robot: {torso_height_m: 0.31}",
        "table: {height_m: 0.74, contrast: 0.5}",
        "camera: {look_at_m: [0.6, 0, 0.7]}",
    )
    path = written(tmp_path, "\n".join(("extends: nominal", *earlier)))
    world = load_world(path, worlds_dir())
    assert world.workcell == load_workcell(path, worlds_dir())
    assert (world.workcell.torso_height_m, world.workcell.highest_table_m) == (0.31, 0.74)
    assert (world.workcell.camera.look_at_m, world.table.contrast.high) == ((0.6, 0.0, 0.7), 0.5)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("workcell: {table: {hieght_m: 0.7}}", "workcell.table.hieght_m"),
        ("workcel: {table: {height_m: 0.7}}", "workcel.*available: workcell"),
        ("table: {hieght_m: 0.7}", "hieght_m.*of 'table'.*belong to 'workcell'"),
        ("robot: {workspace: [[0.5, 0.8], [-0.3, 0.3], [0.75, 1.0]]}", "'workspace'.*of 'robot'"),
        ("workcell: {table: {height_m: 9}}", "workcell.table.height_m"),
        ("workcell: {torso_height_m: high}", "workcell.torso_height_m"),
        ("workcell: 3", "workcell"),
        ("workcell: {table: 3}\ntable: {height_m: 0.7}", "workcell.table"),
        ("workcell: {table: {height_m: 0.7}}\ntable: {height_m: 0.7}", "table.height_m.*also given"),
    ],
)
def test_what_makes_no_workcell_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(WorldFileError, match=named):
        load_workcell(written(tmp_path, f"extends: nominal\n{text}\n"), worlds_dir())


def test_the_other_sections_are_those_of_a_world() -> None:
    assert {"workcell", *SIMULATION_SECTIONS} == set(World.model_fields)
    for section, fields in FORMER_SECTIONS.items():
        record = World.model_fields[section].annotation
        assert record is not None and fields == tuple(record.model_fields), section
