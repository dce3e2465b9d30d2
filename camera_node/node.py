"""The camera's node: a session with a camera on the inside, topics on the outside."""

from __future__ import annotations

from camera_node.device import DeviceSource
from camera_node.faults import CameraError, Fault
from camera_node.outputs import Outputs
from camera_node.recording import RecordingSource
from camera_node.report import report
from camera_node.session import CameraSession, Timing
from camera_node.settings import TABLE, CameraSettings, camera_settings
from camera_node.source import CameraDescription, RgbdSource
from fetch_sim2real import graph
from fetch_sim2real.types import RgbdFrame
from node_support.diagnostics import Diagnostics
from node_support.main_loop import IDLE_S, StackNode
from node_support.parameters import USE_SIM_TIME, ParameterError


class CameraNode(StackNode):
    """Publishes what a RealSense camera sees."""

    def __init__(self) -> None:
        super().__init__(graph.CAMERA_NODE, TABLE)
        if self.get_parameter(USE_SIM_TIME).value:
            raise ParameterError(
                f"parameter '{USE_SIM_TIME}' is true, but a camera lives by the wall clock: leave it false, or run "
                f"{graph.SIM_BRIDGE} for a simulated camera"
            )
        settings = camera_settings(self.parameters)
        self._outputs = Outputs(self)
        self._session = CameraSession(source_for(settings), self, timing_of(settings), settings.initial_reset)
        # What nobody hears of a recording is lost: it is played only once.
        self._waits_for_listeners = settings.recording is not None
        self._diagnostics = Diagnostics(self, lambda: report(self._session.status, self._session.statistics.take()))

    def work(self) -> float:
        """Start the session, and notice that it has failed: frames are published by its thread."""
        if not self._waits_for_listeners or self._outputs.are_heard:
            self._session.start()
        self._session.raise_failure()
        return IDLE_S

    def close(self) -> None:
        """Let go of the camera."""
        self._session.stop()

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
    """The recording or the camera that is asked for."""
    if settings.recording is not None:
        return RecordingSource(settings.recording, settings.color, settings.depth)
    return DeviceSource(settings.color, settings.depth, settings.serial, settings.auto_exposure_priority)


def timing_of(settings: CameraSettings) -> Timing:
    """How long the session waits."""
    return Timing(
        frame_timeout_s=settings.frame_timeout_s,
        reconnect_s=settings.reconnect_s,
        give_up_s=settings.wait_for_device_s,
    )
