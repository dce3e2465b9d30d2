"""Sliding along limits of place: what is left of a wanted velocity without the part that runs into them.

At a workspace wall, a table, the body or the arm itself only what closes in on it is taken away, along the gradient of
the clearance; the gripper otherwise goes and turns as wanted. A joint at its stop stands and the others go on, making
up for it in the gripper's motion where that takes little. How fast a clearance may shrink is what coast and braking
ramp have room for, so the arm comes to slide close to the limit instead of stopping at it, and a constant command gives
a steady motion. All this only proposes: the limiter checks the whole path of what is proposed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import daqp
import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.arm.clearance_slopes import ClearanceSlopes, Slopes
from fetch_sim2real.arm.collision import Scene
from fetch_sim2real.arm.kinematics import kinematics_of
from fetch_sim2real.arm.limits import LimitProfile
from fetch_sim2real.control.path_samples import path_weights, samples_of_path
from fetch_sim2real.control.trajectory import braking_periods, tail_lever_s
from fetch_sim2real.timing import COAST_S, CONTROL_PERIOD_S
from fetch_sim2real.types import FloatArray

# Where the arm slides, beyond what is required: room for the error of the linear models.
BUFFER_M: Final = 0.001
# What a change of motion costs: of the gripper's, 1 per m/s, and this much per rad/s that it turns; of motions of a
# redundant arm's joints that leave the gripper where it is; and a little of any joint, for a stretched arm.
_TURN_M, _SELF_MOTION_M, _JOINT_M = 1.0, 0.1, 0.02
# The same where a joint stands at its stop: the others hardly make up for it, least of all those that were to rest.
_AT_STOP_M, _IDLE_SHARE = 0.3, 0.01
# Of a motion of which the first share or less is left, nothing is; from the second on all that is left. So an arm that
# is pressed straight against a limit comes to rest.
_STICKS, _SLIDES = 0.02, 0.05
_AT_REST_RAD_S: Final = 1e-5
_TAIL_SAMPLES: Final = 4
_OF_STEP, _OF_TAIL = path_weights(_TAIL_SAMPLES)
# daqp: a bound that gives way if nothing else is possible, and none.
_SOFT: Final = 8
_NO_BOUND: Final = 1e30


@dataclass(frozen=True)
class _Room:
    """What limits of place leave of the velocities of B rows.

    Those of row b lie between ``lower`` and ``upper`` (B, n), where joints have their stops, and
    ``slope[k] @ velocity >= least[k]`` holds for k from ``begin[b]`` to ``begin[b + 1]``.
    """

    lower: FloatArray
    upper: FloatArray
    slope: FloatArray
    least: FloatArray
    begin: NDArray[np.intp]

    def nearest(self, metric: FloatArray, wanted: FloatArray, lower: FloatArray, upper: FloatArray) -> FloatArray:
        """Return the velocities (B, n) nearest to ``wanted`` in ``metric`` (B, n, n) between the bounds (B, n).

        The bounds hold in any case, the slopes as nearly as the bounds let them.
        """
        found, joints = np.empty_like(wanted), wanted.shape[1]
        linear = -(metric * wanted[:, None]).sum(axis=2)
        for row, (begin, end) in enumerate(zip(self.begin[:-1].tolist(), self.begin[1:].tolist(), strict=True)):
            size = joints + end - begin
            least, most = np.empty(size), np.full(size, _NO_BOUND)
            least[:joints], least[joints:], most[:joints] = lower[row], self.least[begin:end], upper[row]
            kinds = np.zeros(size, dtype=np.intc)
            kinds[joints:] = _SOFT
            solved, _, flag, _ = daqp.solve(metric[row], linear[row], self.slope[begin:end], most, least, kinds)
            found[row] = solved if flag > 0 else wanted[row]
        return np.minimum(np.maximum(found, lower), upper)


class Sliding:
    """Proposals for one profile in one scene. Immutable; every row is computed by itself."""

    def __init__(self, profile: LimitProfile, scene: Scene, required_m: FloatArray) -> None:
        """``required_m`` (4,): what has to be left of each row of ``CollisionModel.path_clearances``."""
        self._profile = profile
        self._required_m = required_m
        self._slopes = ClearanceSlopes(scene)
        self._jacobian, self._reach_m = kinematics_of(scene.arm).grip_jacobian, np.array(scene.arm.reach_m)
        self._velocity_step = profile.acceleration * CONTROL_PERIOD_S

    def velocity(
        self,
        reference: tuple[FloatArray, FloatArray],
        target: FloatArray,
        wanted: FloatArray,
        fastest: FloatArray,
        proposed: FloatArray | None = None,
    ) -> FloatArray:
        """Return velocity (B, n) one control period after the ``reference`` states: position and velocity, (B, n) each.

        ``target`` (B, n) is what is wanted within the velocity limits ``fastest`` (B, n), ``wanted`` (B, n) that within
        the acceleration limits too. What was ``proposed`` (B, n) and did not pass makes for a better proposal.
        """
        velocity = reference[1]
        room = self._room(reference, target, wanted, proposed)
        metric, metric_at_stops = _metrics(self._jacobian(reference[0]), target)

        # What is left of the target, apart from how fast it can be reached.
        lower = np.minimum(np.maximum(room.lower, -fastest), 0.0)
        upper = np.maximum(np.minimum(room.upper, fastest), 0.0)
        stopped = np.flatnonzero(((target < lower) | (target > upper)).any(axis=1))
        left = target.copy()
        if stopped.size:
            low, high = lower[stopped], upper[stopped]
            nowhere = np.zeros(len(stopped) + 1, dtype=np.intp)
            stops = _Room(low, high, np.empty((0, low.shape[1])), np.empty(0), nowhere)
            left[stopped] = stops.nearest(metric_at_stops[stopped], target[stopped], low, high)
        left = room.nearest(metric, left, lower, upper)
        share = _length(metric, left) / np.maximum(_length(metric, target), 1e-9)
        left *= np.minimum(np.maximum((share - _STICKS) / (_SLIDES - _STICKS), 0.0), 1.0)[:, None]

        # One factor on the change, as everywhere; where that closes in too fast, braking goes before.
        change = left - velocity
        change /= np.maximum(np.max(np.abs(change) / self._velocity_step, axis=1), 1.0)[:, None]
        slowest, quickest = velocity - self._velocity_step, velocity + self._velocity_step
        lower = np.minimum(np.maximum(np.maximum(room.lower, -fastest), slowest), quickest)
        upper = np.minimum(np.maximum(np.minimum(room.upper, fastest), slowest), quickest)
        found = room.nearest(metric, velocity + change, lower, upper)
        found[np.max(np.abs(found), axis=1) < _AT_REST_RAD_S] = 0.0
        return found

    def _room(
        self,
        reference: tuple[FloatArray, FloatArray],
        target: FloatArray,
        wanted: FloatArray,
        proposed: FloatArray | None,
    ) -> _Room:
        """What limits of place leave, by linear models on the path of what was ``proposed``, or else on what is left
        of the path that the reference state lies on."""
        (position, velocity), acceleration = reference, self._profile.acceleration
        periods = braking_periods(velocity, acceleration)
        # A period more than from the reference's velocity is the most that the acceleration limit lets through. From
        # rest it counts as two, as from any slow motion, so that an arm that comes to rest is not pushed off again.
        most = np.maximum(periods, 1.0) + 1.0
        periods = np.maximum(periods, np.minimum(most, braking_periods(target, acceleration)))
        if proposed is None:
            proposed, own_lever_s = velocity, tail_lever_s(velocity, acceleration, 0.0)
        else:
            own_lever_s = tail_lever_s(proposed, acceleration, COAST_S)
            periods = np.maximum(periods, braking_periods(proposed, acceleration))
        lever_s = COAST_S + 0.5 * CONTROL_PERIOD_S * periods
        end_s = 0.5 * CONTROL_PERIOD_S + lever_s
        paths = samples_of_path(np.array([position, velocity, proposed]).transpose(1, 0, 2), own_lever_s, _TAIL_SAMPLES)

        # How far any point can be from where it is on that path: nothing farther than that comes in the way.
        changed = (self._velocity_step + np.abs(velocity - proposed)) * end_s[:, None]
        longer = np.abs(proposed) * np.maximum(lever_s - own_lever_s, 0.0)[:, None]
        within_m = ((changed + longer) * self._reach_m).sum(axis=1) + np.max(self._required_m) + BUFFER_M
        slopes = self._slopes.of_paths(paths, within_m)
        least = self._least(slopes, paths, (position, velocity, wanted), lever_s)
        order = np.argsort(slopes.path, kind="stable")
        ahead = position + 0.5 * CONTROL_PERIOD_S * velocity
        return _Room(
            (self._profile.position_lower - ahead) / end_s[:, None],
            (self._profile.position_upper - ahead) / end_s[:, None],
            slopes.gradient_m[order],
            least[order],
            np.searchsorted(slopes.path[order], np.arange(len(position) + 1)),
        )

    def _least(
        self, slopes: Slopes, paths: FloatArray, motion: tuple[FloatArray, FloatArray, FloatArray], lever_s: FloatArray
    ) -> FloatArray:
        """How fast (K,) [m/s] each of the clearances has to grow at least for the path to stay clear."""
        row, sample = slopes.path, slopes.sample
        position, velocity, wanted = (values[row] for values in motion)
        # A velocity v puts the sample at ``start + weight_s * v``.
        weight_s = _OF_STEP[sample, 2] + _OF_TAIL[sample, 2] * lever_s[row]
        start = position + _OF_STEP[sample, 1, None] * velocity
        at_start_m = slopes.clearance_m + (slopes.gradient_m * (start - paths[row, sample])).sum(axis=1)
        # Wanted motion passes where even its path's end does not touch. An arm that slides farther off than that
        # would be let in again and pushed back, and go back and forth; so it slides at half of that at most.
        closing_m_s = -(slopes.gradient_m * wanted).sum(axis=1)
        buffer_m = np.minimum(np.maximum(0.5 * weight_s * closing_m_s, 0.0), BUFFER_M)
        return np.asarray((self._required_m[slopes.row] + buffer_m - at_start_m) / weight_s)


def _metrics(jacobian: FloatArray, target: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What changes of a velocity cost, (B, n, n), in general and at a joint's stop; ``jacobian`` (B, 6, n)."""
    weighted = jacobian * _WEIGHTS
    of_grip = weighted.transpose(0, 2, 1) @ weighted
    joints, directions = target.shape[1], jacobian.shape[1]
    metric = of_grip
    if joints > directions:
        vectors = np.linalg.eigh(of_grip)[1]
        for redundant in range(joints - directions):
            self_motion = vectors[:, :, redundant]
            metric = metric + _SELF_MOTION_M**2 * (self_motion[:, :, None] * self_motion[:, None, :])
    metric = metric + _JOINT_M**2 * np.eye(joints)
    share = np.abs(target) / np.maximum(np.max(np.abs(target), axis=1), 1e-9)[:, None]
    return metric, of_grip + np.eye(joints) * (_AT_STOP_M**2 / (share * share + _IDLE_SHARE**2))[:, None]


def _length(metric: FloatArray, velocity: FloatArray) -> FloatArray:
    """Length (B,) of velocities (B, n)."""
    return np.asarray(np.sqrt(((metric * velocity[:, None]).sum(axis=2) * velocity).sum(axis=1)))


_WEIGHTS: Final = np.array([1.0, 1.0, 1.0, _TURN_M, _TURN_M, _TURN_M])[:, None]
