"""Who has to be there while the arm moves on a robot, and how soon the driver misses them."""

from __future__ import annotations

from typing import Final

BEAT_PERIOD_S: Final = 0.1
# By the steady clock, from the last beat that arrived. Four beats in a row may be lost on the way.
HEARTBEAT_TIMEOUT_S: Final = 0.5

OPERATOR: Final = "operator"  # who enables the driver says on its heartbeat topic that it is there
LAUNCH: Final = "launch"  # the process that started the driver has to live
OFF: Final = "off"  # nobody has to be there
HEARTBEATS: Final = (OPERATOR, LAUNCH, OFF)
