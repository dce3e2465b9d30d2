"""Networks of others, pictures and memory included, become bundles; what does not fit is named."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from test_bundle import GRU, make_content, make_observations, write_bundle
from typer.testing import CliRunner

from fetch_sim2real.errors import BundleError, SetupError
from fetch_sim2real.perception.observe import make_observation_spec
from fetch_sim2real.perception.preprocess import ImageSpec
from fetch_sim2real.policy.bundle import PolicyBundle, load_bundle
from fetch_sim2real.policy.golden import TOLERANCE, run_golden
from fetch_sim2real.policy.onnx_mapping import OnnxActorSpec
from fetch_sim2real.policy.runtime import ActorPolicy, NetworkPolicy, policy_of

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from fetch_sim2real.cli.import_policy import app  # noqa: E402
from fetch_sim2real.policy.onnx_export import onnx_bytes  # noqa: E402
from fetch_sim2real.policy.onnx_network import OnnxNetwork  # noqa: E402

RAW_COLOUR = {"order": "rgb", "scale": 1.0, "mean": [0, 0, 0], "std": [1, 1, 1]}
RAW_DEPTH = {"unit_m": 0.001, "clip_m": None, "mean": 0.0, "std": 1.0, "hole": 0.0}
AXES = ("x", "y", "z", "fingers")
AS_IT_IS = {name: {"column": index, "scale": 1.0, "centre": 0.0} for index, name in enumerate(AXES)}
PICTURE = ("size", "fov_deg", "depth_near_m", "depth_far_m")
FILES = ["actor.onnx", "golden.npz", "manifest.json"]


def native(bundle: PolicyBundle) -> dict[str, Any]:
    """The mapping of a file that this project exported."""
    observation = bundle.manifest.observation
    return {
        "task": "push",
        "world": "nominal",
        "observation": {
            "image": {key: getattr(observation.image, key) for key in PICTURE},
            "proprioception": observation.proprioception,
            "commanded": observation.commanded,
            "last_actions": observation.last_actions,
        },
        "actor": {
            "kind": "onnx",
            "images": [
                {"tensor": "rgb", "layout": "NHWC", "colour": RAW_COLOUR, "depth": None},
                {"tensor": "depth_mm", "layout": "NHW", "colour": None, "depth": RAW_DEPTH},
            ],
            "vectors": [{"tensor": "vector", "values": [value.model_dump() for value in observation.vector]}],
            "states": [{"tensor": "state", "next_tensor": "next_state", "shape": [-1, GRU.size]}],
            "action": {"tensor": "action", **AS_IT_IS},
        },
    }


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> PolicyBundle:
    return load_bundle(write_bundle(tmp_path_factory.mktemp("policies") / "recurrent", make_content(GRU)))


@pytest.fixture(scope="module")
def exported(ours: PolicyBundle) -> bytes:
    return onnx_bytes(ours)


def run_import(folder: Path, model: bytes, mapping: dict[str, Any], *arguments: object) -> Any:
    (folder / "net.onnx").write_bytes(model)
    (folder / "net.yaml").write_text(yaml.safe_dump(mapping))
    words = [folder / "net.onnx", "--mapping", folder / "net.yaml", "--output", folder / "bundle", *arguments]
    return CliRunner().invoke(app, list(map(str, words)))


def write_reference(file: Path, bundle: PolicyBundle, **changes: Any) -> Path:
    golden, values = bundle.golden, bundle.manifest.observation.vector
    physical = golden.vector * [value.scale for value in values] + [value.centre for value in values]
    arrays = {"rgb": golden.rgb, "depth_mm": golden.depth_mm, "vector": physical, "reset": golden.reset}
    np.savez(file, **{**arrays, "action": golden.action, **changes})
    return file


def test_what_went_out_comes_back_with_the_same_actions_and_memory(
    ours: PolicyBundle, exported: bytes, tmp_path: Path
) -> None:
    reference = write_reference(tmp_path / "net.npz", ours)
    result = run_import(tmp_path, exported, native(ours), "--reference", reference)
    assert result.exit_code == 0, (result.output, result.exception)
    assert "the reference's actions reproduced" in result.output
    bundle = load_bundle(tmp_path / "bundle")
    assert sorted(path.name for path in (tmp_path / "bundle").iterdir()) == FILES
    assert isinstance(bundle.actor, OnnxNetwork) and bundle.manifest.task == "push"
    for mine, its in zip(run_golden(bundle.actor, bundle.golden), run_golden(ours.actor, ours.golden), strict=True):
        assert np.abs(mine - its).max() < TOLERANCE

    # It goes where a bundle goes: to workers, and through either runtime.
    copy = pickle.loads(pickle.dumps(bundle))
    seen = make_observations(make_content(GRU), 2)
    actions = [policy.act(seen) for policy in (policy_of(bundle, environments=2), ActorPolicy(copy, 2))]
    assert np.array_equal(*actions)
    with pytest.raises(BundleError, match=r"actor.kind.*'onnx', expected an actor of this project's architecture"):
        NetworkPolicy(bundle)

    # And it is verified as a bundle is.
    damaged = bytearray((tmp_path / "bundle" / "actor.onnx").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "bundle" / "actor.onnx").write_bytes(bytes(damaged))
    with pytest.raises(BundleError, match=r"actor.onnx: sha256"):
        load_bundle(tmp_path / "bundle")


def test_other_actions_than_the_reference_are_not_imported(ours: PolicyBundle, exported: bytes, tmp_path: Path) -> None:
    mapping = native(ours)
    mapping["actor"]["images"][0]["colour"] = {**RAW_COLOUR, "order": "bgr"}
    reference = write_reference(tmp_path / "net.npz", ours)
    result = run_import(tmp_path, exported, mapping, "--reference", reference)
    assert "golden.npz/action: ONNX Runtime does not reproduce" in str(result.exception)
    assert not (tmp_path / "bundle" / "manifest.json").exists()
    short = write_reference(tmp_path / "short.npz", ours, rgb=ours.golden.rgb[:, :-1])
    result = run_import(tmp_path, exported, native(ours), "--reference", short)
    assert "golden.npz/rgb: is (9, 31, 32, 3)" in str(result.exception)


@pytest.mark.gl
def test_without_a_reference_golden_actions_are_of_episodes_in_simulation(
    ours: PolicyBundle, exported: bytes, tmp_path: Path
) -> None:
    mapping = {**native(ours), "manifest": {"limit_profile": "gentle"}}
    result = run_import(tmp_path, exported, mapping)
    assert result.exit_code == 0, (result.output, result.exception)
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.manifest.limit_profile == "gentle" and list(np.flatnonzero(bundle.golden.reset)) == [0, 12]
    assert bundle.golden.rgb.std() > 10.0, "pictures of the simulation"


# ---- what a mapping computes ----------------------------------------------------------------------------------------

SIDE = 16
SPEC = make_observation_spec(
    ImageSpec(size=SIDE, fov_deg=40.0, depth_near_m=0.4, depth_far_m=1.6, channels="rgbd"), proprioception=True,
    last_actions=0, goal_centre_m=(0.6, 0.0, 0.8), goal_scale_m=(0.1, 0.1, 0.1),
)  # fmt: skip
FLOAT = 1


def network(layout: str = "NCHW", kind: int = FLOAT, batch: int | str = "batch") -> bytes:
    """The action is the mean of each channel over the picture, plus what of the vector comes first, plus the state."""
    shape = [batch, 4, SIDE, SIDE] if layout == "NCHW" else [batch, SIDE, SIDE, 4]
    helper = onnx.helper
    nodes = [
        helper.make_node("Cast", ["image"], ["picture"], to=FLOAT),
        helper.make_node("ReduceMean", ["picture"], ["mean"], axes=[2, 3] if layout == "NCHW" else [1, 2], keepdims=0),
        helper.make_node("Squeeze", ["h", "zero"], ["remembered"]),
        helper.make_node("Add", ["mean", "obs"], ["sum"]),
        helper.make_node("Add", ["sum", "remembered"], ["action"]),
        helper.make_node("Unsqueeze", ["obs", "zero"], ["h_next"]),
    ]
    graph = helper.make_graph(
        nodes, "net",
        [
            helper.make_tensor_value_info("image", kind, shape),
            helper.make_tensor_value_info("obs", FLOAT, [batch, 4]),
            helper.make_tensor_value_info("h", FLOAT, [1, batch, 4]),
        ],
        [
            helper.make_tensor_value_info("action", FLOAT, [batch, 4]),
            helper.make_tensor_value_info("h_next", FLOAT, [1, batch, 4]),
        ],
        [helper.make_tensor("zero", 7, [1], [0])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def mapping(layout: str = "NCHW", **changes: Any) -> OnnxActorSpec:
    colour = {"order": "bgr", "scale": 1 / 255, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}
    depth = {"unit_m": 1.0, "clip_m": [0.5, 1.5], "mean": 1.0, "std": 0.5, "hole": -2.0}
    values = [{"name": name, "centre": 0.7, "scale": 0.2} for name in ("grip_z", "goal_x", "finger", "goal_y")]
    return OnnxActorSpec.model_validate(
        {
            "kind": "onnx",
            "images": [{"tensor": "image", "layout": layout, "colour": colour, "depth": depth}],
            "vectors": [{"tensor": "obs", "values": values}],
            "states": [{"tensor": "h", "next_tensor": "h_next", "shape": [1, -1, 4]}],
            "action": {
                "tensor": "action",
                "x": {"column": 3, "scale": 0.1, "centre": 0.0},
                "y": {"column": 0, "scale": -0.1, "centre": 0.05},
                "z": {"column": 1, "scale": 100.0, "centre": 0.0},
                "fingers": {"column": None, "scale": 0.0, "centre": -1.0},
            },
        }
        | changes
    )


@pytest.mark.parametrize(("layout", "batch"), [("NCHW", "batch"), ("NHWC", "batch"), ("NCHW", 1)])
def test_tensors_are_filled_as_the_mapping_says(layout: str, batch: int | str) -> None:
    actor = OnnxNetwork(network(layout, batch=batch), "net.onnx", mapping(layout), SPEC)
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    depth_mm = rng.integers(0, 2000, (3, SIDE, SIDE)).astype(np.uint16)
    depth_mm[:, :4] = 0
    vector, state = (rng.normal(size=(3, size)).astype(np.float32) for size in (SPEC.vector_size, 4))
    action, following = actor.step(rgb, depth_mm, vector, state)

    colour = (rgb[..., ::-1] / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]
    depth = np.where(depth_mm > 0, (np.clip(depth_mm / 1000, 0.5, 1.5) - 1.0) / 0.5, -2.0)
    means = np.concatenate([colour, depth[..., None]], axis=-1).mean(axis=(1, 2))
    physical = vector * [value.scale for value in SPEC.vector] + [value.centre for value in SPEC.vector]
    names = [value.name for value in SPEC.vector]
    told = (physical[:, [names.index(name) for name in ("grip_z", "goal_x", "finger", "goal_y")]] - 0.7) / 0.2
    output = means + told + state
    assert np.allclose(following, told, atol=1e-4)
    assert np.allclose(action[:, 0], np.clip(output[:, 3] * 0.1, -1, 1), atol=1e-4)
    assert np.allclose(action[:, 1], np.clip(output[:, 0] * -0.1 + 0.05, -1, 1), atol=1e-4)
    assert np.array_equal(action[:, 2], np.sign(output[:, 1])) and np.all(action[:, 3] == -1.0)


IMAGE = mapping().images[0].model_dump()
VECTOR = mapping().vectors[0].model_dump()
STATE = mapping().states[0].model_dump()
ACTION = mapping().action.model_dump()
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "input name": ({"images": [{**IMAGE, "tensor": "imge"}]}, r"no input 'imge', expected one of 'image' "
                   r"\(\?, 4, 16, 16\) float32, .*did you mean 'image'\? Correct the mapping"),
    "output name": ({"action": {**ACTION, "tensor": "actions"}}, r"no output 'actions', expected one of 'action'"),
    "layout": ({"images": [{**IMAGE, "layout": "NHWC"}]}, r"actor/image: is \(\?, 4, 16, 16\) in the network, expected "
               r"\(\?, 16, 16, 4\) of layout NHWC"),
    "channels": ({"images": [{**IMAGE, "depth": None}]},
                 r"actor/image: is \(\?, 4, 16, 16\) .*expected \(\?, 3, 16, 16\)"),
    "unfilled": ({"states": []}, r"nothing fills the network's 'h' \(1, \?, 4\) float32; expected every input"),
    "length": ({"vectors": [{**VECTOR, "values": VECTOR["values"][:3]}]},
               r"actor/obs: is \(\?, 4\) .*expected \(\?, 3\)"),
    "no such number": ({"vectors": [{**VECTOR, "values": [{**VECTOR["values"][0], "name": "elbow"}] * 4}]},
                       r"actor.vectors/obs: the observation has no 'elbow', expected some of goal_x"),
    "state": ({"states": [{**STATE, "shape": [-1, 4]}]}, r"actor/h: is \(1, \?, 4\) .*expected \(\?, 4\)"),
    "column": ({"action": {**ACTION, "x": {"column": 4, "scale": 1.0, "centre": 0.0}}},
               r"expected \(\?, n\) with n of 5"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_named_with_what_was_expected(what: str) -> None:
    changes, words = WRONG[what]
    with pytest.raises(BundleError, match=words):
        OnnxNetwork(network(), "net.onnx", mapping(**changes), SPEC)


def test_fractions_do_not_go_into_whole_numbers() -> None:
    with pytest.raises(BundleError, match=r"actor.images/image: is uint8, but the mapping computes fractions"):
        OnnxNetwork(network(kind=2), "net.onnx", mapping(), SPEC)


def test_a_mapping_file_that_is_wrong_names_the_field(ours: PolicyBundle, exported: bytes, tmp_path: Path) -> None:
    for change, words in (
        (lambda told: told["actor"]["images"][0].update(layout="HWC"), "actor.images.0.layout"),
        (lambda told: told["actor"]["states"][0].update(shape=[4]), "actor.states.0.shape"),
        (lambda told: told.update(surprise=1), "surprise"),
        (lambda told: told.update(manifest={"actor": None}), "manifest.actor"),
        (lambda told: told.update(manifest={"limit_profile": "fast"}), "manifest.limit_profile"),
        (lambda told: told["observation"]["image"].update(fov_deg=0), "observation.fov_deg"),
    ):
        told = json.loads(json.dumps(native(ours)))
        change(told)
        result = run_import(tmp_path, exported, told)
        assert isinstance(result.exception, BundleError) and words in str(result.exception), words


# ---- what is no ONNX ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.pt2"])
def test_code_is_not_read_but_the_way_to_data_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    result = CliRunner().invoke(app, [str(tmp_path / name), "--output", str(tmp_path / "bundle")])
    assert isinstance(result.exception, SetupError)
    assert "torch.onnx.export" in str(result.exception) and f"load('{name}'" in str(result.exception)


def test_an_onnx_file_needs_its_mapping_and_nothing_else_takes_one(tmp_path: Path) -> None:
    for name, others, words in (
        ("net.onnx", [], "without --mapping"),
        ("net.zip", ["--mapping", "net.yaml"], "--mapping and --reference are for .onnx files"),
    ):
        (tmp_path / name).write_bytes(b"")
        result = CliRunner().invoke(app, [str(tmp_path / name), "--output", str(tmp_path / "bundle"), *others])
        assert isinstance(result.exception, SetupError) and words in str(result.exception)


def test_a_leapp_bundle_is_refused_tensor_by_tensor(tmp_path: Path) -> None:
    file = tmp_path / "reach.yaml"
    tensors = {
        "inputs": [
            {"name": "joint_pos", "dtype": "float32", "shape": [1, 6], "kind": "state/joint/position"},
            {"name": "command", "dtype": "float32", "shape": [1, 7], "kind": "command/body/pose"},
            {"name": "image", "dtype": "float32", "shape": [1, 3, 84, 84]},
        ],
        "outputs": [{"name": "target", "dtype": "float32", "shape": [1, 6], "kind": "target/joint/position"}],
        "parameters": {"model_path": "policy.onnx", "backend": "onnx", "sha256sum": "", "md5sum": ""},
    }
    file.write_text(yaml.safe_dump({"models": {"policy": tensors}, "pipeline": {}, "system information": {}}))
    result = CliRunner().invoke(app, [str(file), "--output", str(tmp_path / "bundle")])
    words = str(result.exception)
    assert isinstance(result.exception, BundleError)
    for name in ("input policy/joint_pos [1, 6] (state/joint/position)", "input policy/image [1, 3, 84, 84] (no kind)",
                 "output policy/target [1, 6] (target/joint/position)"):  # fmt: skip
        assert name in words.partition("may be")[0]
    assert "input policy/command [1, 7] (command/body/pose) may be goal_x" in words and "policy.onnx (onnx)" in words
    file.write_text("task: push")
    result = CliRunner().invoke(app, [str(file), "--output", str(tmp_path / "bundle")])
    assert "holds task, expected LEAPP's models, pipeline, system information" in str(result.exception)
