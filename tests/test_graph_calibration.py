"""The policy node with a calibration file: in a graph of its own, for two policy nodes would both answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from calibration_bundle import NOMINAL, write_bundle
from test_calibration_in_force import written
from test_graph_policy import PolicyRig

from benchmarks.rig.graph_harness import running
from fetch_sim2real import graph
from fetch_sim2real.calibration.in_force import CalibrationInForce
from fetch_sim2real.errors import GraphError
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.stack.processes import NodeProcess
from fetch_sim2real.types import Goal

pytestmark = pytest.mark.ros


def test_goals_in_the_cameras_frame_go_by_the_calibration_and_another_lens_ends_the_node(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    turned = Pose(NOMINAL.position + np.array([0.0, 0.008, 0.0]), NOMINAL.rotation)
    file = written(tmp_path / "c.yaml", turned, CameraModel.from_fovy(1280, 720, np.deg2rad(50.0)))
    process = NodeProcess("policy_node", graph.POLICY_NODE, {"policy": str(bundle), "calibration": file}, 0)
    # By the trained pose, 8 mm beside, it would be the other way round.
    inside, outside = np.array([0.6, -0.196, 0.8]), np.array([0.6, 0.204, 0.8])
    with running([process], tmp_path / "log") as (_, session):
        rig = PolicyRig(session, tmp_path / "log")
        for base_m, accepted in ((inside, True), (outside, False)):
            answer = rig.state_goal(Goal(graph.COLOR_OPTICAL_FRAME, turned.inverse().apply(base_m)))
            assert answer["accepted"] is accepted, answer
        told = CalibrationInForce.told(rig.diagnosis()["calibration"])
        assert told is not None and told.file == file
        rig.frame(rig.next_stamp(), parts=("info",))
        with pytest.raises(GraphError, match="policy_node"):
            session.wait_until(lambda: False, 20.0, lambda: "end of the node")
        assert "c.yaml is of another lens" in (tmp_path / "log" / "policy_node.log").read_text()


def test_a_calibration_that_cannot_be_read_is_refused_at_start(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    (tmp_path / "old.yaml").write_text("format_version: 0")
    for name, word in (("none.yaml", "cannot be read"), ("old.yaml", "format_version: Input should be 1")):
        parameters = ["-p", f"policy:={bundle}", "-p", f"calibration:={tmp_path / name}"]
        command = [sys.executable, "-m", "policy_node.main", "--ros-args", *parameters]
        result = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        assert result.returncode == 1
        assert word in result.stderr and name in result.stderr and "Traceback" not in result.stderr
