"""Exported actors: ONNX Runtime computes what torch does, memory included, or nothing is written."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_bundle import GRU, make_actor, make_content, make_golden
from typer.testing import CliRunner

from fetch_sim2real.errors import BundleError, SetupError
from fetch_sim2real.paths import find_policy, policy_names
from fetch_sim2real.policy.bundle import PolicyBundle, load_bundle, save_bundle
from fetch_sim2real.policy.golden import TOLERANCE, run_golden, verify_golden
from fetch_sim2real.policy.manifest import ManifestContent
from fetch_sim2real.policy.network import ActorSpec

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from fetch_sim2real.cli.export_policy import app  # noqa: E402
from fetch_sim2real.policy.onnx_export import OnnxActor, onnx_bytes  # noqa: E402


def bundle_of(content: ManifestContent, folder: Path) -> PolicyBundle:
    actor = make_actor(content)
    return save_bundle(folder, content, actor, make_golden(content, actor))


def in_onnx(bundle: PolicyBundle) -> OnnxActor:
    return OnnxActor(onnx_bytes(bundle), "actor.onnx", bundle.actor.observation, bundle.actor.state_size)


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> PolicyBundle:
    return bundle_of(make_content(GRU), tmp_path_factory.mktemp("bundles") / "recurrent")


@pytest.fixture(scope="module")
def exported(recurrent: PolicyBundle) -> bytes:
    return onnx_bytes(recurrent)


@pytest.mark.parametrize("name", policy_names())
def test_each_shipped_policy_is_the_same_in_onnx_runtime(name: str, tmp_path: Path) -> None:
    output = tmp_path / f"{name}.onnx"
    result = CliRunner().invoke(app, [name, "--output", str(output)])
    assert result.exit_code == 0, result.output
    assert "24 golden actions reproduced" in result.output
    bundle = load_bundle(find_policy(name))
    actor = OnnxActor(output.read_bytes(), output.name, bundle.actor.observation, bundle.actor.state_size)
    assert verify_golden(actor, bundle.golden) < TOLERANCE
    # Against torch on this machine it is closer than against what training recorded on another.
    assert np.abs(run_golden(actor, bundle.golden)[0] - run_golden(bundle.actor, bundle.golden)[0]).max() < TOLERANCE


def test_memory_goes_on_from_step_to_step_as_in_torch(recurrent: PolicyBundle) -> None:
    actor = in_onnx(recurrent)
    assert verify_golden(actor, recurrent.golden) < TOLERANCE
    states = run_golden(actor, recurrent.golden)[1]
    assert states.shape == (len(recurrent.golden.reset), GRU.size) and np.abs(np.diff(states, axis=0)).min() > 0.0


def test_the_file_says_what_goes_in_and_out(recurrent: PolicyBundle, exported: bytes) -> None:
    model = onnx.load_model_from_string(exported)
    kinds = {
        tensor.name: (
            onnx.TensorProto.DataType.Name(tensor.type.tensor_type.elem_type),
            [size.dim_param or size.dim_value for size in tensor.type.tensor_type.shape.dim],
        )
        for tensor in (*model.graph.input, *model.graph.output)
    }
    size, numbers = recurrent.manifest.observation.image.size, recurrent.manifest.observation.vector_size
    assert kinds == {
        "rgb": ("UINT8", ["batch", size, size, 3]),
        "depth_mm": ("UINT16", ["batch", size, size]),
        "vector": ("FLOAT", ["batch", numbers]),
        "state": ("FLOAT", ["batch", GRU.size]),
        "action": ("FLOAT", ["batch", 4]),
        "next_state": ("FLOAT", ["batch", GRU.size]),
    }
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert told["bundle_sha256"] == recurrent.sha256
    assert json.loads(told["manifest"]) == recurrent.manifest.model_dump(mode="json")


@pytest.mark.parametrize("part", ["rgbd", "rgb", "depth", "blind"])
def test_batches_of_any_size_and_every_kind_of_picture(part: str, tmp_path: Path) -> None:
    content = make_content(GRU)
    if part == "blind":
        actor = ActorSpec.model_validate(
            {**content.actor.model_dump(), "conv": (), "coordinate_channels": False, "auxiliary": (), "latent": 0}
        )
        content = content.model_copy(update={"actor": actor})
    else:
        image = content.observation.image.model_copy(update={"channels": part})
        content = content.model_copy(update={"observation": content.observation.model_copy(update={"image": image})})
    bundle = bundle_of(content, tmp_path / "bundle")
    rng, golden = np.random.default_rng(0), bundle.golden
    told = golden.rgb[:5], golden.depth_mm[:5], golden.vector[:5], rng.normal(size=(5, GRU.size)).astype(np.float32)
    for ours, theirs in zip(in_onnx(bundle).step(*told), bundle.actor.step(*told), strict=True):
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() < TOLERANCE


def test_equal_bundles_give_equal_files(recurrent: PolicyBundle, exported: bytes) -> None:
    assert onnx_bytes(recurrent) == exported


def test_a_file_that_computes_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = load_bundle(find_policy("push"))
    other = load_bundle(find_policy("push"))
    with torch.no_grad():
        other.actor.head.out.bias += 1e-4
    made = onnx_bytes(other)
    monkeypatch.setattr("fetch_sim2real.policy.onnx_export.onnx_bytes", lambda _: made)
    result = CliRunner().invoke(app, ["push", "--output", str(tmp_path / "push.onnx")])
    assert isinstance(result.exception, BundleError)
    assert "ONNX Runtime does not reproduce the recorded actions" in str(result.exception)
    assert not list(tmp_path.iterdir())
    assert verify_golden(bundle.actor, bundle.golden) < TOLERANCE


@pytest.mark.parametrize("lacking", ["onnx", "onnxruntime"])
def test_without_the_extra_it_says_how_to_get_it(
    lacking: str, recurrent: PolicyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, lacking, None)
    with pytest.raises(SetupError, match=rf"'{lacking}' is not installed.*fetch-sim2real\[onnx\]"):
        onnx_bytes(recurrent)


# ---- files of others -------------------------------------------------------------------------------------------------


def test_weights_in_other_files_are_refused(recurrent: PolicyBundle, exported: bytes) -> None:
    model = onnx.load_model_from_string(exported)
    weight = model.graph.initializer[0]
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.ClearField("raw_data")
    weight.external_data.add(key="location", value="../../etc/passwd")
    with pytest.raises(BundleError, match=rf"weights in other files, the first is '{weight.name}'"):
        OnnxActor(model.SerializeToString(), "actor.onnx", recurrent.actor.observation, 0)


def test_what_is_no_onnx_file_or_has_operators_of_others_is_refused(recurrent: PolicyBundle, exported: bytes) -> None:
    model = onnx.load_model_from_string(exported)
    model.opset_import.add(domain="my.domain", version=1)
    model.graph.node[-1].domain = "my.domain"
    for data, words in ((b"no model", "no ONNX file"), (model.SerializeToString(), "cannot run it .*my.domain")):
        with pytest.raises(BundleError, match=f"actor.onnx.*{words}"):
            OnnxActor(data, "actor.onnx", recurrent.actor.observation, 0)
