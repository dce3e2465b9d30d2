"""The calibration file: one camera's intrinsics and its pose in ``base_link``, how and when it was found, how well."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import yaml
from pydantic import Field, ValidationError, field_validator

from fetch_sim2real.common.outputs import write_text
from fetch_sim2real.common.schema import PositiveFloat, Record
from fetch_sim2real.common.validation import complaint_of, field_of
from fetch_sim2real.common.yaml_files import YamlFileError, read_yaml
from fetch_sim2real.errors import CalibrationError, ObservationError
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.perception.distortion import LensDistortion
from fetch_sim2real.perception.pose_record import PoseRecord
from fetch_sim2real.types import FloatArray

Method = Literal["board_on_table", "board_in_gripper", "depth_alignment", "measured"]

_SHOWN_FAULTS: Final = 3
_MAX_FILE_BYTES: Final = 2**16
_HEADER: Final = "# Pose of the camera's optical frame (x right, y down, z forward) in base_link; metres, pixels.\n"


class IntrinsicsRecord(Record):
    """Pinhole and distortion of the colour camera, in pixels of a ``width`` x ``height`` image.

    ``distortion`` is OpenCV's (k1, k2, p1, p2, k3), CameraInfo's ``plumb_bob``, or the 8 or 12 numbers that go on with
    k4, k5, k6 and s1 to s4; zeros for a rectified image.
    """

    width: Annotated[int, Field(ge=1)]
    height: Annotated[int, Field(ge=1)]
    fx: PositiveFloat
    fy: PositiveFloat
    cx: float
    cy: float
    distortion: Annotated[tuple[float, ...], Field(min_length=5, max_length=12)]

    @field_validator("distortion")
    @classmethod
    def _is_of_opencv(cls, distortion: tuple[float, ...]) -> tuple[float, ...]:
        if len(distortion) not in (5, 8, 12) or not np.all(np.isfinite(distortion)):
            raise ValueError(f"distortion is {list(distortion)}, expected 5, 8 or 12 finite numbers")
        return distortion

    @staticmethod
    def of(camera: CameraModel) -> IntrinsicsRecord:
        """Return the record of a rectified camera."""
        return IntrinsicsRecord(
            width=camera.width, height=camera.height, fx=camera.fx, fy=camera.fy, cx=camera.cx, cy=camera.cy,
            distortion=(0.0,) * 5,
        )  # fmt: skip

    def camera(self) -> CameraModel:
        """Return the pinhole alone."""
        return CameraModel(self.width, self.height, self.fx, self.fy, self.cx, self.cy)

    @property
    def matrix(self) -> FloatArray:
        """Camera matrix (3, 3)."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])


class ResidualRecord(Record):
    """What is left between measurement and model: root mean square over ``points``, in pixels or metres."""

    rms: Annotated[float, Field(ge=0)]
    unit: Literal["px", "m"]
    points: Annotated[int, Field(ge=1)]


class CameraCalibration(Record):
    """What the file holds. No field has a default."""

    format_version: Literal[1]
    base_T_camera: PoseRecord
    intrinsics: IntrinsicsRecord
    date: datetime.date
    method: Method
    residual: ResidualRecord


def load_calibration(path: Path) -> CameraCalibration:
    """Read a calibration file. CalibrationError names the field that is missing or wrong."""
    return _validated(CameraCalibration, read_mapping(path), path)


def save_calibration(calibration: CameraCalibration, path: Path) -> None:
    """Write a calibration file, replacing one that is there in one step. ``SetupError`` if it cannot be written."""
    text = yaml.safe_dump(calibration.model_dump(mode="json"), sort_keys=False, default_flow_style=None)
    write_text(_HEADER + text, path)


def load_intrinsics(path: Path) -> IntrinsicsRecord:
    """Return intrinsics from a calibration file, from a file with such a section's fields, or from a printed
    CameraInfo.

    The last is what ``ros2 topic echo --once .../color/camera_info`` prints. CalibrationError for anything else.
    """
    content = read_mapping(path)
    if isinstance(content.get("intrinsics"), dict):
        content = content["intrinsics"]
    elif "k" in content:
        return _of_camera_info(content, path)
    return _validated(IntrinsicsRecord, content, path)


def _of_camera_info(content: dict[str, Any], path: Path) -> IntrinsicsRecord:
    try:
        k, d = [float(value) for value in content["k"]], [float(value) for value in content.get("d") or []]
        size = (int(content["width"]), int(content["height"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CalibrationError(f"{path} looks like a CameraInfo but lacks width, height, k or d: {error!r}") from None
    return intrinsics_of_camera_info(size, k, d, str(content.get("distortion_model", "plumb_bob")), str(path))


def intrinsics_of_camera_info(
    size: tuple[int, int], k: Sequence[float], d: Sequence[float], model: str, source: str
) -> IntrinsicsRecord:
    """Return the record of a CameraInfo's (width, height), k (9,), d and distortion model.

    CalibrationError for other lenses.
    """
    try:
        distortion = LensDistortion.named(model, d)
    except ObservationError as error:
        raise CalibrationError(f"{source}: {error}") from None
    if distortion.model != "polynomial":
        raise CalibrationError(f"{source}: distortion model {model!r}, expected plumb_bob or the like: rectify first")
    if len(k) != 9:
        raise CalibrationError(f"{source}: k holds {len(k)} numbers, expected 9")
    content = {"width": size[0], "height": size[1], "fx": k[0], "fy": k[4], "cx": k[2], "cy": k[5]}
    checked: IntrinsicsRecord = _validated(
        IntrinsicsRecord, {**content, "distortion": distortion.coefficients or (0.0,) * 5}, source
    )
    return checked


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the mapping that a small YAML file holds; CalibrationError if it is none."""
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise CalibrationError(f"{path} is larger than {_MAX_FILE_BYTES} bytes: not a file of the kind expected")
        # `ros2 topic echo` ends its message with a document separator.
        content = next(iter(read_yaml(path)), None)
    except OSError as error:
        raise CalibrationError(f"{path} cannot be read: {error.strerror or error}") from None
    except YamlFileError as error:
        raise CalibrationError(f"{path} {error}") from None
    if not isinstance(content, dict):
        raise CalibrationError(f"{path} holds {type(content).__name__}, expected a mapping of names to values")
    return content


def _validated(kind: type[Any], content: dict[str, Any], path: Path | str) -> Any:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        shown = error.errors()[:_SHOWN_FAULTS]
        faults = "; ".join(f"{field_of(fault, 'file')}: {complaint_of(fault)}" for fault in shown)
        raise CalibrationError(f"{path}: {faults}. Correct the file, or make it anew with calibrate-camera") from None
