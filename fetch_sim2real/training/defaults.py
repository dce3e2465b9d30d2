"""Defaults of training: here, without torch, so that ``--help`` can say it at once."""

from __future__ import annotations

from typing import Final

PICTURES: Final = 48_000  # for the encoder
RELAY_STEPS: Final = 420_000  # control periods of an expert, unless its task says otherwise
ENOUGH: Final = 0.98  # success on held-out training seeds at which an expert ends before that
MEMORY: Final = 128  # numbers that a student remembers by
ROUNDS: Final = 4  # of a student on pictures
PROCESSES: Final = 2  # that take pictures and collect episodes
