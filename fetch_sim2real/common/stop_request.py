"""Ctrl-C and its relatives as a flag that loops look at, instead of an exception at an arbitrary line."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequestedError(Exception):
    """The user asked to stop. ``signal_number`` is what was sent; the shell's exit status for it is 128 more."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


class StopRequest:
    """While entered, stop signals are counted rather than raised, so that no clean-up is cut short by a second one."""

    def __init__(self, on_first: Callable[[], None] = lambda: None) -> None:
        """``on_first`` is called at the first signal, for a word to the user. Enter in the main thread only."""
        self._on_first = on_first
        self._previous: dict[signal.Signals, Any] = {}
        self._first: int | None = None
        self.count = 0

    def __enter__(self) -> StopRequest:
        for number in STOP_SIGNALS:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self._first is None:
            self._first = number
            self._on_first()

    def check(self) -> None:
        """Raise ``StopRequestedError`` if there was a signal."""
        if self._first is not None:
            raise StopRequestedError(self._first)

    def insists(self) -> bool:
        """Return whether the user has asked more than once."""
        return self.count > 1
