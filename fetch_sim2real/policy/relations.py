"""Differences of positions that an actor is given beside the positions themselves.

A network can subtract, but what decides a push is a centimetre between two positions that each span half a metre:
given as a difference, in units of a few centimetres, it is learned many times faster.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from fetch_sim2real.common.schema import PositiveFloat, Record
from fetch_sim2real.perception.observe import ScaledValue

Names = Annotated[tuple[str, ...], Field(min_length=1, max_length=4)]
_AXES = "xyz"


class Relation(Record):
    """(sum of ``plus`` - sum of ``minus``) / ``scale_m``, for x, y and z.

    Names are those of positions in the bottleneck or the vector, without their axis: ``goal`` for ``goal_x``, ...
    """

    plus: Names
    minus: Names
    scale_m: PositiveFloat


class Relations(nn.Module):
    """Computes the relations (B, 3 * n) of positions given normalized in ``inputs`` (B, len(values))."""

    matrix: torch.Tensor
    offset: torch.Tensor

    def __init__(self, relations: tuple[Relation, ...], values: tuple[ScaledValue, ...]) -> None:
        """``values`` names the inputs in order. ValueError for a position that is not among them."""
        super().__init__()
        column = {value.name: index for index, value in enumerate(values)}
        matrix, offset = torch.zeros(3 * len(relations), len(values)), torch.zeros(3 * len(relations))
        for index, relation in enumerate(relations):
            for sign, stems in ((1.0, relation.plus), (-1.0, relation.minus)):
                for row, name in ((3 * index + a, f"{stem}_{_AXES[a]}") for stem in stems for a in range(3)):
                    if name not in column:
                        raise ValueError(f"relation {relation.plus} - {relation.minus}: there is no input '{name}'")
                    value = values[column[name]]
                    matrix[row, column[name]] += sign * value.scale / relation.scale_m
                    offset[row] += sign * value.centre / relation.scale_m
        # Constants of the architecture, not weights: they stay out of the saved tensors.
        self.register_buffer("matrix", matrix, persistent=False)
        self.register_buffer("offset", offset, persistent=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.offset, inputs, self.matrix.T)
