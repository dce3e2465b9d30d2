"""An evaluation as one HTML page that needs nothing but itself: no script, no font, no request."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Final

import cv2
import numpy as np

from fetch_sim2real.evaluation.evidence import CaseResult, Evidence, SeedResult
from fetch_sim2real.evaluation.recorded_episode import Moment
from fetch_sim2real.evaluation.regression_check import Finding
from fetch_sim2real.evaluation.resimulation import resimulate
from fetch_sim2real.evaluation.suite import Case
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.policy.look_rate import EVERY_FRAME
from fetch_sim2real.reports.charts import RatePoint, Spread, rate_bar, rate_curve, spread_rows
from fetch_sim2real.reports.film_strip import Picture, color_picture
from fetch_sim2real.reports.page import page_html
from fetch_sim2real.sim.engine import DEFAULT_ENGINE
from fetch_sim2real.timing import CONTROL_RATE_HZ

WIDTH_PX: Final = 320
_QUALITY: Final = 40
# A WebP picture is at most 16383 pixels high.
MAX_FRAMES: Final = 64
# What the page's style sheet needs for ``clip_html``.
CLIP_CSS: Final = """
.clip { background-repeat: no-repeat; animation-name: clip; animation-iteration-count: infinite; border-radius: 6px; }
.clip:hover { animation-play-state: paused; }
@keyframes clip { from { background-position-y: 0%; } to { background-position-y: 100%; } }
@media (prefers-reduced-motion: reduce) { .clip { animation-play-state: paused; } }
"""


def clip_html(moments: Sequence[Moment], base_T_camera: Pose, tolerance_m: float, frames_per_s: float) -> str:
    """Return an element that plays the moments (at most MAX_FRAMES) at ``frames_per_s``, its data inside."""
    pictures = [color_picture(moment, base_T_camera, tolerance_m, WIDTH_PX) for moment in moments[:MAX_FRAMES]]
    height = pictures[0].shape[0]
    return (
        f'<div class="clip" role="img" aria-label="the episode, moving" style="width:{WIDTH_PX}px;height:{height}px;'
        f"animation-duration:{len(pictures) / frames_per_s:.2f}s;animation-timing-function:steps({len(pictures)},"
        f'jump-none);background-image:url({_webp(np.vstack(pictures))})"></div>'
    )


def _webp(picture: Picture) -> str:
    _, data = cv2.imencode(".webp", picture[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    return f"data:image/webp;base64,{base64.b64encode(data.tobytes()).decode()}"


# Two runs of one episode end within this, or they were not the same episode.
_SAME_M: Final = 1e-6


def worst_clips(evidence: Evidence, count: int) -> tuple[Clip, ...]:
    """Return the ``count`` episodes that ended farthest from their goal, one of each case as long as there are others.

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
    again = resimulate(result.case, result.task, episode.seed, keep_every)
    same = abs(again.outcome.final_distance_m - episode.final_distance_m) < _SAME_M
    html = clip_html(again.moments, again.base_T_camera, result.tolerance_m, CONTROL_RATE_HZ / keep_every)
    remark = "" if same else "The picture is of a second run, which ended differently."
    return Clip(result, episode, html, remark)


_UNITS: Final = {"_ms": "ms", "_share": "share of frames", "_px": "px of disparity", "_deg": "deg", "_mm": "mm"}


@dataclass(frozen=True)
class Clip:
    """A shown episode: its case, its result, the moving picture, and what to say of it."""

    case: CaseResult
    episode: SeedResult
    html: str
    remark: str


def report_html(evidence: Evidence, clips: Sequence[Clip] = (), findings: Sequence[Finding] = ()) -> str:
    """Return the page. ``clips`` in the order in which they are shown; ``findings`` of a comparison with a baseline."""
    sections = [
        _head(evidence),
        _comparison(findings),
        _cases(evidence),
        _differences(evidence),
        _curves(evidence),
        _latency(evidence),
        _worst(clips),
        _failures(evidence),
        _foot(evidence),
    ]
    return page_html(f"{evidence.suite}: evaluation", sections, CLIP_CSS)


