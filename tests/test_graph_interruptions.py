"""Lost and late frames, backlash and drift are the same through the graph in lockstep as in one process."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from test_graph_lockstep import EPISODE_S, TAPPED, assert_same_as_in_one_process, world

from benchmarks.rig.graph_harness import run_episode, simulated_graph, write_untrained_bundle
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.sim.randomization.sample import draw_episode
from fetch_sim2real.stack.options import SimGraphOptions
from fetch_sim2real.tasks.registry import find_task

pytestmark = [pytest.mark.ros, pytest.mark.gl]

WORLD = "randomized_v2"
SEED = 18


def test_an_interrupted_episode_is_the_same_through_the_graph(tmp_path: Path) -> None:
    drawn = draw_episode(world(WORLD), find_task("reach_block"), SEED, DifferentialIk(0.35))
    assert drawn.interruptions.drop_share > 0.01 and drawn.interruptions.late_share > 0.01
    assert drawn.unrest.arm_pushes and drawn.unrest.camera_rad_s.any()
    assert drawn.dynamics.mechanics.joint_backlash_rad.all()
    write_untrained_bundle(tmp_path / "bundle")
    options = SimGraphOptions(policy=str(tmp_path / "bundle"), world=WORLD, lockstep=True, episode_s=EPISODE_S)
    with simulated_graph(options, tmp_path / "graph", *TAPPED) as simulated:
        outcome = run_episode(simulated.operator, SEED)
        assert_same_as_in_one_process(simulated, tmp_path / "bundle", outcome, WORLD, SEED)
    assert outcome["steps"] < EPISODE_S * 30 - 3
