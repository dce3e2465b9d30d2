"""Questions about a handful of numbers, for loops in which a numpy method's own cost is what counts."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.types import FloatArray


def any_true(values: NDArray[Any]) -> bool:
    """Return whether any of the values is true or not zero; a count takes a tenth of the time of ``ndarray.any()``."""
    return bool(np.count_nonzero(values))


def all_finite(values: FloatArray) -> bool:
    """Return whether none of a few values is NaN or infinite."""
    return all(map(isfinite, values.ravel().tolist()))
