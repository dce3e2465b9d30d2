"""A foreign network as an actor: its tensors are filled as an ``OnnxActorSpec`` says, and ONNX Runtime runs it."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.errors import BundleError
from fetch_sim2real.perception.observe import ObservationSpec, vector_names
from fetch_sim2real.policy.onnx_mapping import BATCH, ActionTensor, DepthScaling, ImageTensor, OnnxActorSpec
from fetch_sim2real.policy.onnx_session import OnnxSession, Tensor

_NEXT = "Correct the mapping, or export the network again"
Shape = tuple[int | None, ...]


class OnnxNetwork:
    """A ``StepActor`` from an ONNX file and its mapping. ``model`` is the file."""

    def __init__(self, model: bytes, file: str, spec: OnnxActorSpec, observation: ObservationSpec) -> None:
        """BundleError names the tensor that does not fit, what it is, what was expected, and the next step."""
        self.model, self.spec, self.observation = model, spec, observation
        self._file, self._session = file, OnnxSession(model, file)
        self._vectors = {vector.tensor: _affine(vector.values, vector.tensor, observation) for vector in spec.vectors}
        self._require_fit()
        # A network that was exported for one observation computes several one after the other.
        batch = {state.tensor: state.shape.index(BATCH) for state in spec.states}
        self._one_by_one = any(
            tensor.shape[batch.get(tensor.name, 0)] == 1 for tensor in self._session.inputs.values()
        )
        self._outputs = [spec.action.tensor, *(state.next_tensor for state in spec.states)]

    def __reduce__(self) -> tuple[Any, ...]:
        # Workers get the file and make a session of their own.
        return OnnxNetwork, (self.model, self._file, self.spec, self.observation)

    @property
    def state_size(self) -> int:
        """Numbers of the recurrent state."""
        return self.spec.state_size

    def step(
        self,
        rgb: NDArray[np.uint8],
        depth_mm: NDArray[np.uint16],
        vector: NDArray[np.float32],
        state: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See StepActor."""
        if self._one_by_one and len(vector) > 1:
            rows = [slice(row, row + 1) for row in range(len(vector))]
            parts = [self.step(rgb[row], depth_mm[row], vector[row], state[row]) for row in rows]
            return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
        inputs: dict[str, NDArray[Any]] = {}
        for image in self.spec.images:
            inputs[image.tensor] = _picture(image, rgb, depth_mm)
        for name, (columns, factor, offset) in self._vectors.items():
            inputs[name] = vector[:, columns] * factor + offset
        first = 0
        for part in self.spec.states:
            inputs[part.tensor] = _unpacked(state[:, first : first + part.size], part.shape)
            first += part.size
        typed = {
            name: np.ascontiguousarray(value, self._session.inputs[name].dtype) for name, value in inputs.items()
        }
        output, *states = self._session.run(self._outputs, typed)
        packed = [
            np.moveaxis(value, part.shape.index(BATCH), 0).reshape(len(vector), part.size)
            for part, value in zip(self.spec.states, states, strict=True)
        ]
        following = np.concatenate([state[:, :0], *packed], axis=1).astype(np.float32)
        return _action(self.spec.action, np.asarray(output)), following

    def _require_fit(self) -> None:
        spec, side, inputs = self.spec, self.observation.image.size, self._session.inputs
        for name in spec.inputs:
            _require_there(name, inputs, "input")
        for name in (spec.action.tensor, *(state.next_tensor for state in spec.states)):
            _require_there(name, self._session.outputs, "output")
        if unfilled := [tensor.text() for tensor in inputs.values() if tensor.name not in spec.inputs]:
            raise BundleError(
                "actor.inputs", f"nothing fills the network's {', '.join(unfilled)}; expected every input under "
                f"images, vectors or states. {_NEXT}"
            )  # fmt: skip
        for image in spec.images:
            tensor = inputs[image.tensor]
            _require_shape(tensor, image.shape(side), f"layout {image.layout}, pictures of {side} pixels")
            if tensor.dtype.kind != "f" and not image.is_raw:
                raise BundleError(
                    f"actor.images/{tensor.name}", f"is {tensor.dtype}, but the mapping computes fractions; expected "
                    f"float32, or colour alone with scale 1, mean 0, std 1, or depth alone in millimetres. {_NEXT}"
                )  # fmt: skip
            needed = np.uint16 if image.depth is not None else np.uint8
            if not np.can_cast(needed, tensor.dtype) and tensor.dtype.kind != "f":
                raise BundleError(
                    f"actor.images/{tensor.name}", f"is {tensor.dtype}, expected a type that holds every "
                    f"{np.dtype(needed)}. {_NEXT}"
                )  # fmt: skip
        for vector in spec.vectors:
            _require_shape(inputs[vector.tensor], (None, len(vector.values)), f"{len(vector.values)} values")
            _require_floats(inputs[vector.tensor])
        for state in spec.states:
            shape = tuple(None if size == BATCH else size for size in state.shape)
            for tensor in (inputs[state.tensor], self._session.outputs[state.next_tensor]):
                _require_shape(tensor, shape, f"a state of shape {list(state.shape)}")
                _require_floats(tensor)
        output = self._session.outputs[spec.action.tensor]
        least = 1 + max((value.column for value in spec.action.values if value.column is not None), default=-1)
        if len(output.shape) != 2 or (output.shape[1] or least) < least:
            raise BundleError(
                f"actor.action/{output.name}", f"is {output.shape_text()}, expected (?, n) with n of {least} or more, "
                f"which the columns ask for. {_NEXT}"
            )  # fmt: skip
        _require_floats(output)


