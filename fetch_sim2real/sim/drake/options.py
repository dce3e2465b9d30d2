"""What can be chosen about the engine Drake, by words behind its name: ``drake:hydroelastic,pbr``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fetch_sim2real.errors import FetchSim2RealError


@dataclass(frozen=True)
class DrakeOptions:
    """``hydroelastic``: contact over surfaces instead of points. ``pbr``: physically based materials.
    ``environment_map``: a room around the scene as its ambient light, with such materials."""

    hydroelastic: bool = False
    pbr: bool = False
    environment_map: bool = False

    @property
    def is_pbr(self) -> bool:
        """Whether materials are physically based: an environment map asks for them."""
        return self.pbr or self.environment_map

    @staticmethod
    def of(words: Sequence[str]) -> DrakeOptions:
        """Return the options that are called ``words``; FetchSim2RealError for one that is not there."""
        known = ("hydroelastic", "pbr", "environment_map")
        if unknown := [word for word in words if word not in known]:
            raise FetchSim2RealError(
                f"engine 'drake' has no option {', '.join(map(repr, unknown))}, expected some of {', '.join(known)}, "
                "as in drake:hydroelastic,pbr"
            )
        return DrakeOptions(**dict.fromkeys(words, True))
