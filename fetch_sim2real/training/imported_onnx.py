"""Bundles from ONNX networks of others, pictures included: a mapping says what every tensor is.

The mapping is a YAML file. What a manifest holds beside it (camera, goals, the box of the gripper, latency) is what the
world of this project says that the network is for, unless the file states something else under ``manifest``.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from pydantic import ValidationError

from fetch_sim2real.common.schema import Record
from fetch_sim2real.common.validation import complaint_of, field_of, shortened
from fetch_sim2real.episode import TRAINING_CAMERA_SIZE, ActionSettings, ClosedLoop
from fetch_sim2real.errors import BundleError
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.perception.observe import Observation, ObservationSpec, make_observation_spec
from fetch_sim2real.perception.preprocess import Channels, ImageSpec
from fetch_sim2real.policy.bundle import PolicyBundle, save_bundle
from fetch_sim2real.policy.golden import Golden, record_golden, require_sound, run_golden
from fetch_sim2real.policy.manifest import ManifestContent, TrainingRecord
from fetch_sim2real.policy.onnx_mapping import OnnxActorSpec
from fetch_sim2real.policy.onnx_network import OnnxNetwork
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.export import GOLDEN_EPISODES, GOLDEN_STEPS, manifest_of
from fetch_sim2real.training.rollout import observations_of_episode
from fetch_sim2real.training.seeds import training_seeds

_REFERENCE: Final = ("rgb", "depth_mm", "vector", "reset", "action")
_SHOWN: Final = 5


class PictureRecord(Record):
    """The square picture that the network was trained on."""

    size: int
    fov_deg: float
    depth_near_m: float
    depth_far_m: float


class ObservedRecord(Record):
    """What is observed for it: the picture, and which parts of the vector there are."""

    image: PictureRecord
    proprioception: bool
    commanded: bool
    last_actions: int


class MappingFile(Record):
    """A mapping file. ``manifest`` replaces fields of the manifest, ``training`` says how the network came to be."""

    task: str
    world: str
    observation: ObservedRecord
    actor: OnnxActorSpec
    training: TrainingRecord | None = None
    manifest: dict[str, Any] | None = None


def load_mapping(file: Path) -> MappingFile:
    """Read a mapping file. BundleError names the field that is wrong."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BundleError(str(file), f"cannot be read ({shortened(error)}): expected a mapping in YAML") from None
    try:
        return MappingFile.model_validate(content)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        words = "; ".join(f"{field_of(each, 'the file')}: {complaint_of(each)}" for each in problems[:_SHOWN])
        raise BundleError(str(file), f"{words}. docs/bring_your_own.md has a whole one") from None


def import_onnx(
    output: Path, model: Path, mapping: MappingFile, command: str, reference: Path | None = None
) -> PolicyBundle:
    """Write the bundle of the ONNX file ``model``.

    ``reference`` is an .npz of observations and of the actions that the network's own code took on them; without one,
    golden actions are what ONNX Runtime computes now. BundleError says what does not fit; nothing is written then.
    """
    task, world = find_task(mapping.task), load_world(mapping.world, worlds_dir())
    observation = _observation_spec(mapping)
    actor = OnnxNetwork(model.read_bytes(), model.name, mapping.actor, observation)
    content = manifest_of(actor, world, task, 0, command, 0)
    changes = (mapping.manifest or {}) | ({"training": mapping.training} if mapping.training else {})
    if unknown := sorted(changes.keys() - (ManifestContent.model_fields.keys() - {"actor", "observation"})):
        raise BundleError(f"manifest.{unknown[0]}", "is no field that a mapping may replace: leave it out")
    try:
        content = ManifestContent.model_validate({**content.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise BundleError(f"manifest.{field_of(first, 'manifest')}", complaint_of(first)) from None
    if reference is not None:
        return save_bundle(output, content, actor, _referred(reference, actor))
    loop = ClosedLoop(Simulation(world, task, TRAINING_CAMERA_SIZE), ActionSettings.of_bundle(content))
    seeds, observations, reset = training_seeds(0, "golden"), [], []
    try:
        for _ in range(GOLDEN_EPISODES):
            episode: list[Observation] = observations_of_episode(loop, actor, next(seeds), GOLDEN_STEPS)
            observations += episode
            reset += [index == 0 for index in range(len(episode))]
    finally:
        loop.sim.close()
    return save_bundle(output, content, actor, record_golden(actor, observations, reset))


def _observation_spec(mapping: MappingFile) -> ObservationSpec:
    has_colour = any(image.colour is not None for image in mapping.actor.images)
    has_depth = any(image.depth is not None for image in mapping.actor.images)
    channels: Channels = "rgbd" if has_colour == has_depth else "rgb" if has_colour else "depth"
    observed = mapping.observation
    try:
        image = ImageSpec(**observed.image.model_dump(), channels=channels)
        # The vector in physical units: the mapping says what the network makes of them.
        return make_observation_spec(
            image, proprioception=observed.proprioception, commanded=observed.commanded,
            last_actions=observed.last_actions, goal_centre_m=(0.0, 0.0, 0.0), goal_scale_m=(1.0, 1.0, 1.0),
        )  # fmt: skip
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise BundleError(f"observation.{field_of(first, 'observation')}", complaint_of(first)) from None


def _referred(file: Path, actor: OnnxNetwork) -> Golden:
    """The golden sequences of a reference file, with the recurrent states that ``actor`` has in them."""
    expected = f"expected an .npz with {', '.join(_REFERENCE)}, without pickled objects"
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in _REFERENCE}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(str(file), f"cannot be read ({shortened(error)}): {expected}") from None
    vector = arrays["vector"].astype(np.float64)
    values = actor.observation.vector
    if vector.ndim != 2 or vector.shape[1] != len(values):
        raise BundleError(
            f"{file}/vector", f"is {vector.shape}, expected (T, {len(values)}), in physical units: "
            f"{', '.join(value.name for value in values)}"
        )  # fmt: skip
    normalized = (vector - [value.centre for value in values]) / [value.scale for value in values]
    golden = Golden(
        rgb=arrays["rgb"], depth_mm=arrays["depth_mm"], vector=normalized.astype(np.float32), reset=arrays["reset"],
        action=arrays["action"].astype(np.float32), state=np.zeros((len(vector), actor.state_size), np.float32),
    )  # fmt: skip
    require_sound(golden, actor.observation, actor.state_size)
    return replace(golden, state=run_golden(actor, golden)[1])
