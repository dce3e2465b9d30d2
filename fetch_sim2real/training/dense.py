"""Dense networks whose gradients are written by hand, with all parameters in one piece of memory.

Networks of relay HER are small, and the calls around the products of matrices cost time of their own. Here a backward
pass computes what is asked for and no more, writes gradients where the optimizer looks for them, and the optimizer
sees one tensor. The results are those of automatic differentiation: a test compares both.

With ``bfloat16`` the products between hidden layers are made of numbers with 8 bits of precision, which processors
that know them do three to four times as fast. All else keeps its bits: inputs and outputs (positions and values need
more than 8), sums, normalization, weights and their gradients.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Final, NamedTuple

import torch
from torch import nn

_EPSILON: Final = 1e-5
# Tensors begin at multiples of so many numbers (64 bytes), which products of matrices like.
_ALIGNED: Final = 16


class _Kept(NamedTuple):
    """What the backward pass needs of one normalized layer."""

    inputs: torch.Tensor
    weight: torch.Tensor
    raw: torch.Tensor
    mean: torch.Tensor
    inverse_std: torch.Tensor
    outputs: torch.Tensor


class Tape(NamedTuple):
    """What a forward pass has left for the backward pass."""

    layers: list[_Kept]
    last_inputs: torch.Tensor


class _Layer(nn.Module):
    """Weights of a linear layer and, unless it is the last one, of the layer normalization after it."""

    def __init__(self, inputs: int, outputs: int, *, last: bool = False) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(inputs, outputs).uniform_(-bound, bound), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound), requires_grad=False)
        if not last:
            self.scale = nn.Parameter(torch.ones(outputs), requires_grad=False)
            self.shift = nn.Parameter(torch.zeros(outputs), requires_grad=False)


class Dense(nn.Module):
    """``layers`` times linear, layer normalization, ReLU; then linear: (B, inputs) -> (B, outputs).

    ``between`` is the type of numbers between hidden layers while it learns.
    """

    def __init__(self, inputs: int, hidden: int, layers: int, outputs: int, between: torch.dtype) -> None:
        super().__init__()
        self.between = between
        widths = [inputs, *[hidden] * layers]
        self.hidden = [_Layer(*pair) for pair in pairwise(widths)]
        self.registered = nn.ModuleList(self.hidden)
        self.last = _Layer(widths[-1], outputs, last=True)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs (B, outputs)."""
        return self.taped(inputs)[0]

    def taped(self, inputs: torch.Tensor) -> tuple[torch.Tensor, Tape]:
        """Return the outputs (B, outputs), and what ``learn`` and ``input_gradient`` need."""
        kept = []
        for layer in self.hidden:
            weight = layer.weight if layer is self.hidden[0] else layer.weight.to(self.between)
            raw = torch.mm(inputs, weight).to(layer.bias.dtype).add_(layer.bias)
            outputs, mean, inverse_std = torch.native_layer_norm(
                raw, (raw.shape[1],), layer.scale, layer.shift, _EPSILON
            )
            kept.append(_Kept(inputs, weight, raw, mean, inverse_std, outputs.relu_()))
            inputs = outputs.to(self.between)
        inputs = inputs.to(self.last.weight.dtype)
        return torch.mm(inputs, self.last.weight).add_(self.last.bias), Tape(kept, inputs)

    def learn(self, tape: Tape, gradient: torch.Tensor) -> None:
        """Write the gradients of all parameters, given that of the outputs (B, outputs)."""
        torch.sum(gradient, 0, out=gradient_of(self.last.bias))
        torch.mm(tape.last_inputs.t(), gradient, out=gradient_of(self.last.weight))
        gradient = torch.mm(gradient, self.last.weight.t())
        for layer, kept in zip(reversed(self.hidden), reversed(tape.layers), strict=True):
            gradient, scale, shift = self._through_norm(layer, kept, gradient, learns=True)
            gradient_of(layer.scale).copy_(scale)
            gradient_of(layer.shift).copy_(shift)
            torch.sum(gradient, 0, out=gradient_of(layer.bias))
            if layer is self.hidden[0]:
                torch.mm(kept.inputs.t(), gradient, out=gradient_of(layer.weight))
            else:
                low = gradient.to(self.between)
                gradient_of(layer.weight).copy_(torch.mm(kept.inputs.t(), low))
                gradient = torch.mm(low, kept.weight.t()).to(gradient.dtype)

    def input_gradient(self, tape: Tape, gradient: torch.Tensor, columns: slice) -> torch.Tensor:
        """Return the gradient of some ``columns`` of the inputs, given that of the outputs (B, outputs)."""
        gradient = torch.mm(gradient, self.last.weight.t())
        for layer, kept in zip(reversed(self.hidden), reversed(tape.layers), strict=True):
            gradient, _, _ = self._through_norm(layer, kept, gradient, learns=False)
            if layer is self.hidden[0]:
                return torch.mm(gradient, kept.weight[columns].t())
            gradient = torch.mm(gradient.to(self.between), kept.weight.t()).to(gradient.dtype)
        raise AssertionError("there is a hidden layer")

    @staticmethod
    def _through_norm(
        layer: _Layer, kept: _Kept, gradient: torch.Tensor, learns: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the gradients of what is normalized, of scale, of shift; ``gradient`` (B, hidden) is overwritten."""
        torch.ops.aten.threshold_backward(gradient, kept.outputs, 0.0, grad_input=gradient)
        made: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = torch.ops.aten.native_layer_norm_backward(
            gradient, kept.raw, (gradient.shape[1],), kept.mean, kept.inverse_std, layer.scale, layer.shift,
            [True, learns, learns],
        )  # fmt: skip
        return made


def knows_bfloat16() -> bool:
    """Return whether this processor multiplies bfloat16 by itself. A torch that cannot say so counts as no."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16", "arm_bf16"))


def gradient_of(parameter: nn.Parameter) -> torch.Tensor:
    """Return where the gradient of a parameter is written; ``in_one_piece`` makes the place."""
    assert parameter.grad is not None, "parameters are brought into one piece first"
    return parameter.grad


def in_one_piece(parameters: Iterable[nn.Parameter]) -> nn.Parameter:
    """Move parameters, and their gradients, into one tensor each; return the one of parameters, for an optimizer."""
    parts = list(parameters)
    ends = torch.tensor([-(-part.numel() // _ALIGNED) * _ALIGNED for part in parts]).cumsum(0).tolist()
    values = torch.zeros(ends[-1], device=parts[0].device)
    whole = nn.Parameter(values, requires_grad=False)
    whole.grad = gradients = torch.zeros_like(values)
    for part, begin in zip(parts, [0, *ends], strict=False):
        place = slice(begin, begin + part.numel())
        values[place] = part.detach().reshape(-1)
        part.data = values[place].view(part.shape)
        part.grad = gradients[place].view(part.shape)
    return whole
