"""Streams pairs from the sensors of any SDK device, be it real, recorded or made of software."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from camera_node.faults import CameraError, Fault, sdk_errors
from camera_node.profile import Profile
from camera_node.sdk_geometry import DepthConverter, camera_model, distortion, pose_of
from camera_node.source import CameraDescription, FrameTag, RawPair, TimeDomain


@dataclass(frozen=True, eq=False)
class Stream:
    """One mode of one sensor; ``sdk`` is the SDK's own stream profile."""

    sensor: Any
    sdk: Any
    profile: Profile


def find_streams(rs: Any, device: Any, color: Profile, depth: Profile) -> tuple[Stream, Stream]:
    """Return colour in rgb8 and depth in z16 of ``device``; CameraError that lists what there is."""
    sensors = list(device.query_sensors())
    return (
        _find("colour", _streams(rs, sensors, rs.stream.color, rs.format.rgb8), color),
        _find("depth", _streams(rs, sensors, rs.stream.depth, rs.format.z16), depth),
    )


def _streams(rs: Any, sensors: Iterable[Any], kind: Any, form: Any) -> list[Stream]:
    found = []
    for sensor in sensors:
        for sdk in sensor.get_stream_profiles():
            if sdk.stream_type() == kind and sdk.format() == form and sdk.is_video_stream_profile():
                video = sdk.as_video_stream_profile()
                found.append(Stream(sensor, sdk, Profile(video.width(), video.height(), sdk.fps())))
    return found


def _find(what: str, streams: list[Stream], wanted: Profile) -> Stream:
    for stream in streams:
        if stream.profile == wanted:
            return stream
    raise CameraError(
        Fault.PROFILE, f"there is no {what} {wanted}, available: {list_profiles(s.profile for s in streams)}"
    )


def list_profiles(profiles: Iterable[Profile]) -> str:
    """Return profiles for a person: rates of one size together, such as ``424x240x6|15|30``."""
    rates: dict[tuple[int, int], set[int]] = {}
    for profile in profiles:
        rates.setdefault((profile.width, profile.height), set()).add(profile.rate_hz)
    return (
        ", ".join(f"{w}x{h}x{'|'.join(map(str, sorted(found)))}" for (w, h), found in sorted(rates.items())) or "none"
    )


# Two, so that a lone frame does not push out a pair that waits to be read.
_QUEUE: Final = 2
_LARGEST_MID_EXPOSURE_NS: Final = 50_000_000


