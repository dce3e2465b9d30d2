"""ONNX Runtime in torch's place: the same actions and memory, or the node does not start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_bundle import GRU, make_content, make_observations, write_bundle

from fetch_sim2real import graph
from fetch_sim2real.errors import BundleError
from fetch_sim2real.policy.bundle import PolicyBundle, load_bundle
from fetch_sim2real.policy.golden import TOLERANCE
from fetch_sim2real.policy.runtime import policy_of

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> PolicyBundle:
    return load_bundle(write_bundle(tmp_path_factory.mktemp("policies") / "recurrent", make_content(GRU)))


def test_environments_remember_and_forget_as_in_torch(bundle: PolicyBundle) -> None:
    policies = [policy_of(bundle, runtime, 2) for runtime in ("torch", "onnx")]  # type: ignore[arg-type]
    seen = make_observations(make_content(GRU), 6)

    def assert_same(observations: list, environments: list[int] | None) -> np.ndarray:
        torch_s, onnx_s = (policy.act(observations, environments) for policy in policies)
        assert np.abs(torch_s - onnx_s).max() < TOLERANCE
        return onnx_s

    first = assert_same(seen[:2], None)
    assert not np.allclose(assert_same(seen[:2], None), first, atol=1e-4), "what is remembered makes no difference"
    assert_same(seen[2:3], [1])
    for policy in policies:
        policy.reset([0])
    assert np.abs(assert_same(seen[:1], [0]) - first[:1]).max() < TOLERANCE
    assert_same(seen[3:5], None)


def test_an_actor_that_comes_out_differently_is_not_run(bundle: PolicyBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    
    from fetch_sim2real.policy.onnx_export import OnnxActor

    right = OnnxActor.step

    def wrong(self: OnnxActor, *inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        action, state = right(self, *inputs)
        return action + np.float32(1e-3), state

    monkeypatch.setattr(OnnxActor, "step", wrong)
    with pytest.raises(BundleError, match=r"golden.npz/action: ONNX Runtime does not .* off by 0.001 at step"):
        policy_of(bundle, "onnx")


@pytest.mark.ros
def test_the_node_acts_with_it_and_says_so(tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    from test_graph_policy import PolicyRig, act_once

    from benchmarks.rig.graph_harness import running, write_untrained_bundle
    from fetch_sim2real.stack.processes import NodeProcess

    write_untrained_bundle(tmp_path / "bundle")
    parameters = {"policy": str(tmp_path / "bundle"), "runtime": "onnx"}
    process = NodeProcess("policy_node", graph.POLICY_NODE, parameters, 0)  # type: ignore[arg-type]
    with running([process], tmp_path / "log") as (_, session):
        rig = PolicyRig(session, tmp_path / "log")
        act_once(rig)
        assert rig.diagnosis()["runtime"] == "onnx"


@pytest.mark.ros
def test_a_baseline_that_takes_the_actor_apart_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    from benchmarks.rig.graph_harness import write_untrained_bundle

    write_untrained_bundle(tmp_path)
    words = ["-p", f"policy:={tmp_path}", "-p", "runtime:=onnx", "-p", "look:=once"]
    command = [sys.executable, "-m", "policy_node.main", "--ros-args", *words]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert "'runtime' is 'onnx' with 'look' 'once', expected 'torch'" in result.stderr
    assert "Traceback" not in result.stderr
