"""The calibration that the policy node uses, or else where the camera was in training.

It is checked against the camera that runs, and told to whoever asks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from fetch_sim2real.calibration.camera_file import CameraCalibration, IntrinsicsRecord, load_calibration
from fetch_sim2real.calibration.trained_range import judge
from fetch_sim2real.common.validation import complaint_of, field_of, one_line
from fetch_sim2real.errors import CalibrationError, ObservationError
from fetch_sim2real.messages.camera_info import decode_camera_info
from fetch_sim2real.paths import expanded
from fetch_sim2real.perception.camera import CameraModel, Pose

if TYPE_CHECKING:
    from fetch_sim2real.policy.manifest import CameraRecord  # brings torch

# Sizes of one camera show its sensor's full height, so that lengths in units of it agree; what rounding leaves is less.
LENS_TOLERANCE: Final = 0.005


@dataclass(frozen=True)
class CalibrationInForce:
    """A calibration and the file that it came from."""

    file: str
    calibration: CameraCalibration

    @staticmethod
    def load(file: str) -> CalibrationInForce | None:
        """Return the calibration of ``file``, None for an empty name; CalibrationError if it cannot be used."""
        return CalibrationInForce(file, load_calibration(expanded(file))) if file else None

    @staticmethod
    def told(text: str) -> CalibrationInForce | None:
        """Return what ``text`` of a node says; None where it says nothing. CalibrationError if it makes no sense."""
        if not text:
            return None
        try:
            content = json.loads(text)
            return CalibrationInForce(str(content["file"]), CameraCalibration.model_validate(content["calibration"]))
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            words = error.errors()[0] if isinstance(error, ValidationError) else None
            problem = f"{field_of(words, 'calibration')}: {complaint_of(words)}" if words else one_line(repr(error))
            raise CalibrationError(f"the policy node's calibration cannot be read: {problem}") from None

    def text(self) -> str:
        """Return JSON for diagnostics: whoever reads it may lack the file."""
        return json.dumps({"file": self.file, "calibration": self.calibration.model_dump(mode="json")})

    def require_lens_of(self, running: CameraModel) -> None:
        """Raise CalibrationError unless the calibration is of the camera that ``running`` comes from, in any of its
        sizes.
        """
        made_with = self.calibration.intrinsics
        off = max(abs(a - b) for a, b in zip(_lens(made_with.camera()), _lens(running), strict=True))
        if not off <= LENS_TOLERANCE:
            raise CalibrationError(
                f"{self.file} is of another lens: made with {_words(made_with)}, the camera that runs has "
                f"{_words(IntrinsicsRecord.of(running))}; lengths in units of the height differ by {off:.3f}, expected "
                f"at most {LENS_TOLERANCE}. Calibrate this camera anew with calibrate-camera, in the profile that runs"
            )


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
        """Return one line for the log."""
        if self._in_force is None:
            return "camera taken to be where it was in training"
        return f"camera by {self._in_force.file} of {self._in_force.calibration.date}"

    def text(self) -> str:
        """Return the text for diagnostics (``CalibrationInForce.text``); empty without a file."""
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
        """Raise CalibrationError if the calibration has turned out to be of another camera."""
        if self._wrong is not None:
            raise self._wrong


def _lens(camera: CameraModel) -> tuple[float, ...]:
    """Focal lengths, and the principal point from the picture's middle, in units of the picture's height."""
    right, down = camera.cx - (camera.width - 1) / 2, camera.cy - (camera.height - 1) / 2
    return tuple(value / camera.height for value in (camera.fx, camera.fy, right, down))


def _words(lens: IntrinsicsRecord) -> str:
    return f"{lens.width}x{lens.height} fx {lens.fx:.1f} fy {lens.fy:.1f} cx {lens.cx:.1f} cy {lens.cy:.1f}"
