"""State estimators of training: the actor's encoder on pictures, or the true state with errors like the encoder's."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from fetch_sim2real.perception.preprocess import preprocess
from fetch_sim2real.policy.look_rate import LookRate, is_look
from fetch_sim2real.policy.network import SURENESS, Actor
from fetch_sim2real.sim.sensors.camera_timing import Captured
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.timing import CONTROL_RATE_HZ
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
    is much like the one before; and of each frame's error of either. An episode's are up to ``vary`` times as large, or
    as small.

    An object is hidden so many times a second, for a time [s] between the two of ``hidden_s``: it is then estimated
    about ``hidden_m`` from where it is.
    """

    camera_m: float = 0.006
    object_m: float = 0.004
    lasting_m: float = 0.004
    frame_m: float = 0.003
    vary: float = 1.0
    hides_per_s: float = 0.0
    hidden_s: tuple[float, float] = (0.2, 1.2)
    hidden_m: float = 0.08

    def as_large_as(self, objects_off_m: FloatArray, grip_off_m: FloatArray) -> EstimationErrors:
        """Return errors as large as those of an encoder on pictures: of n objects (n, 3), and of the gripper (n, 3) in
        the same ones.

        What both share is the camera's. Of what is the objects' own, half is taken to be constant, a quarter to last
        for a while: a picture alone does not tell. A tenth of the pictures, the worst, are left out: those are what
        ``hides_per_s`` is for.
        """
        size = np.linalg.norm(objects_off_m, axis=1) + np.linalg.norm(grip_off_m, axis=1)
        usual = size <= np.quantile(size, 0.9)
        objects, grip = (off - off.mean(axis=0) for off in (objects_off_m[usual], grip_off_m[usual]))
        shared = max(0.0, float((objects * grip).mean()))
        own = max(0.0, float((objects**2).mean()) - shared)
        return replace(
            self, camera_m=math.sqrt(shared), object_m=math.sqrt(own / 2), lasting_m=math.sqrt(own / 4),
            frame_m=math.sqrt(own / 4),
        )  # fmt: skip


NO_ERRORS = EstimationErrors(0.0, 0.0, 0.0, 0.0)
# Of a lasting error, what is left of it in the next frame: half of it after 10 frames.
_KEPT: Final = 0.5 ** (1 / 10)
# An encoder that says how sure it is errs about that too: by so much, in bottleneck units.
_SURENESS_ERROR: Final = 0.15
_LEAST_M: Final = 0.003


@dataclass(frozen=True)
class _Estimate:
    """Errors (3 k + 3,) of one frame, of k objects and the gripper, and whether each object is hidden (k,)."""

    errors_m: FloatArray
    hidden: NDArray[np.bool_]


