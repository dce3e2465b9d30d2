"""Names of the parts of a vector: one description of what stands where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Layout:
    """Parts of a vector, one behind the other. ``sizes`` gives each part's name and length, in order.

    For arrays and tensors alike; parts are along the last axis.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._slices: dict[str, slice] = {}
        self.size = 0
        for name, size in sizes.items():
            self._slices[name] = slice(self.size, self.size + size)
            self.size += size

    @property
    def names(self) -> tuple[str, ...]:
        """The parts' names, in order."""
        return tuple(self._slices)

    def __getitem__(self, name: str) -> slice:
        """Return where the part called ``name`` stands."""
        return self._slices[name]

    def part(self, vector: Any, name: str) -> Any:
        """Return the part (..., n) called ``name`` of vectors (..., size)."""
        return vector[..., self._slices[name]]
