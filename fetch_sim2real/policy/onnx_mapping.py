"""How the tensors of a foreign ONNX network are filled from an observation, and what its output means: data.

Every number that a network was trained with is stated, none is guessed: layouts, units, clipping, mean and spread,
the value of a pixel without depth, which number of the vector stands where, and what an output of 1 is.
"""

from __future__ import annotations

from math import prod
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from fetch_sim2real.common.schema import PositiveFloat, Record, Vector3
from fetch_sim2real.perception.observe import ScaledValue

TensorName = Annotated[str, Field(min_length=1, max_length=256)]
Layout = Literal["NHWC", "NCHW", "NHW"]
# Stands for the batch in the shape of a state.
BATCH: Final = -1
_MAX_STATE: Final = 65536
_MM_M: Final = 1e-3


class ColourScaling(Record):
    """What a colour of 0 to 255 becomes: (colour * scale - mean) / std, each channel by itself, in ``order``."""

    order: Literal["rgb", "bgr"]
    scale: PositiveFloat
    mean: Vector3
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]

    @property
    def is_raw(self) -> bool:
        """The colours stay as they are."""
        return self.scale == 1.0 and not any(self.mean) and all(value == 1.0 for value in self.std)


class DepthScaling(Record):
    """What a depth becomes: (depth, clipped to ``clip_m``, in ``unit_m`` - mean) / std.

    ``hole`` stands where there is none.
    """

    unit_m: PositiveFloat
    clip_m: tuple[float, float] | None
    mean: float
    std: PositiveFloat
    hole: float

    @model_validator(mode="after")
    def _ordered(self) -> DepthScaling:
        if self.clip_m is not None and self.clip_m[0] >= self.clip_m[1]:
            raise ValueError(f"clip_m is {list(self.clip_m)}, expected [least, most] in metres")
        return self

    @property
    def is_raw(self) -> bool:
        """Depths stay millimetres, and holes 0."""
        scaled = self.clip_m is not None or self.mean != 0.0 or self.std != 1.0 or self.hole != 0.0
        return self.unit_m == _MM_M and not scaled


class ImageTensor(Record):
    """A tensor of pictures: colour, depth, or both along one axis of channels, colour first. NHW: depth alone."""

    tensor: TensorName
    layout: Layout
    colour: ColourScaling | None
    depth: DepthScaling | None

    @model_validator(mode="after")
    def _has_channels(self) -> ImageTensor:
        if self.channels == 0:
            raise ValueError("holds neither colour nor depth, expected at least one: state it, or leave the tensor out")
        if self.layout == "NHW" and self.colour is not None:
            raise ValueError("layout is NHW with colour, expected NHWC or NCHW: NHW has no axis of channels")
        return self

    @property
    def channels(self) -> int:
        """How many there are."""
        return 3 * (self.colour is not None) + (self.depth is not None)

    @property
    def is_raw(self) -> bool:
        """Nothing is computed: what a camera gives goes in."""
        parts = [part for part in (self.colour, self.depth) if part is not None]
        return len(parts) == 1 and parts[0].is_raw

    def shape(self, side: int) -> tuple[int | None, ...]:
        """Return the tensor's shape for pictures of ``side`` pixels; None is the batch."""
        if self.layout == "NHW":
            return None, side, side
        return (None, side, side, self.channels) if self.layout == "NHWC" else (None, self.channels, side, side)


class VectorTensor(Record):
    """A tensor (B, n) of numbers of the observation's vector, by name: (physical value - centre) / scale."""

    tensor: TensorName
    values: Annotated[tuple[ScaledValue, ...], Field(min_length=1, max_length=256)]


class StateTensor(Record):
    """A recurrent state: zeros at the start, then what the output ``next_tensor`` held.

    ``shape`` has -1 for the batch.
    """

    tensor: TensorName
    next_tensor: TensorName
    shape: Annotated[tuple[int, ...], Field(min_length=2, max_length=4)]

    @model_validator(mode="after")
    def _plausible(self) -> StateTensor:
        sizes = [size for size in self.shape if size != BATCH]
        if len(sizes) != len(self.shape) - 1 or any(size < 1 for size in sizes) or prod(sizes) > _MAX_STATE:
            raise ValueError(
                f"shape is {list(self.shape)}, expected one -1 for the batch beside positive sizes of at most "
                f"{_MAX_STATE} numbers together, as [1, -1, 64]"
            )
        return self

    @property
    def size(self) -> int:
        """Numbers of one environment."""
        return prod(size for size in self.shape if size != BATCH)


class ActionValue(Record):
    """One number of the action: output[column] * scale + centre, clipped to [-1, 1]. Without a column: the centre."""

    column: Annotated[int, Field(ge=0, le=1023)] | None
    scale: float
    centre: float


class ActionTensor(Record):
    """The output (B, n) that is the action, and what x, y, z and the fingers are made of."""

    tensor: TensorName
    x: ActionValue
    y: ActionValue
    z: ActionValue
    fingers: ActionValue

    @property
    def values(self) -> tuple[ActionValue, ...]:
        """In the action's order."""
        return self.x, self.y, self.z, self.fingers


class OnnxActorSpec(Record):
    """An actor that is an ONNX file: every input and output that is used, by the name it has there."""

    kind: Literal["onnx"]
    images: Annotated[tuple[ImageTensor, ...], Field(max_length=4)]
    vectors: Annotated[tuple[VectorTensor, ...], Field(max_length=16)]
    states: Annotated[tuple[StateTensor, ...], Field(max_length=8)]
    action: ActionTensor

    @model_validator(mode="after")
    def _each_once(self) -> OnnxActorSpec:
        names = self.inputs
        if not self.images and not self.vectors:
            raise ValueError("no tensor is mapped, expected at least one of images or vectors")
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"tensors are mapped twice: {', '.join(repeated)}; expected each once")
        return self

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of all tensors that are filled."""
        filled: list[ImageTensor | VectorTensor | StateTensor] = [*self.images, *self.vectors, *self.states]
        return tuple(part.tensor for part in filled)

    @property
    def state_size(self) -> int:
        """Numbers of the recurrent state of one environment."""
        return sum(state.size for state in self.states)
