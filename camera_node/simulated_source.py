"""A simulated camera's pictures, sent through the SDK's software device: its syncer, its alignment, its frames.

Every picture that is put in comes out, in order and with the stamp that it came with, so that a simulation in lockstep
can wait for it. The syncer needs help with that: it lets the first frames of a stream, and those after a gap, go by
without a partner. So before those the same picture is fed with a stamp a period earlier, and what comes of it ignored.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from camera_node.faults import CameraError, Fault
from camera_node.software_device import SoftwareCamera, SoftwareSource
from camera_node.source import CameraChangedError, CameraDescription, RawPair, TimeDomain
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.timing import CONTROL_PERIOD_NS

# Who cannot follow in real time skips pictures rather than falling behind.
_WAITING_PICTURES: Final = 2
_GAP_NS: Final = round(1.5 * CONTROL_PERIOD_NS)
# Without pictures for so long, the simulation stands still.
_PAUSED_S: Final = 0.5
# A pair takes milliseconds; a machine that has better things to do takes longer.
_PAIR_LIMIT_S: Final = 1.0


class SimulatedFault(Enum):
    """What can be made to go wrong."""

    NONE = "none"
    UNPLUGGED = "unplugged"
    FROZEN = "frozen"  # the same frame over and over
    COLOR_ONLY = "color_only"
    DEPTH_ONLY = "depth_only"


@dataclass(frozen=True, eq=False)
class SimulatedPicture:
    """rgb (H, W, 3) of the colour camera and depth_mm (H, W) of the depth sensor beside it, with their intrinsics."""

    stamp_ns: int
    rgb: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]
    color: CameraModel
    depth: CameraModel


class SimulatedSource:
    """Gives the pairs of the pictures that ``put`` takes, which another thread may call."""

    def __init__(self, color_T_depth: Pose) -> None:
        self._color_T_depth = color_T_depth
        self._changed = threading.Condition()
        self._pictures: deque[SimulatedPicture] = deque(maxlen=_WAITING_PICTURES)
        self._last_put_s = -1.0
        self._cameras: tuple[CameraModel, CameraModel] | None = None
        self._device: SoftwareSource | None = None
        self._number = 0
        self._last: SimulatedPicture | None = None
        self.fault = SimulatedFault.NONE
        self.skipped = 0

    def put(self, picture: SimulatedPicture) -> None:
        """Take in a new picture."""
        with self._changed:
            self.skipped += len(self._pictures) == _WAITING_PICTURES
            self._pictures.append(picture)
            self._last_put_s = time.monotonic()
            self._changed.notify()

    @property
    def is_ready(self) -> bool:
        """Whether there is a picture, and so a camera to open."""
        return bool(self._pictures)

    def open(self, reset: bool) -> CameraDescription:
        """Make the device that took the next picture; there is nothing to reset."""
        self.close()
        with self._changed:
            if self.fault is SimulatedFault.UNPLUGGED or not self._pictures:
                raise CameraError(Fault.NO_CAMERA, "the simulated camera is unplugged: set simulated_fault to none")
            picture = self._pictures[0]
        self._cameras = picture.color, picture.depth
        self._device = SoftwareSource(SoftwareCamera(picture.color, picture.depth, self._color_T_depth))
        return self._device.open(reset)

    def read(self, timeout_s: float) -> RawPair | None:
        """Return the next picture's pair."""
        picture = self._next(timeout_s)
        if picture is None:
            return None
        device = self._device
        if device is None:
            raise CameraError(Fault.STALLED, "the software device is not open: open it first")
        if self.fault is SimulatedFault.NONE:
            return self._through(device, picture)
        self._give_faulty(device, picture)
        return device.read(0.0)

    def missing(self) -> str | None:
        """Return which half of the pairs does not come."""
        return None if self._device is None else self._device.missing()

    def is_paused(self) -> bool:
        """Return whether the simulation stands still."""
        return time.monotonic() - self._last_put_s > _PAUSED_S

    def is_connected(self) -> bool:
        """Return whether nobody has unplugged it."""
        return self.fault is not SimulatedFault.UNPLUGGED

    def close(self) -> None:
        """Stop; pictures that wait are kept."""
        device, self._device, self._last = self._device, None, None
        if device is not None:
            device.close()

    def _next(self, timeout_s: float) -> SimulatedPicture | None:
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._pictures), timeout_s):
                return None
            picture = self._pictures[0]
            if self._device is not None and (picture.color, picture.depth) != self._cameras:
                raise CameraChangedError
            return self._pictures.popleft()

    def _through(self, device: SoftwareSource, picture: SimulatedPicture) -> RawPair | None:
        last = self._last
        if last is None or not 0 < picture.stamp_ns - last.stamp_ns < _GAP_NS:
            self._feed(device, picture, picture.stamp_ns - CONTROL_PERIOD_NS)
        self._feed(device, picture, picture.stamp_ns)
        self._last = picture
        deadline_s = time.monotonic() + _PAIR_LIMIT_S
        while (left_s := deadline_s - time.monotonic()) > 0.0:
            pair = device.read(left_s)
            if pair is not None and pair.color.number == pair.depth.number == self._number:
                # The SDK counts time in milliseconds, by floats: the stamp itself is exact.
                color, depth = (
                    replace(tag, device_ns=picture.stamp_ns, domain=TimeDomain.SIMULATED)
                    for tag in (pair.color, pair.depth)
                )
                return replace(pair, color=color, depth=depth)
        self._last = None
        return None

    def _feed(self, device: SoftwareSource, picture: SimulatedPicture, stamp_ns: int) -> None:
        self._number += 1
        device.feed(picture.rgb, picture.depth_mm, self._number, stamp_ns)

    def _give_faulty(self, device: SoftwareSource, picture: SimulatedPicture) -> None:
        if self.fault is SimulatedFault.FROZEN and self._last is not None:
            device.feed(self._last.rgb, self._last.depth_mm, self._number, self._last.stamp_ns)
        elif self.fault in (SimulatedFault.COLOR_ONLY, SimulatedFault.DEPTH_ONLY):
            is_color = self.fault is SimulatedFault.COLOR_ONLY
            self._number += 1
            rgb, depth_mm = (picture.rgb, None) if is_color else (None, picture.depth_mm)
            device.feed(rgb, depth_mm, self._number, picture.stamp_ns)
            self._last = None
