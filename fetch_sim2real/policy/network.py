"""The actor: images -> bottleneck (with named, physical outputs) -> joined with the vector -> memory -> action.

The convolutional part ends in a spatial softmax: every channel is read as one point of attention (u, v) and the depth
found there, so that positions survive at sub-pixel precision and the rest of the image is dropped. Images come in
storage form (uint8 and uint16) and are normalized inside, so that no caller can do it differently.

Memory is optional: a gated recurrent unit (GRU) on all inputs of the head, whose state goes to the head beside them. An
actor without memory has a state of no numbers, so that callers treat both alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Final, Literal, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import nn

from fetch_sim2real.common.schema import PositiveFloat, Record
from fetch_sim2real.perception.normalize import HOLE, normalize_images
from fetch_sim2real.perception.observe import ACTION_SIZE, ObservationSpec, ScaledValue
from fetch_sim2real.perception.preprocess import ImageSpec

# Enough for this task's actors; a damaged manifest must not make a loader allocate gigabytes.
Width = Annotated[int, Field(ge=1, le=1024)]


Activation = Literal["relu", "tanh", "elu"]
Squash = Literal["tanh", "clip"]
ACTIVATIONS: Final[dict[Activation, type[nn.Module]]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "elu": nn.ELU}
_SQUASH: Final[dict[Squash, Callable[[torch.Tensor], torch.Tensor]]] = {
    "tanh": torch.tanh,
    "clip": lambda output: output.clamp(-1.0, 1.0),
}


class ConvLayer(Record):
    """One convolution followed by ReLU, padded by half its kernel, so that cell i is centred on cell stride * i."""

    channels: Width
    kernel: Literal[1, 3, 5, 7, 9]
    stride: Annotated[int, Field(ge=1, le=4)]


PositionNames = Annotated[tuple[str, ...], Field(min_length=1, max_length=4)]
_AXES: Final = "xyz"

# What an encoder says of a position beside the position, in bottleneck units -1..1 around the centre: how far off it is
# likely to be, as a power of ten of metres (3 mm to 30 cm), and the probability that it is seen at all.
SURENESS: Final = (ScaledValue(name="spread", centre=-1.5, scale=1.0), ScaledValue(name="seen", centre=0.5, scale=0.5))
_SURENESS_HIDDEN: Final = 64
_LOGIT_UNIT: Final = 10.0


class RelativeFeature(Record):
    """(sum of ``plus`` - sum of ``minus``) / ``scale_m``, for x, y and z.

    Names are those of positions in the bottleneck or the vector, without their axis: ``goal`` for ``goal_x``, ...
    A network can subtract, but what decides a push is a centimetre between two positions that each span half a metre:
    given as a difference, in units of a few centimetres, it is learned many times faster.
    """

    plus: PositionNames
    minus: PositionNames
    scale_m: PositiveFloat


class MemorySpec(Record):
    """The actor's memory: its ``kind``, and the ``size`` of its state."""

    kind: Literal["gru"]
    size: Width


class ActorSpec(Record):
    """The actor's architecture.

    ``auxiliary`` names the physical outputs of the bottleneck with the centre and scale that turn them into units;
    ``sure_of`` names those positions among them, without their axis, of which ``SURENESS`` follows; ``latent`` is how
    many further numbers the bottleneck has. ``refine`` is how many hidden units correct the positions by what is found
    where the first channels attend, one channel for each position (0: none do). ``relative_features`` are differences
    of positions that the head gets beside bottleneck and vector. ``coordinate_channels`` adds u and v to the input.
    Without ``conv`` the actor sees no picture, only the vector. ``memory`` is None for a feed-forward actor.
    ``activation`` follows every hidden layer of the head, ``squash`` brings its output into [-1, 1].
    """

    conv: Annotated[tuple[ConvLayer, ...], Field(max_length=8)]
    coordinate_channels: bool
    auxiliary: Annotated[tuple[ScaledValue, ...], Field(max_length=64)]
    latent: Annotated[int, Field(ge=0, le=1024)]
    relative_features: Annotated[tuple[RelativeFeature, ...], Field(max_length=16)]
    memory: MemorySpec | None
    hidden: Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)]
    layer_norm: bool
    activation: Activation
    squash: Squash
    sure_of: Annotated[tuple[str, ...], Field(max_length=8)]
    refine: Annotated[int, Field(ge=0, le=1024)]

    @model_validator(mode="after")
    def _bottleneck_has_outputs(self) -> ActorSpec:
        if self.conv and self.bottleneck_size == 0:
            raise ValueError("the bottleneck is empty: give it auxiliary or latent outputs")
        if not self.conv and (self.bottleneck_size or self.coordinate_channels):
            raise ValueError("without convolutions nothing of a picture is seen: no auxiliary, latent, coordinates")
        if self.refine and self.positions > (self.conv[-1].channels if self.conv else 0):
            raise ValueError(f"refine needs a channel of the last convolution for each of {self.positions} positions")
        names = {value.name for value in self.auxiliary}
        for stem in self.sure_of:
            if not {f"{stem}_{axis}" for axis in _AXES} <= names:
                raise ValueError(f"sure_of '{stem}' is no position among the auxiliary outputs {sorted(names)}")
        return self

    @property
    def positions(self) -> int:
        """How many positions the auxiliary outputs are."""
        return len(self.auxiliary) // len(_AXES)

    @property
    def bottleneck_size(self) -> int:
        """Numbers of the bottleneck."""
        return len(self.bottleneck)

    @property
    def bottleneck(self) -> tuple[ScaledValue, ...]:
        """The bottleneck's numbers in order: auxiliary outputs, how sure they are, latent ones."""
        sureness = (
            value.model_copy(update={"name": f"{stem}_{value.name}"}) for stem in self.sure_of for value in SURENESS
        )
        latent = (ScaledValue(name=f"latent_{i}", centre=0.0, scale=1.0) for i in range(self.latent))
        return (*self.auxiliary, *sureness, *latent)

    @property
    def state_size(self) -> int:
        """Numbers of the recurrent state: 0 without memory."""
        return 0 if self.memory is None else self.memory.size


