"""Delays of an episode: of the camera and of commands, and what comes late or never."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from fetch_sim2real.common.ranges import Range, Share, Varies
from fetch_sim2real.common.schema import Record
from fetch_sim2real.tasks.base import fixed


class TimingConfig(Record):
    """Delays in simulated time: frame taken -> published, command sent -> in effect; and what comes late or never.

    Depth is taken ``depth_skew_s`` after its colour, before it where negative; each frame is published up to
    ``publication_jitter_s`` sooner or later than the camera's latency says. Beside that, ``late_share`` of the frames
    come up to ``late_s`` later, those behind them after them, and ``drop_share`` of them never. Each command takes up
    to ``command_jitter_s`` longer than the command latency.
    """

    camera_latency_s: Annotated[Range, Varies(0.0, 1.0)]
    command_latency_s: Annotated[Range, Varies(0.0, 1.0)]
    depth_skew_s: Annotated[Range, Varies(-0.03, 0.03)]
    # Less than half of a control period: frames keep their order, and there is at most one at a time.
    publication_jitter_s: Annotated[Range, Varies(0.0, 0.015)]
    drop_share: Annotated[Range, Varies(0.0, 0.9)] = fixed(0.0)
    late_share: Share = fixed(0.0)
    late_s: Annotated[Range, Varies(0.0, 0.5)] = fixed(0.0)
    command_jitter_s: Annotated[Range, Varies(0.0, 0.2)] = fixed(0.0)


@dataclass(frozen=True)
class InterruptionSample:
    """What comes late or never in an episode, in the units of ``TimingConfig``; ``seed`` decides which."""

    drop_share: float
    late_share: float
    late_s: float
    command_jitter_s: float
    seed: int


def draw_interruptions(timing: TimingConfig, rng: np.random.Generator) -> InterruptionSample:
    """Draw an episode's interruptions."""
    return InterruptionSample(
        drop_share=timing.drop_share.draw(rng),
        late_share=timing.late_share.draw(rng),
        late_s=timing.late_s.draw(rng),
        command_jitter_s=timing.command_jitter_s.draw(rng),
        seed=int(rng.integers(2**31)),
    )
