"""The project's exceptions. Every message says what was got, what was expected and what to do next."""

from __future__ import annotations


class FetchSim2RealError(Exception):
    """Base of all errors that a user can cause or repair."""


class BundleError(FetchSim2RealError):
    """A policy bundle is damaged, incomplete or does not reproduce its golden actions.

    ``field`` names the manifest field or file that disagrees.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"policy bundle, {field}: {message}")
        self.field = field


class WorldFileError(FetchSim2RealError):
    """A world description cannot be read or holds an impossible value."""


class RobotModelError(FetchSim2RealError):
    """The robot model cannot be built (missing meshes, changed upstream names)."""


class CommandError(FetchSim2RealError):
    """A command message is malformed (wrong joints, wrong lengths, non-finite)."""


class ObservationError(FetchSim2RealError):
    """An image, camera model or joint state cannot be turned into an observation."""


class MessageError(FetchSim2RealError):
    """What another program sent cannot be read; the text names the field and what was got."""


class GraphError(FetchSim2RealError):
    """The running ROS graph failed: a process died, a peer never appeared, a time-out passed."""


class SetupError(FetchSim2RealError):
    """Something is missing on this machine."""


class CalibrationError(FetchSim2RealError):
    """A camera calibration cannot be read, or cannot be found from the pictures given."""
