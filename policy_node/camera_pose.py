"""Where the camera is taken to be: as a calibration file says, or as the policy was trained."""

from __future__ import annotations

from typing import Any

from fetch_sim2real.calibration.in_force import CalibrationInForce
from fetch_sim2real.calibration.trained_range import judge
from fetch_sim2real.errors import CalibrationError, ObservationError
from fetch_sim2real.messages.camera_info import decode_camera_info
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.policy.manifest import CameraRecord


class CameraPose:
    """``base_T_camera`` for goals, and the check that a calibration is of the camera that runs."""

    def __init__(self, trained: CameraRecord, file: str) -> None:
        """``file`` is a calibration file or empty; CalibrationError if it cannot be used."""
        self._in_force = CalibrationInForce.load(file)
        self._is_checked = self._in_force is None
        self._wrong: CalibrationError | None = None
        record = trained.base_T_camera if self._in_force is None else self._in_force.calibration.base_T_camera
        self.base_T_camera: Pose = record.pose()
        self._verdict = judge(trained, self.base_T_camera)

    @property
    def warning(self) -> str:
        """What is wrong with where the camera stands; empty if nothing."""
        if self._verdict.inside or self._in_force is None:
            return ""
        return f"by {self._in_force.file} the camera is outside the trained range. {self._verdict.advice()}"

    def words(self) -> str:
        """One line for the log."""
        if self._in_force is None:
            return "camera taken to be where it was in training"
        return f"camera by {self._in_force.file} of {self._in_force.calibration.date}"

    def text(self) -> str:
        """For diagnostics: see ``CalibrationInForce.text``; empty without a file."""
        return "" if self._in_force is None else self._in_force.text()

    def on_info(self, message: Any) -> None:
        """Compare the first usable intrinsics that come with those of the file."""
        if self._is_checked or self._in_force is None:
            return
        try:
            self._in_force.require_lens_of(decode_camera_info(message))
        except ObservationError:
            return  # no command is made of such a frame either
        except CalibrationError as error:
            self._wrong = error
        self._is_checked = True

    @property
    def is_usable(self) -> bool:
        """Whether commands may be made: not with a calibration of another camera."""
        return self._wrong is None

    def require_right(self) -> None:
        """CalibrationError if the calibration has turned out to be of another camera."""
        if self._wrong is not None:
            raise self._wrong
