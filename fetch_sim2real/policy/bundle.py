"""A policy bundle on disk: ``manifest.json``, ``golden.npz``, and the actor. Data, never code: no pickle.

The actor is ``actor.safetensors``, weights of this project's architecture, or ``actor.onnx``, a network of others.

The files have fixed names, so that nothing in a manifest ever names a path. Each file is read once, and what is
checked is what is used.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
from pydantic import ValidationError
from safetensors import SafetensorError

from fetch_sim2real.common.outputs import write_bytes
from fetch_sim2real.common.validation import complaint_of, field_of
from fetch_sim2real.errors import BundleError
from fetch_sim2real.perception.observe import ObservationSpec
from fetch_sim2real.policy.golden import Golden, golden_from_bytes, golden_to_bytes, verify_golden
from fetch_sim2real.policy.manifest import (
    ACTOR_FILE,
    ACTOR_KINDS,
    FORMAT_VERSION,
    GOLDEN_FILE,
    MANIFEST_FILE,
    ONNX_FILE,
    READABLE_VERSIONS,
    Manifest,
    ManifestContent,
    SuccessRecord,
    actor_file,
    upgraded,
)
from fetch_sim2real.policy.network import Actor, ActorSpec, build_actor
from fetch_sim2real.policy.onnx_mapping import OnnxActorSpec
from fetch_sim2real.policy.onnx_network import OnnxNetwork

_READABLE: Final = " or ".join(str(version) for version in READABLE_VERSIONS)
_SHOWN_FIELDS: Final = 6
_MAX_FILE_BYTES: Final = {
    MANIFEST_FILE: 2**20, ACTOR_FILE: 64 * 2**20, ONNX_FILE: 512 * 2**20, GOLDEN_FILE: 128 * 2**20
}  # fmt: skip
AnyActor = Actor | OnnxNetwork


@dataclass(frozen=True)
class PolicyBundle:
    """A verified bundle: manifest, actor in eval mode without gradients, the golden sequences that it reproduces, and a
    sha256 that identifies all of it.
    """

    manifest: Manifest
    actor: AnyActor
    golden: Golden
    sha256: str

    @property
    def network(self) -> Actor:
        """The actor, where it has this project's architecture. BundleError for an ONNX file of others."""
        if isinstance(self.actor, Actor):
            return self.actor
        raise BundleError(
            "actor.kind", f"is '{self.actor.spec.kind}', expected an actor of this project's architecture, whose "
            "encoder can be asked by itself: choose what needs none, or another policy"
        )  # fmt: skip


