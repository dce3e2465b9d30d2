"""The names of how often an actor looks at its pictures (``evaluation.open_loop``). Naming them must not need torch."""

from __future__ import annotations

from typing import Final, Literal, get_args

LookRate = Literal["every-frame", "once", "each-second"]
LOOK_RATES: Final[tuple[LookRate, ...]] = get_args(LookRate)
EVERY_FRAME: Final[LookRate] = "every-frame"
