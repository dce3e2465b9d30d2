"""World files: ranges, inheritance, and errors that name the value."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from pydantic import BaseModel

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
@pytest.mark.parametrize("name", ["wide", "gap", "randomized_v2", "wide_v2", "gap_v2", "acceptance"])
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


def _ranges(record: BaseModel, prefix: str = "") -> Iterator[tuple[str, Range]]:
    """Every range of a world's section, by its path."""
    for name in type(record).model_fields:
        value = getattr(record, name)
        if isinstance(value, Range):
            yield f"{prefix}{name}", value
        elif isinstance(value, BaseModel):
            yield from _ranges(value, f"{prefix}{name}.")
        elif isinstance(value, tuple):
            yield from ((f"{prefix}{name}.{i}", each) for i, each in enumerate(value) if isinstance(each, Range))
        elif isinstance(value, dict):
            for key, each in value.items():
                yield from _ranges(each, f"{prefix}{name}.{key}.")


def _outside(name: str, of: str) -> set[str]:
    """Paths of a world's ranges that have nothing in common with another's."""
    trained = dict(_ranges(load_world(of, worlds_dir())))
    return {
        path
        for path, value in _ranges(load_world(name, worlds_dir()))
        if path in trained and (value.low > trained[path].high or value.high < trained[path].low)
    }


def test_the_later_gap_and_acceptance_lie_outside_what_is_trained() -> None:
    contact = {f"objects.block.{name}" for name in ("friction", "mass_kg", "contact_time_s", "contact_impedance")}
    servos = {"robot.servo_stiffness_factor", "robot.joint_damping_factor", "robot.finger_latency_s"}
    delays = {"timing.camera_latency_s", "timing.command_latency_s"}
    pose = {"camera.position_error_m.0", "camera.position_error_m.1"}
    gap = contact | servos | delays | pose
    gap |= {"objects.block.color_hsv.0", "objects.block.other_hues_deg.0", "light.tint", "camera.rotation_error_deg.2"}
    gap |= {"sensor.color.exposure", "sensor.color.gamma", "sensor.depth.noise_px", "sensor.video.jpeg_quality"}
    assert _outside("gap_v2", "randomized_v2") >= gap
    lab = contact | servos | delays | pose | {"robot.link_mass_factor", "robot.joint_backlash_deg"}
    lab |= {"light.diffuse", "light.ambient", "light.tint", "light.direction.0", "camera.rotation_error_deg.0"}
    lab |= {"workcell.table.height_m", "table.color_hsv.1"}
    assert _outside("acceptance", "randomized_v2") >= lab
    assert _outside("acceptance", "randomized") >= lab - {"robot.link_mass_factor", "robot.joint_backlash_deg"}


def test_the_later_worlds_contain_the_earlier_ones() -> None:
    later = dict(_ranges(load_world("randomized_v2", worlds_dir())))
    narrower = {
        path
        for path, value in _ranges(load_world("randomized", worlds_dir()))
        if not later[path].low <= value.low <= value.high <= later[path].high
    }
    # The size of what never happens there.
    assert narrower == {"pushes.arm_force_n", "pushes.object_jolt_m_s", "sensor.video.auto_exposure_rate"}


def test_the_later_wide_is_the_later_randomized_with_ranges_half_as_wide_again() -> None:
    randomized, wide = load_world("randomized_v2", worlds_dir()), load_world("wide_v2", worlds_dir())
    assert wide == scale_ranges(randomized, 1.5).model_copy(update={"name": wide.name, "description": wide.description})
    assert wide.objects["block"].other_hues_deg[0].low < randomized.objects["block"].other_hues_deg[0].low
    assert wide.robot.link_mass_factor.high > randomized.robot.link_mass_factor.high
