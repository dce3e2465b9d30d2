"""What the node needs of a camera, whatever it is: a device, a recording, a simulation, or arrays fed by a test."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from camera_node.profile import Profile
from fetch_sim2real.perception.camera import CameraModel


class TimeDomain(Enum):
    """Whose clock a device time is of."""

    GLOBAL = "global"  # the host's, computed by the SDK from the device's
    HARDWARE = "hardware"  # the device's own, which began anywhere and runs at its own speed
    SYSTEM = "system"  # the host's when the frame arrived: metadata is not available
    RECORDED = "recorded"  # of another day
    SIMULATED = "simulated"  # the simulated world's, which is the graph's own


@dataclass(frozen=True)
class FrameTag:
    """A frame's number and times.

    ``device_ns`` is the end of the exposure by the clock that ``domain`` names, ``mid_exposure_ns`` how long before
    that its middle was, ``arrival_ns`` when the host got the frame, by the host's clock.
    """

    number: int
    device_ns: int
    domain: TimeDomain
    arrival_ns: int
    mid_exposure_ns: int = 0


@dataclass(frozen=True, eq=False)
class RawPair:
    """A colour frame and the depth that was aligned to it.

    rgb (H, W, 3) uint8 and depth_mm (H, W) uint16, 0 where there is none. Both may be views of the source's buffers,
    of which there are few: who keeps pairs copies them. ``align_s`` is what alignment took.
    """

    rgb: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]
    color: FrameTag
    depth: FrameTag
    align_s: float = 0.0


class CameraChangedError(Exception):
    """Another camera is there now, or the same with other intrinsics: no fault, but it has to be opened anew."""


@dataclass(frozen=True)
class Distortion:
    """A lens' distortion in CameraInfo's terms."""

    model: str
    coefficients: tuple[float, ...]


@dataclass(frozen=True)
class CameraDescription:
    """An opened camera. ``camera`` is the colour camera's pinhole, which aligned depth shares."""

    name: str
    serial: str
    firmware: str
    usb_type: str
    color: Profile
    depth: Profile
    depth_unit_m: float
    camera: CameraModel
    distortion: Distortion
    is_recording: bool = False

    @property
    def is_usb2(self) -> bool:
        """Whether the link is too slow for most profiles."""
        return self.usb_type.startswith(("1", "2"))

    def __str__(self) -> str:
        usb = f", USB {self.usb_type}" if self.usb_type else ""
        return f"{self.name} {self.serial}{usb}, colour {self.color}, depth {self.depth}"


class RgbdSource(Protocol):
    """Gives pairs while it is open. It may be opened again after it was closed."""

    def open(self, reset: bool) -> CameraDescription:
        """Start streaming, after a reset of the hardware if so asked. CameraError if that is impossible."""
        ...

    def read(self, timeout_s: float) -> RawPair | None:
        """Return the newest pair, or None if none came in time.

        CameraError if no more can come, CameraChangedError if they will be of another camera.
        """
        ...

    def missing(self) -> str | None:
        """Return which one of "color" and "depth" has not come since the last pair although the other one has."""
        ...

    def is_paused(self) -> bool:
        """Return whether no pairs are due: a simulation stands still."""
        ...

    def is_connected(self) -> bool:
        """Return whether the camera is there at all; asked when no frames come."""
        ...

    def close(self) -> None:
        """Stop streaming. Safe to call at any time, and again."""
        ...
