"""The arm's joints as the robot reports them."""

from __future__ import annotations

import numpy as np

from fetch_sim2real.robot.joints import GRIPPER_JOINTS
from fetch_sim2real.sim.steps import stamp_of_step
from fetch_sim2real.types import FloatArray, JointSample

JointRecord = tuple[int, FloatArray, FloatArray]
"""Physics step, and generalised positions and velocities of the whole model: what is taken while physics runs."""


class JointReadings:
    """Makes joint samples of records; the spans say where arm and fingers are in a record."""

    def __init__(self, arm_qpos: slice, arm_dof: slice, finger_qpos: slice, zero_error_rad: FloatArray) -> None:
        self._arm_qpos, self._arm_dof, self._finger_qpos = arm_qpos, arm_dof, finger_qpos
        self._zero_error_rad = zero_error_rad

    def samples(self, records: list[JointRecord]) -> list[JointSample]:
        """Of several records at once, which takes little longer than of one."""
        qpos = np.array([qpos for _, qpos, _ in records])
        qvel = np.array([qvel for _, _, qvel in records])
        position = qpos[:, self._arm_qpos] + self._zero_error_rad
        velocity = qvel[:, self._arm_dof]
        finger_m = np.add.reduce(qpos[:, self._finger_qpos], axis=1) / len(GRIPPER_JOINTS)
        stamps = [stamp_of_step(step) for step, _, _ in records]
        return [JointSample(*sample) for sample in zip(stamps, position, velocity, finger_m.tolist(), strict=True)]
