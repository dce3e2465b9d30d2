"""Unplanned changes, faults and baselines through the graph: the same episode as in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")

from rclpy.parameter import Parameter

from benchmarks.rig.graph_harness import set_parameter, simulated_graph
from fetch_sim2real import graph
from fetch_sim2real.episode import ActionSettings, ClosedLoop, EpisodeRunner, EpisodeStart, PolicyAgent
from fetch_sim2real.evaluation.open_loop import policy_at
from fetch_sim2real.paths import find_policy, worlds_dir
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.policy.look_rate import LookRate
from fetch_sim2real.policy.runtime import PolicyRuntime
from fetch_sim2real.ros.simulation_client import SimulationClient
from fetch_sim2real.sim.disturbances.conditions import Conditions, Faults
from fetch_sim2real.sim.simulation import Outcome, Simulation
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.stack.options import SimGraphOptions
from fetch_sim2real.tasks.registry import find_task

pytestmark = [pytest.mark.ros, pytest.mark.gl]

EPISODE_S = 1.5
EVERYTHING = Conditions(
    perturb=("shove", "move_goal", "push_arm", "bump_camera", "switch_light", "occlude"),
    faults=Faults(
        extra_latency_ms=20.0, command_latency_ms=15.0, jitter_ms=40.0, drop_share=0.1, freeze_share=0.2,
        depth_noise_px=0.1, joint_bias_deg=0.3, calibration_mm=4.0, calibration_deg=0.5,
    ),
)  # fmt: skip


def run_episode(operator: SimulationClient, seed: int, conditions: Conditions) -> dict[str, Any]:
    start = operator.reset(seed, False, conditions)
    operator.state_goal(start)
    operator.enable_driver()
    outcome = operator.run_to_outcome(60.0)
    operator.stack.demand(graph.DRIVER_DISABLE)
    return outcome


def in_one_process(world_file: str, seed: int, conditions: Conditions, look: LookRate) -> Outcome:
    bundle = load_bundle(find_policy("push"))
    world = load_world(world_file, worlds_dir()).with_episode_s(EPISODE_S)
    loop = ClosedLoop(Simulation(world, find_task("push"), (424, 240)), ActionSettings.of_bundle(bundle.manifest))
    runtime = PolicyRuntime.of_bundle(bundle, policy_at(bundle, look))
    runner = EpisodeRunner([loop])
    (outcome,) = runner.run(PolicyAgent(runtime), [EpisodeStart(seed, conditions)])
    runner.close()
    return outcome


def test_the_graph_gives_the_same_episode(tmp_path: Path) -> None:
    world = tmp_path / "higher.yaml"
    # A table that the actor was not trained for: policy node and driver have to reckon with the same.
    world.write_text("extends: randomized\nname: higher\nworkcell: {table: {height_m: [0.74, 0.745]}}\n")
    options = SimGraphOptions(policy="push", world=str(world), episode_s=EPISODE_S, look="each-second")
    with simulated_graph(options, tmp_path) as simulated:
        wrong = Parameter("conditions", value='{"perturb": ["earthquake"]}')
        succeeded, reason = set_parameter(simulated.session, graph.SIM_BRIDGE, wrong)
        assert not succeeded and "shove" in reason  # what is possible is named
        outcome = run_episode(simulated.operator, 5, EVERYTHING)
    expected = in_one_process(str(world), 5, EVERYTHING, "each-second")
    # The goal moves at the latest halfway, and the time begins anew.
    assert outcome["steps"] == expected.steps < 1.6 * EPISODE_S * 30
    assert outcome["final_distance_m"] == expected.final_distance_m
