"""A pose as manifests and calibration files write it."""

from __future__ import annotations

from pydantic import field_validator

from fetch_sim2real.common.schema import Record, Vector3
from fetch_sim2real.errors import ObservationError
from fetch_sim2real.perception.camera import Pose


class PoseRecord(Record):
    """A pose as position [m] and unit quaternion in ROS' order."""

    position_m: Vector3
    quaternion_xyzw: tuple[float, float, float, float]

    @field_validator("quaternion_xyzw")
    @classmethod
    def _unit(cls, value: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        try:
            Pose.from_quaternion((0.0, 0.0, 0.0), value)
        except ObservationError as error:
            raise ValueError(str(error)) from None
        return value

    @staticmethod
    def of(pose: Pose) -> PoseRecord:
        x, y, z = (float(value) for value in pose.position)
        qx, qy, qz, qw = (float(value) for value in pose.quaternion_xyzw)
        return PoseRecord(position_m=(x, y, z), quaternion_xyzw=(qx, qy, qz, qw))

    def pose(self) -> Pose:
        return Pose.from_quaternion(self.position_m, self.quaternion_xyzw)
