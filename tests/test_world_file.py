"""World files: ranges, inheritance, and errors that name the value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from fetch_sim2real.errors import WorldFileError
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.ranges import Range
from fetch_sim2real.sim.world_file import load_world


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
