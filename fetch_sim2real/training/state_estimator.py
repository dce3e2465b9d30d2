"""State estimators of training: the actor's encoder on pictures, or the true state with errors like the encoder's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import torch

from fetch_sim2real.perception.preprocess import preprocess
from fetch_sim2real.policy.network import Actor
from fetch_sim2real.sim.sensors.camera_timing import Captured
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.types import FloatArray


class StateEstimator(Protocol):
    """Estimates what the actor's bottleneck holds of a frame."""

    def start(self, rng: np.random.Generator) -> None:
        """Begin a new episode, whose errors ``rng`` draws."""
        ...

    def estimate(self, captured: Captured, sim: Simulation) -> torch.Tensor:
        """Return the bottleneck (1, b) of the frame ``captured``."""
        ...


@dataclass(frozen=True)
class EstimationErrors:
    """Standard deviations [m] of each axis: of an episode's constant error, which object and gripper share because it
    is the camera's; of a constant error of the object alone; of an error of either that lasts for a while, as a view
    is much like the one before; and of each frame's error of either."""

    camera_m: float = 0.006
    object_m: float = 0.004
    lasting_m: float = 0.004
    frame_m: float = 0.003


NO_ERRORS = EstimationErrors(0.0, 0.0, 0.0, 0.0)
# Of a lasting error, what is left of it in the next frame: half of it after 10 frames.
_KEPT: Final = 0.5 ** (1 / 10)


class _Errors:
    """Errors of the estimated positions of objects and gripper, frame by frame."""

    def __init__(self, sizes: EstimationErrors, rng: np.random.Generator, objects: int) -> None:
        self._sizes, self._rng, self._size = sizes, rng, 3 * (objects + 1)
        camera = rng.normal(0.0, 1.0, 3) * sizes.camera_m
        own = [camera + rng.normal(0.0, 1.0, 3) * sizes.object_m for _ in range(objects)]
        self._constant = np.concatenate([*own, camera])
        self._lasting = rng.normal(0.0, 1.0, self._size) * sizes.lasting_m

    def next_m(self) -> FloatArray:
        """Return the next frame's errors (3 k + 3,) of k objects and the gripper."""
        sizes, (lasting, frame) = self._sizes, self._rng.normal(0.0, 1.0, (2, self._size))
        self._lasting = _KEPT * self._lasting + np.sqrt(1.0 - _KEPT**2) * sizes.lasting_m * lasting
        errors: FloatArray = self._constant + self._lasting + frame * sizes.frame_m
        return errors


def perfect_bottleneck(actor: Actor, captured: Captured, errors_m: FloatArray | float = 0.0) -> torch.Tensor:
    """Return the bottleneck (1, b) of an encoder without errors but ``errors_m`` (3 k + 3,)."""
    seen = np.concatenate([*captured.truth.objects_m.values(), captured.truth.grip_m]) + errors_m
    return actor.normalize_auxiliary(torch.from_numpy(seen.astype(np.float32))[None])


def _object_count(actor: Actor) -> int:
    """Return how many objects' positions the actor's bottleneck holds, beside its gripper's."""
    return len(actor.spec.auxiliary) // 3 - 1


class EncoderEstimator:
    """The actor's own encoder, on the frame's picture; ``added`` errors are on top of the encoder's own."""

    def __init__(self, actor: Actor, added: EstimationErrors = NO_ERRORS) -> None:
        self._actor, self._added = actor, added
        self._errors: _Errors | None = None

    def start(self, rng: np.random.Generator) -> None:
        self._errors = None if self._added == NO_ERRORS else _Errors(self._added, rng, _object_count(self._actor))

    def estimate(self, captured: Captured, sim: Simulation) -> torch.Tensor:
        assert captured.frame is not None, "the world was made without a camera"
        actor = self._actor
        image = preprocess(captured.frame, sim.camera_model, actor.observation.image)
        with torch.inference_mode():
            seen = actor.encode(torch.from_numpy(image.rgb)[None], torch.from_numpy(image.depth_mm)[None])
            if self._errors is None:
                return seen
            wrong_m = torch.from_numpy(self._errors.next_m().astype(np.float32))
            positions = actor.normalize_auxiliary(actor.auxiliary(seen) + wrong_m)
            # What a bottleneck holds beside named positions stays as it is.
            return torch.cat([positions, seen[:, positions.shape[1] :]], dim=-1)


class TrueStateEstimator:
    """True positions at the frame's time, as old as the camera's latency makes them: what a camera can show at best."""

    def __init__(self, actor: Actor, errors: EstimationErrors) -> None:
        self._actor, self._sizes = actor, errors

    def start(self, rng: np.random.Generator) -> None:
        self._errors = _Errors(self._sizes, rng, _object_count(self._actor))

    def estimate(self, captured: Captured, sim: Simulation) -> torch.Tensor:
        return perfect_bottleneck(self._actor, captured, self._errors.next_m())
