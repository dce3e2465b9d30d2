"""The arm's joints as the robot reports them: with zero errors, and with the steps and the noise of encoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.sim.engine import JointState
from fetch_sim2real.sim.randomization.sample import EncoderSample
from fetch_sim2real.sim.steps import stamp_of_step
from fetch_sim2real.timing import JOINT_STATE_EVERY_STEPS, PHYSICS_STEP_S
from fetch_sim2real.types import FloatArray, JointSample

# Noise repeats after so many joint states: half a minute.
_NOISY_SAMPLES: Final = 3600


@dataclass(frozen=True)
class ZeroError:
    """What joints are reported at minus where they are: (n,) at the start of an episode, and by the second."""

    at_start_rad: FloatArray
    rate_rad_s: FloatArray

    def at(self, steps: NDArray[Any]) -> FloatArray:
        """Return it (..., n) so many physics steps (..., 1) after the start."""
        return self.at_start_rad + steps * PHYSICS_STEP_S * self.rate_rad_s


class JointReadings:
    """Reports one episode's joints.

    Noise follows from the time since ``first_step`` alone: to ask twice, or more often in one run than in another,
    changes nothing.
    """

    def __init__(
        self, zero_error: ZeroError, encoders: EncoderSample, first_step: int
    ) -> None:
        self._first_step = first_step
        self._zero_error = zero_error
        self._step_rad = encoders.step_rad
        self._noise: FloatArray | None = None
        if encoders.noise_rad > 0.0 or encoders.velocity_noise_rad_s > 0.0:
            rng = np.random.default_rng(encoders.seed)
            sigma = np.array([encoders.noise_rad, encoders.velocity_noise_rad_s])[:, None]
            # Position and velocity (count, 2, n).
            self._noise = rng.standard_normal((_NOISY_SAMPLES, 2, len(ARM.joint_names))) * sigma

    def at(self, step: int, true: JointState) -> JointSample:
        """Return what is reported of the ``true`` state at the physics step ``step``."""
        position, velocity = self._reported(
            true.arm_rad, true.arm_rad_s, np.array([step - self._first_step]), self._row(step)
        )
        return JointSample(stamp_of_step(step), position, velocity, _finger_m(true))

    def at_steps(self, true: Sequence[tuple[int, JointState]]) -> list[JointSample]:
        """Return the same of several steps and their true states, in one go."""
        if not true:
            return []
        arm_rad = np.array([state.arm_rad for _, state in true])
        arm_rad_s = np.array([state.arm_rad_s for _, state in true])
        since = np.array([[step - self._first_step] for step, _ in true])
        positions, velocities = self._reported(arm_rad, arm_rad_s, since, [self._row(step) for step, _ in true])
        return [
            JointSample(stamp_of_step(step), position, velocity, _finger_m(state))
            for (step, state), position, velocity in zip(true, positions, velocities, strict=True)
        ]

    def _row(self, step: int) -> int:
        return (step - self._first_step) // JOINT_STATE_EVERY_STEPS % _NOISY_SAMPLES

    def _reported(
        self, arm_rad: FloatArray, arm_rad_s: FloatArray, steps: NDArray[np.int64], row: int | list[int]
    ) -> tuple[FloatArray, FloatArray]:
        """Positions and velocities (..., n) at ``steps`` (..., 1), with the noise of these rows (...,)."""
        position, velocity = arm_rad + self._zero_error.at(steps), arm_rad_s.copy()
        if self._noise is not None:
            noise = self._noise[row]
            position += noise[..., 0, :]
            velocity += noise[..., 1, :]
        if self._step_rad > 0.0:
            position /= self._step_rad
            np.rint(position, out=position)
            position *= self._step_rad
        return position, velocity


def _finger_m(true: JointState) -> float:
    left_m, right_m = true.fingers_m.tolist()
    return float((left_m + right_m) / 2)
