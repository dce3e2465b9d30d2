"""The whole simulated graph in lockstep: complete, repeatable to the bit, and the same as the loop in one process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState

from benchmarks.rig.graph_harness import (
    SimulatedGraph,
    call,
    run_episode,
    set_parameter,
    simulated_graph,
    write_untrained_bundle,
)
from fetch_sim2real import graph
from fetch_sim2real.control.filter import Decision
from fetch_sim2real.episode import ActionSettings, Arrival, ClosedLoop, EpisodeRunner, EpisodeStart, PolicyAgent
from fetch_sim2real.messages.motion import decode_setpoint_report
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.policy.bundle import PolicyBundle, load_bundle
from fetch_sim2real.policy.runtime import PolicyRuntime
from fetch_sim2real.sim.simulation import Outcome, Simulation
from fetch_sim2real.sim.world_file import World, load_world
from fetch_sim2real.stack.options import SimGraphOptions
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.types import FloatArray

pytestmark = [pytest.mark.ros, pytest.mark.gl]

EPISODE_S = 1.5
SEED = 3


TAPPED = (graph.SETPOINT, graph.JOINT_COMMAND, graph.JOINT_STATES)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    write_untrained_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def running_graph(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedGraph]:
    options = SimGraphOptions(policy=str(bundle), world="randomized", lockstep=True, episode_s=EPISODE_S)
    with simulated_graph(options, tmp_path_factory.mktemp("lockstep"), *TAPPED) as simulated:
        yield simulated


@pytest.fixture
def simulated(running_graph: SimulatedGraph) -> SimulatedGraph:
    for tap in running_graph.taps.values():
        tap.messages.clear()
    return running_graph


def world(name: str = "randomized") -> World:
    return load_world(name, worlds_dir()).with_episode_s(EPISODE_S)


def answers(simulated: SimulatedGraph) -> list[JointState]:
    """The driver's setpoints that answer commands."""
    return [m for m in simulated.taps[graph.SETPOINT].messages if m.header.frame_id != "activated"]


def test_an_episode_is_answered_frame_by_frame(simulated: SimulatedGraph) -> None:
    outcome = run_episode(simulated.operator, SEED)
    all_answered = lambda: len(answers(simulated)) == outcome["steps"]  # noqa: E731
    simulated.session.wait_until(all_answered, 5.0, lambda: "setpoint for each frame")
    assert outcome["steps"] > 30
    stamps = [decode_stamp(message.header.stamp) for message in simulated.taps[graph.JOINT_COMMAND].messages]
    assert len(set(stamps)) == len(stamps) == outcome["steps"] == sum(outcome["decisions"].values())
    assert stamps == sorted(stamps)
    assert [decode_stamp(m.header.stamp) for m in answers(simulated)] == stamps
    assert outcome["missed"] == 0 and len(outcome["frame_to_command_ms"]) == outcome["steps"]
    assert set(outcome["decisions"]) <= {"command", "limited"}


def test_same_seed_same_motion_whatever_came_before(simulated: SimulatedGraph) -> None:
    first, other, again = (run_episode(simulated.operator, seed) for seed in (SEED, SEED + 1, SEED))
    for key in ("setpoints_sha256", "final_distance_m", "success", "steps", "decisions"):
        assert first[key] == again[key], key
    assert first["setpoints_sha256"] != other["setpoints_sha256"]


def assert_same_as_in_one_process(
    simulated: SimulatedGraph, bundle: Path, outcome: dict[str, Any], name: str = "randomized", seed: int = SEED
) -> None:
    """The last episode of the graph, bit by bit."""
    all_answered = lambda: len(answers(simulated)) == outcome["steps"]  # noqa: E731
    simulated.session.wait_until(all_answered, 5.0, lambda: "setpoint for each frame")
    decisions, result = in_one_process(load_bundle(bundle), name=name, seed=seed)
    assert [m.header.frame_id for m in answers(simulated)] == [decision.outcome for decision in decisions]
    for message, decision in zip(answers(simulated), decisions, strict=True):
        setpoint = decode_setpoint_report(message).setpoint
        assert setpoint is not None
        assert np.array_equal(setpoint.position, decision.setpoint.position)
        assert np.array_equal(setpoint.velocity, decision.setpoint.velocity)
    assert (result.success, result.final_distance_m) == (outcome["success"], outcome["final_distance_m"])


class Forgetful(PolicyAgent):
    """Forgets at each step."""

    def act(self, arrivals: Sequence[Arrival]) -> FloatArray:
        self.reset([arrival.environment for arrival in arrivals])
        return super().act(arrivals)


def in_one_process(
    bundle: PolicyBundle, kind: type[PolicyAgent] = PolicyAgent, name: str = "randomized", seed: int = SEED
) -> tuple[list[Decision], Outcome]:
    """The episode without the graph."""
    loop = ClosedLoop(
        Simulation(world(name), find_task("reach_block"), (424, 240)), ActionSettings.of_bundle(bundle.manifest)
    )
    decisions: list[Decision] = []
    agent = kind(PolicyRuntime.of_bundle(bundle))
    (result,) = EpisodeRunner([loop]).run(agent, [EpisodeStart(seed)], lambda step: decisions.append(step.decision))
    draw = loop.sim.episode
    # Also with depth of another moment, frames that come unevenly and noisy joint states.
    assert abs(draw.depth_skew_s) > 0.005 and draw.publication_jitter_s > 0.0015 and draw.encoders.noise_rad > 0.0
    loop.sim.close()
    return decisions, result


def test_graph_and_loop_in_one_process_command_the_same(simulated: SimulatedGraph, bundle: Path) -> None:
    assert_same_as_in_one_process(simulated, bundle, run_episode(simulated.operator, SEED))


def test_driver_that_is_not_enabled_does_not_stop_the_world_and_moves_nothing(simulated: SimulatedGraph) -> None:
    start = simulated.operator.reset(SEED, False)
    simulated.operator.state_goal(start)
    outcome = simulated.operator.run_to_outcome(30.0)
    assert set(outcome["decisions"]) == {"refused:not_active"}
    states = [m for m in simulated.taps[graph.JOINT_STATES].messages if decode_stamp(m.header.stamp) >= start.now_ns]
    assert len(states) > 100
    positions = np.array([message.position[:7] for message in states])
    assert np.abs(positions - positions[0]).max() < 1e-3


def test_a_driver_that_has_stopped_does_not_end_the_row_of_episodes(simulated: SimulatedGraph) -> None:
    before = run_episode(simulated.operator, SEED)
    assert call(simulated.session, graph.DRIVER_STOP)[0]
    simulated.operator.disarm()
    assert call(simulated.session, graph.DRIVER_STOP)[0]
    assert run_episode(simulated.operator, SEED)["setpoints_sha256"] == before["setpoints_sha256"]


def test_parameters_out_of_range_are_refused_with_the_reason(simulated: SimulatedGraph) -> None:
    taken, reason = set_parameter(simulated.session, graph.SIM_BRIDGE, Parameter("seed", value=-1))
    assert not taken and "-1" in reason and "0" in reason
    taken, reason = set_parameter(simulated.session, graph.SIM_BRIDGE, Parameter("seed", value="one"))
    assert not taken and "INTEGER" in reason
    taken, reason = set_parameter(simulated.session, graph.SIM_BRIDGE, Parameter("world", value="randomized"))
    assert not taken and "read-only" in reason
    assert set_parameter(simulated.session, graph.SIM_BRIDGE, Parameter("seed", value=7)) == (True, "")
