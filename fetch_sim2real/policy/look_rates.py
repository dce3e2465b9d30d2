"""The names of when an actor looks (``policy.looking`` does it); here, because naming them must not need torch."""

from __future__ import annotations

from typing import Final, Literal, get_args

Look = Literal["every-frame", "once", "each-second"]
LOOKS: Final[tuple[Look, ...]] = get_args(Look)
EVERY_FRAME: Final[Look] = "every-frame"
