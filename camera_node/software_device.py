"""A camera made of arrays: the SDK's own software device, so that its syncer and its alignment run without hardware."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from camera_node.faults import CameraError, Fault
from camera_node.profile import Profile
from camera_node.sdk import realsense
from camera_node.sensor_stream import SensorStream
from camera_node.source import CameraDescription, RawPair, TimeDomain
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.timing import CONTROL_RATE_HZ

_NO_DISTORTION: Final = (0.0,) * 5
# The SDK refers to the pixels that it was given for as long as it holds a frame of them.
_KEPT_FRAMES: Final = 128
_RGB, _Z16 = 3, 2


@dataclass(frozen=True)
class SoftwareCamera:
    """Two cameras in one housing. ``color_T_depth`` is where the depth camera is; ``depth_unit_m`` a raw depth of 1."""

    color: CameraModel
    depth: CameraModel
    color_T_depth: Pose
    depth_unit_m: float = 0.001
    distortion: str = "none"
    coefficients: tuple[float, ...] = _NO_DISTORTION
    domain: TimeDomain = TimeDomain.HARDWARE
    serial: str = "software"


class SoftwareSource:
    """Gives the pairs that ``feed`` puts in."""

    def __init__(self, camera: SoftwareCamera) -> None:
        self._rs = realsense()
        self._camera = camera
        self._kept: deque[NDArray[Any]] = deque(maxlen=_KEPT_FRAMES)
        self.device = self._rs.software_device()
        self.device.register_info(self._rs.camera_info.name, "software device")
        self.device.register_info(self._rs.camera_info.serial_number, camera.serial)
        self._color_sensor = self.device.add_sensor("RGB Camera")
        self._depth_sensor = self.device.add_sensor("Stereo Module")
        self._depth_sensor.add_read_only_option(self._rs.option.depth_units, camera.depth_unit_m)
        self._color = self._add_stream(self._color_sensor, "color", "rgb8", _RGB, camera.color)
        self._depth = self._add_stream(self._depth_sensor, "depth", "z16", _Z16, camera.depth)
        self._depth.register_extrinsics_to(self._color, self._extrinsics(camera.color_T_depth))
        self._stream: SensorStream | None = None
        self.is_plugged_in = True

    def open(self, reset: bool) -> CameraDescription:
        """Start; there is nothing to reset."""
        self.close()
        if not self.is_plugged_in:
            raise CameraError(Fault.NO_CAMERA, "the software device is unplugged: set is_plugged_in")
        stream = SensorStream(self._rs, self.device, profile_of(self._camera.color), profile_of(self._camera.depth))
        stream.start()
        self._stream = stream
        return stream.description

    def read(self, timeout_s: float) -> RawPair | None:
        """Return the newest pair."""
        if self._stream is None:
            raise CameraError(Fault.STALLED, "the software device is not open: open it first")
        return self._stream.read(timeout_s)

    def missing(self) -> str | None:
        """Return which half of the pairs does not come."""
        return None if self._stream is None else self._stream.missing()

    def is_paused(self) -> bool:
        """Return False: whoever opens it feeds it."""
        return False

    def is_connected(self) -> bool:
        """Return what ``is_plugged_in`` was set to."""
        return self.is_plugged_in

    def close(self) -> None:
        """Stop."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def feed(
        self,
        rgb: NDArray[np.uint8] | None,
        raw_depth: NDArray[np.uint16] | None,
        number: int,
        device_ns: int,
        mid_exposure_ns: int = 0,
    ) -> None:
        """Put in one pair, each of its camera's size: rgb (H, W, 3) and raw depth (H, W) in units. None gives none."""
        for sensor, profile, given, size in (
            (self._depth_sensor, self._depth, raw_depth, _Z16),
            (self._color_sensor, self._color, rgb, _RGB),
        ):
            if given is None:
                continue
            pixels = np.ascontiguousarray(given)
            self._kept.append(pixels)
            self._set_metadata(sensor, device_ns, mid_exposure_ns)
            frame = self._rs.software_video_frame()
            frame.pixels = pixels
            frame.bpp = size
            frame.stride = size * pixels.shape[1]
            frame.timestamp = device_ns * 1e-6
            frame.domain = self._domain()
            frame.frame_number = number
            frame.profile = profile.as_video_stream_profile()
            if size == _Z16:
                frame.depth_units = self._camera.depth_unit_m
            sensor.on_video_frame(frame)

    def _set_metadata(self, sensor: Any, device_ns: int, mid_exposure_ns: int) -> None:
        field = self._rs.frame_metadata_value
        # Without the rate [mHz] the syncer does not know how long to wait for a partner.
        sensor.set_metadata(field.actual_fps, CONTROL_RATE_HZ * 1000)
        sensor.set_metadata(field.frame_timestamp, device_ns // 1000)
        sensor.set_metadata(field.sensor_timestamp, (device_ns - mid_exposure_ns) // 1000)

    def _domain(self) -> Any:
        domains = self._rs.timestamp_domain
        return {
            TimeDomain.GLOBAL: domains.global_time,
            TimeDomain.HARDWARE: domains.hardware_clock,
            TimeDomain.SYSTEM: domains.system_time,
        }[self._camera.domain]

    def _add_stream(self, sensor: Any, kind: str, form: str, size: int, model: CameraModel) -> Any:
        stream = self._rs.video_stream()
        stream.type = getattr(self._rs.stream, kind)
        stream.fmt = getattr(self._rs.format, form)
        stream.uid = size
        stream.width, stream.height = model.width, model.height
        stream.fps = CONTROL_RATE_HZ
        stream.bpp = size
        stream.intrinsics = self._intrinsics(model, is_color=kind == "color")
        return sensor.add_video_stream(stream, True)

    def _intrinsics(self, model: CameraModel, is_color: bool) -> Any:
        result = self._rs.intrinsics()
        result.width, result.height = model.width, model.height
        result.fx, result.fy, result.ppx, result.ppy = model.fx, model.fy, model.cx, model.cy
        result.model = getattr(self._rs.distortion, self._camera.distortion if is_color else "none")
        result.coeffs = list(self._camera.coefficients if is_color else _NO_DISTORTION)
        return result

    def _extrinsics(self, pose: Pose) -> Any:
        result = self._rs.extrinsics()
        # The SDK's matrices are column by column.
        result.rotation = pose.rotation.T.ravel().tolist()
        result.translation = pose.position.tolist()
        return result


def profile_of(model: CameraModel) -> Profile:
    """Return the profile of a software camera's stream."""
    return Profile(model.width, model.height, CONTROL_RATE_HZ)
