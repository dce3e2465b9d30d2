"""Which limits the commands run into, and an arm that stands still because of one."""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np

from fetch_sim2real.control.filter import Decision
from fetch_sim2real.control.limiter import Rule

# So long may an arm stand at a limit, as where it turns round, before somebody is told.
TOLD_AFTER_S: Final = 1.0
# Limits of place: at those of speed an arm moves.
_HOLDING: Final = Rule.POSITION | Rule.WORKSPACE | Rule.TABLE | Rule.BODY | Rule.SELF_COLLISION
_AT_REST_RAD_S: Final = 1e-3


class HeldBack:
    """Takes note of each decision about a command."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._since_ns: int | None = None
        self._now_ns = 0
        self._by = Rule.NONE

    def note(self, now_ns: int, decision: Decision) -> None:
        """A command has been judged."""
        self._counts.update(_names(decision.rules))
        self._now_ns = now_ns
        rests = not np.any(np.abs(decision.setpoint.velocity) > _AT_REST_RAD_S)
        if decision.outcome == "paced":
            return  # says nothing about what is wanted
        if not (rests and decision.rules & _HOLDING):
            self._since_ns = None
            return
        self._by = decision.rules & _HOLDING
        if self._since_ns is None:
            self._since_ns = now_ns

    def complaint(self) -> str:
        """Why the arm stands still although commands want it to move; empty where it does not."""
        if self._since_ns is None or (self._now_ns - self._since_ns) * 1e-9 < TOLD_AFTER_S:
            return ""
        held_s = (self._now_ns - self._since_ns) * 1e-9
        return (
            f"commands have asked for {held_s:.1f} s for a motion that the limit of {' and '.join(_names(self._by))} "
            "does not leave, so the arm stands still: look at workcell.workspace_m and workcell.table.height_m in the "
            "world file of the driver, and whether the policy has the same one"
        )

    def report(self) -> dict[str, object]:
        """Counts of commands for diagnostics; several limits may have held at once."""
        return {f"limited_by_{name.replace(' ', '_')}": count for name, count in sorted(self._counts.items())}


def _names(rules: Rule) -> list[str]:
    return [str(rule.name).lower().replace("_", " ") for rule in Rule if rule & rules]
