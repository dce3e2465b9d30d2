"""Levenberg-Marquardt for a handful of unknowns: not worth a dependency."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from fetch_sim2real.types import FloatArray

_STEP: Final = 1e-6
_MAX_ITERATIONS: Final = 100


def minimise(residuals: Callable[[FloatArray], FloatArray], start: FloatArray) -> FloatArray:
    """The (n,) near ``start`` with the least sum of squared ``residuals`` (m,)."""
    x, damping = np.array(start, dtype=np.float64), 1e-3
    value = residuals(x)
    for _ in range(_MAX_ITERATIONS):
        jacobian = np.column_stack(
            [(residuals(x + step) - residuals(x - step)) / (2 * _STEP) for step in _STEP * np.eye(len(x))]
        )
        normal, slope = jacobian.T @ jacobian, jacobian.T @ value
        while damping < 1e12:
            change = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), -slope)
            tried = residuals(x + change)
            if tried @ tried <= value @ value:
                break
            damping *= 10
        else:
            return x
        x, value, damping = x + change, tried, max(damping / 10, 1e-12)
        if np.abs(change).max() < 1e-10:
            break
    return x
