"""Shadow mode: policy, filter and bridge run, what the driver would have sent is published, and nothing is sent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from benchmarks.rig.graph_harness import run_episode, simulated_graph, values_of, write_untrained_bundle
from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.messages.motion import ACTIVATED, decode_trajectory
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.stack.options import SimGraphOptions

pytestmark = [pytest.mark.ros, pytest.mark.gl]


@pytest.mark.slow
def test_a_shadow_moves_nothing_and_says_what_it_would_have_sent(tmp_path: Path) -> None:
    write_untrained_bundle(tmp_path / "policy")
    options = SimGraphOptions(policy=str(tmp_path / "policy"), task="reach_block", episode_s=3.0, mode="shadow")
    taps = (
        graph.ARM_TRAJECTORY, graph.GRIPPER_TRAJECTORY, graph.SHADOW_ARM, graph.SHADOW_GRIPPER, graph.JOINT_STATES,
        graph.SETPOINT, graph.DIAGNOSTICS,
    )  # fmt: skip
    with simulated_graph(options, tmp_path / "logs", *taps) as running:
        outcome = run_episode(running.operator, 0)
        running.session.wait_until(
            lambda: "shadow" in values_of(running.taps[graph.DIAGNOSTICS], graph.ARM_DRIVER).get("mode", ""),
            10.0,
            lambda: "diagnostics",
        )
        taken = {topic: tap.messages for topic, tap in running.taps.items()}
        decisions = running.taps[graph.SETPOINT].names()
    assert not outcome["success"]
    assert not taken[graph.ARM_TRAJECTORY] and not taken[graph.GRIPPER_TRAJECTORY]
    assert taken[graph.SHADOW_GRIPPER]
    assert decisions.count("command") + decisions.count("limited") > outcome["steps"] / 2
    answers = taken[graph.SETPOINT]
    assert len({decode_stamp(m.header.stamp) for m in answers if m.header.frame_id == ACTIVATED}) > 1, "put back"
    positions = np.array([m.position for m in taken[graph.JOINT_STATES] if ARM.joint_names[0] in m.name])
    assert np.ptp(positions, axis=0).max() < 0.02, "the arm stays where it is"
    ends = [decode_trajectory(message, ARM.joint_names).points[-1].position for message in taken[graph.SHADOW_ARM]]
    assert np.ptp(ends, axis=0).max() > 0.1, "and its shadow moves"
