"""Values that cross module borders. Arrays are numpy float64 unless said otherwise; those of an arm's n joints are in
the order of ``ArmSpec.joints``; angles in radians; stamps in integer nanoseconds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class JointSetpoint:
    """Commanded state of the arm: position (n,) [rad] and velocity (n,) [rad/s]."""

    position: FloatArray
    velocity: FloatArray

    @staticmethod
    def at_rest(position: FloatArray) -> JointSetpoint:
        position = np.asarray(position, dtype=np.float64)
        return JointSetpoint(position.copy(), np.zeros_like(position))


@dataclass(frozen=True)
class TrajectoryPoint:
    """One point of a joint trajectory: positions and velocities at ``time_from_start_s``."""

    time_from_start_s: float
    position: FloatArray
    velocity: FloatArray


@dataclass(frozen=True)
class JointTrajectory:
    """Piecewise cubic trajectory that starts when it is received."""

    joint_names: tuple[str, ...]
    points: tuple[TrajectoryPoint, ...]


@dataclass(frozen=True)
class JointCommand:
    """What the policy asks for after one observation.

    ``stamp_ns`` is the stamp of the observation it was computed from. ``position``/``velocity`` are the arm's (n,)
    at the end of the control period (velocity None: position only). ``finger_position_m`` is the opening of each
    finger, None to leave the gripper alone. ``hold`` means: nothing to do, brake and hold (arrays are ignored).
    """

    stamp_ns: int
    position: FloatArray = field(default_factory=lambda: np.zeros(0))
    velocity: FloatArray | None = None
    finger_position_m: float | None = None
    hold: bool = False


@dataclass(frozen=True)
class JointSample:
    """Measured joints at one time: arm position and velocity (n,), opening of each finger [m]."""

    stamp_ns: int
    position: FloatArray
    velocity: FloatArray
    finger_position_m: float


@dataclass(frozen=True)
class RgbdFrame:
    """One RGB-D pair of one stamp: rgb (H, W, 3) uint8, depth_mm (H, W) uint16, 0 where there is no depth."""

    stamp_ns: int
    rgb: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]

    def blanked(self) -> RgbdFrame:
        """Return the frame of a covered lens: black, without depth."""
        return RgbdFrame(self.stamp_ns, np.zeros_like(self.rgb), np.zeros_like(self.depth_mm))


@dataclass(frozen=True)
class Goal:
    """Where the task's object is wanted, position (3,) [m] in ``frame_id``.

    ``frame_id`` is ``base_link``, the camera's optical frame, or ``block`` for a goal that is an offset from the block
    along the axes of ``base_link``.
    """

    frame_id: str
    position_m: FloatArray


@dataclass(frozen=True)
class BasePose:
    """Place [m] and heading [rad] of the base on the floor."""

    x_m: float
    y_m: float
    yaw_rad: float

    @staticmethod
    def of(x_m: float, y_m: float, quaternion_xyzw: tuple[float, float, float, float]) -> BasePose:
        """Return the pose of a place and an orientation.

        The heading is 0 for one that was left unset, NaN if it is no rotation.
        """
        x, y, z, w = quaternion_xyzw if any(quaternion_xyzw) else (0.0, 0.0, 0.0, 1.0)
        is_unit = abs(x * x + y * y + z * z + w * w - 1.0) < 0.01
        yaw_rad = math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z)) if is_unit else math.nan
        return BasePose(x_m, y_m, yaw_rad)

    @property
    def is_finite(self) -> bool:
        """Whether it is a pose at all."""
        return math.isfinite(self.x_m) and math.isfinite(self.y_m) and math.isfinite(self.yaw_rad)
