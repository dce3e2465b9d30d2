"""The arm under trajectories that arrive late: what its servos are given, physics step by physics step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.sim.controller import TrajectoryFollower
from fetch_sim2real.timing import PHYSICS_STEP_S, PHYSICS_STEPS_PER_PERIOD
from fetch_sim2real.types import FloatArray, JointSample, JointSetpoint, JointTrajectory

# A period and a half: the next trajectory may be some milliseconds late.
_STEPS_AHEAD: Final = np.arange(1.0, 1.5 * PHYSICS_STEPS_PER_PERIOD + 1)


class ArmServos:
    """One episode's arm controller. Steps count from the episode's start, so that rounding is the same in every run of
    the same seed."""

    def __init__(
        self,
        reported_rad: FloatArray,
        zero_error_rad: FloatArray,
        velocity_lead_s: FloatArray,
        latency_steps: int,
        measured: Callable[[], JointSample] | None = None,
    ) -> None:
        """``reported_rad`` (n,) is where the arm says it is, ``zero_error_rad`` (n,) that minus where it is.

        Servos push against speed: a reference runs ``velocity_lead_s`` (n,) ahead of where the arm is wanted.
        Trajectories that are sent start from the desired state, or, with ``measured``, from what that says by then.
        """
        self._zero_error_rad = zero_error_rad
        self._velocity_lead_s = velocity_lead_s
        self._latency_steps = latency_steps
        self._measured = measured
        self._arm = TrajectoryFollower(reported_rad, 0.0)
        self._pending: list[tuple[int, JointTrajectory]] = []
        self._targets_from, self._targets = 0, np.zeros((0, len(ARM.joint_names)))

    def send(self, step: int, trajectory: JointTrajectory) -> None:
        """Take effect the latency after ``step``."""
        self._pending.append((step + self._latency_steps, trajectory))

    def start(self, step: int, trajectory: JointTrajectory, measured_rad: FloatArray | None = None) -> None:
        """Obey at once, from the desired state; or, given the measured position (n,), from rest there."""
        if measured_rad is not None:
            self._arm = TrajectoryFollower(measured_rad, step * PHYSICS_STEP_S)
        self._arm.accept(trajectory, step * PHYSICS_STEP_S)
        self._targets = self._targets[:0]

    def hold(self, step: int) -> None:
        """Hold the position desired at ``step``."""
        self._arm = TrajectoryFollower(self.desired_rad(step), step * PHYSICS_STEP_S)
        self._targets = self._targets[:0]

    def desired_rad(self, step: int) -> FloatArray:
        """Desired position (n,), as the arm would report it."""
        return self._arm.desired(np.array([step * PHYSICS_STEP_S]))[0][0]

    def accept_due(self, step: int, stop: int) -> int:
        """Obey what has arrived by ``step``; returns the step, ``stop`` at most, to which nothing else arrives."""
        pending = self._pending
        while pending and pending[0][0] <= step:
            sample = None if self._measured is None else self._measured()
            start = None if sample is None else JointSetpoint(sample.position, sample.velocity)
            self._arm.accept(pending.pop(0)[1], step * PHYSICS_STEP_S, start)
            self._targets = self._targets[:0]
        for due, _ in pending:
            stop = min(stop, due)
        return stop

    def targets(self, step: int, count: int) -> FloatArray:
        """Servo targets (count, n) of the physics steps from ``step`` on, a control period of them at most."""
        first = step - self._targets_from
        if first + count > len(self._targets):
            self._sample(step)
            first = 0
        return self._targets[first : first + count]

    def _sample(self, step: int) -> None:
        """Targets until the next trajectory has come, mostly, in one go."""
        # The servo is given where the arm should be at the end of each physics step.
        position, velocity = self._arm.desired((step + _STEPS_AHEAD) * PHYSICS_STEP_S)
        self._targets_from = step
        self._targets = position + velocity * self._velocity_lead_s - self._zero_error_rad