def _picture(image: ImageTensor, rgb: NDArray[np.uint8], depth_mm: NDArray[np.uint16]) -> NDArray[Any]:
    """Return the tensor of rgb (B, S, S, 3) and depth (B, S, S)."""
    parts: list[NDArray[Any]] = []
    if image.colour is not None:
        colour: NDArray[Any] = rgb if image.colour.order == "rgb" else rgb[..., ::-1]
        if not image.colour.is_raw:
            scaled = colour.astype(np.float32) * np.float32(image.colour.scale)
            colour = (scaled - np.array(image.colour.mean, np.float32)) / np.array(image.colour.std, np.float32)
        parts.append(colour)
    if image.depth is not None:
        parts.append(_depth(image.depth, depth_mm)[..., None])
    picture = parts[0] if len(parts) == 1 else np.concatenate([part.astype(np.float32) for part in parts], axis=-1)
    if image.layout == "NHW":
        return picture[..., 0]
    return picture if image.layout == "NHWC" else picture.transpose(0, 3, 1, 2)


def _depth(scaling: DepthScaling, depth_mm: NDArray[np.uint16]) -> NDArray[Any]:
    if scaling.is_raw:
        return depth_mm
    depth_m = depth_mm.astype(np.float32) * np.float32(1e-3)
    if scaling.clip_m is not None:
        nearest_m, farthest_m = scaling.clip_m
        depth_m = np.clip(depth_m, np.float32(nearest_m), np.float32(farthest_m))
    scaled = (depth_m / np.float32(scaling.unit_m) - np.float32(scaling.mean)) / np.float32(scaling.std)
    return np.where(depth_mm > 0, scaled, np.float32(scaling.hole))


def _affine(
    values: tuple[Any, ...], tensor: str, observation: ObservationSpec
) -> tuple[list[int], NDArray[np.float32], NDArray[np.float32]]:
    """Which columns of the bundle's vector go in, and the factor and offset that turn them into the network's."""
    names = vector_names(observation)
    if unknown := [value.name for value in values if value.name not in names]:
        raise BundleError(
            f"actor.vectors/{tensor}", f"the observation has no '{unknown[0]}', expected some of {', '.join(names)}; "
            "proprioception, commanded and last_actions of the observation add more"
        )  # fmt: skip
    columns = [names.index(value.name) for value in values]
    ours = [observation.vector[column] for column in columns]
    factor = [own.scale / value.scale for own, value in zip(ours, values, strict=True)]
    offset = [(own.centre - value.centre) / value.scale for own, value in zip(ours, values, strict=True)]
    return columns, np.array(factor, np.float32), np.array(offset, np.float32)


def _unpacked(state: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the states (B, s) as the network's tensor, whose batch stands where ``shape`` has -1."""
    sizes = [size for size in shape if size != BATCH]
    return np.moveaxis(state.reshape(len(state), *sizes), 0, shape.index(BATCH))


def _action(mapping: ActionTensor, output: NDArray[Any]) -> NDArray[np.float32]:
    action = np.empty((len(output), len(mapping.values)), np.float32)
    for index, value in enumerate(mapping.values):
        given = 0.0 if value.column is None else output[:, value.column] * value.scale
        action[:, index] = given + value.centre
    # A NaN stays one, and is refused by who asked.
    clipped: NDArray[np.float32] = np.clip(action, -1.0, 1.0)
    return clipped


def _require_there(name: str, tensors: dict[str, Tensor], what: str) -> None:
    if name not in tensors:
        near = get_close_matches(name, tensors, n=1)
        hint = f", did you mean '{near[0]}'?" if near else "."
        raise BundleError(
            f"actor.{what}s/{name}", f"the network has no {what} '{name}', expected one of "
            f"{', '.join(tensor.text() for tensor in tensors.values())}{hint} {_NEXT}"
        )  # fmt: skip


def _require_shape(tensor: Tensor, expected: Shape, why: str) -> None:
    fits = len(tensor.shape) == len(expected) and all(
        got is None or (got == 1 if wanted is None else got == wanted)
        for got, wanted in zip(tensor.shape, expected, strict=True)
    )
    if not fits:
        wanted = Tensor(tensor.name, expected, tensor.dtype).shape_text()
        raise BundleError(
            f"actor/{tensor.name}", f"is {tensor.shape_text()} in the network, expected {wanted} of {why}, a batch "
            f"of 1 or any. {_NEXT}"
        )  # fmt: skip


def _require_floats(tensor: Tensor) -> None:
    if tensor.dtype.kind != "f":
        raise BundleError(f"actor/{tensor.name}", f"is {tensor.dtype}, expected float32. {_NEXT}")
