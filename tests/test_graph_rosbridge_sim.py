"""The whole simulated graph with the robot behind rosbridge, network delays in simulated time included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("roslibpy")
pytest.importorskip("websockets")

from benchmarks.rig.graph_harness import run_episode, simulated_graph, write_untrained_bundle
from fetch_sim2real import graph
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.stack.options import SimGraphOptions
from fetch_sim2real.stack.ros_environment import free_port

pytestmark = [pytest.mark.ros, pytest.mark.gl]

EPISODE_S = 1.5
SEED = 3


def test_the_same_seed_gives_the_same_motion(tmp_path: Path) -> None:
    write_untrained_bundle(tmp_path / "bundle")
    options = SimGraphOptions(
        policy=str(tmp_path / "bundle"), world="randomized", episode_s=EPISODE_S, backend="rosbridge",
        rosbridge_port=free_port(), rosbridge_latency_s=0.02, rosbridge_jitter_s=0.01,
    )  # fmt: skip
    with simulated_graph(options, tmp_path / "logs", graph.JOINT_STATES) as simulated:
        first, other, again = (run_episode(simulated.operator, seed) for seed in (SEED, SEED + 1, SEED))
        for key in ("setpoints_sha256", "final_distance_m", "success", "steps", "decisions"):
            assert first[key] == again[key], key
        assert first["setpoints_sha256"] != other["setpoints_sha256"]
        assert set(first["decisions"]) <= {"command", "limited", "paced"}
        assert first["decisions"]["paced"] == pytest.approx(first["steps"] / 2, abs=2), "15 trajectories a second"
        gaps = np.diff([decode_stamp(m.header.stamp) for m in simulated.taps[graph.JOINT_STATES].messages])
        assert np.all(gaps >= 0), "joint states come in order"