def _head(evidence: Evidence) -> str:
    episodes = sum(len(result.episodes) for result in evidence.cases)
    timing = evidence.timing
    return (
        f"<h1>Evaluation: {escape(evidence.suite)}</h1><p>{escape(evidence.description)}</p>"
        f'<p class="faint">{episodes} episodes of {len(evidence.cases)} cases through the ROS graph in lockstep, in '
        f"{timing.wall_s:.0f} s with {timing.jobs} graph(s) at a time; begun {escape(timing.started)}; "
        f"fetch-sim2real {escape(evidence.version)}. Everything is simulation.</p>"
    )


def _comparison(findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    items = "".join(f"<li{' class=bad' if each.worse else ''}>{escape(each.text)}</li>" for each in findings)
    return f"<h2>Against the baseline</h2><ul>{items}</ul>"


def _cases(evidence: Evidence) -> str:
    rows = "".join(_case_row(result) for result in evidence.cases)
    return (
        '<h2>Success</h2><div class="scroll"><table><thead><tr><th>case</th><th>task</th><th>policy</th>'
        '<th>world</th><th>what is different</th><th class="number">success</th><th>with 95 % interval</th>'
        '<th class="number">median distance</th><th class="number">refused</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        '<p class="faint">Success: within the tolerance of the goal during the whole last half second. Intervals are '
        "Wilson's at 95 %. Distance: from gripper or block to the goal at the end. Refused: commands that the driver "
        "did not follow.</p>"
    )


def _case_row(result: CaseResult) -> str:
    case, (low, high) = result.case, result.ci95
    refused = sum(result.refusals.values())
    reasons = ", ".join(f"{count} {reason}" for reason, count in result.refusals.items()) or "none"
    return (
        f"<tr><td>{escape(case.name)}</td><td>{escape(result.task)}</td><td>{escape(case.policy)}</td>"
        f"<td>{escape(case.world)}</td><td>{escape(case.summary()) or '<span class=faint>nothing</span>'}</td>"
        f'<td class="number">{result.successes} of {len(result.episodes)}</td>'
        f'<td class="bar-cell">{rate_bar(result.success_rate, low, high)} {low:.0%} to {high:.0%}</td>'
        f'<td class="number">{100 * result.median_distance_m:.1f} cm</td>'
        f'<td class="number" title="{escape(reasons, quote=True)}">{refused}</td></tr>'
    )


def _differences(evidence: Evidence) -> str:
    rows = "".join(
        f"<tr><td>{escape(case)}</td><td>{escape(other)}</td>"
        f'<td class="number">{found.only_first}</td><td class="number">{found.only_second}</td>'
        f'<td class="number">{100 * found.rate:+.1f}</td>'
        f"<td>{100 * found.low:+.1f} to {100 * found.high:+.1f}</td></tr>"
        for case, other, found in evidence.differences()
    )
    if not rows:
        return ""
    return (
        '<h2>Seed by seed</h2><div class="scroll"><table><thead><tr><th>case</th><th>against</th>'
        '<th class="number">only it succeeds</th><th class="number">only the other</th>'
        '<th class="number">difference [points]</th><th>95 % interval</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        '<p class="faint">The same episodes under two conditions; intervals are Newcombe\'s for paired rates.</p>'
    )


def _curves(evidence: Evidence) -> str:
    swept = [result for result in evidence.cases if result.case.curve]
    charts = []
    for name, group in groupby(swept, key=lambda result: result.case.curve):
        results = sorted(group, key=lambda result: result.case.amount)
        points = [RatePoint(r.case.amount, r.success_rate, *r.ci95) for r in results]
        chart = rate_curve(points, _quantity(results[0].case.swept))
        charts.append(
            f"<figure>{chart}<figcaption>{escape(name)}: {escape(results[0].case.policy)}, "
            f"{len(results[0].episodes)} episodes a point</figcaption></figure>"
        )
    return f'<h2>Success against imperfections</h2><div class="row">{"".join(charts)}</div>' if charts else ""


def _quantity(fault: str) -> str:
    for ending, unit in _UNITS.items():
        if fault.endswith(ending):
            return f"{fault.removesuffix(ending).replace('_', ' ')} [{unit}]"
    return fault


def _latency(evidence: Evidence) -> str:
    rows = []
    for name, episodes in evidence.timing.cases.items():
        measured = [episode.frame_to_command for episode in episodes if episode.frame_to_command is not None]
        if measured:
            middle = sorted(latency.p50 for latency in measured)[len(measured) // 2]
            rows.append(Spread(name, middle, max(m.p99 for m in measured), max(m.max for m in measured)))
    if not rows:
        return ""
    return (
        f"<h2>Latency: frame published to command received</h2>{spread_rows(rows)}"
        '<p class="faint">Dot: median over episodes of their medians; red mark: the largest 99th percentile of an '
        f"episode; end of the line: the largest of all. In wall time, on {escape(evidence.timing.machine)}, with "
        f"{evidence.timing.jobs} graph(s) at a time. In lockstep the world waits, so this does not act on success.</p>"
    )


def _worst(clips: Sequence[Clip]) -> str:
    figures = "".join(
        f"<figure>{clip.html}<figcaption>{escape(clip.case.case.name)}, seed {clip.episode.seed}: "
        f"<span{'' if clip.episode.success else ' class=bad'}>{'success' if clip.episode.success else 'failure'}</span>"
        f", {100 * clip.episode.final_distance_m:.1f} cm from the goal. {escape(clip.remark)}</figcaption></figure>"
        for clip in clips
    )
    if not figures:
        return ""
    return (
        f'<h2>Worst episodes</h2><div class="row">{figures}</div>'
        '<p class="faint">Yellow cross: the goal; ring: what has to be there. Hold the pointer over a picture to stop '
        "it.</p>"
    )


def _failures(evidence: Evidence) -> str:
    rows = "".join(
        f"<tr><td>{escape(result.case.name)}</td><td>{', '.join(map(str, failed))}</td>"
        f"<td><code>{escape(_watch_command(result.case, failed[0]))}</code></td></tr>"
        for result in evidence.cases
        if (failed := [episode.seed for episode in result.episodes if not episode.success])
    )
    if not rows:
        return ""
    return (
        "<h2>Failed seeds</h2>"
        '<div class="scroll"><table><thead><tr><th>case</th><th>seeds</th><th>watch the first again</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _watch_command(case: Case, seed: int) -> str:
    """Return the command that shows an episode of the case again."""
    words = ["fetch-sim2real", "sim", "--policy", case.policy, "--world", case.world, "--seed", str(seed)]
    words += ["--episodes", "1", "--view"]
    words += ["--task", case.task] if case.task else []
    words += ["--look", case.look] if case.look != EVERY_FRAME else []
    words += ["--blank-image"] if case.blank_image else []
    words += ["--engine", case.engine] if case.engine != DEFAULT_ENGINE else []
    words += [word for name in case.perturb for word in ("--perturb", name)]
    words += [word for name, size in case.faults.stated().items() for word in ("--inject", f"{name}={size:g}")]
    return shlex.join(words)


def _foot(evidence: Evidence) -> str:
    bundles = {result.case.policy: result.policy_sha256 for result in evidence.cases}
    listed = ", ".join(f"{escape(name)} {sha[:12]}" for name, sha in bundles.items())
    return (
        f"<h2>How it was made</h2><p><code>{escape(evidence.timing.command)}</code></p>"
        f'<p class="faint">Suite {evidence.suite_sha256[:12]}; bundles: {listed}. The same command gives the same '
        "episodes: in the JSON file only the key <code>timing</code> differs.</p>"
    )
