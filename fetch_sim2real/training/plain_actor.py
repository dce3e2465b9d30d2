"""An actor of the bundle format from plain layers: what was trained elsewhere becomes data.

Such an actor sees no picture. Its input is the bundle's vector (``perception.observe``), or any affine function of it:
that function and the first layer are one layer, so it is folded into the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import nn

from fetch_sim2real.errors import BundleError
from fetch_sim2real.perception.observe import ACTION_SIZE, ObservationSpec
from fetch_sim2real.policy.network import ACTIVATIONS, Activation, Actor, ActorSpec, Squash, build_actor
from fetch_sim2real.types import FloatArray

_PROBES: Final = 64
_AFFINE_TOLERANCE: Final = 1e-6
_EXPECTED: Final = (
    "expected Linear, [LayerNorm], activation, ..., Linear, with one of the activations "
    f"{', '.join(kind.__name__ for kind in ACTIVATIONS.values())} throughout"
)


@dataclass(frozen=True)
class AffineMap:
    """features = matrix (m, n) @ vector + offset (m,)."""

    matrix: FloatArray
    offset: FloatArray

    @staticmethod
    def identity(size: int) -> AffineMap:
        """Return the map whose features are the vector itself."""
        return AffineMap(np.eye(size), np.zeros(size))


def affine_map(features: Callable[[torch.Tensor], torch.Tensor], size: int) -> AffineMap:
    """Return the map that ``features`` (B, m) of float64 vectors (B, size) is; BundleError if it is not affine."""
    with torch.no_grad():
        at_corners = features(torch.cat([torch.zeros(1, size), torch.eye(size)]).double()).numpy()
        offset, matrix = at_corners[0], (at_corners[1:] - at_corners[0]).T
        probes = np.random.default_rng(0).uniform(-3.0, 3.0, (_PROBES, size))
        off = np.abs(features(torch.from_numpy(probes)).numpy() - (probes @ matrix.T + offset)).max()
    if not off <= _AFFINE_TOLERANCE * (1.0 + np.abs(matrix).max()):
        raise BundleError(
            "actor", f"the features are no affine function of what a robot knows (off by {off:.2g}): leave learned or "
            "clipped features out, and let the network's own layers do it"
        )  # fmt: skip
    return AffineMap(matrix, offset)


def plain_actor(layers: Sequence[nn.Module], squash: Squash, observation: ObservationSpec, inputs: AffineMap) -> Actor:
    """Return the actor that computes squash(layers(inputs(vector))).

    ``layers`` alternate as in ``nn.Sequential(Linear, ReLU, Linear)``; BundleError says what does not fit.
    """
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    norms = [layer for layer in layers if isinstance(layer, nn.LayerNorm)]
    activation = _activation(layers)
    norm, kind = bool(norms), ACTIVATIONS[activation]
    pattern = [nn.Linear, *([nn.LayerNorm] if norm else []), kind] * (len(linear) - 1) + [nn.Linear]
    if [type(layer) for layer in layers] != pattern:
        raise BundleError("actor.hidden", f"the layers are {[type(layer).__name__ for layer in layers]}, {_EXPECTED}")
    if linear[0].in_features != len(inputs.offset):
        raise BundleError("actor", f"takes {linear[0].in_features} numbers, the features have {len(inputs.offset)}")
    if linear[-1].out_features != ACTION_SIZE:
        raise BundleError("actor", f"gives {linear[-1].out_features} numbers, expected {ACTION_SIZE}: x, y, z, fingers")
    spec = ActorSpec(
        conv=(),
        coordinate_channels=False,
        auxiliary=(),
        latent=0,
        relative_features=(),
        memory=None,
        hidden=tuple(layer.out_features for layer in linear[:-1]),
        layer_norm=norm,
        activation=activation,
        squash=squash,
        sure_of=(),
        refine=0,
    )
    actor = build_actor(spec, observation)
    weights = [(_weight(layer), _bias(layer)) for layer in linear]
    weights[0] = weights[0][0] @ inputs.matrix, weights[0][0] @ inputs.offset + weights[0][1]
    with torch.no_grad():
        own = [layer for layer in actor.head.trunk if isinstance(layer, nn.Linear)]
        for target, (weight, bias) in zip([*own, actor.head.out], weights, strict=True):
            target.weight.copy_(torch.from_numpy(weight))
            target.bias.copy_(torch.from_numpy(bias))
        own_norms = [layer for layer in actor.head.trunk if isinstance(layer, nn.LayerNorm)]
        for own_norm, trained in zip(own_norms, norms, strict=True):
            if trained.eps != own_norm.eps:
                raise BundleError("actor.layer_norm", f"eps is {trained.eps}, expected {own_norm.eps}")
            own_norm.load_state_dict(trained.state_dict())
    return actor.eval()


def _activation(layers: Sequence[nn.Module]) -> Activation:
    found = {name for name, kind in ACTIVATIONS.items() for layer in layers if type(layer) is kind}
    if len(found) != 1:
        raise BundleError("actor.activation", f"is {sorted(found) or 'none'}, {_EXPECTED}")
    return found.pop()


def _weight(layer: nn.Linear) -> FloatArray:
    weight: FloatArray = layer.weight.detach().cpu().double().numpy()
    return weight


def _bias(layer: nn.Linear) -> FloatArray:
    # torch's types do not say that a layer may have none.
    bias: torch.Tensor | None = getattr(layer, "bias", None)
    return np.zeros(layer.out_features) if bias is None else bias.detach().cpu().double().numpy()
