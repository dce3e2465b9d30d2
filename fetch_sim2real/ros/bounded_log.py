"""Log lines at a bounded rate, one budget per topic of complaint."""

from __future__ import annotations

import time
from typing import Any, Final

_PERIOD_S: Final = 1.0


class BoundedLog:
    """Says each kind of thing at most once a second, and how often it was left unsaid."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._last_s: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def warn(self, kind: str, text: str) -> None:
        """Warn, unless ``kind`` was warned of within the last second."""
        now_s = time.monotonic()
        if now_s - self._last_s.get(kind, -_PERIOD_S) < _PERIOD_S:
            self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
            return
        unsaid = self._unsaid.pop(kind, 0)
        self._last_s[kind] = now_s
        self._logger.warning(text + (f" ({unsaid} more like this before)" if unsaid else ""))
