"""Runs a row of episodes in a simulated graph."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fetch_sim2real.evaluation.result import EpisodeResult
from fetch_sim2real.messages.motion import LIMITED, is_refused, reason_of
from fetch_sim2real.ros.simulation_client import SimulationClient, Start
from fetch_sim2real.sim.disturbances.conditions import NO_CONDITIONS, Conditions


@dataclass(frozen=True)
class Episode:
    """An episode that was run: its result, the bridge's own account, and when it ran (system time, for the bag)."""

    result: EpisodeResult
    outcome: dict[str, Any]
    wall_s: float
    began_ns: int
    ended_ns: int


@dataclass
class Run:
    """Episodes so far, and sums over them. ``first_command_s``: when the arm was first commanded (monotonic clock)."""

    episodes: list[Episode] = field(default_factory=list)
    first_command_s: float | None = None

    def values_ms(self, key: str) -> list[float]:
        """Return all of one latency of the outcomes: ``frame_to_command_ms``, ``total_ms``, ``render_ms``."""
        return [value for episode in self.episodes for value in episode.outcome[key]]

    def total(self, key: str) -> int:
        """Return the sum of a count of the outcomes."""
        return sum(int(episode.outcome.get(key, 0)) for episode in self.episodes)

    @property
    def results(self) -> tuple[EpisodeResult, ...]:
        return tuple(episode.result for episode in self.episodes)

    @property
    def decisions(self) -> Counter[str]:
        """The driver's answers."""
        counts: Counter[str] = Counter()
        for episode in self.episodes:
            counts.update(episode.outcome["decisions"])
        return counts

    @property
    def refusals(self) -> dict[str, int]:
        """Refused commands by reason."""
        return {reason_of(name): count for name, count in self.decisions.items() if is_refused(name)}

    @property
    def limited(self) -> int:
        """Commands that the safety filter slowed down."""
        return self.decisions[LIMITED]

    @property
    def frames_lost(self) -> int:
        """Frames that were published and never answered, not even late."""
        return sum(max(0, episode.result.steps - episode.outcome["answered"]) for episode in self.episodes)

    @property
    def rate_hz(self) -> float:
        """Commands per second of wall time while episodes ran."""
        wall_s = sum(episode.wall_s for episode in self.episodes)
        return len(self.values_ms("frame_to_command_ms")) / wall_s if wall_s else 0.0

    @property
    def realtime_factor(self) -> float:
        """Simulated time over wall time."""
        wall_s = sum(episode.wall_s for episode in self.episodes)
        simulated_s = sum(episode.wall_s * float(episode.outcome["realtime_factor"]) for episode in self.episodes)
        return simulated_s / wall_s if wall_s else 0.0


def run_episodes(
    operator: SimulationClient,
    run: Run,
    seeds: Sequence[int],
    move_block: bool,
    limit_s: float,
    on_episode: Callable[[Episode], None],
    conditions: Conditions = NO_CONDITIONS,
) -> None:
    """Run the episode of each seed and add it to ``run`` as soon as it is over, so that an interruption loses nothing.

    ``limit_s`` is the most wall time that an episode may take; GraphError after that.
    """
    for seed in seeds:
        start = operator.reset(seed, move_block, conditions)
        operator.state_goal(start)
        operator.enable_driver()
        began_ns, began_s = time.time_ns(), time.monotonic()
        outcome = operator.run_to_outcome(limit_s)
        wall_s, ended_ns = time.monotonic() - began_s, time.time_ns()
        operator.disarm()
        episode = Episode(_result(start, outcome), outcome, wall_s, began_ns, ended_ns)
        run.episodes.append(episode)
        run.first_command_s = operator.first_command_s
        on_episode(episode)


def _result(start: Start, outcome: dict[str, Any]) -> EpisodeResult:
    x_m, y_m, z_m = start.goal.position_m
    return EpisodeResult(
        seed=start.seed,
        success=outcome["success"],
        final_distance_m=outcome["final_distance_m"],
        steps=outcome["steps"],
        start_ns=start.now_ns,
        goal_frame=start.goal.frame_id,
        goal_m=(float(x_m), float(y_m), float(z_m)),
    )
