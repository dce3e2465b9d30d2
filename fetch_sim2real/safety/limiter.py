"""The motion limiter: turns a wanted joint velocity into one that can always still be stopped inside all limits.

Pure and vectorised. A candidate velocity is followed by a path: one control period of constant acceleration, a coast,
a linear ramp to rest (see ``safety.trajectory``). It passes if that whole path stays inside position limits and
workspace and clear of tables, body and the arm itself. Otherwise the change of velocity is cut back towards plain
braking, the whole joint vector by one factor, so that the gripper keeps its direction. Braking from a reference on the
tail of a checked path stays on that path, so a viable state always has a viable successor.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.robot.collision import CollisionModel
from fetch_sim2real.robot.kinematics import (
    ELBOW_FLEX_X_M,
    FOREARM_ROLL_X_M,
    GRIPPER_X_M,
    SHOULDER_LIFT_M,
    UPPERARM_ROLL_X_M,
    WRIST_FLEX_X_M,
    WRIST_ROLL_X_M,
)
from fetch_sim2real.robot.limits import LimitProfile
from fetch_sim2real.safety.trajectory import (
    ROUNDING,
    braked_velocity,
    position_after_step,
    tail_lever_s,
)
from fetch_sim2real.timing import CONTROL_PERIOD_S
from fetch_sim2real.types import FloatArray


class Rule(IntFlag):
    """Which limits a wanted velocity ran into; several may hold at once."""

    NONE = 0
    VELOCITY = 1
    ACCELERATION = 2
    POSITION = 4
    WORKSPACE = 8
    TABLE = 16
    BODY = 32
    SELF_COLLISION = 64


# A path is checked at samples dense enough that its true clearance is at most this much below what the samples show.
SAMPLING_ERROR_M: Final = 0.002
# Least sampled clearance: the rest (2 mm) is left when the sampling error is at its worst.
REQUIRED_CLEARANCE_M: Final = 0.004
REQUIRED_WORKSPACE_M: Final = SAMPLING_ERROR_M
# How much of the change from braking to the wanted velocity is tried, in this order; braking itself is the last resort.
_CUTBACKS: Final = np.array([0.75, 0.5, 0.25])
_SAMPLE_COUNTS: Final = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64])

# No point of the arm is farther than this from each joint's axis (fingertip reach, and sideways for the last roll).
_TIP_X_M, _TIP_Y_M = 0.04, 0.06
_HAND_M: Final = WRIST_ROLL_X_M + GRIPPER_X_M + _TIP_X_M
_FOREARM_M: Final = FOREARM_ROLL_X_M + WRIST_FLEX_X_M + _HAND_M
_ARM_M: Final = UPPERARM_ROLL_X_M + ELBOW_FLEX_X_M + _FOREARM_M
_REACH_M: Final = np.array([SHOULDER_LIFT_M[0] + _ARM_M, _ARM_M, _FOREARM_M, _FOREARM_M, _HAND_M, _HAND_M, _TIP_Y_M])
# |second derivative| of any point's position along a straight joint path is at most d' BENDING d: turning joints i <= j
# together bends the path by the reach of j.
_BENDING_M: Final = _REACH_M[np.maximum.outer(np.arange(7), np.arange(7))]
# Speed of any point relative to the upper arm and shoulder: the pan moves both alike.
_RELATIVE_REACH_M: Final = np.array([0.0, *_REACH_M[1:]])
# Two spheres that touch are at least this far apart, which bounds how much closer they come between two samples.
_LEAST_TOUCHING_M: Final = 0.12


@dataclass(frozen=True)
class LimitResult:
    """Setpoint at the end of the period and how it came about, for leading dimensions (...).

    ``position``, ``velocity`` (..., 7). ``rules`` (...,): the ``Rule`` flags that the wanted velocity ran into, 0 where
    it passed unchanged. ``viable`` (...,): False where not even braking from the reference state is sure to stay
    inside the limits (possible only off a checked path): keep the running trajectory, which has its own tail.
    """

    position: FloatArray
    velocity: FloatArray
    rules: NDArray[np.uint8]
    viable: NDArray[np.bool_]


class MotionLimiter:
    """Limits of one profile in one scene. Immutable."""

    def __init__(self, profile: LimitProfile, model: CollisionModel) -> None:
        self.profile = profile
        self.model = model
        self._velocity_step = profile.acceleration * CONTROL_PERIOD_S
        self._lower = profile.position_lower - ROUNDING
        self._upper = profile.position_upper + ROUNDING

    def limit(
        self,
        position: FloatArray,
        velocity: FloatArray,
        wanted_velocity: FloatArray,
        *,
        on_path: bool | NDArray[np.bool_] = True,
        speed_scale: float = 1.0,
    ) -> LimitResult:
        """The setpoint one control period after the reference state (position, velocity), each (..., 7).

        A wanted velocity that is within all limits comes back bit for bit. ``on_path`` (...,) says that braking from
        the reference state stays on a path checked before (see ``LimitResult.viable``). ``speed_scale`` in (0, 1]
        multiplies the velocity limit.
        """
        shape = np.broadcast_shapes(position.shape, velocity.shape, wanted_velocity.shape)
        position = np.broadcast_to(position, shape).reshape(-1, 7)
        velocity = np.broadcast_to(velocity, shape).reshape(-1, 7)
        wanted = np.broadcast_to(wanted_velocity, shape).reshape(-1, 7)
        wanted, rules = self._within_rates(velocity, wanted, speed_scale)

        violations = self._violations(position, velocity, wanted)
        rules |= violations
        viable = np.ones(len(position), dtype=bool)
        blocked = np.flatnonzero(violations)
        if blocked.size:
            trusted = np.broadcast_to(on_path, shape[:-1]).reshape(-1)[blocked]
            wanted = wanted.copy()
            wanted[blocked], viable[blocked] = self._cut_back(
                position[blocked], velocity[blocked], wanted[blocked], trusted
            )
        return _result(position, velocity, wanted, rules, viable, shape)

    def brake(
        self, position: FloatArray, velocity: FloatArray, *, on_path: bool | NDArray[np.bool_] = True
    ) -> LimitResult:
        """One control period of braking from the reference state, shapes as in ``limit``."""
        shape = np.broadcast_shapes(position.shape, velocity.shape)
        position = np.broadcast_to(position, shape).reshape(-1, 7)
        velocity = np.broadcast_to(velocity, shape).reshape(-1, 7)
        braked = braked_velocity(velocity, self.profile.acceleration)
        viable = np.broadcast_to(on_path, shape[:-1]).reshape(-1).copy()
        viable[~viable] = self._violations(position[~viable], velocity[~viable], braked[~viable]) == 0
        return _result(position, velocity, braked, np.zeros(len(position), np.uint8), viable, shape)

    def _within_rates(
        self, velocity: FloatArray, wanted: FloatArray, speed_scale: float
    ) -> tuple[FloatArray, NDArray[np.uint8]]:
        """``wanted`` cut to the velocity and then the acceleration limit, by one factor each, and the flags."""
        excess = np.maximum.reduce(np.abs(wanted) / (self.profile.velocity * speed_scale), axis=-1)
        too_fast = excess > 1.0 + ROUNDING
        if too_fast.any():
            wanted = np.where(too_fast[:, None], wanted / np.maximum(excess, 1.0)[:, None], wanted)
        change = wanted - velocity
        excess = np.maximum.reduce(np.abs(change) / self._velocity_step, axis=-1)
        too_sudden = excess > 1.0 + ROUNDING
        if too_sudden.any():
            cut = velocity + change / np.maximum(excess, 1.0)[:, None]
            wanted = np.where(too_sudden[:, None], cut, wanted)
        return wanted, too_fast * np.uint8(Rule.VELOCITY) | too_sudden * np.uint8(Rule.ACCELERATION)

    def _cut_back(
        self, position: FloatArray, velocity: FloatArray, wanted: FloatArray, on_path: NDArray[np.bool_]
    ) -> tuple[FloatArray, NDArray[np.bool_]]:
        """The first viable velocity between ``wanted`` and braking, and whether there is one; all (B, ...)."""
        braked = braked_velocity(velocity, self.profile.acceleration)
        shares = np.append(_CUTBACKS, 0.0)[:, None]
        candidates = braked[:, None] + shares * (wanted - braked)[:, None]
        shape = candidates.shape
        violations = self._violations(
            np.broadcast_to(position[:, None], shape).reshape(-1, 7),
            np.broadcast_to(velocity[:, None], shape).reshape(-1, 7),
            candidates.reshape(-1, 7),
        )
        passed = np.asarray(violations.reshape(shape[:2]) == 0)
        passed[:, -1] |= on_path
        viable = np.asarray(passed.any(axis=1))
        choice = np.where(viable, passed.argmax(axis=1), len(_CUTBACKS))
        return candidates[np.arange(len(choice)), choice], viable

    def _violations(self, position: FloatArray, velocity: FloatArray, wanted: FloatArray) -> NDArray[np.uint8]:
        """Rules (B,) that the path of each candidate breaks."""
        after_step = position_after_step(position, velocity, wanted)
        tail = wanted * tail_lever_s(wanted, self.profile.acceleration)[:, None]
        rest = after_step + tail
        outside = _outside(after_step, self._lower, self._upper) | _outside(rest, self._lower, self._upper)
        turning = velocity * wanted < 0.0
        if turning.any():
            reversal = np.where(turning, velocity - wanted, 1.0)
            peak = position + np.where(turning, 0.5 * velocity * velocity * CONTROL_PERIOD_S / reversal, 0.0)
            outside |= _outside(peak, self._lower, self._upper)
        rules = outside * np.uint8(Rule.POSITION)

        swept = np.abs(tail)
        bending = np.einsum("bi,ij,bj->b", swept, _BENDING_M, swept)
        wanted_count = np.sqrt(bending / (8.0 * SAMPLING_ERROR_M))
        counts = _SAMPLE_COUNTS[np.minimum(np.searchsorted(_SAMPLE_COUNTS, wanted_count), len(_SAMPLE_COUNTS) - 1)]
        halfway = position + (3.0 * velocity + wanted) * (CONTROL_PERIOD_S / 8.0)
        for count in np.unique(counts):
            rows = np.flatnonzero(counts == count)
            shares = np.arange(1, count + 1)[:, None] / count
            samples = np.empty((len(rows), count + 3, 7))
            samples[:, 0], samples[:, 1], samples[:, 2] = position[rows], halfway[rows], after_step[rows]
            samples[:, 3:] = after_step[rows, None] + shares * tail[rows, None]
            clearance = self.model.path_clearance(samples)
            # Between samples, parts of the arm come closer to each other by no more than this.
            fastest = np.maximum(np.abs(velocity[rows]), np.abs(wanted[rows])) * (0.5 * CONTROL_PERIOD_S)
            travel = np.maximum(fastest @ _RELATIVE_REACH_M, swept[rows] @ _RELATIVE_REACH_M / count)
            sagging = travel * travel / (8.0 * _LEAST_TOUCHING_M)
            rules[rows] |= (
                (clearance.workspace < REQUIRED_WORKSPACE_M) * np.uint8(Rule.WORKSPACE)
                | (clearance.table < REQUIRED_CLEARANCE_M) * np.uint8(Rule.TABLE)
                | (clearance.body < REQUIRED_CLEARANCE_M) * np.uint8(Rule.BODY)
                | (clearance.itself < REQUIRED_CLEARANCE_M + sagging) * np.uint8(Rule.SELF_COLLISION)
            )
        return rules


def _outside(position: FloatArray, lower: FloatArray, upper: FloatArray) -> NDArray[np.bool_]:
    return np.asarray(((position < lower) | (position > upper)).any(axis=-1))


def _result(
    position: FloatArray,
    velocity: FloatArray,
    next_velocity: FloatArray,
    rules: NDArray[np.uint8],
    viable: NDArray[np.bool_],
    shape: tuple[int, ...],
) -> LimitResult:
    after_step = position_after_step(position, velocity, next_velocity)
    return LimitResult(
        after_step.reshape(shape), next_velocity.reshape(shape), rules.reshape(shape[:-1]), viable.reshape(shape[:-1])
    )
