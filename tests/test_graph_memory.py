"""A policy with memory goes through the graph as it goes through one process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from test_graph_lockstep import EPISODE_S, SEED, Forgetful, assert_same_as_in_one_process, in_one_process

from benchmarks.rig.graph_harness import run_episode, simulated_graph, write_untrained_bundle
from fetch_sim2real import graph
from fetch_sim2real.episode import PolicyAgent
from fetch_sim2real.policy.network import MemorySpec
from fetch_sim2real.stack.options import SimGraphOptions

pytestmark = [pytest.mark.ros, pytest.mark.gl]


def test_a_policy_with_memory_commands_the_same_in_the_graph_and_in_one_process(tmp_path: Path) -> None:
    memory = MemorySpec(kind="gru", size=16)
    bundle = write_untrained_bundle(tmp_path / "bundle", memory=memory, last_actions=0)
    options = SimGraphOptions(
        policy=str(tmp_path / "bundle"), world="randomized", lockstep=True, episode_s=EPISODE_S
    )
    with simulated_graph(options, tmp_path / "graph", graph.SETPOINT) as simulated:
        # The second episode begins with a memory of its own.
        run_episode(simulated.operator, SEED + 1)
        simulated.taps[graph.SETPOINT].messages.clear()
        assert_same_as_in_one_process(simulated, tmp_path / "bundle", run_episode(simulated.operator, SEED))
    remembering, forgetful = (in_one_process(bundle, kind)[0] for kind in (PolicyAgent, Forgetful))
    assert np.array_equal(remembering[0].setpoint.position, forgetful[0].setpoint.position)
    assert not np.array_equal(remembering[-1].setpoint.position, forgetful[-1].setpoint.position)
