"""What can be wrong with a camera, each by a name that /diagnostics shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from fetch_sim2real.errors import FetchSim2RealError


class Fault(Enum):
    """Names of faults."""

    NO_CAMERA = "no_camera"
    SEVERAL_CAMERAS = "several_cameras"
    SERIAL_NOT_CONNECTED = "serial_not_connected"
    BUSY = "camera_busy"
    NO_PERMISSION = "no_permission"
    USB2 = "usb2_too_slow"
    PROFILE = "profile_not_available"
    DISTORTION = "distortion_unknown"
    UNPLUGGED = "unplugged"
    STALLED = "no_frames"
    FROZEN = "frozen"
    UNPAIRED = "no_pairs"
    NO_COLOR = "no_color"
    NO_DEPTH = "no_depth"
    CLOCK = "clock"
    RECORDING = "recording_unreadable"
    RECORDING_OVER = "recording_over"
    SDK = "sdk_error"


# Nothing that happens to the camera can mend these: the node ends. The others are tried again.
_FINAL = frozenset({Fault.PROFILE, Fault.DISTORTION, Fault.RECORDING})


class CameraError(FetchSim2RealError):
    """A camera or a recording gives no frames, for the reason named by ``fault``."""

    def __init__(self, fault: Fault, text: str) -> None:
        super().__init__(f"{fault.value}: {text}")
        self.fault = fault

    @property
    def is_final(self) -> bool:
        """Whether trying again is pointless."""
        return self.fault in _FINAL


@contextmanager
def sdk_errors(doing: str) -> Iterator[None]:
    """Turn the SDK's errors, which are all RuntimeError, into CameraError."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        lowered = text.lower()
        if "busy" in lowered:
            raise CameraError(
                Fault.BUSY, f"{doing}: {text}. Another process has the camera: end it (realsense-viewer, a second node)"
            ) from error
        if "permission" in lowered or "access denied" in lowered:
            raise CameraError(
                Fault.NO_PERMISSION, f"{doing}: {text}. Install librealsense's udev rules, then plug the camera in anew"
            ) from error
        raise CameraError(Fault.SDK, f"{doing}: {text}") from error
