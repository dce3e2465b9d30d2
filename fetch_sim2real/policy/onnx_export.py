"""A bundle's actor as one ONNX file: storage-form images in, actions out, normalization and memory inside.

============  =====================  ====================================================================
tensor        type, shape            meaning
============  =====================  ====================================================================
rgb           uint8 (B, S, S, 3)     the actor's image in storage form (``perception.preprocess``)
depth_mm      uint16 (B, S, S)       its depth [mm], 0 where there is none; both are left out for an actor
                                     that sees no picture
vector        float32 (B, n)         the normalized vector (``perception.observe``)
state         float32 (B, s)         the recurrent state, zeros at the start; only of an actor with memory
action        float32 (B, 4)         the action in [-1, 1]
next_state    float32 (B, s)         the state for the next step; only of an actor with memory
============  =====================  ====================================================================

torch's own exporter traces the actor that runs, so nothing of it is written down a second time. It is the older one of
torch's two, which needs no package but ``onnx``. Needs the extra ``onnx``.
"""

from __future__ import annotations

import inspect
import io
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fetch_sim2real.perception.observe import ObservationSpec
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.policy.golden import verify_golden
from fetch_sim2real.policy.network import Actor
from fetch_sim2real.policy.onnx_session import OnnxSession, require_onnx

RGB: Final = "rgb"
DEPTH: Final = "depth_mm"
VECTOR: Final = "vector"
STATE: Final = "state"
ACTION: Final = "action"
NEXT_STATE: Final = "next_state"
# The first with layer normalization as one operator.
_OPSET: Final = 17


class _Traced(nn.Module):
    """The actor as the exporter sees it: what goes in and out of the file, and nothing else."""

    def __init__(self, actor: Actor, inputs: Sequence[str]) -> None:
        super().__init__()
        self.actor, self._inputs = actor, inputs

    def forward(self, *given: torch.Tensor) -> Any:
        told = dict(zip(self._inputs, given, strict=True))
        nothing = torch.zeros(told[VECTOR].shape[0], 0)
        bottleneck = self.actor.encode(told[RGB], told[DEPTH]) if RGB in told else nothing
        action, state = self.actor.act(bottleneck, told[VECTOR], told.get(STATE, nothing))
        return (action, state) if STATE in told else action


class OnnxActor:
    """A ``StepActor`` in ONNX Runtime."""

    def __init__(self, model: bytes, file: str, observation: ObservationSpec, state_size: int) -> None:
        self._session = OnnxSession(model, file)
        self.observation, self.state_size = observation, state_size

    def step(
        self,
        rgb: NDArray[np.uint8],
        depth_mm: NDArray[np.uint16],
        vector: NDArray[np.float32],
        state: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See StepActor."""
        inputs: dict[str, NDArray[Any]] = {RGB: rgb, DEPTH: depth_mm, VECTOR: vector, STATE: state}
        told = {name: inputs[name] for name in self._session.inputs}
        if not self.state_size:
            return self._session.run([ACTION], told)[0], state
        action, state = self._session.run([ACTION, NEXT_STATE], told)
        return action, state


@dataclass(frozen=True)
class ExportedActor:
    """An ONNX file, the actor that ONNX Runtime runs from it, and by how much that is off the golden actions at most.
    """

    data: bytes
    actor: OnnxActor
    worst: float


def export_actor(bundle: PolicyBundle, file: str = "actor.onnx") -> ExportedActor:
    """Return the bundle's actor in ONNX; ``file`` names it in errors.

    BundleError if it does not reproduce the golden actions and states, SetupError without the extra ``onnx``.
    """
    data = onnx_bytes(bundle)
    actor = OnnxActor(data, file, bundle.network.observation, bundle.network.state_size)
    return ExportedActor(data, actor, verify_golden(actor, bundle.golden, "ONNX Runtime"))


def onnx_bytes(bundle: PolicyBundle) -> bytes:
    """Return the ONNX file of the bundle's actor; the table above says what goes in and out.

    The bundle's manifest is in it as metadata: image, vector and action mean what it says. SetupError without the extra
    ``onnx``.
    """
    onnx = require_onnx()
    actor = bundle.network
    example = _example(actor)
    inputs, outputs = list(example), [ACTION, *([NEXT_STATE] if STATE in example else [])]
    # Its types only know of names of files, it itself takes streams too.
    stream: Any = io.BytesIO()
    # torch before 2.5 had no other exporter.
    older: dict[str, Any] = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    with warnings.catch_warnings():
        # That there is a newer exporter, and that shapes are constants: they are, but for the batch.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Traced(actor, inputs), tuple(example.values()), stream, input_names=inputs, output_names=outputs,
            dynamic_axes={name: {0: "batch"} for name in inputs + outputs}, opset_version=_OPSET,
            **older,
        )  # fmt: skip
    model = onnx.load_model_from_string(stream.getvalue())
    for tensor in model.graph.input:
        if tensor.name == DEPTH:
            # What a camera gives. The exporter knows no uint16; the operators that take it do.
            tensor.type.tensor_type.elem_type = onnx.TensorProto.UINT16
    onnx.helper.set_model_props(
        model, {"manifest": json.dumps(bundle.manifest.model_dump(mode="json")), "bundle_sha256": bundle.sha256}
    )
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _example(actor: Actor) -> dict[str, torch.Tensor]:
    """The inputs of the file by name, of one environment."""
    side = actor.observation.image.size
    images = {
        RGB: torch.zeros(1, side, side, 3, dtype=torch.uint8),
        DEPTH: torch.zeros(1, side, side, dtype=torch.int32),
    }
    vector = {VECTOR: torch.zeros(1, actor.observation.vector_size)}
    return (images if actor.spec.conv else {}) | vector | ({STATE: actor.initial_state()} if actor.state_size else {})
