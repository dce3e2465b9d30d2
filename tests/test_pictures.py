"""Pictures for the encoder: the same however many processes take them, and taken once."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from fetch_sim2real.errors import WorldFileError
from fetch_sim2real.sim.full_state import layout_of
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.encoder_dataset import take_pictures
from fetch_sim2real.training.labelled_images import PoseImages
from fetch_sim2real.training.relay_config import RelayConfig
from fetch_sim2real.training.relay_her import SkillActor
from fetch_sim2real.training.relay_rollout import LAST_ACTIONS
from fetch_sim2real.training.run_directory import RunDirectory
from fetch_sim2real.training.teacher import Expert

_COUNTS = {"held": 3, "train": 8}
_CONFIG = RelayConfig(hidden=8, layers=1)


@pytest.fixture(scope="module")
def expert() -> Expert:
    """A teacher that knows nothing."""
    task = find_task("push")
    actor = SkillActor(layout_of(task, LAST_ACTIONS).size, task.skills, _CONFIG)
    return Expert("push", _CONFIG, {name: value.numpy() for name, value in actor.state_dict().items()})


def test_two_processes_take_the_same_pictures_as_one_and_only_once(expert: Expert, tmp_path: Path) -> None:
    alone, beside = (RunDirectory(tmp_path / name) for name in ("alone", "beside"))
    expected = take_pictures(alone, expert, "nominal", 0, _COUNTS, processes=1)
    taken = take_pictures(beside, expert, "nominal", 0, _COUNTS, processes=2)
    for one, other in zip(expected, taken, strict=True):
        for array in fields(PoseImages):
            np.testing.assert_array_equal(getattr(one, array.name), getattr(other, array.name))
    written = {path: path.stat().st_mtime_ns for path in beside.path.iterdir()}
    take_pictures(beside, expert, "nominal", 0, _COUNTS, processes=2)
    assert {path: path.stat().st_mtime_ns for path in beside.path.iterdir()} == written


def test_what_goes_wrong_in_a_process_is_told(expert: Expert, tmp_path: Path) -> None:
    with pytest.raises(WorldFileError, match="no_such_world"):
        take_pictures(RunDirectory(tmp_path), expert, "no_such_world", 0, _COUNTS, processes=2)
