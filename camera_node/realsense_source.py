"""RealSense cameras by their SDK: one on this machine, or a recording, played at the speed at which it was made."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from camera_node.faults import CameraError, Fault, sdk_errors
from camera_node.profile import Profile
from camera_node.sdk import realsense
from camera_node.sensor_stream import SensorStream, device_info
from camera_node.source import CameraDescription, RawPair

# A camera that is reset leaves the bus for some seconds.
_RESET_LIMIT_S: Final = 10.0
_LEAVES_WITHIN_S: Final = 3.0
_POLL_S: Final = 0.2


class DeviceSource:
    """The camera with a serial number, or the only one."""

    def __init__(self, color: Profile, depth: Profile, serial: str = "", auto_exposure_priority: bool = False) -> None:
        self._rs = realsense()
        with sdk_errors("starting the RealSense SDK"):
            self._context = self._rs.context()
        self._color, self._depth = color, depth
        self._serial = serial
        self._auto_exposure_priority = auto_exposure_priority
        self._stream: SensorStream | None = None
        self._opened_serial = ""

    def open(self, reset: bool) -> CameraDescription:
        """Find the camera and start it."""
        self.close()
        device = self._find()
        if reset:
            device = self._reset(device)
        self._opened_serial = device_info(device, self._rs.camera_info.serial_number)
        usb_type = device_info(device, self._rs.camera_info.usb_type_descriptor)
        try:
            stream = SensorStream(self._rs, device, self._color, self._depth)
        except CameraError as error:
            if error.fault is Fault.PROFILE and usb_type.startswith("2"):
                raise CameraError(
                    Fault.USB2,
                    f"{error}. The camera is on USB {usb_type}, which has fewer profiles: use a USB 3 port and cable",
                ) from error
            raise
        self._set_options(device)
        stream.start()
        self._stream = stream
        return stream.description

    def read(self, timeout_s: float) -> RawPair | None:
        """Return the newest pair."""
        if self._stream is None:
            raise CameraError(Fault.STALLED, "the camera is not open: open it first")
        return self._stream.read(timeout_s)

    def missing(self) -> str | None:
        """Return which half of the pairs does not come."""
        return None if self._stream is None else self._stream.missing()

    def is_paused(self) -> bool:
        """Return False: a camera streams without a pause."""
        return False

    def is_connected(self) -> bool:
        """Return whether the opened camera is still listed."""
        return any(
            device_info(device, self._rs.camera_info.serial_number) == self._opened_serial for device in self._all()
        )

    def close(self) -> None:
        """Stop the camera."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _all(self) -> list[Any]:
        with sdk_errors("listing cameras"):
            return list(self._context.query_devices())

    def _find(self) -> Any:
        devices = self._all()
        info = self._rs.camera_info
        found = {device_info(device, info.serial_number): device for device in devices}
        listed = ", ".join(f"{serial} ({device_info(device, info.name)})" for serial, device in found.items())
        if self._serial:
            if self._serial in found:
                return found[self._serial]
            raise CameraError(
                Fault.SERIAL_NOT_CONNECTED,
                f"camera {self._serial} is not connected, connected: {listed or 'none'}. Plug it in, or correct the "
                "parameter 'serial_no'",
            )
        if not found:
            raise CameraError(
                Fault.NO_CAMERA,
                "no RealSense camera is connected. Plug one in; if it is, lsusb must list it, and librealsense's udev "
                "rules must let this user open it",
            )
        if len(found) > 1:
            raise CameraError(
                Fault.SEVERAL_CAMERAS,
                f"several cameras are connected: {listed}. Choose by the parameter 'serial_no', written _SERIAL",
            )
        return devices[0]

    def _reset(self, device: Any) -> Any:
        serial = device_info(device, self._rs.camera_info.serial_number)
        with sdk_errors("resetting the camera"):
            device.hardware_reset()
        start_s = time.monotonic()
        has_left = False
        while (passed_s := time.monotonic() - start_s) < _RESET_LIMIT_S:
            time.sleep(_POLL_S)
            back = [d for d in self._all() if device_info(d, self._rs.camera_info.serial_number) == serial]
            has_left = has_left or not back
            # Until it has left, the old device is listed.
            if back and (has_left or passed_s > _LEAVES_WITHIN_S):
                return back[0]
        raise CameraError(
            Fault.UNPLUGGED,
            f"camera {serial} did not come back within {_RESET_LIMIT_S:g} s of a reset: plug it in anew",
        )

    def _set_options(self, device: Any) -> None:
        option = self._rs.option
        with sdk_errors("setting the camera's options"):
            for sensor in device.query_sensors():
                if sensor.supports(option.global_time_enabled):
                    sensor.set_option(option.global_time_enabled, 1.0)
                # With priority, colour drops below its rate in the dark.
                if sensor.supports(option.auto_exposure_priority):
                    sensor.set_option(option.auto_exposure_priority, float(self._auto_exposure_priority))


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
        """Return the newest pair; CameraError after the last one."""
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
        """Return which half of the pairs does not come."""
        return None if self._stream is None else self._stream.missing()

    def is_paused(self) -> bool:
        """Return False: a recording plays at its own speed."""
        return False

    def is_connected(self) -> bool:
        """Return True: a file stays."""
        return True

    def close(self) -> None:
        """Stop playing."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        self._playback = None
