"""Open-loop baselines: an actor that looks once, or a few times a second.

Between its looks it repeats its last action; or it goes by what it saw, known to be old; or it predicts. One that
predicts keeps where the encoder saw the object. What it still has is what a robot has without a camera: the measured
gripper. So the seen gripper goes on by the measured one's motion, and the object's place is
carried on by contact, as a careful open-loop player would: fingers that have stopped on something where the object
should be take it along, and closed fingers push it ahead of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch

from fetch_sim2real.errors import BundleError
from fetch_sim2real.perception.observe import ACTION_SIZE, Observation, ScaledValue
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.policy.look_rate import EVERY_FRAME, Between, LookRate, is_look
from fetch_sim2real.policy.runtime import ActorPolicy, NetworkPolicy, Policy
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


@dataclass
class _Believed:
    """What is kept of an environment since its last look: frames, bottleneck (1, b), measured gripper and finger, and
    the action (4,)."""

    frames: int = 0
    bottleneck: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    grip_m: FloatArray = field(default_factory=lambda: np.zeros(3))
    finger_m: float = 0.0
    action: FloatArray = field(default_factory=lambda: np.zeros(ACTION_SIZE))


class OpenLoopPolicy:
    """An actor that looks at some pictures only: the first one, and as often as ``look`` says.

    It wraps a bundle's actor, and goes ``between`` its looks by what that says.
    """

    def __init__(
        self, bundle: PolicyBundle, look: LookRate, between: Between = "predict", environments: int = 1
    ) -> None:
        """BundleError if the actor does not name object and gripper in its bottleneck, or is not told its gripper."""
        actor = bundle.network
        auxiliary, vector = actor.spec.auxiliary, actor.observation.vector
        self._policy, self._actor = NetworkPolicy(bundle, environments), actor
        self._look, self._between = look, between
        self._object = _columns(auxiliary, "seen_object")
        self._seen_grip = _columns(auxiliary, "seen_grip")
        self._grip = _columns(vector, "grip")
        self._finger = _column(vector, "finger")
        self._centre = np.array([value.centre for value in vector])
        self._scale = np.array([value.scale for value in vector])
        self._believed = [_Believed() for _ in range(environments)]

    def reset(self, environments: Sequence[int] | None = None) -> None:
        """See Policy."""
        self._policy.reset(environments)
        for row in self._rows(environments):
            self._believed[row] = _Believed()

    def act(self, observations: Sequence[Observation], environments: Sequence[int] | None = None) -> FloatArray:
        """See Policy."""
        believed = [self._believed[row] for row in self._rows(environments)]
        bottlenecks = [self._bottleneck_of(*pair) for pair in zip(observations, believed, strict=True)]
        actions = self._policy.act_on(torch.cat(bottlenecks), observations, environments)
        for index, each in enumerate(believed):
            if self._between == "hold" and not is_look(self._look, each.frames):
                actions[index] = each.action
            each.action = actions[index].copy()
            each.frames += 1
        return actions

    def _rows(self, environments: Sequence[int] | None) -> Sequence[int]:
        return range(len(self._believed)) if environments is None else environments

    def _bottleneck_of(self, observation: Observation, believed: _Believed) -> torch.Tensor:
        """Bottleneck (1, b) as seen or as predicted."""
        values = observation.vector.astype(np.float64) * self._scale + self._centre
        grip_m, finger_m = values[self._grip], float(values[self._finger])
        if is_look(self._look, believed.frames):
            believed.bottleneck = self._policy.encode([observation])
        elif self._between == "predict":
            believed.bottleneck = self._predicted(believed, grip_m, finger_m)
        else:
            believed.bottleneck = self._actor.unseen(believed.bottleneck)
        believed.grip_m, believed.finger_m = grip_m, finger_m
        return believed.bottleneck

    def _predicted(self, believed: _Believed, grip_m: FloatArray, finger_m: float) -> torch.Tensor:
        seen = self._actor.auxiliary(believed.bottleneck)[0].numpy().astype(np.float64)
        moved_m = grip_m - believed.grip_m
        seen[self._seen_grip] += moved_m
        still = abs(finger_m - believed.finger_m) < _STILL_M
        # Camera and joints disagree by the camera's error: object and gripper are compared as both are seen.
        seen[self._object] = carried(seen[self._object], seen[self._seen_grip], moved_m, finger_m, still)
        positions = self._actor.normalize_auxiliary(torch.from_numpy(seen.astype(np.float32))[None])
        # What a bottleneck holds beside named positions stays as it was seen.
        return torch.cat([positions, believed.bottleneck[:, positions.shape[1] :]], dim=-1)


def carried(
    object_m: FloatArray, grip_m: FloatArray, moved_m: FloatArray, finger_m: float, fingers_still: bool
) -> FloatArray:
    """Return where the object (3,) [m] should be after the gripper, now at ``grip_m`` (3,), has moved by ``moved_m``
    (3,).
    """
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


def policy_at(
    bundle: PolicyBundle, look: LookRate, environments: int = 1, between: Between = "predict"
) -> Policy:
    """Return the policy of a bundle whose actor looks as often as ``look`` says.

    BundleError if the actor cannot do without a picture.
    """
    if look == EVERY_FRAME:
        return ActorPolicy(bundle, environments)
    return OpenLoopPolicy(bundle, look, between, environments)


def _columns(values: tuple[ScaledValue, ...], stem: str) -> list[int]:
    return [_column(values, f"{stem}_{axis}") for axis in "xyz"]


def _column(values: tuple[ScaledValue, ...], name: str) -> int:
    names = [value.name for value in values]
    if name not in names:
        raise BundleError(
            "actor.auxiliary",
            f"an actor that runs open loop must name '{name}', this one has {', '.join(names) or 'nothing'}: "
            "run it with every frame",
        )
    return names.index(name)
