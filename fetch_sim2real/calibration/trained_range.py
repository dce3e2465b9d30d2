"""How far a camera is from where it was in training, and whether the actor has seen that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fetch_sim2real.calibration.rotations import rotation_vector
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.types import FloatArray

if TYPE_CHECKING:
    from fetch_sim2real.policy.manifest import CameraRecord  # brings torch

AXES: Final = ("x", "y", "z")
# A camera on the very edge of its range is in it; so is one that was not varied and stands right.
_SLACK: Final = 1e-6


@dataclass(frozen=True)
class CameraOffset:
    """A camera's displacement from nominal.

    ``position_m`` (3,) along the axes of base_link, ``rotation_rad`` (3,) as a rotation vector about the nominal
    camera's own axes (x right, y down, z forward).
    """

    position_m: FloatArray
    rotation_rad: FloatArray

    @staticmethod
    def between(nominal: Pose, actual: Pose) -> CameraOffset:
        """Return the offset between two poses of the optical frame in base_link."""
        return CameraOffset(actual.position - nominal.position, rotation_vector(nominal.inverse() @ actual))

    @property
    def angle_rad(self) -> float:
        return float(np.linalg.norm(self.rotation_rad))


@dataclass(frozen=True)
class RangeVerdict:
    """Whether an offset lies in the trained range; ``excess_m`` (3,) and ``excess_rad`` say by how much it does not."""

    offset: CameraOffset
    position_range_m: FloatArray
    rotation_range_rad: float

    @property
    def excess_m(self) -> FloatArray:
        """Signed: beyond the upper end positive, beyond the lower end negative, 0 inside."""
        beyond = np.maximum(np.abs(self.offset.position_m) - self.position_range_m, 0.0)
        return np.where(beyond > _SLACK, np.sign(self.offset.position_m) * beyond, 0.0)

    @property
    def excess_rad(self) -> float:
        beyond = self.offset.angle_rad - self.rotation_range_rad
        return beyond if beyond > _SLACK else 0.0

    @property
    def inside(self) -> bool:
        return not np.any(self.excess_m) and self.excess_rad == 0.0

    def _turns(self) -> list[tuple[str, float]]:
        return list(zip(AXES, self.offset.rotation_rad.tolist(), strict=True))

    def advice(self) -> str:
        """Return what to do next, one or two sentences."""
        if self.inside:
            return "The camera is where the policy expects it: go on."
        moves = [
            f"{-1000 * self.offset.position_m[i]:+.0f} mm along {AXES[i]} of base_link"
            for i in np.flatnonzero(self.excess_m)
        ]
        parts = [f"move the camera {' and '.join(moves)}"] if moves else []
        if self.excess_rad:
            # Undone about the camera's present axes by the opposite vector: a rotation leaves its own axis alone.
            turns = [f"{np.rad2deg(-angle):+.1f} deg about its {axis}" for axis, angle in self._turns()]
            parts.append(f"turn it by {', '.join(turns)} axis (x right, y down, z forward in the picture)")
        return (
            f"Next: {'; '.join(parts)}, then measure again. If it must stay there, train a policy in a world whose "
            "camera (position_m, look_at_m and their errors) covers this place."
        )


def judge(record: CameraRecord, base_T_camera: Pose) -> RangeVerdict:
    """Compare a camera's pose in base_link with what a bundle was trained for."""
    offset = CameraOffset.between(record.base_T_camera.pose(), base_T_camera)
    return RangeVerdict(offset, np.array(record.position_range_m), record.rotation_range_rad)


def report_lines(verdict: RangeVerdict) -> list[str]:
    """Return the comparison as lines of text, one for each axis, the rotation, and the verdict."""
    lines = ["axis (base_link)   offset    trained"]
    for axis, offset, limit, excess in zip(
        AXES, verdict.offset.position_m, verdict.position_range_m, verdict.excess_m, strict=True
    ):
        note = f"   outside by {1000 * abs(excess):.1f} mm" if excess else ""
        lines.append(f"{axis}              {1000 * offset:+7.1f} mm  +-{1000 * limit:.1f} mm{note}")
    note = f"   outside by {np.rad2deg(verdict.excess_rad):.2f} deg" if verdict.excess_rad else ""
    angle, limit_deg = np.rad2deg(verdict.offset.angle_rad), np.rad2deg(verdict.rotation_range_rad)
    lines.append(f"rotation       {angle:7.2f} deg <={limit_deg:.2f} deg{note}")
    turn = np.rad2deg(verdict.offset.rotation_rad)
    about = ", ".join(f"{axis} {value:+.2f}" for axis, value in zip(("right", "down", "forward"), turn, strict=True))
    lines.append(f"  of which about the camera's {about} deg")
    lines.append("inside the trained range" if verdict.inside else "OUTSIDE the trained range")
    lines.append(verdict.advice())
    return lines
