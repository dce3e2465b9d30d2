"""World files: ranges, inheritance, and errors that name the value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.common.ranges import Range, scale_ranges
from fetch_sim2real.errors import WorldFileError
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.randomization.sample import draw_episode
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import built_in_names, find_task


def test_shipped_worlds_load_and_nominal_is_the_middle_of_timing() -> None:
    nominal, randomized = load_world("nominal", worlds_dir()), load_world("randomized", worlds_dir())
    assert nominal.timing.camera_latency_s.low == nominal.timing.camera_latency_s.high
    assert randomized.timing.camera_latency_s.low < nominal.timing.camera_latency_s.middle
    assert randomized.timing.camera_latency_s.high > nominal.timing.camera_latency_s.middle
    assert randomized.tasks == nominal.tasks


def test_own_world_states_only_what_differs(tmp_path: Path) -> None:
    (tmp_path / "dark.yaml").write_text("extends: nominal\nname: dark\nlight: {diffuse: [0.1, 0.2]}\n")
    world = load_world(str(tmp_path / "dark.yaml"), worlds_dir())
    assert (world.light.diffuse.low, world.light.diffuse.high) == (0.1, 0.2)
    assert world.light.ambient == load_world("nominal", worlds_dir()).light.ambient


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"block": {"mass_kg": [0.2, 0.1]}}, "block.mass_kg"),
        ({"block": {"mass_kg": "heavy"}}, "block.mass_kg"),
        ({"block": {"colour": [0, 0, 0]}}, "block.colour"),
        ({"table": {"color_hsv": [0.1, 0.2]}}, "table.color_hsv"),
        ({"tasks": {"push": {"episode_s": float("nan")}}}, "tasks.push.episode_s"),
        ({"light": {"diffuse": [0.1, float("inf")]}}, "light.diffuse"),
    ],
)
def test_impossible_values_are_named(tmp_path: Path, change: dict[str, object], named: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump({"extends": "nominal", "name": "bad", **change}))
    with pytest.raises(WorldFileError, match=named):
        load_world(str(path), worlds_dir())


def test_missing_world_lists_what_there_is() -> None:
    with pytest.raises(WorldFileError, match="nominal, randomized"):
        load_world("mars", worlds_dir())


def test_a_circle_of_extends_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b\n")
    (tmp_path / "b.yaml").write_text("extends: a\n")
    with pytest.raises(WorldFileError, match="extends itself"):
        load_world(str(tmp_path / "a.yaml"), worlds_dir())


def test_widening_a_range_does_not_shift_later_draws() -> None:
    fixed, wide = np.random.default_rng(3), np.random.default_rng(3)
    Range(low=1.0, high=1.0).draw(fixed)
    Range(low=0.0, high=9.0).draw(wide)
    assert fixed.random() == wide.random()


def test_wide_is_randomized_with_ranges_half_as_wide_again() -> None:
    randomized, wide = load_world("randomized", worlds_dir()), load_world("wide", worlds_dir())
    assert wide == scale_ranges(randomized, 1.5).model_copy(update={"name": wide.name, "description": wide.description})
    for narrow, broad in (
        (randomized.timing.camera_latency_s, wide.timing.camera_latency_s),
        (randomized.camera.rotation_error_deg[1], wide.camera.rotation_error_deg[1]),
        (randomized.objects["block"].color_hsv[0], wide.objects["block"].color_hsv[0]),
        (randomized.sensor.depth.noise_px, wide.sensor.depth.noise_px),
    ):
        assert broad.high - broad.low == pytest.approx(1.5 * (narrow.high - narrow.low))
        assert broad.middle == pytest.approx(narrow.middle)


def test_widening_stops_at_what_is_possible_and_leaves_the_task_alone() -> None:
    randomized, wide = load_world("randomized", worlds_dir()), load_world("wide", worlds_dir())
    assert (wide.sensor.depth.hole_share.low, wide.objects["block"].color_hsv[1].high) == (0.0, 1.0)
    assert wide.tasks == randomized.tasks
    assert wide.workcell.workspace_m == randomized.workcell.workspace_m
    assert wide.objects["block"].yaw_deg == randomized.objects["block"].yaw_deg


def test_a_widened_world_can_still_be_changed(tmp_path: Path) -> None:
    text = "extends: randomized\nwiden: 2\nname: own\nblock: {friction: [0.1, 0.2]}\n"
    (tmp_path / "own.yaml").write_text(text)
    world = load_world(str(tmp_path / "own.yaml"), worlds_dir())
    assert (world.objects["block"].friction.low, world.objects["block"].friction.high) == (0.1, 0.2)
    assert world.camera.fov_error_deg.high == 2 * load_world("randomized", worlds_dir()).camera.fov_error_deg.high


@pytest.mark.parametrize(
    "text", ["widen: 1.5\nname: a\n", "extends: nominal\nwiden: wide\n", "extends: nominal\nwiden: -1\n"]
)
def test_an_impossible_widening_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(WorldFileError, match="widen"):
        load_world(str(tmp_path / "a.yaml"), worlds_dir())


@pytest.mark.parametrize("task", built_in_names())
@pytest.mark.parametrize("name", ["wide", "gap"])
def test_every_task_can_be_drawn_in_the_harder_worlds(name: str, task: str) -> None:
    world = load_world(name, worlds_dir())
    ik = DifferentialIk(world.workcell.torso_height_m)
    for seed in range(5):
        draw_episode(world, find_task(task), seed, ik)


def test_gap_lies_outside_what_is_trained() -> None:
    randomized, gap = load_world("randomized", worlds_dir()), load_world("gap", worlds_dir())
    assert gap.objects["block"].friction.high < randomized.objects["block"].friction.low
    assert gap.robot.servo_stiffness_factor.high < randomized.robot.servo_stiffness_factor.low
    assert gap.robot.joint_damping_factor.low > randomized.robot.joint_damping_factor.high
    assert gap.objects["block"].contact_time_s.high < randomized.objects["block"].contact_time_s.low
    assert not set(gap.table.families) & set(randomized.table.families) and gap.table.images
    assert not set(gap.distractors.shapes) & set(randomized.distractors.shapes)
    assert gap.light.tint.low > randomized.light.tint.high
