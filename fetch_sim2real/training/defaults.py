"""Defaults of training: here, without torch, so that ``--help`` can say it at once."""

from __future__ import annotations

from typing import Final

PICTURES: Final = 48_000  # for the encoder
EXPERT_STEPS: Final = 40_000  # environment steps on true positions
RELAY_STEPS: Final = 420_000  # control periods of an expert without a demonstrator, unless its task says otherwise
ENOUGH: Final = 0.98  # success on held-out training seeds at which such an expert ends before that
TUNING_STEPS: Final = 25_000  # environment steps on pictures
PROCESSES: Final = 2  # that take pictures and collect episodes
