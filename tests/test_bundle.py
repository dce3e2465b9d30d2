"""A bundle that is not exactly what training wrote is refused, by the name of what disagrees."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.errors import BundleError
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.perception.observe import Observation, ScaledValue, make_observation_spec
from fetch_sim2real.perception.preprocess import Image, ImageSpec
from fetch_sim2real.policy import golden as golden_module
from fetch_sim2real.policy.bundle import PolicyBundle, load_bundle, record_success, save_bundle
from fetch_sim2real.policy.golden import Golden, golden_from_bytes, golden_to_bytes, record_golden
from fetch_sim2real.policy.manifest import (
    ActionRecord,
    CameraRecord,
    GoalRecord,
    LatencyRecord,
    ManifestContent,
    PoseRecord,
    SuccessRecord,
    TrainingRecord,
)
from fetch_sim2real.policy.network import Actor, ActorSpec, ConvLayer, MemorySpec, build_actor
from fetch_sim2real.policy.runtime import ActorPolicy

STEPS, RESETS = 9, (0, 5)
FILES = ("manifest.json", "actor.safetensors", "golden.npz")
ARRAYS = ("rgb", "depth_mm", "vector", "reset", "action")
GRU = MemorySpec(kind="gru", size=6)


def make_content(memory: MemorySpec | None = None) -> ManifestContent:
    image = ImageSpec(size=32, fov_deg=40.0, depth_near_m=0.4, depth_far_m=1.6, channels="rgbd")
    actor = ActorSpec(
        conv=(ConvLayer(channels=4, kernel=5, stride=2), ConvLayer(channels=6, kernel=3, stride=1)),
        coordinate_channels=True,
        auxiliary=tuple(ScaledValue(name=f"block_{axis}", centre=0.5, scale=0.1) for axis in "xyz"),
        latent=2,
        relative_features=(),
        memory=memory,
        hidden=(16, 16),
        layer_norm=True,
        activation="relu",
        squash="tanh",
        sure_of=(),
        refine=0,
    )
    return ManifestContent(
        format_version=8,
        task="push",
        actor=actor,
        observation=make_observation_spec(
            image, proprioception=True, last_actions=1, goal_centre_m=(0, 0, 0), goal_scale_m=(0.1, 0.1, 0.1)
        ),
        camera=CameraRecord(
            base_T_camera=PoseRecord.of(Pose.looking_at((0.2, 0.7, 1.4), (0.8, 0.0, 0.7))),
            position_range_m=(0.02, 0.02, 0.02),
            rotation_range_rad=0.05,
        ),
        goal=GoalRecord(
            frame="block", accepted_frames=("block",), lower_m=(-0.15, -0.15, 0.0), upper_m=(0.15, 0.15, 0.0)
        ),
        joint_order=ARM.joint_names,
        action=ActionRecord(
            scale_m=0.02, gripper="blocked", lower_m=(0.4, -0.3, 0.7), upper_m=(0.8, 0.3, 1.0)
        ),
        control_rate_hz=30,
        limit_profile="default",
        latency=LatencyRecord(camera_s=(0.03, 0.07), command_s=(0.0, 0.02)),
        torso_height_m=0.2,
        training=TrainingRecord(
            command="train push", seed=3, code_version="0.1.0", steps=1000, world_file="nominal.yaml"
        ),
        success=SuccessRecord(
            rate=0.9, episodes=100, ci95_low=0.83, ci95_high=0.94, world="nominal", command="evaluate push"
        ),
    )


def make_observations(content: ManifestContent, count: int = STEPS) -> list[Observation]:
    rng, side = np.random.default_rng(2), content.observation.image.size
    return [
        Observation(
            Image(
                rng.integers(0, 256, (side, side, 3), dtype=np.uint8),
                rng.integers(0, 2000, (side, side)).astype(np.uint16),
            ),
            rng.normal(size=content.observation.vector_size).astype(np.float32),
        )
        for _ in range(count)
    ]


def make_actor(content: ManifestContent) -> Actor:
    torch.manual_seed(4)
    return build_actor(content.actor, content.observation)


def make_golden(content: ManifestContent, actor: Actor) -> Golden:
    return record_golden(actor, make_observations(content), [step in RESETS for step in range(STEPS)])


def write_bundle(folder: Path, content: ManifestContent) -> Path:
    """A bundle of an untrained actor, as ``content`` says."""
    actor = make_actor(content)
    save_bundle(folder, content, actor, make_golden(content, actor))
    return folder


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "push", make_content())


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "push"))


def refusal(folder: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    assert caught.value.field in str(caught.value)
    return caught.value


def read_manifest(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write a manifest with hashes that match, as an attacker or a careless script could."""
    if isinstance(manifest.get("files"), dict):
        for name in manifest["files"]:
            if (folder / name).is_file():
                manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    if "manifest_sha256" in manifest:
        empty = json.dumps({**manifest, "manifest_sha256": ""}, indent=2) + "\n"
        manifest["manifest_sha256"] = hashlib.sha256(empty.encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


def paths_of(record: Any, prefix: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every field of a manifest, nested ones and those in lists included."""
    items = record.items() if isinstance(record, dict) else enumerate(record) if isinstance(record, list) else ()
    for key, value in items:
        if isinstance(record, dict):
            yield (*prefix, key)
        yield from paths_of(value, (*prefix, key))


def parent_of(manifest: Any, path: tuple[str | int, ...]) -> Any:
    for key in path[:-1]:
        manifest = manifest[key]
    return manifest


# ------------------------------------------------------------------------------------------------ what is accepted


def test_a_bundle_comes_back_as_it_was_saved(pristine: Path) -> None:
    content = make_content()
    actor = make_actor(content)
    bundle = load_bundle(pristine)
    for field in ManifestContent.model_fields:
        assert getattr(bundle.manifest, field) == getattr(content, field), field
    loaded = bundle.actor.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in actor.state_dict().items())
    assert not bundle.actor.training
    assert not any(parameter.requires_grad for parameter in bundle.actor.parameters())


def test_equal_inputs_give_equal_bytes(pristine: Path, tmp_path: Path) -> None:
    content = make_content()
    actor = make_actor(content)
    bundle = save_bundle(tmp_path / "again", content, actor, make_golden(content, actor))
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (pristine / name).read_bytes()
    assert bundle.sha256 == load_bundle(pristine).sha256


def test_resaving_keeps_the_identity_unless_something_changed(folder: Path) -> None:
    before = load_bundle(folder)
    success = SuccessRecord(rate=0.5, episodes=10, ci95_low=0.2, ci95_high=0.8, world="randomized", command="evaluate")
    after = record_success(folder, success)
    assert after.manifest.success == success
    assert after.manifest.model_copy(update={"success": None, "manifest_sha256": ""}) == before.manifest.model_copy(
        update={"success": None, "manifest_sha256": ""}
    )
    assert after.sha256 != before.sha256
    assert before.manifest.success is not None
    assert record_success(folder, before.manifest.success).sha256 == before.sha256


def test_unmeasured_success_is_null(folder: Path) -> None:
    manifest = read_manifest(folder)
    manifest["success"] = None
    write_manifest(folder, manifest)
    assert load_bundle(folder).manifest.success is None


def test_bundles_may_be_installed_as_links(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    for name in FILES:
        (tmp_path / "linked" / name).symlink_to(folder / name)
    assert load_bundle(tmp_path / "linked").sha256 == load_bundle(folder).sha256


def test_a_saved_bundle_replaces_the_old_one_and_leaves_no_litter(folder: Path) -> None:
    (folder / "README.md").write_text("about this policy")
    content = make_content().model_copy(update={"task": "reach"})
    actor = make_actor(content)
    save_bundle(folder, content, actor, make_golden(content, actor))
    assert load_bundle(folder).manifest.task == "reach"
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, "README.md"])


# ------------------------------------------------------------------------------------------------ the runner


def test_policy_repeats_the_golden_actions(pristine: Path) -> None:
    bundle = load_bundle(pristine)
    golden = golden_from_bytes((pristine / "golden.npz").read_bytes(), bundle.manifest.observation, 0)
    policy = ActorPolicy(bundle)
    for step in range(STEPS):
        if golden.reset[step]:
            policy.reset()
        image = Image(golden.rgb[step], golden.depth_mm[step])
        (action,) = policy.act([Observation(image, golden.vector[step])])
        assert action.shape == (4,) and action.dtype == np.float64
        np.testing.assert_allclose(action, golden.action[step], atol=1e-5)


# ------------------------------------------------------------------------------------------------ damaged files


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert refusal(folder).field == name


@pytest.mark.parametrize("name", ["actor.safetensors", "golden.npz"])
def test_one_flipped_byte_is_found(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    rng = np.random.default_rng(6)
    for position in [0, len(data) - 1, *rng.integers(0, len(data), 40)]:
        damaged = bytearray(data)
        damaged[position] ^= int(rng.integers(1, 256))
        (folder / name).write_bytes(damaged)
        assert refusal(folder).field == name


def test_one_flipped_byte_in_the_manifest_is_found(folder: Path) -> None:
    path = folder / "manifest.json"
    data = path.read_bytes()
    rng = np.random.default_rng(7)
    for position in range(0, len(data), 3):
        damaged = bytearray(data)
        damaged[position] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        refusal(folder)


def test_a_value_edited_by_hand_is_found(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"scale_m": 0.02', '"scale_m": 0.03'))
    assert refusal(folder).field == "manifest_sha256"


@pytest.mark.parametrize("name", FILES)
def test_truncated_and_empty_files_are_refused(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    for length in (0, 1, 8, len(data) // 2, len(data) - 1):
        (folder / name).write_bytes(data[:length])
        refusal(folder)


@pytest.mark.parametrize("name", ["actor.safetensors", "golden.npz"])
def test_truncated_files_with_matching_hashes_are_refused(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    for length in (0, 1, 8, len(data) // 2, len(data) - 1):
        (folder / name).write_bytes(data[:length])
        write_manifest(folder, read_manifest(folder))
        assert refusal(folder).field.startswith(name)


@pytest.mark.parametrize("name", FILES)
def test_a_pipe_does_not_hang_the_loader(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert refusal(folder).field == name


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "nowhere" in str(refusal(tmp_path / "nowhere"))


# ------------------------------------------------------------------------------------------------ the manifest


def test_every_missing_field_is_named(folder: Path) -> None:
    complete = read_manifest(folder)
    paths = [path for path in paths_of(complete) if path[0] != "files" or len(path) == 1]
    assert len(paths) > 60
    for path in paths:
        manifest = json.loads(json.dumps(complete))
        del parent_of(manifest, path)[path[-1]]
        write_manifest(folder, manifest)
        assert refusal(folder).field == ".".join(str(part) for part in path)


def test_every_unknown_field_is_named(folder: Path) -> None:
    complete = read_manifest(folder)
    records = {path[:-1] for path in paths_of(complete)} - {("files",)}
    for path in records:
        manifest = json.loads(json.dumps(complete))
        parent_of(manifest, (*path, "new"))["surprise"] = 1
        write_manifest(folder, manifest)
        assert refusal(folder).field == ".".join(str(part) for part in (*path, "surprise"))


def test_bundles_of_older_versions_are_read_as_they_were_meant(folder: Path) -> None:
    actor, manifest = load_bundle(folder).manifest.actor, read_manifest(folder)
    del manifest["actor"]["refine"]
    write_manifest(folder, manifest | {"format_version": 7})
    assert load_bundle(folder).manifest.actor == actor
    del manifest["actor"]["sure_of"]
    write_manifest(folder, manifest | {"format_version": 6})
    assert load_bundle(folder).manifest.actor == actor
    manifest["actor"]["relations"] = manifest["actor"].pop("relative_features")
    del manifest["actor"]["memory"]
    manifest["actor"]["state_size"] = 0
    write_manifest(folder, manifest | {"format_version": 5})
    assert load_bundle(folder).manifest.actor == actor
    del manifest["observation"]["commanded"]
    write_manifest(folder, manifest | {"format_version": 4})
    assert load_bundle(folder).manifest.observation.commanded is False
    for field in ("activation", "squash"):
        del manifest["actor"][field]
    write_manifest(folder, manifest | {"format_version": 3})
    loaded = load_bundle(folder).manifest
    assert (loaded.actor.activation, loaded.actor.squash) == ("relu", "tanh")
    del manifest["actor"]["layer_norm"]
    write_manifest(folder, manifest | {"format_version": 3})
    assert refusal(folder).field == "actor.layer_norm"


@pytest.mark.parametrize(("size", "memory"), [(8, None), (None, None), (True, None), (0, {"kind": "gru", "size": 6})])
def test_what_version_5_cannot_say_is_refused(
    folder: Path, size: object, memory: dict[str, object] | None
) -> None:
    manifest = read_manifest(folder)
    del manifest["actor"]["memory"]
    manifest["actor"] |= {"relations": manifest["actor"].pop("relative_features")}
    manifest["actor"] |= ({} if size is None else {"state_size": size}) | ({} if memory is None else {"memory": memory})
    write_manifest(folder, manifest | {"format_version": 5})
    assert refusal(folder).field in ("actor.memory", "actor.state_size")


@pytest.mark.parametrize("version", [0, 2, 9, "5", 5.0, True, None])
def test_other_versions_are_refused_before_all_else(folder: Path, version: object) -> None:
    manifest = read_manifest(folder)
    write_manifest(folder, {"format_version": version, "files": manifest["files"]})
    error = refusal(folder)
    assert error.field == "format_version"
    assert repr(version) in str(error) and "version 3 or 4 or 5 or 6 or 7 or 8" in str(error)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("joint_order", list(ARM.joint_names[::-1])),
        ("control_rate_hz", 25),
        ("limit_profile", "reckless"),
        ("torso_height_m", 0.5),
        ("torso_height_m", "0.2"),
        ("action.scale_m", -0.02),
        ("action.gripper", "sometimes"),
        ("camera.base_T_camera.quaternion_xyzw", [0, 0, 0, 2]),
        ("camera.position_range_m", [0.1, 0.1]),
        ("camera.rotation_range_rad", -0.1),
        ("goal.accepted_frames", ["a map"]),
        ("goal.accepted_frames", []),
        ("goal", {"frame": "base_link", "accepted_frames": ["block"], "lower_m": [0, 0, 0], "upper_m": [1, 1, 1]}),
        ("goal", {"frame": "block", "accepted_frames": ["block"], "lower_m": [0, 2, 0], "upper_m": [1, 1, 1]}),
        ("latency.camera_s", [0.07, 0.03]),
        ("observation.image.depth_far_m", 100.0),
        ("observation.image.size", 84.5),
        ("observation.vector.0.scale", 0.0),
        ("observation", {}),
        ("actor.hidden", [10**9]),
        ("success.rate", 0.99),
        ("success.episodes", 0),
        ("files", {"actor.safetensors": "0" * 64}),
        ("files", {"actor.safetensors": "0" * 64, "../../etc/passwd": "0" * 64}),
        ("files", {"actor.safetensors": "0" * 64, "golden.npz": "0" * 64, "/etc/passwd": "0" * 64}),
    ],
)
def test_impossible_values_are_named(folder: Path, path: str, value: object) -> None:
    manifest = read_manifest(folder)
    keys = tuple(int(key) if key.isdigit() else key for key in path.split("."))
    parent_of(manifest, keys)[keys[-1]] = value
    write_manifest(folder, manifest)
    assert refusal(folder).field.startswith(keys[0] if path == "success.rate" else path)


def test_non_finite_numbers_and_repeated_fields_are_refused(folder: Path) -> None:
    text = (folder / "manifest.json").read_text()
    for bad in ("NaN", "Infinity", "1e999"):
        (folder / "manifest.json").write_text(text.replace('"scale_m": 0.02', f'"scale_m": {bad}'))
        assert refusal(folder).field == "action.scale_m"
    (folder / "manifest.json").write_text(text.replace('"scale_m": 0.02', '"scale_m": 0.02, "scale_m": 0.5'))
    assert "scale_m" in str(refusal(folder))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, "\udcff"])
def test_what_is_no_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
    assert refusal(folder).field in ("manifest.json", "format_version")


# ------------------------------------------------------------------------------------------------ the weights


def rewrite_actor(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    path = folder / "actor.safetensors"
    tensors = safetensors.torch.load(path.read_bytes())
    change(tensors)
    path.write_bytes(safetensors.torch.save(tensors))
    write_manifest(folder, read_manifest(folder))


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.update({"head.out.bias": torch.zeros(5)}),
        lambda tensors: tensors.update({"head.out.bias": torch.zeros(4, dtype=torch.float64)}),
        lambda tensors: tensors.update({"head.out.bias": torch.tensor([0.0, float("nan"), 0.0, 0.0])}),
        lambda tensors: tensors.update({"head.out.bias": torch.tensor([0.0, float("inf"), 0.0, 0.0])}),
        lambda tensors: tensors.pop("head.out.bias"),
    ],
    ids=["shape", "dtype", "nan", "inf", "missing"],
)
def test_wrong_tensors_are_named(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    rewrite_actor(folder, change)
    assert refusal(folder).field == "actor.safetensors/head.out.bias"


def test_a_surplus_tensor_is_named(folder: Path) -> None:
    rewrite_actor(folder, lambda tensors: tensors.update({"backdoor": torch.zeros(1)}))
    assert refusal(folder).field == "actor.safetensors/backdoor"


def test_swapped_weights_of_the_same_shape_are_found_by_their_actions(folder: Path) -> None:
    def swap(tensors: dict[str, torch.Tensor]) -> None:
        tensors["head.out.weight"] = tensors["head.out.weight"].flip(0)

    rewrite_actor(folder, swap)
    assert refusal(folder).field == "golden.npz/action"


def test_a_manifest_of_another_normalization_is_found_by_the_actions(folder: Path) -> None:
    """Same weights, same shapes, hashes in order: only the actions can tell."""
    manifest = read_manifest(folder)
    manifest["observation"]["image"]["depth_far_m"] = 1.7
    write_manifest(folder, manifest)
    assert refusal(folder).field == "golden.npz/action"


def test_a_torch_pickle_is_not_loaded(folder: Path) -> None:
    stream = io.BytesIO()
    torch.save({"head.out.bias": torch.zeros(4)}, stream)
    (folder / "actor.safetensors").write_bytes(stream.getvalue())
    write_manifest(folder, read_manifest(folder))
    assert refusal(folder).field == "actor.safetensors"


# ------------------------------------------------------------------------------------------------ golden sequences


def rewrite_golden(folder: Path, **changes: np.ndarray) -> None:
    path = folder / "golden.npz"
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    np.savez(path, **{**arrays, **changes})
    write_manifest(folder, read_manifest(folder))


def golden_array(folder: Path, name: str) -> np.ndarray:
    with np.load(folder / "golden.npz") as archive:
        array: np.ndarray = archive[name]
    return array


@pytest.mark.parametrize("step", [0, STEPS - 1])
@pytest.mark.parametrize("axis", range(4))
def test_one_golden_action_off_by_a_thousandth_is_found(folder: Path, step: int, axis: int) -> None:
    action = golden_array(folder, "action")
    action[step, axis] += 1e-3
    rewrite_golden(folder, action=action)
    error = refusal(folder)
    assert error.field == "golden.npz/action"
    assert f"step {step}" in str(error) and "0.001" in str(error)


def test_rounding_of_another_processor_is_accepted(folder: Path) -> None:
    rewrite_golden(folder, action=golden_array(folder, "action") + np.float32(2e-6))
    load_bundle(folder)


@pytest.mark.parametrize("name", ARRAYS)
def test_wrong_golden_arrays_are_named(folder: Path, name: str) -> None:
    good = golden_array(folder, name)
    for bad in (good[:-1], good.astype(np.int64), good[None]):
        rewrite_golden(folder, **{name: bad})
        field = refusal(folder).field
        # The number of steps is reset's, so a short reset shows as another array that is too long.
        assert field == f"golden.npz/{name}" or (name == "reset" and field.startswith("golden.npz/"))


def test_non_finite_golden_actions_are_refused(folder: Path) -> None:
    action = golden_array(folder, "action")
    action[2] = np.nan
    rewrite_golden(folder, action=action)
    assert refusal(folder).field == "golden.npz/action"


def test_golden_sequences_start_with_a_reset(folder: Path) -> None:
    reset = golden_array(folder, "reset")
    reset[0] = False
    rewrite_golden(folder, reset=reset)
    assert refusal(folder).field == "golden.npz/reset"


class Exploit:
    """Unpickling this makes a file: the proof that code ran."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.marker),))


def test_a_pickle_inside_the_golden_file_is_not_run(folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "it_ran"
    trap = np.empty(1, dtype=object)
    trap[0] = Exploit(marker)
    rewrite_golden(folder, rgb=trap)
    with np.load(folder / "golden.npz", allow_pickle=True) as archive:
        archive["rgb"]
    assert marker.is_dir(), "the trap must work, or this test shows nothing"
    marker.rmdir()
    assert refusal(folder).field == "golden.npz/rgb"
    assert not marker.exists()


def test_a_pickle_in_place_of_the_golden_file_is_not_run(folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "it_ran"
    trap = np.empty(1, dtype=object)
    trap[0] = Exploit(marker)
    trap.dump(folder / "golden.npz")
    write_manifest(folder, read_manifest(folder))
    assert refusal(folder).field == "golden.npz"
    assert not marker.exists()


@pytest.mark.parametrize("surprise", ["../escape.npy", "/tmp/escape.npy", "rgb.npy", "extra.npy"])
def test_surplus_members_of_the_golden_file_are_refused(folder: Path, surprise: str) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(folder / "golden.npz", "a") as archive:
        warnings.simplefilter("ignore")  # zipfile's own about the name that is there twice
        archive.writestr(surprise, b"")
    write_manifest(folder, read_manifest(folder))
    error = refusal(folder)
    assert error.field == "golden.npz" and surprise in str(error)


def test_a_golden_file_that_unpacks_to_too_much_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden_module, "_MAX_BYTES", 1000)
    assert "unpacks to" in str(refusal(folder))


# ------------------------------------------------------------------------------------------------ memory


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "recurrent", make_content(GRU))


def test_a_recurrent_bundle_repeats_its_golden_actions_and_states(recurrent: Path) -> None:
    bundle = load_bundle(recurrent)
    golden = golden_from_bytes((recurrent / "golden.npz").read_bytes(), bundle.manifest.observation, GRU.size)
    assert np.all(np.any(golden.state, axis=1)), "each step is remembered"
    policy = ActorPolicy(bundle)
    for step in range(STEPS):
        if golden.reset[step]:
            policy.reset()
        image = Image(golden.rgb[step], golden.depth_mm[step])
        (action,) = policy.act([Observation(image, golden.vector[step])])
        np.testing.assert_allclose(action, golden.action[step], atol=1e-5)


def test_a_golden_file_that_misses_a_reset_is_found(recurrent: Path, tmp_path: Path) -> None:
    """The same observations without the second episode's start: the actor remembers what it should not."""
    folder = Path(shutil.copytree(recurrent, tmp_path / "push"))
    rewrite_golden(folder, reset=np.arange(STEPS) == 0)
    assert refusal(folder).field == "golden.npz/action"


@pytest.mark.parametrize("step", [0, STEPS - 1])
def test_a_recurrent_state_that_is_off_is_found(recurrent: Path, tmp_path: Path, step: int) -> None:
    folder = Path(shutil.copytree(recurrent, tmp_path / "push"))
    state = golden_array(folder, "state")
    state[step, 2] += 1e-3
    rewrite_golden(folder, state=state)
    error = refusal(folder)
    assert error.field == "golden.npz/state" and f"step {step}" in str(error)


def test_states_of_a_wrong_size_are_named(recurrent: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(recurrent, tmp_path / "push"))
    rewrite_golden(folder, state=golden_array(folder, "state")[:, :-1])
    assert refusal(folder).field == "golden.npz/state"


def test_the_states_of_a_recurrent_bundle_cannot_be_left_out(recurrent: Path, folder: Path, tmp_path: Path) -> None:
    forgetful = Path(shutil.copytree(recurrent, tmp_path / "recurrent"))
    shutil.copy(folder / "golden.npz", forgetful / "golden.npz")
    write_manifest(forgetful, read_manifest(forgetful))
    error = refusal(forgetful)
    assert error.field == "golden.npz" and "state.npy" in str(error)


# ------------------------------------------------------------------------------------------------ saving


def test_a_golden_that_another_actor_computed_is_not_saved(tmp_path: Path) -> None:
    content = make_content()
    actor = make_actor(content)
    golden = make_golden(content, actor)
    with torch.no_grad():
        actor.head.out.bias.add_(0.01)
    with pytest.raises(BundleError, match="reproduce"):
        save_bundle(tmp_path / "push", content, actor, golden)
    assert not (tmp_path / "push").exists()


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    content = make_content()
    actor = make_actor(content)
    golden = make_golden(content, actor)
    with torch.no_grad():
        actor.head.out.bias.fill_(float("nan"))
    with pytest.raises(BundleError, match=r"head\.out\.bias"):
        save_bundle(tmp_path / "push", content, actor, golden)


def test_golden_bytes_come_back(pristine: Path) -> None:
    content = make_content()
    golden = make_golden(content, make_actor(content))
    back = golden_from_bytes(golden_to_bytes(golden), content.observation, 0)
    for field in fields(Golden):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(golden, field.name))
    with pytest.raises(BundleError, match="vector"):
        golden_from_bytes(golden_to_bytes(replace(golden, vector=golden.vector[:, :-1])), content.observation, 0)


def test_bundle_is_frozen(pristine: Path) -> None:
    bundle: PolicyBundle = load_bundle(pristine)
    with pytest.raises(AttributeError):
        bundle.sha256 = "0"  # type: ignore[misc]
