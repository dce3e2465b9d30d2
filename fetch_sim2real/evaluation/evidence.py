"""The result of evaluating a suite, and its form as JSON.

Everything that depends on the machine and the moment stands under ``timing``; the rest follows from suite, policies and
code, so two evaluations of the same differ in nothing else.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from pydantic import ValidationError

from fetch_sim2real.common.schema import Record
from fetch_sim2real.common.validation import complaint_of, field_of
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.evaluation.result import Count, Duration, LatencyRecord, Share
from fetch_sim2real.evaluation.statistics import PairedDifference, paired_difference, wilson_interval
from fetch_sim2real.evaluation.suite import Case

EVIDENCE_VERSION: Final = 1


class EvidenceError(FetchSim2RealError):
    """A file that is no evaluation, or one that does not go with another."""


class SeedResult(Record):
    """One episode: its end, what the driver did, and a hash of the whole commanded motion."""

    seed: Count
    success: bool
    final_distance_m: Duration
    steps: Count
    refusals: dict[str, Count]
    limited_commands: Count
    setpoints_sha256: str


class SeedTiming(Record):
    """How long things took in one episode [ms, s of wall time]; latencies as in ``result.Latencies``."""

    seed: Count
    frame_to_command: LatencyRecord | None
    total: LatencyRecord | None
    wall_s: Duration


class CaseResult(Record):
    """A case and its episodes in the order of seeds."""

    case: Case
    task: str
    policy_sha256: str
    tolerance_m: Duration
    success_rate: Share
    ci95: tuple[Share, Share]
    median_distance_m: Duration
    episodes: tuple[SeedResult, ...]

    @property
    def successes(self) -> int:
        return sum(episode.success for episode in self.episodes)

    @property
    def refusals(self) -> dict[str, int]:
        """Refused commands by reason."""
        counts: Counter[str] = Counter()
        for episode in self.episodes:
            counts.update(episode.refusals)
        return dict(sorted(counts.items()))


class Timing(Record):
    """What depends on the machine. ``cases`` by name, episodes in the order of seeds."""

    started: str
    command: str
    machine: str
    jobs: Count
    wall_s: Duration
    cases: dict[str, tuple[SeedTiming, ...]]


class Evidence(Record):
    """An evaluated suite."""

    evidence_version: Literal[1] = EVIDENCE_VERSION
    version: str
    suite: str
    description: str
    suite_sha256: str
    cases: tuple[CaseResult, ...]
    timing: Timing

    def find(self, name: str) -> CaseResult | None:
        """Return the case called ``name``."""
        return next((result for result in self.cases if result.case.name == name), None)

    def differences(self) -> Iterator[tuple[str, str, PairedDifference]]:
        """Return case, the case it is against, and how it differs from it on the same seeds."""
        for result in self.cases:
            other = self.find(result.case.against)
            if other is not None:
                outcomes = ([episode.success for episode in each.episodes] for each in (result, other))
                yield result.case.name, other.case.name, paired_difference(*outcomes)


def case_result(
    case: Case, task: str, policy_sha256: str, tolerance_m: float, episodes: tuple[SeedResult, ...]
) -> CaseResult:
    """Return a case's result; ``episodes`` in the order of its seeds, at least one."""
    successes = sum(episode.success for episode in episodes)
    return CaseResult(
        case=case,
        task=task,
        policy_sha256=policy_sha256,
        tolerance_m=tolerance_m,
        success_rate=successes / len(episodes),
        ci95=wilson_interval(successes, len(episodes)),
        median_distance_m=statistics.median(episode.final_distance_m for episode in episodes),
        episodes=episodes,
    )


def read_evidence(path: Path) -> Evidence:
    """Return what ``evaluate --json`` has written. EvidenceError for anything else."""
    try:
        return Evidence.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EvidenceError(f"the evaluation {path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = field_of(first, "the file")
        raise EvidenceError(
            f"{path} is not the JSON file of an evaluation by this version: {where}: {complaint_of(first)}; make "
            "it again with `fetch-sim2real evaluate SUITE --json FILE`"
        ) from None
