"""The stream profiles of a device's sensors, and the two that are wanted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from camera_node.faults import CameraError, Fault
from camera_node.profile import Profile


@dataclass(frozen=True, eq=False)
class Stream:
    """One mode of one sensor; ``sdk`` is the SDK's own stream profile."""

    sensor: Any
    sdk: Any
    profile: Profile


def find_streams(rs: Any, device: Any, color: Profile, depth: Profile) -> tuple[Stream, Stream]:
    """Colour in rgb8 and depth in z16 of ``device``; CameraError that lists what there is."""
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
    """Profiles for a person: rates of one size together, such as ``424x240x6|15|30``."""
    rates: dict[tuple[int, int], set[int]] = {}
    for profile in profiles:
        rates.setdefault((profile.width, profile.height), set()).add(profile.rate_hz)
    return (
        ", ".join(f"{w}x{h}x{'|'.join(map(str, sorted(found)))}" for (w, h), found in sorted(rates.items())) or "none"
    )
