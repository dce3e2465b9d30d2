"""Any Python callable as a policy, in simulation alone.

It is code, not a bundle: nothing says what it was trained for, and no golden action tells whether it is the one that
was measured. So it runs where a ``Policy`` is taken in a process of yours, never in the policy node, and what is
measured of it is not a bundle's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from fetch_sim2real.errors import ObservationError
from fetch_sim2real.perception.observe import ACTION_SIZE, Observation
from fetch_sim2real.types import FloatArray

Act = Callable[[Observation], ArrayLike]
"""The action (4,) in [-1, 1] on an observation. If the callable has a method ``reset``, it is called at each start."""


class CallablePolicy:
    """A ``Policy`` of callables, one for each environment. What it does is not verified."""

    is_verified: Final = False

    def __init__(self, *callables: Act) -> None:
        """One that remembers nothing may be given several times."""
        if not callables:
            raise ObservationError("no callable was given, expected one for each environment")
        self._callables = callables

    def reset(self, environments: Sequence[int] | None = None) -> None:
        """See Policy."""
        for row in self._rows(environments):
            forget: Callable[[], Any] | None = getattr(self._callables[row], "reset", None)
            if forget is not None:
                forget()

    def act(self, observations: Sequence[Observation], environments: Sequence[int] | None = None) -> FloatArray:
        """See Policy. ObservationError for anything but four finite numbers in [-1, 1]."""
        rows = self._rows(environments)
        if len(rows) != len(observations):
            raise ObservationError(f"{len(observations)} observations came for {len(rows)} environments")
        return np.stack(
            [_checked(self._callables[row](seen)) for row, seen in zip(rows, observations, strict=True)]
        )

    def _rows(self, environments: Sequence[int] | None) -> Sequence[int]:
        return range(len(self._callables)) if environments is None else environments


def _checked(given: ArrayLike) -> FloatArray:
    try:
        action: FloatArray = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        action = np.zeros(0)
    # Written so that NaN is refused.
    if action.shape != (ACTION_SIZE,) or not np.all(np.abs(action) <= 1.0):
        raise ObservationError(
            f"the callable returned {given!r}, expected an action of {ACTION_SIZE} numbers in [-1, 1] (x, y, z, "
            "fingers): clip it, and return plain numbers or an array"
        )
    return action
