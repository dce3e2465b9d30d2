"""What the operator has chosen on the command line. Imports no ROS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Expected:
    """What the check list holds the graph to.

    ``speed``: the cap that the driver is given and takes up when it is enabled; None for the one that it has.
    ``accepted`` names the items that may fail.
    """

    mode: str
    speed: float | None = None
    calibration: Path | None = None
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choices:
    """Options that the dialogue and its subcommands share. ``operator``: the name of who operates; may be empty."""

    expected: Expected
    log: Path
    assume_yes: bool
    namespace: str = ""
    operator: str = ""
