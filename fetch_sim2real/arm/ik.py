"""Differential inverse kinematics: a small displacement of the gripper -> a joint step of the arm."""

from __future__ import annotations

from typing import Final

import daqp
import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.mjcf import GRIP_SITE, arm_model
from fetch_sim2real.arm.spec import ArmSpec
from fetch_sim2real.common.physics import mink, mujoco
from fetch_sim2real.types import FloatArray

_POSITION_COST, _ORIENTATION_COST, _POSTURE_COST = 1.0, 0.3, 0.005
_STOP_MARGIN_RAD: Final = 0.01
# Levenberg-Marquardt damping [unitless] keeps steps short near a stretched arm.
_LM_DAMPING, _SOLVER_DAMPING = 1e-3, 1e-5
# Share of the way to a stop that one step may go, mink's default.
_LIMIT_GAIN: Final = 0.95


TargetBox = tuple[FloatArray, FloatArray]


class _Problems:
    """What N steps have to solve: Jacobians (N, 6, n), errors (N, 6) and damping (N,) of the grip task."""

    def __init__(self, count: int, joints: int) -> None:
        self.jacobian, self.error, self.damping = np.empty((count, 6, joints)), np.empty((count, 6)), np.empty(count)


class DifferentialIk:
    """Joint steps that move the grip site by a displacement and keep the tool in its working rotation.

    Not a solver for far targets: it is called once per control period with steps of a few centimetres. Stateless
    between calls, so the same configuration and displacement always give the same step.
    """

    def __init__(self, torso_height_m: float, arm: ArmSpec = ARM) -> None:
        # Only the arm moves: locked fingers keep the problem at its n variables.
        spec = arm_model(torso_height_m, arm)
        self._home_rad = arm.home_rad
        for joint in [j for j in spec.joints if j.name not in arm.joint_names]:
            spec.delete(joint)
        for actuator in list(spec.actuators):
            spec.delete(actuator)
        # Keep the gripper's way at a joint's stop, before the safety filter has to take from the motion at it.
        for name, lower, upper in zip(arm.joint_names, arm.command_lower_rad, arm.command_upper_rad, strict=True):
            spec.joint(name).limited = mujoco.mjtLimited.mjLIMITED_TRUE
            spec.joint(name).range = [lower + _STOP_MARGIN_RAD, upper - _STOP_MARGIN_RAD]
        self._model = spec.compile()
        self._configuration = mink.Configuration(self._model)
        self._grip = mink.FrameTask(GRIP_SITE, "site", _POSITION_COST, _ORIENTATION_COST, lm_damping=_LM_DAMPING)
        self._site = self._configuration.data.site(GRIP_SITE)
        joints = self._model.nv
        self._posture = _POSTURE_COST * np.eye(joints)
        self._sides = np.vstack([np.eye(joints), -np.eye(joints)])
        self._ends = np.concatenate([self._model.jnt_range[:, 1], -self._model.jnt_range[:, 0]])
        self._no_lower, self._inequalities = np.full(2 * joints, -1e30), np.zeros(2 * joints, dtype=np.intc)
        working = mink.SO3.from_matrix(np.array(arm.tool.working_rotation))
        target = mink.SE3.from_rotation_and_translation(working, np.zeros(3))
        # Not by ``set_target``, which would copy it: only its position changes.
        self._grip.transform_target_to_world = target
        self._target_m = target.wxyz_xyz[4:]

    def grip_position_m(self, position: FloatArray) -> FloatArray:
        """Return position (3,) of the grip site in base_link [m] at the joint positions (n,)."""
        self._configuration.update(np.asarray(position, dtype=np.float64))
        site: FloatArray = self._site.xpos.copy()
        return site

    def step(self, position: FloatArray, displacement_m: FloatArray, within_m: TargetBox | None = None) -> FloatArray:
        """Return joint step (n,) [rad] from ``position`` (n,) that moves the gripper by ``displacement_m`` (3,).

        With ``within_m``, the lower and upper corner (3,) of a box, it is not asked to leave the box.
        """
        return self.steps(np.asarray(position)[None], np.asarray(displacement_m)[None], within_m)[0]

    def steps(
        self, positions: FloatArray, displacements_m: FloatArray, within_m: TargetBox | None = None
    ) -> FloatArray:
        """Return ``step`` (N, n) of each of the positions (N, n) by its displacement (N, 3), bit for bit."""
        problems = _Problems(*positions.shape)
        for row, (position, displacement_m) in enumerate(zip(positions, displacements_m, strict=True)):
            target_m = self.grip_position_m(position) + displacement_m
            if within_m is not None:
                target_m = np.minimum(np.maximum(target_m, within_m[0]), within_m[1])
            self._state(problems, row, target_m)
        return self._solve(problems, positions)

    def _step_to(self, target_m: FloatArray) -> FloatArray:
        """Joint step (n,) [rad] towards the gripper's target (3,), from where it was asked for last."""
        position = self._configuration.data.qpos
        problems = _Problems(1, len(position))
        self._state(problems, 0, target_m)
        step: FloatArray = self._solve(problems, position[None])[0]
        return step

    def _state(self, problems: _Problems, row: int, target_m: FloatArray) -> None:
        """Write down what is to be solved for a target (3,), from where the gripper was asked for last."""
        self._target_m[:] = target_m
        problems.jacobian[row], problems.error[row], problems.damping[row] = self._grip.compute_qp_residual(
            self._configuration
        )

    def _solve(self, problems: _Problems, positions: FloatArray) -> FloatArray:
        """Joint steps (N, n) from positions (N, n).

        They are what ``mink.solve_ik`` with its PostureTask and ConfigurationLimit gives, bit for bit. What these make
        of an arm of hinges is mostly constant, and making it anew takes longer than solving.
        """
        count, joints = positions.shape
        # Rows of the grip task, which change, over those of the posture task, which do not.
        jacobians = np.empty((count, 6 + joints, joints))
        jacobians[:, :6], jacobians[:, 6:] = problems.jacobian, self._posture
        errors = np.concatenate([problems.error, _POSTURE_COST * (self._home_rad - positions)], axis=1)
        hessians = jacobians.transpose(0, 2, 1) @ jacobians
        hessians.reshape(count, -1)[:, :: joints + 1] += (_SOLVER_DAMPING + problems.damping)[:, None]
        linear = -(errors[:, None] @ jacobians)[:, 0]
        rooms = _LIMIT_GAIN * (self._ends - np.concatenate([positions, -positions], axis=1))
        steps = np.empty_like(positions)
        for row, (hessian, gradient, room) in enumerate(zip(hessians, linear, rooms, strict=True)):
            solved, _, flag, _ = daqp.solve(hessian, gradient, self._sides, room, self._no_lower, self._inequalities)
            if flag <= 0:
                raise mink.NoSolutionFound("daqp")
            steps[row] = solved
        return steps

    def reach(self, start: FloatArray, grip_position_m: FloatArray, tolerance_m: float = 1e-3) -> FloatArray | None:
        """Return joint positions (n,) with the gripper down at ``grip_position_m``, by steps from ``start``.

        None if that is out of reach.
        """
        position = np.array(start, dtype=np.float64)
        for _ in range(_REACH_ITERATIONS):
            grip = self.grip_position_m(position)
            error = grip_position_m - grip
            distance = float(np.linalg.norm(error))
            step = self._step_to(grip + error * min(1.0, _REACH_STEP_M / max(distance, 1e-9)))
            position = position + step
            if distance < tolerance_m and float(np.max(np.abs(step))) < tolerance_m:
                return position
        return None


_REACH_ITERATIONS, _REACH_STEP_M = 200, 0.05
