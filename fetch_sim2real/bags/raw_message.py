"""A message as a bag holds it, and what of a bag is lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

# A damaged file may have any number of damages, and of topics.
_MOST_LINES: Final = 20
LOSSES_IN_LOG: Final = "the bag has losses: "
"""Before each loss in the player's log, where the command that has started it finds them."""


class Losses:
    """Damage of files in words, and messages that were left out, counted by topic and reason."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._left_out: Counter[tuple[str, str]] = Counter()

    def say(self, text: str) -> None:
        """Add a loss in words of its own."""
        self._said.append(text)

    def leave_out(self, topic: str, reason: str, count: int = 1) -> None:
        """Note that ``count`` messages of ``topic`` are there, and are not read for ``reason``."""
        self._left_out[topic, reason] += count

    def texts(self) -> list[str]:
        """Return one line for each loss so far, up to a number that can be read."""
        said = self._said[:_MOST_LINES]
        if more := len(self._said) - len(said):
            said.append(f"and {more} more damages")
        counts = self._left_out.most_common()
        said += [f"{count} messages on {topic} are left out: {why}" for (topic, why), count in counts[:_MOST_LINES]]
        if more := sum(count for _, count in counts[_MOST_LINES:]):
            said.append(f"{more} messages on other topics are left out")
        # Names of files and what SQLite quotes may be of several lines.
        return [" ".join(line.split()) for line in said]


@dataclass(frozen=True)
class RawMessage:
    """A serialized message (CDR) of ``topic``, received at ``received_ns`` (the recorder's clock)."""

    topic: str
    type: str
    received_ns: int
    data: bytes