class _Errors:
    """Errors of the estimated positions of objects and gripper, frame by frame."""

    def __init__(self, sizes: EstimationErrors, rng: np.random.Generator, objects: int) -> None:
        self._rng, self._size = rng, 3 * (objects + 1)
        factor = 1.0 if sizes.vary == 1.0 else float(np.exp(rng.uniform(-1.0, 1.0) * np.log(sizes.vary)))
        self._sizes = replace(
            sizes, camera_m=factor * sizes.camera_m, object_m=factor * sizes.object_m,
            lasting_m=factor * sizes.lasting_m, frame_m=factor * sizes.frame_m,
        )  # fmt: skip
        camera = rng.normal(0.0, 1.0, 3) * self._sizes.camera_m
        own = [camera + rng.normal(0.0, 1.0, 3) * self._sizes.object_m for _ in range(objects)]
        self._constant = np.concatenate([*own, camera])
        self._lasting = rng.normal(0.0, 1.0, self._size) * self._sizes.lasting_m
        self._frames_hidden = np.zeros(objects, int)
        self._away_m = np.zeros((objects, 3))

    def next(self) -> _Estimate:
        """Return those of the next frame."""
        sizes, (lasting, frame) = self._sizes, self._rng.normal(0.0, 1.0, (2, self._size))
        self._lasting = _KEPT * self._lasting + np.sqrt(1.0 - _KEPT**2) * sizes.lasting_m * lasting
        errors = self._constant + self._lasting + frame * sizes.frame_m
        if sizes.hides_per_s > 0.0:
            self._hide()
            errors[:-3] += (self._away_m * (self._frames_hidden > 0)[:, None]).reshape(-1)
        return _Estimate(errors, self._frames_hidden > 0)

    def _hide(self) -> None:
        """Let each object's time behind something go on, or begin."""
        sizes, rng = self._sizes, self._rng
        self._frames_hidden = np.maximum(0, self._frames_hidden - 1)
        begins = (rng.random(len(self._away_m)) < sizes.hides_per_s / CONTROL_RATE_HZ) & (self._frames_hidden == 0)
        for index in np.flatnonzero(begins):
            self._frames_hidden[index] = round(rng.uniform(*sizes.hidden_s) * CONTROL_RATE_HZ)
            self._away_m[index] = rng.normal(0.0, sizes.hidden_m, 3)

    def sureness(self, hidden: NDArray[np.bool_]) -> FloatArray:
        """Return what an encoder says of each object beside its position (k, 2), in bottleneck units: ``SURENESS``."""
        sizes = self._sizes
        usual_m = np.sqrt(3.0 * (sizes.camera_m**2 + sizes.object_m**2 + sizes.lasting_m**2 + sizes.frame_m**2))
        off_m = np.where(hidden, np.sqrt(3.0) * sizes.hidden_m, usual_m)
        spread, seen = SURENESS
        told = np.stack(
            [(np.log10(np.maximum(off_m, _LEAST_M)) - spread.centre) / spread.scale,
             (np.where(hidden, 0.1, 0.9) - seen.centre) / seen.scale], axis=1,
        )  # fmt: skip
        noise = self._rng.normal(0.0, _SURENESS_ERROR, told.shape)
        clipped: FloatArray = np.clip(told + noise, -1.0, 1.0)
        return clipped


def perfect_bottleneck(actor: Actor, captured: Captured, errors_m: FloatArray | float = 0.0) -> torch.Tensor:
    """Return the positions of the bottleneck (1, 3 k + 3) of an encoder without errors but ``errors_m`` (3 k + 3,)."""
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
            wrong_m = torch.from_numpy(self._errors.next().errors_m.astype(np.float32))
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
        estimate = self._errors.next()
        positions = perfect_bottleneck(self._actor, captured, estimate.errors_m)
        if not self._actor.spec.sure_of:
            return positions
        sureness = self._errors.sureness(estimate.hidden).reshape(1, -1)
        return torch.cat([positions, torch.from_numpy(sureness.astype(np.float32))], dim=-1)


def seen_rarely(actor: Actor, bottleneck: torch.Tensor, look: LookRate) -> torch.Tensor:
    """Return the bottlenecks (T, b) of an episode's frames as an actor has them that looks as often as ``look`` says:
    between its looks, what it saw last, known to be old."""
    looks = torch.tensor([is_look(look, frame) for frame in range(len(bottleneck))])
    frames = torch.arange(len(bottleneck))
    last = torch.where(looks, frames, 0).cummax(0).values
    return torch.where(looks[:, None], bottleneck, actor.unseen(bottleneck[last]))


class RareLooks:
    """Another estimator, seen rarely, frame by frame: see ``seen_rarely``."""

    def __init__(self, estimator: StateEstimator, actor: Actor, look: LookRate) -> None:
        self._estimator, self._actor, self._look = estimator, actor, look
        self._frame, self._last = 0, torch.zeros(0)

    def start(self, rng: np.random.Generator) -> None:
        self._frame = 0
        self._estimator.start(rng)

    def estimate(self, captured: Captured, sim: Simulation) -> torch.Tensor:
        # Asked in every frame: what it draws for each then does not depend on the looks.
        now = self._estimator.estimate(captured, sim)
        self._last = now if is_look(self._look, self._frame) else self._actor.unseen(self._last)
        self._frame += 1
        return self._last
