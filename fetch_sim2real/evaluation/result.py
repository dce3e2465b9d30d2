"""The result of a run of episodes, and its form as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from fetch_sim2real.common.outputs import write_text
from fetch_sim2real.common.schema import Record, Vector3
from fetch_sim2real.evaluation.statistics import percentiles, wilson_interval
from fetch_sim2real.sim.engine import DEFAULT_ENGINE

RESULT_VERSION: Final = 1

Count = Annotated[int, Field(ge=0)]
Duration = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class LatencyRecord(Record):
    """Percentiles of a duration [ms]."""

    p50: Duration
    p99: Duration
    max: Duration

    @staticmethod
    def of(values_ms: Sequence[float]) -> LatencyRecord | None:
        """Return the record of ``values_ms``, None if nothing was measured."""
        found = percentiles(values_ms)
        return None if found is None else LatencyRecord(p50=found.p50, p99=found.p99, max=found.max)


class Latencies(Record):
    """Wall-clock durations [ms] of each cycle.

    ``frame_to_command``: from the publication of a frame until the policy's command for it is received;
    ``total``: from the start of rendering until the driver's answer; ``render``: rendering alone.
    """

    frame_to_command: LatencyRecord | None
    total: LatencyRecord | None
    render: LatencyRecord | None


class EpisodeResult(Record):
    """One episode. ``final_distance_m`` is from gripper or object to the goal; ``steps`` frames were published from
    ``start_ns`` on (simulated time); ``goal_m`` is the goal in ``goal_frame``."""

    seed: Count
    success: bool
    final_distance_m: Duration
    steps: Count
    start_ns: Count
    goal_frame: str
    goal_m: Vector3


class RunResult(Record):
    """All that is reported of a run. ``ci95`` is Wilson's interval of the success rate.

    ``missed_cycles``: frames for which there was no command by the next one (lockstep waits, so it has none);
    ``frames_lost``: frames that were never answered at all; ``refusals``: commands that the driver refused, by reason;
    ``limited_commands``: commands that it slowed down; ``rate_hz``: commands per second of wall time while episodes
    ran; ``start_up_s``: from the launch to the first command; ``frames_unrecorded``: frames missing in the bag.
    """

    result_version: Literal[1] = RESULT_VERSION
    version: str
    command: str
    policy: str
    policy_sha256: str
    world: str
    camera: str
    camera_source: str = "sim"
    engine: str = DEFAULT_ENGINE
    clock: Literal["lockstep", "realtime"]
    control: Literal["none", "blank_image"]
    move_block: bool
    success_rate: Share
    ci95: tuple[Share, Share]
    episodes: tuple[EpisodeResult, ...]
    latency_ms: Latencies
    rate_hz: Duration
    missed_cycles: Count
    frames_lost: Count
    refusals: dict[str, Count]
    limited_commands: Count
    realtime_factor: Duration
    start_up_s: Duration | None
    frames_unrecorded: Count | None
    bag: str | None
    picture: str | None

    @property
    def successes(self) -> int:
        return sum(episode.success for episode in self.episodes)


def success_of(episodes: Sequence[EpisodeResult]) -> tuple[float, tuple[float, float]]:
    """Return the success rate (0 without episodes) and its interval."""
    successes, trials = sum(episode.success for episode in episodes), len(episodes)
    return successes / trials if trials else 0.0, wilson_interval(successes, trials)


def write_result(result: Record, path: Path) -> None:
    """Write the result as JSON, replacing the file in one step. ``SetupError`` if it cannot be written."""
    write_text(result.model_dump_json(indent=2) + "\n", path)
