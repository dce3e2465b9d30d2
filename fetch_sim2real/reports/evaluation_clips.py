"""Moving pictures of an evaluation's worst episodes."""

from __future__ import annotations

from typing import Final

from fetch_sim2real.evaluation.evidence import CaseResult, Evidence, SeedResult
from fetch_sim2real.evaluation.resimulation import replay
from fetch_sim2real.policy.look_rate import EVERY_FRAME
from fetch_sim2real.reports.clip import MAX_FRAMES, clip_html
from fetch_sim2real.reports.evaluation_page import Clip
from fetch_sim2real.timing import CONTROL_RATE_HZ

# Two runs of one episode end within this, or they were not the same episode.
_SAME_M: Final = 1e-6


def worst_clips(evidence: Evidence, count: int) -> tuple[Clip, ...]:
    """The ``count`` episodes that ended farthest from their goal, one of each case as long as there are others.

    Controls and baselines, which are meant to do badly, are not shown.
    """
    shown = [c for c in evidence.cases if c.case.look == EVERY_FRAME and not c.case.blank_image] or evidence.cases
    ranked = [sorted(result.episodes, key=_badness, reverse=True) for result in shown]
    rounds = max(map(len, ranked))
    order: list[tuple[CaseResult, SeedResult]] = []
    for place in range(rounds):
        row = [(r, episodes[place]) for r, episodes in zip(shown, ranked, strict=True) if place < len(episodes)]
        order += sorted(row, key=lambda each: _badness(each[1]), reverse=True)
    return tuple(_clip(result, episode) for result, episode in order[:count])


def _badness(episode: SeedResult) -> tuple[bool, float]:
    return (not episode.success, episode.final_distance_m)


def _clip(result: CaseResult, episode: SeedResult) -> Clip:
    keep_every = max(1, -(-episode.steps // MAX_FRAMES))
    again = replay(result.case, result.task, episode.seed, keep_every)
    same = abs(again.outcome.final_distance_m - episode.final_distance_m) < _SAME_M
    html = clip_html(again.moments, again.base_T_camera, result.tolerance_m, CONTROL_RATE_HZ / keep_every)
    remark = "" if same else "The picture is of a second run, which ended differently."
    return Clip(result, episode, html, remark)
