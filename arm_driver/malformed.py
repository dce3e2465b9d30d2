"""What came from the robot and could not be read: counted, named, and remembered until something readable follows."""

from __future__ import annotations

from collections import Counter


class MalformedMessages:
    """Sources are topics, services, or the connection itself."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._unreadable: dict[str, str] = {}
        self._last = ""

    def note(self, source: str, text: str) -> None:
        """The newest from ``source`` cannot be read, for the reason ``text``."""
        self._counts[source] += 1
        self._unreadable[source] = self._last = text

    def settle(self, source: str) -> None:
        """The newest from ``source`` has been read."""
        self._unreadable.pop(source, None)

    def forget(self) -> None:
        """Another connection: perhaps another robot. The counts stay."""
        self._unreadable.clear()

    def complaint(self) -> str:
        """Why the newest from some source could not be read, empty if all could."""
        return next(iter(self._unreadable.values()), "")

    def report(self) -> dict[str, object]:
        """Values for /diagnostics."""
        counts = ", ".join(f"{source} {count}" for source, count in sorted(self._counts.items()))
        return {"malformed_messages": self._counts.total(), "malformed_from": counts, "malformed_last": self._last}
