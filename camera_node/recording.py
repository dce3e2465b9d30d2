"""A recording of the SDK, played at the speed at which it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from camera_node.faults import CameraError, Fault, sdk_errors
from camera_node.profile import Profile
from camera_node.sdk import realsense
from camera_node.sensor_stream import SensorStream
from camera_node.source import CameraDescription, RawPair


class RecordingSource:
    """Plays a file (.bag, or .db3 of later SDKs) once, with the stamps of the day it was made.

    Those stamps are old, so that a driver refuses what a policy makes of them.
    """

    def __init__(self, path: Path, color: Profile, depth: Profile) -> None:
        self._rs = realsense()
        self._path = path
        self._color, self._depth = color, depth
        self._playback: Any = None
        self._stream: SensorStream | None = None

    def open(self, reset: bool) -> CameraDescription:
        """Open the file and play it from its beginning. A file cannot be reset."""
        self.close()
        if not self._path.is_file():
            raise CameraError(
                Fault.RECORDING, f"there is no file {self._path}: correct the parameter 'rosbag_filename'"
            )
        try:
            # A context for each opening: it keeps the devices that were loaded into it.
            self._playback = self._rs.context().load_device(str(self._path))
            self._playback.set_real_time(True)
        except RuntimeError as error:
            raise CameraError(
                Fault.RECORDING, f"{self._path} cannot be played: {error}. Expected a recording of the RealSense SDK"
            ) from error
        stream = SensorStream(self._rs, self._playback, self._color, self._depth, is_recording=True)
        stream.start()
        self._stream = stream
        return stream.description

    def read(self, timeout_s: float) -> RawPair | None:
        """The newest pair; CameraError after the last one."""
        if self._stream is None:
            raise CameraError(Fault.STALLED, "the recording is not open: open it first")
        pair = self._stream.read(timeout_s)
        if pair is None:
            with sdk_errors("playing"):
                is_over = self._playback.current_status() == self._rs.playback_status.stopped
            if is_over:
                raise CameraError(Fault.RECORDING_OVER, f"{self._path} has been played: start the node anew to play it")
        return pair

    def missing(self) -> str | None:
        """Which half of the pairs does not come."""
        return None if self._stream is None else self._stream.missing()

    def is_paused(self) -> bool:
        """Never: it plays at its own speed."""
        return False

    def is_connected(self) -> bool:
        """A file stays."""
        return True

    def close(self) -> None:
        """Stop playing."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        self._playback = None
