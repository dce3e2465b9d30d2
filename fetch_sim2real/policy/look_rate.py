"""How often an actor looks at its pictures, and what it does between (``evaluation.open_loop``). Naming them must not
need torch."""

from __future__ import annotations

from typing import Final, Literal, get_args

from fetch_sim2real.timing import CONTROL_RATE_HZ

LookRate = Literal["every-frame", "10-hz", "3-hz", "each-second", "once"]
LOOK_RATES: Final[tuple[LookRate, ...]] = get_args(LookRate)
EVERY_FRAME: Final[LookRate] = "every-frame"

Between = Literal["predict", "hold", "remember"]
"""What an actor goes by between its looks: a prediction of what it would see; its last action, which it repeats; or
what it saw last, known to be old, as an actor is told that was trained to look so rarely."""
BETWEEN: Final[tuple[Between, ...]] = get_args(Between)

_HZ: Final[dict[LookRate, int]] = {"every-frame": CONTROL_RATE_HZ, "10-hz": 10, "3-hz": 3, "each-second": 1}


def is_look(look: LookRate, frame: int) -> bool:
    """Return whether an actor looks at the frame of this index since the start of the episode."""
    return frame == 0 or (look != "once" and frame % (CONTROL_RATE_HZ // _HZ[look]) == 0)
