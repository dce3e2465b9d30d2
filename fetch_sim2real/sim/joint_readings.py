"""The arm's joints as the robot reports them: zero errors included."""

from __future__ import annotations

from fetch_sim2real.sim.steps import stamp_of_step
from fetch_sim2real.types import FloatArray, JointSample


class JointReadings:
    """Reads one episode's joints. ``arm_rad`` (7,), ``arm_rad_s`` (7,) and ``fingers_m`` (2,) are views of the present
    state."""

    def __init__(
        self, arm_rad: FloatArray, arm_rad_s: FloatArray, fingers_m: FloatArray, zero_error_rad: FloatArray
    ) -> None:
        self._arm_rad, self._arm_rad_s, self._fingers_m = arm_rad, arm_rad_s, fingers_m
        self._zero_error_rad = zero_error_rad

    def at(self, step: int) -> JointSample:
        """What is reported now, which is the physics step ``step``."""
        left_m, right_m = self._fingers_m.tolist()
        position = self._arm_rad + self._zero_error_rad
        return JointSample(stamp_of_step(step), position, self._arm_rad_s.copy(), (left_m + right_m) / 2)
