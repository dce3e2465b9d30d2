"""The motion limiter: turns a wanted joint velocity into one that can always still be stopped inside all limits.

Pure and vectorised. A candidate velocity is followed by a path: one control period of constant acceleration, a coast,
a linear ramp to rest (see ``control.trajectory``). It passes if that whole path stays inside position limits and
workspace and clear of tables, body and the arm itself. Otherwise what slides along the limit (``control.sliding``) is
tried, and if its path does not pass either, that cut back towards plain braking, the whole joint vector by one factor.
Limits of velocity and acceleration always act by one factor, so that the gripper keeps its direction. Braking from a
reference on the tail of a checked path stays on that path, so a viable state always has a viable successor.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.arm.collision import CollisionModel, Scene
from fetch_sim2real.arm.limits import LimitProfile
from fetch_sim2real.common.small_arrays import any_true
from fetch_sim2real.control.path_samples import (
    SAMPLING_ERROR_M,
    STEP_END,
    bending_m,
    sample_counts,
    samples_of_path,
    turning_points,
)
from fetch_sim2real.control.sliding import Sliding
from fetch_sim2real.control.trajectory import (
    ROUNDING,
    braked_velocity,
    position_after_step,
    tail_lever_s,
)
from fetch_sim2real.timing import COAST_S, CONTROL_PERIOD_S
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


# Least sampled clearance: the rest (2 mm) is left when the sampling error is at its worst.
REQUIRED_CLEARANCE_M: Final = 0.004
REQUIRED_WORKSPACE_M: Final = SAMPLING_ERROR_M
# How much of the change from braking to sliding is tried, in this order, and the coast that would follow.
_CUTBACKS: Final = np.array([0.75, 0.5, 0.25, 0.0])
_COASTS_S: Final = np.array([COAST_S, COAST_S, COAST_S, 0.0])
# What has to be left of each row of ``CollisionModel.path_clearances``, and the rule that says so.
_REQUIRED_M: Final = np.array([[REQUIRED_WORKSPACE_M], *[[REQUIRED_CLEARANCE_M]] * 3])
_CLEARANCE_RULES: Final = np.array([[Rule.WORKSPACE], [Rule.TABLE], [Rule.BODY], [Rule.SELF_COLLISION]], dtype=np.uint8)
_VELOCITY, _ACCELERATION, _POSITION = (np.uint8(r) for r in (Rule.VELOCITY, Rule.ACCELERATION, Rule.POSITION))


@dataclass(frozen=True)
class LimitResult:
    """Setpoint at the end of the period and how it came about, for leading dimensions (...).

    ``position``, ``velocity`` (..., n). ``rules`` (...,): the ``Rule`` flags that the wanted velocity ran into, 0 where
    it passed unchanged. ``viable`` (...,): False where not even braking from the reference state is sure to stay
    inside the limits (possible only off a checked path): keep the running trajectory, which has its own tail.
    ``braking`` (...,): where the setpoint is the first period of a ramp to rest, which needs no coast after it.
    """

    position: FloatArray
    velocity: FloatArray
    rules: NDArray[np.uint8]
    viable: NDArray[np.bool_]
    braking: NDArray[np.bool_]

    def row(self, index: int) -> LimitResult:
        """Return that of one row, of results with rows."""
        return LimitResult(
            self.position[index], self.velocity[index], self.rules[index], self.viable[index], self.braking[index]
        )


class MotionLimiter:
    """Limits of one profile in one scene. Immutable."""

    def __init__(self, profile: LimitProfile, model: CollisionModel) -> None:
        self.profile = profile
        self.model = model
        self._velocity_step = profile.acceleration * CONTROL_PERIOD_S
        self._bending = bending_m(model.scene.arm)
        self._sliding = Sliding(profile, model.scene, _REQUIRED_M[:, 0])
        self._lower = profile.position_lower - ROUNDING
        self._upper = profile.position_upper + ROUNDING

    def limit(
        self,
        position: FloatArray,
        velocity: FloatArray,
        wanted_velocity: FloatArray,
        *,
        on_path: bool | NDArray[np.bool_] = True,
        speed_scale: float | FloatArray = 1.0,
    ) -> LimitResult:
        """Return the setpoint one control period after the reference state (position, velocity), each (..., n).

        A wanted velocity that is within all limits comes back bit for bit. ``on_path`` (...,) says that braking from
        the reference state stays on a path checked before (see ``LimitResult.viable``). ``speed_scale`` (...,) in
        (0, 1] multiplies the velocity limit. Every row comes out as it would alone, whatever else is in the batch.
        """
        shape = position.shape
        if not shape == velocity.shape == wanted_velocity.shape:
            shape = np.broadcast_shapes(shape, velocity.shape, wanted_velocity.shape)
        position, velocity = _rows(position, shape), _rows(velocity, shape)
        fastest = self.profile.velocity * np.asarray(speed_scale).reshape(-1, 1)
        target, wanted, rules = self._within_rates(velocity, _rows(wanted_velocity, shape), fastest)

        violations = self._violations(position, velocity, wanted, COAST_S)
        rules |= violations
        viable, braking = np.ones(len(position), dtype=bool), np.zeros(len(position), dtype=bool)
        if any_true(violations):
            blocked = np.flatnonzero(violations)
            trusted = np.broadcast_to(on_path, shape[:-1]).reshape(-1)[blocked]
            wanted = wanted.copy()
            wanted[blocked], viable[blocked], braking[blocked] = self._slide(
                (position[blocked], velocity[blocked]),
                target[blocked],
                wanted[blocked],
                np.broadcast_to(fastest, wanted.shape)[blocked],
                trusted,
            )
        return _result(position, velocity, wanted, (rules, viable, braking), shape)

    def brake(
        self, position: FloatArray, velocity: FloatArray, *, on_path: bool | NDArray[np.bool_] = True
    ) -> LimitResult:
        """Return one control period of braking from the reference state, shapes as in ``limit``."""
        shape = np.broadcast_shapes(position.shape, velocity.shape)
        position, velocity = _rows(position, shape), _rows(velocity, shape)
        braked = braked_velocity(velocity, self.profile.acceleration)
        viable = np.broadcast_to(on_path, shape[:-1]).reshape(-1).copy()
        if not viable.all():
            viable |= self._violations(position, velocity, braked, 0.0) == 0
        rules, braking = np.zeros(len(position), np.uint8), np.ones(len(position), dtype=bool)
        return _result(position, velocity, braked, (rules, viable, braking), shape)

    def _within_rates(
        self, velocity: FloatArray, wanted: FloatArray, fastest: FloatArray
    ) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
        """``wanted`` cut to the velocity limit, then to that of acceleration too, by one factor each, and the flags."""
        excess = np.maximum.reduce(np.abs(wanted) / fastest, axis=-1)
        too_fast = excess > 1.0 + ROUNDING
        if any_true(too_fast):
            wanted = wanted / np.where(too_fast, excess, 1.0)[:, None]
        target = wanted
        change = wanted - velocity
        excess = np.maximum.reduce(np.abs(change) / self._velocity_step, axis=-1)
        too_sudden = excess > 1.0 + ROUNDING
        if any_true(too_sudden):
            # Where it is not, adding the change to the velocity would not give the same bits.
            cut = velocity + change / np.maximum(excess, 1.0)[:, None]
            wanted = np.where(too_sudden[:, None], cut, wanted)
        return target, wanted, too_fast * _VELOCITY | too_sudden * _ACCELERATION

    def _slide(
        self,
        reference: tuple[FloatArray, FloatArray],
        target: FloatArray,
        wanted: FloatArray,
        fastest: FloatArray,
        on_path: NDArray[np.bool_],
    ) -> tuple[FloatArray, NDArray[np.bool_], NDArray[np.bool_]]:
        """A viable velocity (B, n) near ``wanted``, whether there is one, whether it brakes."""
        found = self._sliding.velocity(reference, target, wanted, fastest)
        viable, braking = np.ones(len(found), dtype=bool), np.zeros(len(found), dtype=bool)
        left = np.flatnonzero(self._violations(*reference, found, COAST_S))
        if left.size:
            position, velocity = (values[left] for values in reference)
            found[left] = self._sliding.velocity(
                (position, velocity), target[left], wanted[left], fastest[left], found[left]
            )
            failed = np.flatnonzero(self._violations(position, velocity, found[left], COAST_S))
            left, position, velocity = left[failed], position[failed], velocity[failed]
        # Apart, because those on a checked path have one alternative less, and alternatives are sampled alike.
        for kind in (on_path[left], ~on_path[left]):
            rows = left[kind]
            if rows.size:
                found[rows], viable[rows], braking[rows] = self._cut_back(
                    position[kind], velocity[kind], found[rows], on_path[rows]
                )
        return found, viable, braking

    def _cut_back(
        self, position: FloatArray, velocity: FloatArray, sliding: FloatArray, on_path: NDArray[np.bool_]
    ) -> tuple[FloatArray, NDArray[np.bool_], NDArray[np.bool_]]:
        """The first viable velocity (B, n) short of ``sliding``, whether there is one, whether it brakes."""
        braked = braked_velocity(velocity, self.profile.acceleration)
        # Braking on a checked path needs no check.
        shares, coasts_s = _CUTBACKS, _COASTS_S
        if on_path.all():
            shares, coasts_s = shares[:-1], coasts_s[:-1]
        candidates = braked[:, None] + shares[:, None] * (sliding - braked)[:, None]
        shape = candidates.shape
        violations = self._violations(
            np.broadcast_to(position[:, None], shape).reshape(-1, shape[-1]),
            np.broadcast_to(velocity[:, None], shape).reshape(-1, shape[-1]),
            candidates.reshape(-1, shape[-1]),
            np.broadcast_to(coasts_s, shape[:2]).reshape(-1),
            alternatives=len(shares),
        )
        passed = np.asarray(violations.reshape(shape[:2]) == 0)
        first, any_passed = passed.argmax(axis=1), np.asarray(passed.any(axis=1))
        braking = ~any_passed | (shares[first] == 0.0)
        chosen = np.where(braking[:, None], braked, candidates[np.arange(len(first)), first])
        return chosen, any_passed | on_path, braking

    def _violations(
        self,
        position: FloatArray,
        velocity: FloatArray,
        wanted: FloatArray,
        coast_s: float | FloatArray,
        alternatives: int = 1,
    ) -> NDArray[np.uint8]:
        """Rules (B,) that the path of each candidate breaks if a coast of ``coast_s`` (B,) follows the step.

        Runs of ``alternatives`` rows belong to one reference state and are sampled alike, which is faster.
        """
        lever_s = tail_lever_s(wanted, self.profile.acceleration, coast_s)
        counts = sample_counts(wanted * lever_s[:, None], self._bending)
        if alternatives > 1:
            counts = np.repeat(counts.reshape(-1, alternatives).max(axis=1), alternatives)
        motion = np.array([position, velocity, wanted]).transpose(1, 0, 2)
        turned = turning_points(position, velocity, wanted)
        first = int(counts[0])
        if len(counts) == 1 or (counts == first).all():
            return self._broken_by(samples_of_path(motion, lever_s, first), turned)
        rules = np.empty(len(counts), dtype=np.uint8)
        for count in np.unique(counts).tolist():
            rows = np.flatnonzero(counts == count)
            rules[rows] = self._broken_by(samples_of_path(motion[rows], lever_s[rows], count), turned[rows])
        return rules

    def _broken_by(self, samples: FloatArray, turned: FloatArray) -> NDArray[np.uint8]:
        """Rules (B,) that paths of ``samples_of_path`` (B, P, n) with ``turning_points`` (B, T, n) break."""
        missing = ~(self.model.path_clearances(samples) >= _REQUIRED_M)  # NaN counts as missing
        obstructed = np.bitwise_or.reduce(missing * _CLEARANCE_RULES, axis=0)
        # Each joint is at its farthest after the step, at rest, or where it turns round.
        extremes = samples[:, STEP_END:]
        if turned.size:
            extremes = np.concatenate([extremes, turned], axis=1)
        return np.asarray(obstructed | self._outside(extremes) * _POSITION)

    def _outside(self, positions: FloatArray) -> NDArray[np.bool_]:
        """Where (B,) any of the positions (B, k, n) is outside the limits."""
        inside = (positions >= self._lower) & (positions <= self._upper)
        return np.asarray(~np.logical_and.reduce(inside, axis=(1, 2)))


@lru_cache(maxsize=16)
def limiter_of(profile: LimitProfile, scene: Scene, speed_scale: float = 1.0) -> MotionLimiter:
    """Return the limiter of a profile, slowed down to ``speed_scale`` of its velocities, in a scene.

    The same one for the same arguments: arms that share it can be asked about together, and making one takes longer
    than a control period.
    """
    return MotionLimiter(profile.scaled(speed_scale), CollisionModel(scene))


def _rows(values: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """``values`` broadcast to ``shape`` (..., n) as rows (B, n)."""
    if values.shape != shape:
        values = np.broadcast_to(values, shape)
    return values.reshape(-1, shape[-1])


def _result(
    position: FloatArray,
    velocity: FloatArray,
    next_velocity: FloatArray,
    flags: tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]],
    shape: tuple[int, ...],
) -> LimitResult:
    after_step = position_after_step(position, velocity, next_velocity)
    rules, viable, braking = flags
    return LimitResult(
        after_step.reshape(shape),
        next_velocity.reshape(shape),
        rules.reshape(shape[:-1]),
        viable.reshape(shape[:-1]),
        braking.reshape(shape[:-1]),
    )
