"""Episodes of worlds that actors were trained in stay the same, whatever else can be randomized."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.randomization.sample import draw_episode
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.tasks.registry import find_task

# What was not drawn when the hashes were made.
_LATER: Final = {"mechanics", "interruptions", "unrest", "video", "obstacles", "torsional_friction_m", "center_m"}


def _leaves(value: Any) -> Iterator[str]:
    """Every number and word of a sample, in order; numbers to nine digits, which every processor agrees about."""
    if isinstance(value, Task):
        yield value.name
    elif is_dataclass(value):
        for field in fields(value):
            if field.name not in _LATER:
                yield field.name
                yield from _leaves(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield key
            yield from _leaves(each)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _leaves(each)
    elif isinstance(value, np.ndarray):
        yield from (f"{number:.9g}" for number in np.round(value, 12).ravel() + 0.0)
    elif isinstance(value, float):
        yield f"{value:.9g}"
    else:
        yield value.name if isinstance(value, Path) else str(value)


def _digest(world_name: str, task: str) -> str:
    world = load_world(world_name, worlds_dir())
    ik = DifferentialIk(world.workcell.torso_height_m)
    text = "\n".join(leaf for seed in range(10) for leaf in _leaves(draw_episode(world, find_task(task), seed, ik)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


HASHES: Final = {
    ("nominal", "push"): "723e44581b30fb03",
    ("nominal", "pick_and_place"): "57677a49d5912dc1",
    ("nominal", "stack"): "fd269ab65a54a005",
    ("randomized", "push"): "c5f33d519e3dfdf9",
    ("randomized", "pick_and_place"): "07fbc428ea74269e",
    ("randomized", "stack"): "c16d2db5f281a64a",
    ("wide", "push"): "5f7b75f32a5ab6f4",
    ("wide", "pick_and_place"): "a54cf02a30ae395c",
    ("wide", "stack"): "fda34b8c6720b5d7",
    ("gap", "push"): "eb25397a72193ef7",
    ("gap", "pick_and_place"): "def7926fed37cb40",
    ("gap", "stack"): "46d10206b5495257",
}


@pytest.mark.parametrize(("world", "task"), HASHES)
def test_episodes_are_those_of_earlier_versions(world: str, task: str) -> None:
    assert _digest(world, task) == HASHES[world, task]
