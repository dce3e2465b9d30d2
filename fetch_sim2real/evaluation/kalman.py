"""A Kalman filter after another estimator: what a careful engineer adds before calling a scripted baseline finished."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import torch

from fetch_sim2real.evaluation.scripted import Estimator
from fetch_sim2real.perception.observe import Observation
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.policy.network import SURENESS
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.timing import CONTROL_RATE_HZ
from fetch_sim2real.training.specs import estimate_columns, estimate_name

_PERIOD_S: Final = 1.0 / CONTROL_RATE_HZ
# Standard deviations: of an estimate around where the object is, of its acceleration (a push comes unannounced), and of
# its speed before anything is known of it.
_ESTIMATE_M: Final = 0.006
_ACCELERATION_M_S2: Final = 1.5
_FIRST_SPEED_M_S: Final = 0.1
# The object is told where it will be when what is commanded now happens: about as late as picture and command together.
_LEAD_S: Final = 0.10
_SEEN: Final = 0.0  # of -1..1: less is taken for hidden


class KalmanFiltered:
    """Objects' positions of an ``estimator``, filtered with a constant velocity each and led by the usual delay.

    While the encoder says that it does not see an object, that goes on as it went. See
    ``evaluation.scripted.Estimator``.
    """

    def __init__(self, estimator: Estimator, bundle: PolicyBundle, environments: int, lead_s: float = _LEAD_S) -> None:
        self._estimator, self._actor, self._lead_s = estimator, bundle.network, lead_s
        spec, task = self._actor.spec, find_task(bundle.manifest.task)
        stems = [estimate_name(task, name) for name in task.bodies]
        self._columns = [estimate_columns(spec, stem) for stem in stems]
        sure = len(spec.auxiliary) + [value.name for value in SURENESS].index("seen")
        of = {stem: sure + index * len(SURENESS) for index, stem in enumerate(spec.sure_of)}
        self._seen = [of.get(stem) for stem in stems]
        self._filters: list[list[cv2.KalmanFilter | None]] = [[None] * len(stems) for _ in range(environments)]

    def reset(self, environments: Sequence[int] | None = None) -> None:
        """Forget what was seen."""
        self._estimator.reset(environments)
        for row in range(len(self._filters)) if environments is None else environments:
            self._filters[row] = [None] * len(self._columns)

    def estimate(self, observations: Sequence[Observation], environments: Sequence[int]) -> torch.Tensor:
        """Return estimated positions as the bottleneck (N, b) of the bundle's actor holds them."""
        bottleneck = self._estimator.estimate(observations, environments)
        positions_m = self._actor.auxiliary(bottleneck).numpy().astype(np.float64)
        for row, environment in enumerate(environments):
            filters = self._filters[environment]
            for index, (columns, seen) in enumerate(zip(self._columns, self._seen, strict=True)):
                position_m = positions_m[row, columns]
                kalman = filters[index]
                if kalman is None:
                    filters[index] = kalman = _filter_at(position_m)
                else:
                    kalman.predict()
                    if seen is None or float(bottleneck[row, seen]) > _SEEN:
                        kalman.correct(position_m[:, None])
                state = kalman.statePost[:, 0]
                positions_m[row, columns] = state[:3] + self._lead_s * state[3:]
        filtered = self._actor.normalize_auxiliary(torch.from_numpy(positions_m).float())
        return torch.cat([filtered, bottleneck[:, filtered.shape[1] :]], dim=-1)


def _filter_at(position_m: np.ndarray) -> cv2.KalmanFilter:
    """Return a filter of position and velocity (6,) that begins at rest at ``position_m`` (3,)."""
    kalman = cv2.KalmanFilter(6, 3, 0, cv2.CV_64F)
    near, one = np.eye(6), np.eye(3)
    near[:3, 3:] = _PERIOD_S * one
    kalman.transitionMatrix, kalman.measurementMatrix = near, np.eye(3, 6)
    # A constant acceleration within each period, drawn anew for the next.
    gain = np.vstack([0.5 * _PERIOD_S**2 * one, _PERIOD_S * one])
    kalman.processNoiseCov = _ACCELERATION_M_S2**2 * gain @ gain.T
    kalman.measurementNoiseCov = _ESTIMATE_M**2 * one
    kalman.errorCovPost = np.diag([_ESTIMATE_M**2] * 3 + [_FIRST_SPEED_M_S**2] * 3)
    kalman.statePost = np.concatenate([position_m, np.zeros(3)])[:, None]
    return kalman
