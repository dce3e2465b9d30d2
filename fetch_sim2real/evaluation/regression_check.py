"""Compares an evaluation with an earlier one: is anything significantly worse?"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Final

from fetch_sim2real.evaluation.evidence import CaseResult, Evidence, EvidenceError
from fetch_sim2real.evaluation.statistics import fisher_test, sign_test

ALPHA: Final = 0.05
DEFAULT_SLOWDOWN: Final = 1.25


@dataclass(frozen=True)
class Finding:
    """One comparison; ``worse`` fails the check."""

    text: str
    worse: bool


def compare(now: Evidence, baseline: Evidence, max_slowdown: float = DEFAULT_SLOWDOWN) -> tuple[Finding, ...]:
    """Compare success of each case and of all together, and latency.

    Where a case has the same seeds in both, episodes are paired by seed and McNemar's exact test is used, else
    Fisher's; one-sided, at 5 % for all episodes together and at 5 % shared out among the cases for each. Latency is
    worse if the median over episodes has grown by more than the factor ``max_slowdown``, and significantly by a sign
    test; 0 leaves it out. EvidenceError if the evaluations have no case in common.
    """
    pairs = [(case, old) for case in now.cases if (old := baseline.find(case.case.name)) is not None]
    if not pairs:
        raise EvidenceError(
            f"the baseline is of the cases {', '.join(c.case.name for c in baseline.cases)}, this evaluation of "
            f"{', '.join(c.case.name for c in now.cases)}: there is nothing to compare"
        )
    findings = [_case(case, old, ALPHA / len(pairs)) for case, old in pairs]
    findings.append(_together(pairs))
    if max_slowdown > 0.0:
        findings.append(_latency(now, baseline, max_slowdown))
    missing = [old.case.name for old in baseline.cases if now.find(old.case.name) is None]
    if missing:
        findings.append(Finding(f"not evaluated, though the baseline has it: {', '.join(missing)}", worse=True))
    return tuple(findings)


def _case(case: CaseResult, old: CaseResult, alpha: float) -> Finding:
    rates = f"{case.successes}/{len(case.episodes)}, baseline {old.successes}/{len(old.episodes)}"
    if _seeds(case) == _seeds(old):
        worse, better = _changes(case, old)
        p = sign_test(worse, better)
        text = f"{case.case.name}: {rates}; {worse} seeds lost, {better} gained (McNemar p = {p:.3f})"
    else:
        p = fisher_test(case.successes, len(case.episodes), old.successes, len(old.episodes))
        text = f"{case.case.name}: {rates}; other seeds (Fisher p = {p:.3f})"
    return _judged(text, p < alpha)


def _together(pairs: list[tuple[CaseResult, CaseResult]]) -> Finding:
    paired = [(case, old) for case, old in pairs if _seeds(case) == _seeds(old)]
    changes = [_changes(case, old) for case, old in paired]
    worse, better = sum(w for w, _ in changes), sum(b for _, b in changes)
    p = sign_test(worse, better)
    return _judged(f"all cases of the same seeds: {worse} lost, {better} gained (McNemar p = {p:.3f})", p < ALPHA)


def _latency(now: Evidence, baseline: Evidence, max_slowdown: float) -> Finding:
    ours, theirs = _latencies(now), _latencies(baseline)
    common = sorted(ours.keys() & theirs.keys())
    if not common:
        return Finding("latency: no episode in common", worse=False)
    slower = sum(ours[key] > theirs[key] for key in common)
    faster = sum(ours[key] < theirs[key] for key in common)
    p = sign_test(slower, faster)
    median, old = (statistics.median(each[key] for key in common) for each in (ours, theirs))
    text = f"frame to command, median of episodes: {median:.1f} ms, baseline {old:.1f} ms (sign test p = {p:.3f})"
    if now.timing.machine != baseline.timing.machine:
        text += f"; another machine: {now.timing.machine}, baseline {baseline.timing.machine}"
    return _judged(text, p < ALPHA and median > max_slowdown * old)


def _latencies(evidence: Evidence) -> dict[tuple[str, int], float]:
    """Median latency [ms] by case and seed."""
    return {
        (name, episode.seed): episode.frame_to_command.p50
        for name, episodes in evidence.timing.cases.items()
        for episode in episodes
        if episode.frame_to_command is not None
    }


def _seeds(case: CaseResult) -> list[int]:
    return [episode.seed for episode in case.episodes]


def _changes(case: CaseResult, old: CaseResult) -> tuple[int, int]:
    """Seeds that succeeded before and fail now, and the other way round."""
    pairs = [(a.success, b.success) for a, b in zip(old.episodes, case.episodes, strict=True)]
    return pairs.count((True, False)), pairs.count((False, True))


def _judged(text: str, worse: bool) -> Finding:
    return Finding(f"{'WORSE  ' if worse else 'ok     '}{text}", worse)
