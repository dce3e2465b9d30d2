"""A dataset written for LeRobot and read back by LeRobot itself: numbers, colours and depths are those of the bag."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_bag import Message, messages, text_message, write_sqlite
from test_bundle import make_content, write_bundle
from typer.testing import CliRunner

from fetch_sim2real import graph
from fetch_sim2real.bags.export.episodes import find_episodes
from fetch_sim2real.bags.export.lerobot import (
    ACTION,
    COLOR,
    DEPTH,
    DONE,
    GOAL,
    STAMPS,
    STATE,
    SUCCESS,
    VELOCITY,
    values,
)
from fetch_sim2real.bags.export.steps import Step, read_steps
from fetch_sim2real.bags.reading import open_bag
from fetch_sim2real.bags.run import read_run
from fetch_sim2real.cli.export import app
from fetch_sim2real.policy.bundle import load_bundle

pytestmark = [pytest.mark.extras, pytest.mark.timeout(600)]
FRAMES = 6


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One episode; the operator's label says success."""
    policy = write_bundle(tmp_path_factory.mktemp("policies") / "tiny", make_content())
    label = '{"stamp": "", "event": "label", "operator": "ada", "detail": {"outcome": "success", "task": "push"}}'
    path = tmp_path_factory.mktemp("recorded") / "bag"
    content: list[Message] = [
        *messages(load_bundle(policy), FRAMES), text_message(graph.OPERATOR_EVENTS, 2000, label)
    ]  # fmt: skip
    return write_sqlite(path, content)


@pytest.fixture(scope="module")
def steps(bag: Path) -> list[Step]:
    recorded = open_bag(bag)
    run = read_run(recorded)
    return list(read_steps(recorded, run, find_episodes(run), Counter()))


@pytest.fixture(scope="module")
def dataset(bag: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The bag twice, so that there are two episodes, as LeRobot reads it."""
    reading = pytest.importorskip("lerobot.datasets.lerobot_dataset")
    output = tmp_path_factory.mktemp("exported") / "dataset"
    result = CliRunner().invoke(app, [str(bag), str(bag), "--to", "lerobot", "--output", str(output)])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in output.parent.iterdir()) == ["dataset"]
    return reading.LeRobotDataset("local/fetch_sim2real", root=output)


def test_every_frame_is_read_back_as_it_was_recorded(dataset: Any, steps: list[Step]) -> None:
    assert (dataset.num_episodes, len(dataset), dataset.fps) == (2, 2 * FRAMES, 30)
    for index, step in enumerate(steps + steps):
        item = dataset[index]
        is_last = index % FRAMES == FRAMES - 1
        depth = np.asarray(item[DEPTH])
        assert depth.shape == (1, *step.frame.depth_mm.shape)
        # LeRobot 0.4 reads the 16 bits as int16, 0.6 as float32.
        np.testing.assert_array_equal(depth[0].astype(np.int64), step.frame.depth_mm)
        color = np.rint(np.asarray(item[COLOR]) * 255.0).astype(np.uint8)
        np.testing.assert_array_equal(color.transpose(1, 2, 0), step.frame.rgb)
        for name, value in values(step, is_last).items():
            np.testing.assert_array_equal(np.atleast_1d(np.asarray(item[name])), value, err_msg=name)
        assert item["task"] == "push"
        assert (bool(item[DONE]), bool(item[SUCCESS])) == (is_last, is_last)


def test_joints_keep_their_names(dataset: Any) -> None:
    assert {STATE, VELOCITY, GOAL, ACTION, STAMPS} <= set(dataset.features)
    assert dataset.features[ACTION]["names"][0] == "shoulder_pan_joint.position"
    assert dataset.features[DEPTH]["info"]["depth_unit"] == "mm"


def test_statistics_of_depth_are_in_millimetres(dataset: Any, steps: list[Step]) -> None:
    depths = np.stack([step.frame.depth_mm for step in steps]).astype(np.float64)
    statistics = {name: np.asarray(value).item() for name, value in dataset.meta.stats[DEPTH].items()}
    assert (statistics["min"], statistics["max"]) == (depths.min(), depths.max())
    assert statistics["mean"] == pytest.approx(depths.mean(), rel=1e-3)
    assert statistics["std"] == pytest.approx(depths.std(), rel=1e-2)
    assert statistics["q50"] == pytest.approx(np.quantile(depths, 0.5), abs=5.0)