def load_bundle(directory: str | os.PathLike[str]) -> PolicyBundle:
    """Read and verify the bundle in ``directory``.

    Checks, in this order: format version, fields, hashes (the manifest's own first), tensors (names, shapes, dtypes,
    finite values), golden actions. Raises BundleError, whose ``field`` names what disagrees.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise BundleError("directory", f"there is no folder {folder}")
    manifest = _read(folder / MANIFEST_FILE)
    # Names that the manifest's own checks admit, and no others.
    others = {name: _read(folder / name) for name in _parse_manifest(manifest).files}
    return _verify({MANIFEST_FILE: manifest} | others)


def save_bundle(
    directory: str | os.PathLike[str], content: ManifestContent, actor: AnyActor, golden: Golden
) -> PolicyBundle:
    """Write a bundle, replacing one that is there, after verifying it exactly as ``load_bundle`` will.

    Nothing is written when the verification fails (BundleError). ``SetupError`` if a file cannot be written.
    """
    files = {actor_file(content.actor): _actor_bytes(actor), GOLDEN_FILE: golden_to_bytes(golden)}
    hashes = {name: _sha256(data) for name, data in files.items()}
    files[MANIFEST_FILE] = _manifest_bytes(content, hashes)
    bundle = _verify(files)
    folder = Path(directory)
    # The manifest last: an interrupted save leaves hashes that do not match, and is refused.
    for name, data in files.items():
        write_bytes(data, folder / name)
    for name in {ACTOR_FILE, ONNX_FILE} - files.keys():
        (folder / name).unlink(missing_ok=True)  # of what it replaces
    return bundle


def record_success(directory: str | os.PathLike[str], success: SuccessRecord) -> PolicyBundle:
    """Write a measured success into the manifest of the bundle in ``directory``; all else stays as it is."""
    manifest = load_bundle(directory).manifest
    content = ManifestContent.model_validate(
        {name: getattr(manifest, name) for name in ManifestContent.model_fields} | {"success": success}
    )
    write_bytes(_manifest_bytes(content, manifest.files), Path(directory) / MANIFEST_FILE)
    return load_bundle(directory)


def _actor_bytes(actor: AnyActor) -> bytes:
    if isinstance(actor, OnnxNetwork):
        return actor.model
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in actor.state_dict().items()}
    return safetensors.torch.save(weights)


def _manifest_bytes(content: ManifestContent, hashes: dict[str, str]) -> bytes:
    def text(own_hash: str) -> bytes:
        record = {**content.model_dump(mode="json"), "files": hashes, "manifest_sha256": own_hash}
        return (json.dumps(record, indent=2, allow_nan=False) + "\n").encode()

    return text(_sha256(text("")))


def _verify(files: dict[str, bytes]) -> PolicyBundle:
    manifest = _parse_manifest(files[MANIFEST_FILE])
    own_hash = manifest.manifest_sha256.encode()
    if _sha256(files[MANIFEST_FILE].replace(own_hash, b"", 1)) != manifest.manifest_sha256:
        raise BundleError(
            "manifest_sha256", "does not match the manifest: it was edited or damaged. Export the bundle again"
        )
    for name, expected in manifest.files.items():
        got = _sha256(files[name])
        if got != expected:
            raise BundleError(
                name, f"sha256 is {got[:12]}..., the manifest says {expected[:12]}...: the file is damaged or replaced"
            )
    actor: AnyActor
    if isinstance(manifest.actor, OnnxActorSpec):
        actor = OnnxNetwork(files[ONNX_FILE], ONNX_FILE, manifest.actor, manifest.observation)
    else:
        actor = _load_actor(files[ACTOR_FILE], manifest.actor, manifest.observation)
    golden = golden_from_bytes(files[GOLDEN_FILE], manifest.observation, manifest.actor.state_size)
    verify_golden(actor, golden, "the actor" if isinstance(actor, Actor) else "ONNX Runtime")
    # The manifest holds the other files' hashes, so its own covers the bundle.
    return PolicyBundle(manifest, actor, golden, _sha256(files[MANIFEST_FILE]))


def _parse_manifest(data: bytes) -> Manifest:
    try:
        raw = json.loads(data.decode("utf-8"), object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        raise BundleError(MANIFEST_FILE, f"not readable as JSON ({error}). Export the bundle again") from error
    if not isinstance(raw, dict):
        raise BundleError(MANIFEST_FILE, f"holds a {type(raw).__name__}, expected an object")
    # Before all else: the fields of another version mean other things.
    version = raw.get("format_version")
    if type(version) is not int or version not in READABLE_VERSIONS:
        got = "missing" if "format_version" not in raw else repr(version)
        raise BundleError(
            "format_version",
            f"is {got}, this code reads version {_READABLE}: use the release that wrote the bundle",
        )
    if version != FORMAT_VERSION:
        data = json.dumps(upgraded(raw, version)).encode()
    try:
        return Manifest.model_validate_json(data, strict=True)
    except ValidationError as error:
        problems = [_without_kind(problem) for problem in error.errors(include_url=False, include_context=False)]
        first = problems[0]
        field = field_of(first, MANIFEST_FILE)
        others = [field_of(problem, MANIFEST_FILE) for problem in problems[1:_SHOWN_FIELDS]]
        more = f" (also wrong: {', '.join(others)})" if others else ""
        raise BundleError(field, f"{complaint_of(first)}{more}") from error


def _without_kind(problem: Any) -> dict[str, Any]:
    field, *rest = problem["loc"] or ("",)
    if field == "actor" and rest[:1] and rest[0] in ACTOR_KINDS:
        rest = rest[1:]
    return {**problem, "loc": (field, *rest) if field else ()}


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        raise ValueError(f"fields given twice: {', '.join(repeated)}")
    return dict(pairs)


def _load_actor(data: bytes, spec: ActorSpec, observation: ObservationSpec) -> Actor:
    try:
        tensors = safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise BundleError(ACTOR_FILE, f"not a safetensors file ({error}). Export the bundle again") from error
    try:
        actor = build_actor(spec, observation)
    except ValueError as error:
        raise BundleError("actor.relative_features", str(error)) from error
    expected = actor.state_dict()
    if missing := sorted(expected.keys() - tensors.keys()):
        raise BundleError(f"{ACTOR_FILE}/{missing[0]}", f"the architecture needs tensors that are missing: {missing}")
    if surplus := sorted(tensors.keys() - expected.keys()):
        raise BundleError(f"{ACTOR_FILE}/{surplus[0]}", f"the architecture has no such tensors: {surplus}")
    for name, wanted in expected.items():
        got = tensors[name]
        if got.shape != wanted.shape or got.dtype != wanted.dtype:
            raise BundleError(
                f"{ACTOR_FILE}/{name}",
                f"is {tuple(got.shape)} {got.dtype}, the architecture needs {tuple(wanted.shape)} {wanted.dtype}",
            )
        if not bool(torch.isfinite(got).all()):
            raise BundleError(f"{ACTOR_FILE}/{name}", "holds NaN or infinity")
    actor.load_state_dict(tensors)
    actor.eval().requires_grad_(False)
    return actor


def _read(path: Path) -> bytes:
    # is_file is false for pipes and devices, which would block or never end.
    if not path.is_file():
        raise BundleError(path.name, f"there is no file {path}")
    limit = _MAX_FILE_BYTES[path.name]
    with path.open("rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise BundleError(path.name, f"is larger than {limit} bytes")
    return data


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
