"""The camera's node: a session with a camera on the inside, topics on the outside."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

from camera_node.faults import CameraError, Fault
from camera_node.realsense_source import DeviceSource, RecordingSource
from camera_node.session import CameraSession, State, Status, Timing
from camera_node.settings import FAULT, TABLE, CameraSettings, camera_settings, fault_refusal
from camera_node.simulated_source import SimulatedFault, SimulatedPicture, SimulatedSource
from camera_node.source import CameraDescription, RgbdSource, TimeDomain
from camera_node.statistics import Summary
from camera_node.topics import Outputs, SimulationInput
from fetch_sim2real import graph
from fetch_sim2real.common.option import OptionError
from fetch_sim2real.ros.diagnostics import Diagnostics, Level, Report
from fetch_sim2real.ros.main_loop import IDLE_S, StackNode
from fetch_sim2real.ros.parameters import USE_SIM_TIME
from fetch_sim2real.sim.sensors.depth_camera import COLOR_T_DEPTH
from fetch_sim2real.timing import CONTROL_RATE_HZ
from fetch_sim2real.types import RgbdFrame


class CameraNode(StackNode):
    """Publishes what a RealSense camera sees."""

    def __init__(self) -> None:
        super().__init__(graph.CAMERA_NODE, TABLE)
        settings = camera_settings(self.parameters)
        if self.get_parameter(USE_SIM_TIME).value is not settings.is_software:
            raise OptionError(
                f"parameter '{USE_SIM_TIME}' is {not settings.is_software}, expected {settings.is_software}: a camera "
                "lives by the wall clock, a software device by the clock of the simulation that feeds it"
            )
        self._outputs = Outputs(self)
        source = source_for(settings)
        self._simulated = source if isinstance(source, SimulatedSource) else None
        if self._simulated is None:
            self.parameters.on_change(FAULT, fault_refusal)
        else:
            self._input = SimulationInput(self, self._on_picture)
        self._session = CameraSession(
            source,
            self,
            timing_of(settings),
            settings.initial_reset,
            host_ns=time.time_ns if self._simulated is None else lambda: self.get_clock().now().nanoseconds,
        )
        # What nobody hears of a recording is lost: it is played only once.
        self._waits_for_listeners = settings.recording is not None
        self._clock_sets = 0
        self._diagnostics = Diagnostics(self, self._report)

    def work(self) -> float:
        """Start the session, and notice that it has failed: frames are published by its thread."""
        if self._simulated is not None:
            self._simulated.fault = SimulatedFault(self.parameters.text(FAULT))
        if self._can_start():
            self._session.start()
        self._session.raise_failure()
        clock_sets = self._session.status.clock_sets
        if clock_sets > self._clock_sets:
            self._clock_sets = clock_sets
            self.get_logger().warning("the clock of the stamps was set back: they go on from there")
        return IDLE_S

    def close(self) -> None:
        """Let go of the camera."""
        self._session.stop()

    def _report(self) -> Report:
        status, summary = self._session.status, self._session.statistics.take()
        if self._simulated is None:
            return report(status, summary)
        said = report(status, summary, waits_for="the pictures of a simulation")
        values = {**said.values, "simulated_fault": self._simulated.fault.value, "skipped": self._simulated.skipped}
        return replace(said, values=values)

    def _can_start(self) -> bool:
        if self._simulated is not None:
            return self._simulated.is_ready
        return not self._waits_for_listeners or self._outputs.are_heard

    def _on_picture(self, picture: SimulatedPicture) -> None:
        # A simulation that waits in vain for its frame's answer publishes it again: somebody has lost it.
        if self._simulated is not None and not self._outputs.publish_again(picture.stamp_ns):
            self._simulated.put(picture)

    # -- what the session tells, in its thread -------------------------------------------------------------------

    def on_frame(self, frame: RgbdFrame, camera: CameraDescription) -> None:
        """Publish it."""
        self._outputs.frame(frame, camera)

    def on_opened(self, camera: CameraDescription) -> None:
        """Log it."""
        self.get_logger().info(f"streaming from {camera}")
        if camera.is_usb2:
            self.get_logger().warning(f"the camera is on USB {camera.usb_type}: frames may be lost, use a USB 3 port")

    def on_error(self, error: CameraError) -> None:
        """Log it, and say so at once where others look."""
        if error.fault is Fault.RECORDING_OVER:
            self.get_logger().info(str(error))
        elif not error.is_final:  # a final one is printed when the node ends
            self.get_logger().error(str(error), throttle_duration_sec=1.0)


def source_for(settings: CameraSettings) -> RgbdSource:
    """Return the software device, the recording or the camera that is asked for."""
    if settings.is_software:
        return SimulatedSource(COLOR_T_DEPTH)
    if settings.recording is not None:
        return RecordingSource(settings.recording, settings.color, settings.depth)
    return DeviceSource(settings.color, settings.depth, settings.serial, settings.auto_exposure_priority)


def timing_of(settings: CameraSettings) -> Timing:
    """Return how long the session waits."""
    return Timing(
        frame_timeout_s=settings.frame_timeout_s,
        reconnect_s=settings.reconnect_s,
        give_up_s=settings.wait_for_device_s,
    )


_LOWEST_RATE_HZ: Final = 0.9 * CONTROL_RATE_HZ


def report(status: Status, summary: Summary, waits_for: str = "a listener") -> Report:
    """Return the camera's report: level and sentence say what to do, the values are for looking into it.

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
