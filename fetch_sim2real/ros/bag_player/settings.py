"""The bag player's parameters."""

from __future__ import annotations

from typing import Final

from fetch_sim2real.common.option import Option
from fetch_sim2real.stack.options import BAG, LOOP, RATE, RENAME, START_S

TABLE: Final = (
    BAG,
    RATE,
    START_S,
    LOOP,
    RENAME,
    Option("patience_s", 5.0, "How long to wait for each of the policy's answers.", unit="s", low=0.01, high=600.0),
    Option("start_limit_s", 120.0, "How long to wait for the policy.", unit="s", low=1.0, high=3600.0),
    Option("await_recorder", False, "Begin when a recorder is connected too."),
)
