"""A session's state as a diagnostic report."""

from __future__ import annotations

from typing import Final

from camera_node.session import State, Status
from camera_node.source import TimeDomain
from camera_node.statistics import Summary
from fetch_sim2real.ros.diagnostics import Level, Report
from fetch_sim2real.timing import CONTROL_RATE_HZ

_LOWEST_RATE_HZ: Final = 0.9 * CONTROL_RATE_HZ


def report(status: Status, summary: Summary, waits_for: str = "a listener") -> Report:
    """Level and sentence say what to do; the values are for looking into it.

    ``waits_for``: what the session is not started without.
    """
    return Report(*_judgement(status, summary, waits_for), _values(status, summary))


def _judgement(status: Status, summary: Summary, waits_for: str) -> tuple[Level, str]:
    if status.error is not None:
        return (Level.WARN if status.state is State.OVER else Level.ERROR), str(status.error)
    if status.state is State.IDLE:
        return Level.WARN, f"waits for {waits_for}"
    if status.state is not State.STREAMING:
        return Level.WARN, status.state.value
    if summary.rate_hz < _LOWEST_RATE_HZ and status.time_domain is not TimeDomain.SIMULATED:
        return Level.WARN, f"low rate: {summary.rate_hz:.1f} Hz, expected {CONTROL_RATE_HZ} Hz"
    if status.camera is not None and status.camera.is_usb2:
        return Level.WARN, f"on USB {status.camera.usb_type}: use a USB 3 port"
    return Level.OK, "streaming"


def _values(status: Status, summary: Summary) -> dict[str, object]:
    values: dict[str, object] = {
        "state": status.state.value,
        "fault": "none" if status.error is None else status.error.fault.value,
        "rate_hz": summary.rate_hz,
        "pairs": summary.pairs,
        "openings": status.openings,
        "color_drops": status.color_drops,
        "depth_drops": status.depth_drops,
        "clock_sets": status.clock_sets,
        **{f"refused_{refusal.value}": count for refusal, count in summary.refusals.items()},
        **summary.ages_ms,
        **summary.align_ms,
    }
    if status.clock_offset_ms is not None:
        values["clock_offset_ms"] = status.clock_offset_ms
    if status.time_domain is not None:
        values["clock"] = status.time_domain.value
    camera = status.camera
    if camera is not None:
        values |= {
            "camera": camera.name,
            "serial": camera.serial,
            "firmware": camera.firmware,
            "usb_type": camera.usb_type or "unknown",
            "color_profile": str(camera.color),
            "depth_profile": str(camera.depth),
            "depth_unit_m": camera.depth_unit_m,
            "distortion": camera.distortion.model,
        }
    return values
