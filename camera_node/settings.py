"""The camera's parameters, named and written as realsense2_camera's, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from camera_node.profile import Profile, ProfileTextError
from camera_node.simulated_source import SimulatedFault
from fetch_sim2real.common.option import Option, OptionError
from fetch_sim2real.paths import expanded
from fetch_sim2real.ros.parameters import Parameters
from fetch_sim2real.stack.options import CAMERA_REALSENSE, CAMERA_SOFTWARE, ROSBAG_FILENAME, SERIAL_NO
from fetch_sim2real.timing import CONTROL_RATE_HZ

_COLOR_PROFILE: Final = "rgb_camera.color_profile"
_DEPTH_PROFILE: Final = "depth_module.depth_profile"
# What realsense2_camera lets one switch off, and the graph cannot do without.
_INDISPENSABLE: Final = ("enable_color", "enable_depth", "enable_sync", "align_depth.enable")
_EXPOSURE_PRIORITY: Final = "rgb_camera.auto_exposure_priority"

_SOURCE: Final = "source"
FAULT: Final = "simulated_fault"

TABLE: Final[tuple[Option[Any], ...]] = (
    Option(
        _SOURCE,
        CAMERA_REALSENSE,
        "a camera or a recording; or the SDK's software device, fed by a simulation",
        choices=(CAMERA_REALSENSE, CAMERA_SOFTWARE),
    ),
    SERIAL_NO,
    Option(_COLOR_PROFILE, "424x240x30", "size and rate of the colour images, WIDTHxHEIGHTxRATE"),
    Option(_DEPTH_PROFILE, "424x240x30", "size and rate of the depth images before they are aligned"),
    *(Option(name, True, "as in realsense2_camera; the graph needs it true") for name in _INDISPENSABLE),
    Option(_EXPOSURE_PRIORITY, False, "let colour slow down in the dark"),
    ROSBAG_FILENAME,
    Option("initial_reset", False, "reset the camera before it is first opened"),
    Option("wait_for_device_timeout", -1.0, "give up if there is no camera for so long; -1: never", "s", low=-1.0),
    Option("reconnect_timeout", 6.0, "pause between two attempts to open the camera", "s", low=0.1, high=600.0),
    Option("frame_timeout", 1.0, "a camera without a new pair for so long is opened anew", "s", low=0.1, high=60.0),
    Option(
        FAULT,
        SimulatedFault.NONE.value,
        "what the software device suffers from",
        choices=tuple(fault.value for fault in SimulatedFault),
        changeable=True,
    ),
)


@dataclass(frozen=True)
class CameraSettings:
    """What is wanted of a camera, of a recording if ``recording`` names one, or of a software device."""

    color: Profile
    depth: Profile
    is_software: bool = False
    serial: str = ""
    recording: Path | None = None
    initial_reset: bool = False
    auto_exposure_priority: bool = False
    wait_for_device_s: float | None = None
    reconnect_s: float = 6.0
    frame_timeout_s: float = 1.0


def camera_settings(parameters: Parameters) -> CameraSettings:
    """Return the settings; OptionError if they cannot be met by any camera."""
    color, depth = (_profile(parameters, name) for name in (_COLOR_PROFILE, _DEPTH_PROFILE))
    for name in _INDISPENSABLE:
        if not parameters.flag(name):
            raise OptionError(
                f"parameter '{name}' is false, but the graph lives on pairs of colour and aligned depth: leave it "
                "true, or run realsense2_camera for other topics"
            )
    is_software = parameters.text(_SOURCE) == CAMERA_SOFTWARE
    if not is_software and (refusal := fault_refusal(parameters.text(FAULT))):
        raise OptionError(refusal)
    wait_s = parameters.number("wait_for_device_timeout")
    recording = parameters.text("rosbag_filename")
    return CameraSettings(
        color=color,
        depth=depth,
        is_software=is_software,
        # realsense2_camera's way to keep a launch file from making a number of it.
        serial=parameters.text("serial_no").strip().lstrip("_"),
        recording=expanded(recording) if recording else None,
        initial_reset=parameters.flag("initial_reset"),
        auto_exposure_priority=parameters.flag(_EXPOSURE_PRIORITY),
        wait_for_device_s=None if wait_s < 0.0 else wait_s,
        reconnect_s=parameters.number("reconnect_timeout"),
        frame_timeout_s=parameters.number("frame_timeout"),
    )


def fault_refusal(fault: str) -> str:
    """Return why a camera that is no software device does not suffer from ``fault``; empty for none."""
    if fault == SimulatedFault.NONE.value:
        return ""
    return f"parameter '{FAULT}' is '{fault}', but a camera has faults of its own: it is for source:={CAMERA_SOFTWARE}"


def _profile(parameters: Parameters, name: str) -> Profile:
    try:
        profile = Profile.parse(parameters.text(name))
    except ProfileTextError as error:
        raise OptionError(f"parameter '{name}': {error}") from error
    if profile.rate_hz != CONTROL_RATE_HZ:
        raise OptionError(
            f"parameter '{name}' is {profile}, expected a rate of {CONTROL_RATE_HZ}: the policy acts once per frame"
        )
    return profile
