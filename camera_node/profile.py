"""Image size and rate of a stream, written as realsense2_camera writes it: ``424x240x30``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fetch_sim2real.errors import FetchSim2RealError

# realsense2_camera takes commas as well.
_PATTERN = re.compile(r"\s*(\d{1,5})\s*[xX,]\s*(\d{1,5})\s*[xX,]\s*(\d{1,4})\s*")


class ProfileTextError(FetchSim2RealError):
    """A profile is not written as WIDTHxHEIGHTxRATE."""


@dataclass(frozen=True, order=True)
class Profile:
    """Width and height [px] and frames per second of a stream."""

    width: int
    height: int
    rate_hz: int

    @staticmethod
    def parse(text: str) -> Profile:
        """Return the profile written in ``text``; ProfileTextError if there is none."""
        match = _PATTERN.fullmatch(text)
        if match is None or 0 in (numbers := tuple(int(part) for part in match.groups())):
            raise ProfileTextError(f"profile is '{text}', expected WIDTHxHEIGHTxRATE such as 424x240x30")
        return Profile(*numbers)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}x{self.rate_hz}"
