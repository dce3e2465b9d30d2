"""Two critics that see the full simulator state, evaluated together."""

from __future__ import annotations

import math

import torch
from torch import nn

from fetch_sim2real.perception.observe import ACTION_SIZE
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.training.episode import TruthLayout

_UNIT_M = 0.1


class _TwinLinear(nn.Module):
    """Two linear layers side by side: (2, B, in) -> (2, B, out)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(2, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(2, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class _TwinNorm(nn.Module):
    """Layer normalization with a scale and a shift for each of the two."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2, 1, width))
        self.shift = nn.Parameter(torch.zeros(2, 1, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(self.shift, nn.functional.layer_norm(x, x.shape[-1:]), self.scale)


class TwinCritic(nn.Module):
    """Q(full state, goal, action) -> (2, B)."""

    _centre: torch.Tensor

    def __init__(self, task: Task, state_size: int, hidden: int, layers: int = 3) -> None:
        super().__init__()
        self._truth, self._main = TruthLayout(task), task.main_object or next(iter(task.bodies))
        self.register_buffer("_centre", torch.tensor(task.goal_centre_m), persistent=False)
        width = state_size + 9 + ACTION_SIZE
        parts: list[nn.Module] = []
        for _ in range(layers):
            parts += [_TwinLinear(width, hidden), _TwinNorm(hidden), nn.ReLU()]
            width = hidden
        self.layers = nn.Sequential(*parts, _TwinLinear(width, 1))

    def context(self, state: torch.Tensor, truth: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
        """Return everything but the action (B, p + 9): beside the state the ways to the goal and to the main object.

        ``truth`` (B, k) may end with the positions: the fingers are not used.
        """
        to_object = self._truth.grip_m(truth) - self._truth.objects_m(truth)[self._main]
        achieved = self._truth.achieved_goal(truth)
        ways = torch.cat([goal - self._centre, achieved - goal, to_object], dim=-1) / _UNIT_M
        return torch.cat([state, ways], dim=-1)

    def forward(self, context: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        inputs = torch.cat([context, action], dim=-1)
        values: torch.Tensor = self.layers(inputs.expand(2, *inputs.shape)).squeeze(-1)
        return values

    def lowest(self, context: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """The smaller of both values (B,)."""
        return self(context, action).amin(0)