def default_actor_spec(
    auxiliary: tuple[ScaledValue, ...],
    latent: int = 0,
    relative_features: tuple[RelativeFeature, ...] = (),
    memory: MemorySpec | None = None,
    sure_of: tuple[str, ...] = (),
) -> ActorSpec:
    """Return the architecture that this project trains."""
    layers = ((32, 5, 2), (64, 3, 2), (64, 3, 1), (64, 3, 1), (64, 3, 1), (64, 3, 1))
    return ActorSpec(
        conv=tuple(ConvLayer(channels=c, kernel=k, stride=s) for c, k, s in layers),
        coordinate_channels=False,
        auxiliary=auxiliary,
        latent=latent,
        relative_features=relative_features,
        memory=memory,
        hidden=(256, 256),
        layer_norm=True,
        activation="relu",
        squash="tanh",
        sure_of=sure_of,
        refine=128 if auxiliary else 0,
    )


class ActorOutput(NamedTuple):
    """action (B, 4) in [-1, 1], bottleneck (B, b) normalized, next recurrent state (B, s)."""

    action: torch.Tensor
    bottleneck: torch.Tensor
    state: torch.Tensor


def _grid(size: int, step: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinates u, v of every ``step``-th pixel's centre, -1..1 from edge to edge of an image of ``size``."""
    line = (torch.arange(0, size, step) + 0.5) / size * 2 - 1
    v, u = torch.meshgrid(line, line, indexing="ij")
    return u.contiguous(), v.contiguous()


class SpatialSoftmax(nn.Module):
    """Reads each feature channel as one point: where it attends, and how deep the scene is there.

    Output (B, 5 * channels): attention's mean u, v in [-1, 1], mean normalized depth d, and the point's lateral
    offsets x, y from the optical axis, in units of the far distance. x and y are proportional to metres, so that a
    linear layer can turn a point into a position in the robot's frame.
    """

    u: torch.Tensor
    v: torch.Tensor

    def __init__(self, channels: int, step: int, image: ImageSpec) -> None:
        """``step``: pixels of the image from one cell of the feature map to the next, starting at the first."""
        super().__init__()
        self.log_temperature = nn.Parameter(torch.zeros(channels))
        u, v = _grid(image.size, step)
        # Constants of the architecture, not weights: they stay out of the saved tensors.
        self.register_buffer("u", u.reshape(-1), persistent=False)
        self.register_buffer("v", v.reshape(-1), persistent=False)
        self._half_tangent = math.tan(math.radians(image.fov_deg) / 2)
        self._near_share = image.depth_near_m / image.depth_far_m

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Return the attention over the cells (B, C, H * W) before the softmax."""
        return features.flatten(2) * torch.exp(-self.log_temperature)[None, :, None]

    def evidence(self, features: torch.Tensor) -> torch.Tensor:
        """Return what tells whether a channel has found what it looks for (B, 2 C): how far its attention reaches
        around its point, and by how much the best cell stands out."""
        logits = self.logits(features)
        columns = torch.stack([self.u, self.v, self.u.square() + self.v.square()], dim=1)
        u, v, square = (torch.softmax(logits, dim=-1) @ columns).unbind(-1)
        reach = (square - u.square() - v.square()).clamp(min=0.0).sqrt()
        return torch.cat([reach, (logits.amax(-1) - logits.mean(-1)) / _LOGIT_UNIT], dim=-1)

    def found(self, features: torch.Tensor, channels: int) -> torch.Tensor:
        """Return all features (B, channels * C) as they are on average where each of the first ``channels`` attends."""
        attention = torch.softmax(self.logits(features)[:, :channels], dim=-1)
        return torch.bmm(attention, features.flatten(2).transpose(1, 2)).flatten(1)

    def forward(self, features: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
        """Return the expectations of features (B, C, H, W).

        Depth (B, 1, H, W) is normalized, HOLE where there is none.
        """
        attention = torch.softmax(self.logits(features), dim=-1)
        flat = depth.flatten(2)
        valid = (flat > HOLE).to(flat.dtype)
        # One product gives every expectation: sum of attention, u, v over all cells, and of depth over seen ones.
        share = (flat + 0.5) * (1.0 - self._near_share) + self._near_share  # z / far
        columns = torch.cat(
            [
                self.u.expand(flat.shape),
                self.v.expand(flat.shape),
                valid,
                valid * flat,
                valid * share * self.u * self._half_tangent,
                valid * share * self.v * self._half_tangent,
            ],
            dim=1,
        )
        u, v, seen, d, x, y = torch.bmm(attention, columns.transpose(1, 2)).unbind(-1)
        weight = 1.0 / (seen + 1e-3)
        return torch.cat([u, v, d * weight, x * weight, y * weight], dim=-1)


class Encoder(nn.Module):
    """Images in storage form -> bottleneck (B, b), whose numbers ``ActorSpec.bottleneck`` names."""

    grid: torch.Tensor

    def __init__(self, spec: ActorSpec, image: ImageSpec) -> None:
        super().__init__()
        self._image = image
        layers: list[nn.Module] = []
        channels, step = 6 if spec.coordinate_channels else 4, 1
        for index, layer in enumerate(spec.conv):
            if index:
                layers.append(nn.ReLU())
            convolution = nn.Conv2d(channels, layer.channels, layer.kernel, layer.stride, layer.kernel // 2)
            # torch's default shrinks the signal layer by layer: attention would start uniform and learn slowly.
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(cast(torch.Tensor, convolution.bias))
            layers.append(convolution)
            channels, step = layer.channels, step * layer.stride
        # No ReLU after the last layer: attention needs to tell "irrelevant" from "avoid".
        self.conv = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.step = step
        self.softmax = SpatialSoftmax(channels, step, image)
        self._positions, sureness = len(spec.auxiliary), len(SURENESS) * len(spec.sure_of)
        self.out = nn.Linear(5 * channels, spec.bottleneck_size - sureness)
        # Positions are nearly linear in what is attended to. What is found there says how they are not: which side of a
        # block is seen, how far from a cell's middle.
        self._attended = spec.positions if spec.refine else 0
        found = self._attended * channels
        self.refine = nn.Sequential(
            nn.Linear(5 * channels + found, spec.refine), nn.ReLU(), nn.Linear(spec.refine, self._positions)
        ) if spec.refine else None  # fmt: skip
        # Whether something is there is not linear at all.
        self.sure = nn.Sequential(
            nn.Linear(7 * channels + found, _SURENESS_HIDDEN), nn.ReLU(),
            nn.Linear(_SURENESS_HIDDEN, sureness), nn.Tanh(),
        ) if sureness else None  # fmt: skip
        grid = torch.stack(_grid(image.size))[None] if spec.coordinate_channels else torch.zeros(0)
        self.register_buffer("grid", grid, persistent=False)

    def feature_maps(self, rgb: torch.Tensor, depth_mm: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the feature maps (B, C, H, W), and normalized depth (B, 1, H, W) at their resolution."""
        images = normalize_images(rgb, depth_mm, self._image)
        # The depth at each cell's centre: picked, not averaged, and holes stay holes.
        depth = images[:, 3:4, :: self.step, :: self.step]
        if self.grid.numel():
            images = torch.cat([images, self.grid.expand(images.shape[0], -1, -1, -1)], dim=1)
            images = images.contiguous(memory_format=torch.channels_last)
        return self.conv(images), depth

    def read(self, features: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
        """Return the bottleneck (B, b) of ``feature_maps``."""
        points = self.softmax(features, depth)
        bottleneck: torch.Tensor = self.out(points)
        positions, latent = bottleneck[:, : self._positions], bottleneck[:, self._positions :]
        if self.refine is not None:
            points = torch.cat([points, self.softmax.found(features, self._attended)], dim=-1)
            positions = positions + self.refine(points)
        if self.sure is None:
            return torch.cat([positions, latent], dim=-1)
        # What it is unsure of must not become less exact for that: only the last layers learn to tell.
        told = self.sure(torch.cat([points, self.softmax.evidence(features)], dim=-1).detach())
        return torch.cat([positions, told, latent], dim=-1)

    def forward(self, rgb: torch.Tensor, depth_mm: torch.Tensor) -> torch.Tensor:
        """Return the bottleneck (B, b) of rgb (B, S, S, 3) uint8 and depth (B, S, S) uint16 [mm]."""
        return self.read(*self.feature_maps(rgb, depth_mm))


class Blind(Encoder):
    """The encoder of an actor that sees no picture: an empty bottleneck."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def forward(self, rgb: torch.Tensor, depth_mm: torch.Tensor) -> torch.Tensor:
        """Return the bottleneck (B, 0)."""
        # The shape, not len(): an exported graph takes batches of any size.
        return torch.zeros(rgb.shape[0], 0)


class RelativeFeatures(nn.Module):
    """Compute the relative features (B, 3 * n) of positions given normalized in ``inputs`` (B, len(values))."""

    matrix: torch.Tensor
    offset: torch.Tensor

    def __init__(self, features: tuple[RelativeFeature, ...], values: tuple[ScaledValue, ...]) -> None:
        """``values`` names the inputs in order. ValueError for a position that is not among them."""
        super().__init__()
        column = {value.name: index for index, value in enumerate(values)}
        matrix, offset = torch.zeros(3 * len(features), len(values)), torch.zeros(3 * len(features))
        for index, feature in enumerate(features):
            for sign, stems in ((1.0, feature.plus), (-1.0, feature.minus)):
                for row, name in ((3 * index + a, f"{stem}_{_AXES[a]}") for stem in stems for a in range(3)):
                    if name not in column:
                        raise ValueError(f"{feature.plus} - {feature.minus}: there is no input '{name}'")
                    value = values[column[name]]
                    matrix[row, column[name]] += sign * value.scale / feature.scale_m
                    offset[row] += sign * value.centre / feature.scale_m
        # Constants of the architecture, not weights: they stay out of the saved tensors.
        self.register_buffer("matrix", matrix, persistent=False)
        self.register_buffer("offset", offset, persistent=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.offset, inputs, self.matrix.T)


class Head(nn.Module):
    """Bottleneck, vector and recurrent state -> action and next state.

    ``trunk`` is separate: a stochastic learner hangs its spread on it. Everything comes as single steps (B, n) or as
    sequences of L steps (B, L, n); the state (B, s) is that before the first step, and returned after the last one.
    """

    def __init__(self, spec: ActorSpec, observation: ObservationSpec) -> None:
        super().__init__()
        values = (*spec.bottleneck, *observation.vector)
        self.relative_features = RelativeFeatures(spec.relative_features, values)
        layers: list[nn.Module] = []
        width = len(values) + 3 * len(spec.relative_features)
        self.memory = None if spec.memory is None else nn.GRU(width, spec.memory.size, batch_first=True)
        width += spec.state_size
        for hidden in spec.hidden:
            layers.append(nn.Linear(width, hidden))
            if spec.layer_norm:
                layers.append(nn.LayerNorm(hidden))
            layers.append(ACTIVATIONS[spec.activation]())
            width = hidden
        self.trunk = nn.Sequential(*layers)
        self.out = nn.Linear(width, ACTION_SIZE)
        self._squash = _SQUASH[spec.squash]

    def features(
        self, bottleneck: torch.Tensor, vector: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the last hidden layer (B, hidden) or (B, L, hidden), and the state (B, s) after it."""
        inputs = torch.cat([bottleneck, vector], dim=-1)
        differences = self.relative_features(inputs.flatten(0, -2)).unflatten(0, inputs.shape[:-1])
        joined = torch.cat([inputs, differences], dim=-1)
        if self.memory is not None:
            steps = joined if joined.dim() == 3 else joined[:, None]
            remembered, last = self.memory(steps, state[None].contiguous())
            state = last[0]
            joined = torch.cat([joined, remembered if joined.dim() == 3 else state], dim=-1)
        return self.trunk(joined), state

    def forward(
        self, bottleneck: torch.Tensor, vector: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the action (B, 4) or (B, L, 4) in [-1, 1], and the state (B, s) after it."""
        features, state = self.features(bottleneck, vector, state)
        return self._squash(self.out(features)), state


class Actor(nn.Module):
    """Encoder and head. Batched throughout; images in storage form, vectors normalized (``perception.observe``)."""

    auxiliary_centre: torch.Tensor
    auxiliary_scale: torch.Tensor

    def __init__(self, spec: ActorSpec, observation: ObservationSpec) -> None:
        super().__init__()
        self.spec = spec
        self.observation = observation
        self.encoder = Encoder(spec, observation.image) if spec.conv else Blind()
        self.head = Head(spec, observation)
        centre = torch.tensor([value.centre for value in spec.auxiliary])
        scale = torch.tensor([value.scale for value in spec.auxiliary])
        self.register_buffer("auxiliary_centre", centre, persistent=False)
        self.register_buffer("auxiliary_scale", scale, persistent=False)

    @property
    def state_size(self) -> int:
        """Numbers of the recurrent state."""
        return self.spec.state_size

    def initial_state(self, batch: int = 1) -> torch.Tensor:
        """Return the recurrent state (B, s) at the start of an episode: zeros."""
        return torch.zeros(batch, self.spec.state_size)

    def encode(self, rgb: torch.Tensor, depth_mm: torch.Tensor) -> torch.Tensor:
        """Return the bottleneck (B, b), normalized: what the head takes, and what may be cached while the encoder is
        frozen.
        """
        return self.encoder(rgb, depth_mm)

    def auxiliary(self, bottleneck: torch.Tensor) -> torch.Tensor:
        """Return the bottleneck's named outputs (B, len(spec.auxiliary)) in their physical units."""
        return bottleneck[..., : len(self.spec.auxiliary)] * self.auxiliary_scale + self.auxiliary_centre

    def normalize_auxiliary(self, values: torch.Tensor) -> torch.Tensor:
        """Return physical values as the bottleneck holds them: the auxiliary loss's target, and a perfect encoder's
        output.
        """
        return (values - self.auxiliary_centre) / self.auxiliary_scale

    def unseen(self, bottleneck: torch.Tensor) -> torch.Tensor:
        """Return bottlenecks (B, b) with the same positions, of which it is known that nothing of them is seen now.

        They are the same where the encoder does not say what it sees.
        """
        told = bottleneck.clone()
        first = len(self.spec.auxiliary) + [value.name for value in SURENESS].index("seen")
        told[..., first : first + len(SURENESS) * len(self.spec.sure_of) : len(SURENESS)] = -1.0
        return told

    def act(
        self, bottleneck: torch.Tensor, vector: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the action (B, 4) in [-1, 1] and the next recurrent state (B, s).

        Sequences, (B, L, b) and (B, L, n), give actions (B, L, 4) and the state after the last step.
        """
        action, state = self.head(bottleneck, vector, state)
        return action, state

    def unroll(self, bottleneck: torch.Tensor, vector: torch.Tensor, is_reset: torch.Tensor) -> torch.Tensor:
        """Return the actions (B, T, 4) on sequences (B, T, b) and (B, T, n) that may hold starts of episodes.

        ``is_reset`` (B, T), bool: the state before this step is the initial one. Before the first step it is so anyway.
        """
        state, actions = self.initial_state(len(vector)), []
        for step in range(vector.shape[1]):
            state = torch.where(is_reset[:, step, None], torch.zeros_like(state), state)
            action, state = self.act(bottleneck[:, step], vector[:, step], state)
            actions.append(action)
        return torch.stack(actions, dim=1)

    def forward(
        self, rgb: torch.Tensor, depth_mm: torch.Tensor, vector: torch.Tensor, state: torch.Tensor
    ) -> ActorOutput:
        """Return everything from rgb (B, S, S, 3) uint8, depth (B, S, S) uint16 [mm], vector (B, n), state (B, s)."""
        bottleneck = self.encode(rgb, depth_mm)
        action, state = self.act(bottleneck, vector, state)
        return ActorOutput(action, bottleneck, state)

    def step(
        self,
        rgb: NDArray[np.uint8],
        depth_mm: NDArray[np.uint16],
        vector: NDArray[np.float32],
        state: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See ``policy.step_actor.StepActor``."""
        with torch.inference_mode():
            inputs = (torch.from_numpy(values) for values in (rgb, depth_mm, vector, state))
            output = self(*inputs)
        return output.action.numpy(), output.state.numpy()


def build_actor(spec: ActorSpec, observation: ObservationSpec) -> Actor:
    """Return a new actor with random initial weights from torch's generator (seed that to repeat them)."""
    return Actor(spec, observation)
