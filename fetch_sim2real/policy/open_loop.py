"""When an actor looks: at every frame, or now and then with plain prediction between. Baselines of closed-loop seeing.

An actor that has looked keeps where the encoder saw the object. What it still has is what a robot has without a
camera: the measured gripper. So the seen gripper goes on by the measured one's motion, and the object's place is
carried on by contact, as a careful open-loop player would: fingers that have stopped on something where the object
should be take it along, and closed fingers push it ahead of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import numpy as np
import torch

from fetch_sim2real.errors import BundleError
from fetch_sim2real.perception.observe import ScaledValue
from fetch_sim2real.policy.look_rates import EVERY_FRAME, Look
from fetch_sim2real.policy.network import Actor
from fetch_sim2real.timing import CONTROL_RATE_HZ
from fetch_sim2real.types import FloatArray

# Fingers that have stopped between these openings [m] hold something; still means slower than this per period.
_HELD_M: Final = (0.010, 0.036)
_STILL_M: Final = 0.0005
# What they hold is the object if it should be this near to the gripper.
_HELD_WITHIN_M: Final = 0.06
# Closed fingers touch the block at this distance from its centre (the median over episodes of `push` in simulation),
# unless they are higher above it than this.
_TOUCH_M: Final = 0.044
_TOUCH_BELOW_M: Final = 0.035
_CLOSED_M: Final = 0.008


class Seeing(Protocol):
    """Gives the head's bottleneck of an observation. Stateful: one per policy."""

    def reset(self) -> None:
        """Forget the episode."""
        ...

    def see(self, encode: Callable[[], torch.Tensor], vector: torch.Tensor) -> torch.Tensor:
        """Bottleneck (1, b) of an observation with this vector (1, n); ``encode`` looks at its picture."""
        ...


class EveryFrame:
    """Looks at every picture: how actors are meant to run."""

    def reset(self) -> None:
        """Nothing is remembered."""

    def see(self, encode: Callable[[], torch.Tensor], vector: torch.Tensor) -> torch.Tensor:
        return encode()


class NowAndThen:
    """Looks at the first picture and then at every ``every``-th (None: never again), and predicts between."""

    def __init__(self, actor: Actor, every: int | None) -> None:
        """BundleError if the actor does not name object and gripper in its bottleneck, or is not told its gripper."""
        auxiliary, vector = actor.spec.auxiliary, actor.observation.vector
        self._actor = actor
        self._every = every
        self._object = _columns(auxiliary, "seen_object")
        self._seen_grip = _columns(auxiliary, "seen_grip")
        self._grip = _columns(vector, "grip")
        self._finger = _column(vector, "finger")
        self._centre = np.array([value.centre for value in vector])
        self._scale = np.array([value.scale for value in vector])
        self.reset()

    def reset(self) -> None:
        self._count = 0
        self._bottleneck: torch.Tensor = torch.zeros(0)
        self._before: tuple[FloatArray, float] = (np.zeros(3), 0.0)

    def see(self, encode: Callable[[], torch.Tensor], vector: torch.Tensor) -> torch.Tensor:
        values = vector[0].numpy().astype(np.float64) * self._scale + self._centre
        grip_m, finger_m = values[self._grip], float(values[self._finger])
        if self._count == 0 or (self._every is not None and self._count % self._every == 0):
            self._bottleneck = encode().clone()
        else:
            self._predict(grip_m, finger_m)
        self._before = grip_m, finger_m
        self._count += 1
        return self._bottleneck

    def _predict(self, grip_m: FloatArray, finger_m: float) -> None:
        seen = self._actor.auxiliary(self._bottleneck)[0].numpy().astype(np.float64)
        before_m, before_finger_m = self._before
        seen[self._seen_grip] += grip_m - before_m
        still = abs(finger_m - before_finger_m) < _STILL_M
        # Camera and joints disagree by the camera's error: object and gripper are compared as both are seen.
        seen[self._object] = carried(seen[self._object], seen[self._seen_grip], grip_m - before_m, finger_m, still)
        known = self._actor.normalize_auxiliary(torch.from_numpy(seen.astype(np.float32))[None])
        self._bottleneck[:, : known.shape[1]] = known


def carried(
    object_m: FloatArray, grip_m: FloatArray, moved_m: FloatArray, finger_m: float, fingers_still: bool
) -> FloatArray:
    """Where the object (3,) [m] should be after the gripper, now at ``grip_m`` (3,), has moved by ``moved_m`` (3,)."""
    offset = object_m - grip_m
    stopped = fingers_still and _HELD_M[0] < finger_m < _HELD_M[1]
    if stopped and float(np.linalg.norm(offset)) < _HELD_WITHIN_M:
        return object_m + moved_m
    across_m = float(np.linalg.norm(offset[:2]))
    if finger_m > _CLOSED_M or -offset[2] > _TOUCH_BELOW_M or not 1e-6 < across_m < _TOUCH_M:
        return object_m
    pushed = object_m.copy()
    pushed[:2] = grip_m[:2] + offset[:2] * (_TOUCH_M / across_m)
    return pushed


def make_seeing(actor: Actor, look: Look) -> Seeing:
    """How an actor looks."""
    if look == EVERY_FRAME:
        return EveryFrame()
    return NowAndThen(actor, CONTROL_RATE_HZ if look == "each-second" else None)


def _columns(values: tuple[ScaledValue, ...], stem: str) -> list[int]:
    return [_column(values, f"{stem}_{axis}") for axis in "xyz"]


def _column(values: tuple[ScaledValue, ...], name: str) -> int:
    names = [value.name for value in values]
    if name not in names:
        raise BundleError(
            "actor.auxiliary",
            f"an actor that looks now and then must name '{name}', this one has {', '.join(names) or 'nothing'}: "
            "run it with every frame"
        )
    return names.index(name)
