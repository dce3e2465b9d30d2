"""Where along a path the motion limiter looks: dense enough for the error that it allows for, and no denser.

A path is one control period of constant acceleration, then a straight line in joint space to rest
(``control.trajectory``).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.arm.spec import ArmSpec
from fetch_sim2real.common.small_arrays import any_true
from fetch_sim2real.timing import CONTROL_PERIOD_S
from fetch_sim2real.types import FloatArray

# A path is checked at samples dense enough that its true clearance is at most this much below what the samples show.
SAMPLING_ERROR_M: Final = 0.002
# Which sample is at the step's end.
STEP_END: Final = 2
_SAMPLE_COUNTS: Final = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64])
_COUNT_STEPS: Final = _SAMPLE_COUNTS[:-1].astype(np.float64)


def bending_m(arm: ArmSpec) -> FloatArray:
    """Return B (n, n): |second derivative| of any point's position along a straight joint path d is at most d' B d.

    Turning joints i <= j together bends the path by the reach of j.
    """
    joints = np.arange(arm.joint_count)
    return np.array(arm.reach_m)[np.maximum.outer(joints, joints)]


def path_weights(count: int) -> tuple[FloatArray, FloatArray]:
    """Return how much position, velocity and wanted velocity count in the samples of a path with ``count`` of its tail.

    Both (3 + ``count``, 3): what does not depend on the tail, and what is multiplied with its lever [s].
    """
    of_step = np.empty((STEP_END + 1 + count, 3))
    of_step[:, 0] = 1.0
    of_step[0, 1:] = 0.0
    of_step[1, 1:] = np.array([3.0, 1.0]) * CONTROL_PERIOD_S / 8.0
    of_step[STEP_END:, 1:] = CONTROL_PERIOD_S / 2.0
    of_tail = np.zeros_like(of_step)
    of_tail[STEP_END:, 2] = np.arange(count + 1) / count
    return of_step, of_tail


_WEIGHTS: Final = {count: path_weights(count) for count in _SAMPLE_COUNTS.tolist()}


def turning_points(position: FloatArray, velocity: FloatArray, wanted: FloatArray) -> FloatArray:
    """Return where joints turn round in the step, (B, 1, n), at their position those that do not; or (B, 0, n)."""
    turning = velocity * wanted < 0.0
    if not any_true(turning):
        return np.empty((len(position), 0, position.shape[1]))
    way = np.divide(velocity * velocity, velocity - wanted, out=np.zeros_like(wanted), where=turning)
    return np.asarray((position + (0.5 * CONTROL_PERIOD_S) * way)[:, None])


def samples_of_path(motion: FloatArray, lever_s: FloatArray, count: int) -> FloatArray:
    """Return positions (B, 3 + ``count``, n) along paths: at once, half a period later, after the step, on the tail.

    ``motion`` (B, 3, n) is position, velocity and wanted velocity, ``lever_s`` (B,) that of ``tail_lever_s``.
    """
    of_step, of_tail = _WEIGHTS[count]
    return np.asarray((of_step + lever_s[:, None, None] * of_tail) @ motion)


def sample_counts(tail: FloatArray, bending: FloatArray) -> NDArray[np.int64]:
    """Return how many samples (B,) keep chords within ``SAMPLING_ERROR_M`` of straight tails (B, n) in joint space.

    ``bending`` (n, n) is the arm's ``bending_m``.
    """
    swept = np.abs(tail)
    bent_m = np.add.reduce((swept @ bending) * swept, axis=1)
    needed = np.sqrt(bent_m * (1.0 / (8.0 * SAMPLING_ERROR_M)))
    return np.asarray(_SAMPLE_COUNTS[_COUNT_STEPS.searchsorted(needed)])
