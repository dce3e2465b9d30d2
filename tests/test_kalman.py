"""The Kalman filter after an estimator: it follows, leads, and goes on while nothing is seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from fetch_sim2real.evaluation.kalman import KalmanFiltered
from fetch_sim2real.paths import find_policy
from fetch_sim2real.perception.observe import Observation
from fetch_sim2real.policy.bundle import PolicyBundle, load_bundle
from fetch_sim2real.types import FloatArray

SPEED_M_S = np.array([0.0, 0.09, 0.0])
FIRST_M = np.array([0.6, -0.1, 0.745])


@pytest.fixture(scope="module")
def push() -> PolicyBundle:
    return load_bundle(find_policy("push"))


class Told:
    """An estimator that says what it is told, with an error in each frame."""

    def __init__(self, bundle: PolicyBundle, error_m: float) -> None:
        self._actor, self._rng, self._error_m = bundle.network, np.random.default_rng(0), error_m
        self.object_m = FIRST_M

    def reset(self, environments: Sequence[int] | None = None) -> None: ...

    def estimate(self, observations: Sequence[Observation], environments: Sequence[int]) -> torch.Tensor:
        noisy = self.object_m + self._rng.normal(0.0, self._error_m, 3)
        positions = torch.from_numpy(np.concatenate([noisy, [0.6, 0.0, 0.9]])).float()
        told = torch.ones(self._actor.spec.bottleneck_size - len(positions))  # it is seen
        return torch.cat([self._actor.normalize_auxiliary(positions), told])[None]


def errors_m(bundle: PolicyBundle, lead_s: float, error_m: float) -> FloatArray:
    """Distances (90,) of what the filter says to where the object is ``lead_s`` later."""
    told = Told(bundle, error_m)
    kalman = KalmanFiltered(told, bundle, 1, lead_s)
    off = []
    for frame in range(90):
        told.object_m = FIRST_M + SPEED_M_S * frame / 30
        bottleneck = kalman.estimate([None], [0])  # type: ignore[list-item]  # not looked at
        wanted = told.object_m + lead_s * SPEED_M_S
        off.append(np.linalg.norm(bundle.network.auxiliary(bottleneck)[0, :3].numpy() - wanted))
    return np.array(off)


def test_an_even_motion_is_led_to_where_it_will_be(push: PolicyBundle) -> None:
    assert errors_m(push, 0.1, 0.0)[30:].max() < 0.001


def test_errors_of_single_frames_are_made_smaller(push: PolicyBundle) -> None:
    filtered, noise = errors_m(push, 0.0, 0.006)[30:].mean(), 0.006 * np.sqrt(8 / np.pi)
    assert filtered < 0.8 * noise


def test_a_new_episode_begins_where_the_object_is(push: PolicyBundle) -> None:
    told = Told(push, 0.0)
    kalman = KalmanFiltered(told, push, 1)
    for frame in range(30):
        told.object_m = FIRST_M + SPEED_M_S * frame / 30
        kalman.estimate([None], [0])  # type: ignore[list-item]
    kalman.reset()
    told.object_m = FIRST_M
    first = kalman.estimate([None], [0])  # type: ignore[list-item]
    assert push.network.auxiliary(first)[0, :3].numpy() == pytest.approx(FIRST_M, abs=1e-5)
