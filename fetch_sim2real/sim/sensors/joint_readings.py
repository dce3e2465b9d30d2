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
# So many are drawn at once, more than a usual episode has: drawing all of them takes a third of a reset's time.
_DRAWN_SAMPLES: Final = 900


@dataclass(frozen=True)
class ZeroError:
    """What joints are reported at minus where they are: (n,) at the start of an episode, and by the second."""

    at_start_rad: FloatArray
    rate_rad_s: FloatArray

    def at(self, steps: NDArray[Any]) -> FloatArray:
        """Return it (..., n) so many physics steps (..., 1) after the start."""
        return self.at_start_rad + steps * PHYSICS_STEP_S * self.rate_rad_s

    @staticmethod
    def stacked(errors: Sequence[ZeroError]) -> ZeroError:
        """Return those of N episodes as one, (N, n)."""
        at_start_rad, rate_rad_s = [each.at_start_rad for each in errors], [each.rate_rad_s for each in errors]
        return ZeroError(np.array(at_start_rad), np.array(rate_rad_s))


class JointReadings:
    """Reports one episode's joints.

    Noise follows from the time since ``first_step`` alone: to ask twice, or more often in one run than in another,
    changes nothing.
    """

    def __init__(self, zero_error: ZeroError, encoders: EncoderSample, first_step: int) -> None:
        self._first_step = first_step
        self.zero_error = zero_error
        self.step_rad = encoders.step_rad
        self._sigma = np.array([encoders.noise_rad, encoders.velocity_noise_rad_s])[:, None]
        self._is_noisy = encoders.noise_rad > 0.0 or encoders.velocity_noise_rad_s > 0.0
        self._rng = np.random.default_rng(encoders.seed)
        # Of position and velocity (count, 2, n), as far as it has been asked for.
        self._noise: FloatArray = np.empty((0, 2, len(ARM.joint_names)))

    def at(self, step: int, true: JointState) -> JointSample:
        """Return what is reported of the ``true`` state at the physics step ``step``."""
        return read_together([self], [step], [true])[0]

    def steps_since_start(self, step: int) -> int:
        """Return how many physics steps after the episode's first one ``step`` is."""
        return step - self._first_step

    def noise_at(self, step: int) -> FloatArray | None:
        """Return the noise of position and velocity (2, n) at a physics step, None where there is none at all."""
        if not self._is_noisy:
            return None
        row = self.steps_since_start(step) // JOINT_STATE_EVERY_STEPS % _NOISY_SAMPLES
        while row >= len(self._noise):
            drawn = self._rng.standard_normal((_DRAWN_SAMPLES, *self._noise.shape[1:])) * self._sigma
            self._noise = np.concatenate([self._noise, drawn])
        noise: FloatArray = self._noise[row]
        return noise


def read_together(
    readings: Sequence[JointReadings], steps: Sequence[int], true: Sequence[JointState]
) -> list[JointSample]:
    """Return what each reports of its true state at its physics step, worked out in one go."""
    since = np.array([[each.steps_since_start(step)] for each, step in zip(readings, steps, strict=True)])
    zero_error = ZeroError.stacked([each.zero_error for each in readings])
    position = np.array([state.arm_rad for state in true]) + zero_error.at(since)
    velocity = np.array([state.arm_rad_s for state in true])
    noise = [each.noise_at(step) for each, step in zip(readings, steps, strict=True)]
    noisy = [row for row, found in enumerate(noise) if found is not None]
    if noisy:
        added = np.array([noise[row] for row in noisy])
        position[noisy] += added[:, 0]
        velocity[noisy] += added[:, 1]
    stepping = [row for row, each in enumerate(readings) if each.step_rad > 0.0]
    if stepping:
        step_rad = np.array([readings[row].step_rad for row in stepping])[:, None]
        position[stepping] = np.rint(position[stepping] / step_rad) * step_rad
    return [
        JointSample(stamp_of_step(step), arm_rad, arm_rad_s, finger_position_m(state))
        for step, state, arm_rad, arm_rad_s in zip(steps, true, position, velocity, strict=True)
    ]


def finger_position_m(true: JointState) -> float:
    """Return how far each finger is open [m], which is reported without errors."""
    left_m, right_m = true.fingers_m.tolist()
    return float((left_m + right_m) / 2)
