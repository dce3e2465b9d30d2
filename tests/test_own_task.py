"""A task of another installed package, with two objects, as docs/tasks.md shows it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from fetch_sim2real.errors import FetchSim2RealError, SetupError
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.disturbances.conditions import Conditions
from fetch_sim2real.sim.full_state import layout_of
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.tasks.registry import ENTRY_POINTS, built_in_names, find_task, task_names

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "tasks.md"

EXPORT: Final = """
import sys
from pathlib import Path
import fetch_sim2real.envs, gymnasium, torch
from fetch_sim2real.episode import make_loop
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.training.export import export_bundle
from fetch_sim2real.training.setup import Setting

env = gymnasium.make("FetchSim2Real/CubeOnSlab-v0")
seen, _ = env.reset(seed=3)
assert env.observation_space.contains(seen)
assert env.observation_space.contains(env.step(env.action_space.sample())[0])
setting = Setting("cube_on_slab", "nominal", True, None)
world = load_world("nominal", worlds_dir())
loop = make_loop(world, setting.definition, 1)
with torch.no_grad():
    export_bundle(Path(sys.argv[1]), setting.build_actor(0), world, loop, 0, "test", 0)
"""


def install(folder: Path, name: str, value: str, package: str = "slab-task") -> None:
    """Leave behind what pip does of a package that declares the task ``name``."""
    information = folder / f"{package}-0.1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1.0\n")
    (information / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{name} = {value}\n")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return a folder for ``PYTHONPATH`` that holds the page's package."""
    page, folder = PAGE.read_text(encoding="utf-8"), tmp_path / "site"
    folder.mkdir()
    ((name, value),) = re.findall(rf'entry-points."{re.escape(ENTRY_POINTS)}"\]\n(\w+) = "([\w:]+)"', page)
    install(folder, name, value)
    (source,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (folder / f"{value.partition(':')[0]}.py").write_text(source)
    return folder


@pytest.fixture
def cube_on_slab(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """Return the page's task."""
    monkeypatch.syspath_prepend(installed)
    monkeypatch.delitem(sys.modules, "cube_on_slab_task", raising=False)
    return find_task("cube_on_slab")


def fetch_sim2real(installed: Path, *arguments: object) -> str:
    """Run a command beside the installed package, outside the repository; return what it says."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)])}
    command = [sys.executable, *map(str, arguments)]
    result = subprocess.run(
        command, cwd=installed, env=environment, capture_output=True, text=True, timeout=170, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("world", ["nominal", "randomized", "wide", "gap"])
def test_both_objects_are_drawn_placed_and_told_by_name(cube_on_slab: Task, world: str) -> None:
    sim = Simulation(load_world(world, worlds_dir()), cube_on_slab, None)
    seen = set()
    for seed in range(6):
        sample = sim.reset(seed, Conditions(perturb=("move_block", "shove")))
        for name, each in sample.objects.items():
            np.testing.assert_allclose(sim.engine.object_state(name).position_m, each.position_m, atol=2e-3)
        gap_m = np.linalg.norm(sample.objects["cube"].position_m[:2] - sample.objects["slab"].position_m[:2])
        assert gap_m >= cube_on_slab.episode.min_object_distance_m
        for _ in range(10):
            sim.advance_to_next_frame()
        truth = sim.truth()
        assert set(truth.objects_m) == {"cube", "slab"}
        offset_m = truth.objects_m["cube"] - truth.objects_m["slab"]
        np.testing.assert_array_equal(sim.achieved_goal_m, offset_m)
        np.testing.assert_array_equal(truth.objects_m["slab"], sim.engine.object_state("slab").position_m)
        seen.add(tuple(offset_m))
    assert len(seen) == 6, "episodes differ"


def test_an_object_rests_on_the_other(cube_on_slab: Task) -> None:
    sim = Simulation(load_world("nominal", worlds_dir()), cube_on_slab, None)
    sample = sim.reset(0)
    place_m = sample.objects["slab"].position_m + sample.goal_m
    sim.engine.place_object("cube", place_m, 0.0)
    for _ in range(30):
        sim.advance_to_next_frame()
    assert sim.distance_m() < 0.003
    assert sim.outcome().success is False, "its time is not over"


def test_each_object_has_its_own_parts_of_the_full_state(cube_on_slab: Task) -> None:
    one, two = layout_of(find_task("push"), 3), layout_of(cube_on_slab, 3)
    assert two.size == one.size + 3 + 6 + 6 + 3
    assert {"cube.position", "slab.position", "cube.nature", "slab.nature"} <= set(two.names)
    covered = np.concatenate([np.arange(two.size)[two[name]] for name in two.names])
    np.testing.assert_array_equal(covered, np.arange(two.size))


@pytest.mark.gl
def test_environment_training_measuring_and_export(installed: Path) -> None:
    bundle = installed / "bundle"
    fetch_sim2real(installed, "-c", EXPORT, bundle)
    cli = ("-m", "fetch_sim2real.cli.main")
    said = fetch_sim2real(
        installed, *cli, "measure", bundle, "--world", "nominal", "--episodes", 1, "--control", "do-nothing"
    )
    assert "0 of 1 succeed" in said
    pytest.importorskip("matplotlib")
    fetch_sim2real(
        installed, *cli, "train", "cube_on_slab", "--stage", "expert", "--run", installed / "run", "--expert-steps", 60,
        "--episodes", 0, "--processes", 1, "--world", "nominal",
    )  # fmt: skip
    assert (installed / "run" / "summary.json").exists()


@pytest.mark.ros
@pytest.mark.gl
def test_the_graph_runs_an_episode(installed: Path) -> None:
    pytest.importorskip("rclpy")
    bundle = installed / "bundle"
    fetch_sim2real(installed, "-c", EXPORT, bundle)
    said = fetch_sim2real(
        installed, "-m", "fetch_sim2real.cli.main", "sim", "--policy", bundle, "--world", "nominal", "--episodes", 1,
        "--seed", 1, "--no-record",
    )  # fmt: skip
    assert "0 of 1" in said


def test_a_package_that_is_broken_disturbs_only_its_own_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_task.py").write_text("import a_module_that_nobody_has\n")
    install(tmp_path, "broken", "broken_task:TASK", "broken-task")
    monkeypatch.syspath_prepend(tmp_path)
    assert task_names() == (*built_in_names(), "broken")
    assert find_task("push").name == "push"
    with pytest.raises(SetupError, match=r"'broken' of the package broken-task \(broken_task:TASK\) cannot be loaded"):
        find_task("broken")
    with pytest.raises(FetchSim2RealError, match="did you mean 'broken'"):
        find_task("brokn")


def test_two_tasks_of_one_name_are_refused(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(installed)
    other = tmp_path / "other"
    other.mkdir()
    install(other, "cube_on_slab", "other_task:TASK", "other-task")
    install(tmp_path, "push", "mine:TASK", "mine")
    monkeypatch.syspath_prepend(other)
    with pytest.raises(SetupError, match=r"several packages have a task 'cube_on_slab': .*other-task"):
        find_task("cube_on_slab")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SetupError, match=r"several packages have a task 'push': mine \(mine:TASK\), fetch_sim2real"):
        find_task("push")


def test_what_is_no_task_or_has_another_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odd_task.py").write_text("from fetch_sim2real.tasks.push import TASK\nWRONG = 'push'\n")
    install(tmp_path, "odd", "odd_task:WRONG", "odd-task")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SetupError, match=r"'odd' of the package odd-task \(odd_task:WRONG\) is a str, expected"):
        find_task("odd")
    (tmp_path / "odd-task-0.1.0.dist-info" / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\nodd = odd_task:TASK\n")
    with pytest.raises(SetupError, match="calls itself 'push'"):
        find_task("odd")