class SensorStream:
    """Sensors -> syncer -> align, while it lives; ``close`` ends it."""

    def __init__(self, rs: Any, device: Any, color: Profile, depth: Profile, is_recording: bool = False) -> None:
        self._rs = rs
        self._started: list[Any] = []
        self._opened: list[Any] = []
        self._is_recording = is_recording
        self._to_millimetres: DepthConverter | None = None
        self._align = rs.align(rs.stream.color)
        self._syncer = rs.syncer(_QUEUE)
        self._lone: set[str] = set()
        with sdk_errors("looking for the camera's streams"):
            self._color, self._depth = find_streams(rs, device, color, depth)
            self._color_T_depth = pose_of(self._depth.sdk.get_extrinsics_to(self._color.sdk))
            self.description = _describe(rs, device, self._color, self._depth, is_recording)

    def start(self) -> None:
        """Open the sensors and start them. CameraError leaves nothing open."""
        wanted: dict[str, tuple[Any, list[Any]]] = {}
        for stream in (self._color, self._depth):
            # On some cameras both come from one sensor, which can be opened only once.
            name = stream.sensor.get_info(self._rs.camera_info.name)
            wanted.setdefault(name, (stream.sensor, []))[1].append(stream.sdk)
        try:
            with sdk_errors("starting the camera"):
                for sensor, profiles in wanted.values():
                    sensor.open(profiles)
                    self._opened.append(sensor)
                for sensor in self._opened:
                    sensor.start(self._syncer)
                    self._started.append(sensor)
        except BaseException:
            self.close()
            raise

    def read(self, timeout_s: float) -> RawPair | None:
        """Return the newest whole pair; None if there was none in time."""
        deadline_s = time.monotonic() + timeout_s
        newest = None
        while True:
            left_s = 0.0 if newest is not None else max(deadline_s - time.monotonic(), 0.0)
            with sdk_errors("waiting for frames"):
                found, frames = self._syncer.try_wait_for_frames(round(left_s * 1e3))
                if found:
                    newest = self._complete_pair(frames.as_frameset()) or newest
                    continue
            if newest is not None:
                with sdk_errors("aligning depth"):
                    return self._pair(newest)
            if left_s == 0.0:
                return None

    def missing(self) -> str | None:
        """Return which one of "color" and "depth" has not come since the last pair although the other one has."""
        return ({"color", "depth"} - self._lone).pop() if len(self._lone) == 1 else None

    def close(self) -> None:
        """Stop what runs. The SDK's errors are of no more use: the device may be gone."""
        for act, sensors in (("stop", self._started), ("close", self._opened)):
            while sensors:
                try:
                    getattr(sensors.pop(), act)()
                except RuntimeError:
                    continue

    def _complete_pair(self, frames: Any) -> Any | None:
        """``frames`` if colour and depth are among them: the syncer gives up on a partner that does not come."""
        there = {
            name for name, frame in (("color", frames.get_color_frame()), ("depth", frames.get_depth_frame())) if frame
        }
        if len(there) == 2:
            self._lone.clear()
            return frames
        self._lone |= there
        return None

    def _pair(self, frames: Any) -> RawPair:
        arrival_ns = time.time_ns()
        began_s = time.perf_counter()
        aligned = self._align.process(frames)
        color, depth = aligned.get_color_frame(), aligned.get_depth_frame()
        unit_m = depth.get_units()
        if self._to_millimetres is None or self._to_millimetres.unit_m != unit_m:
            # The unit is an option of the camera, which others may change while it runs.
            self._to_millimetres = DepthConverter(unit_m, self.description.camera, self._color_T_depth)
        depth_mm = self._to_millimetres(np.asanyarray(depth.get_data()))
        return RawPair(
            rgb=np.asanyarray(color.get_data()),
            depth_mm=depth_mm,
            color=self._tag(frames.get_color_frame(), arrival_ns),
            depth=self._tag(frames.get_depth_frame(), arrival_ns),
            align_s=time.perf_counter() - began_s,
        )

    def _tag(self, frame: Any, arrival_ns: int) -> FrameTag:
        metadata = self._rs.frame_metadata_value
        return FrameTag(
            number=frame.get_frame_number(),
            device_ns=round(frame.get_timestamp() * 1e6),
            domain=TimeDomain.RECORDED if self._is_recording else self._domain(frame),
            arrival_ns=arrival_ns if (ms := _metadata(frame, metadata.time_of_arrival)) is None else ms * 1_000_000,
            mid_exposure_ns=_mid_exposure_ns(
                _metadata(frame, metadata.frame_timestamp), _metadata(frame, metadata.sensor_timestamp)
            ),
        )

    def _domain(self, frame: Any) -> TimeDomain:
        domains = self._rs.timestamp_domain
        return {
            domains.global_time: TimeDomain.GLOBAL,
            domains.hardware_clock: TimeDomain.HARDWARE,
            domains.system_time: TimeDomain.SYSTEM,
        }[frame.get_frame_timestamp_domain()]


def _metadata(frame: Any, field: Any) -> int | None:
    return int(frame.get_frame_metadata(field)) if frame.supports_frame_metadata(field) else None


def _mid_exposure_ns(frame_us: int | None, sensor_us: int | None) -> int:
    """How long before a frame's own time the middle of its exposure was; 0 where that is not known."""
    if frame_us is None or sensor_us is None:
        return 0
    before_ns = (frame_us - sensor_us) * 1000
    return before_ns if 0 <= before_ns <= _LARGEST_MID_EXPOSURE_NS else 0


def _describe(rs: Any, device: Any, color: Stream, depth: Stream, is_recording: bool) -> CameraDescription:
    intrinsics = color.sdk.as_video_stream_profile().get_intrinsics()
    unit_m = depth.sensor.get_option(rs.option.depth_units) if depth.sensor.supports(rs.option.depth_units) else 0.0
    return CameraDescription(
        name=device_info(device, rs.camera_info.name),
        serial=device_info(device, rs.camera_info.serial_number),
        firmware=device_info(device, rs.camera_info.firmware_version),
        usb_type=device_info(device, rs.camera_info.usb_type_descriptor),
        color=color.profile,
        depth=depth.profile,
        depth_unit_m=float(unit_m),
        camera=camera_model(intrinsics),
        distortion=distortion(intrinsics),
        is_recording=is_recording,
    )


def device_info(device: Any, field: Any) -> str:
    """Return a device's information; empty if it has none of that kind."""
    return str(device.get_info(field)) if device.supports(field) else ""
