"""Runs of ``benchmarks.stock_fetch`` as a table and a picture, beside published figures."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.errors import FetchSim2RealError

ENOUGH: Final = 0.95
"""Success at which steps are counted."""
_NEEDED: Final = ("env", "method", "seed", "steps", "cpu_s", "success")
# Steps to 0.95, five seeds each: the first five judgements (of 10 episodes each, one every 2500 steps) whose mean is
# 0.95, in the progress.csv that github.com/kaixindelele/RHER keeps under data/fig_baseline/single_process at e097eac
# (FetchPush-v1 and FetchPickAndPlace-v1).
PUBLISHED: Final = {
    ("FetchPush-v4", "RHER, published"): (42_500, 52_500, 52_500, 62_500, 70_000),
    ("FetchPush-v4", "DDPG + HER, published"): (832_500, 1_212_500, 1_312_500, 1_337_500, 1_377_500),
    ("FetchPickAndPlace-v4", "RHER, published"): (177_500, 177_500, 185_000, 190_000, 225_000),
    ("FetchPickAndPlace-v4", "DDPG + HER, published"): (1_102_500, 1_537_500, 1_550_000, 1_572_500, 1_692_500),
}
_LABELS: Final = {"relay": "relay HER", "sb3": "Stable-Baselines3, SAC + HER"}

Float64 = NDArray[np.float64]


class Run(NamedTuple):
    """One seed of one method in one environment, judgement by judgement."""

    env: str
    method: str
    seed: int
    steps: Float64
    cpu_s: Float64
    success: Float64

    def first(self, enough: float = ENOUGH) -> int | None:
        """Return the index of the first judgement at or above ``enough``; None without one."""
        reached = np.flatnonzero(self.success >= enough)
        return int(reached[0]) if len(reached) else None

    def first_of_two(self, enough: float = ENOUGH) -> int | None:
        """Return the index of the first judgement whose mean with the one before is at or above ``enough``."""
        reached = np.flatnonzero((self.success[1:] + self.success[:-1]) / 2 >= enough)
        return int(reached[0]) + 1 if len(reached) else None


def read_run(path: Path) -> Run:
    """Return the run that a CSV of ``benchmarks.stock_fetch`` holds."""
    with path.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or not set(_NEEDED) <= rows[0].keys():
        raise FetchSim2RealError(f"{path} has no judgements; expected the columns {', '.join(_NEEDED)}")
    columns = {name: np.array([float(row[name]) for row in rows]) for name in _NEEDED[3:]}
    return Run(rows[0]["env"], rows[0]["method"], int(rows[0]["seed"]), **columns)


def median_steps(runs: Sequence[Run]) -> float | None:
    """Return the median of the steps to enough; runs that did not get there count as slower than all others."""
    steps = [np.inf if (at := run.first()) is None else run.steps[at] for run in runs]
    median = float(np.median(steps))
    return median if np.isfinite(median) else None


def table(runs: Sequence[Run]) -> list[str]:
    """Return the lines of a Markdown table of all runs, and of each method's median."""
    lines = [
        "| environment | learner | seed | steps to 0.95 | mean of two | minutes of a core | last judgement |",
        "|---|---|---|---|---|---|---|",
    ]
    for (env, method), some in _grouped(runs).items():
        for run in some:
            at, both = run.first(), run.first_of_two()
            minutes = f"{(run.cpu_s[-1] if at is None else run.cpu_s[at]) / 60.0:.1f}"
            not_by = f"not by {run.steps[-1]:,.0f}".replace(",", " ")
            counts = [not_by if i is None else f"{run.steps[i]:,.0f}".replace(",", " ") for i in (at, both)]
            cells = (env, _LABELS.get(method, method), run.seed, *counts, minutes, f"{run.success[-1]:.2f}")
            lines.append(f"| {' | '.join(map(str, cells))} |")
        median = median_steps(some)
        text = "not reached" if median is None else f"**{median:,.0f}**".replace(",", " ")
        lines.append(f"| {env} | {_LABELS.get(method, method)} | median of {len(some)} | {text} | | | |")
    return lines


def plot_runs(runs: Sequence[Run], output: Path) -> None:
    """Draw a row of two panels for each environment: success against steps, and against a core's time.

    Lines are medians over seeds, bands their range; a run that ended because it was good enough counts with its last
    success from then on. Published figures are marks at 0.95, median and range.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    environments = list(dict.fromkeys(run.env for run in runs))
    methods = list(dict.fromkeys(run.method for run in runs))
    figure, grid = plt.subplots(
        len(environments), 2, figsize=(11.0, 3.9 * len(environments)), squeeze=False, layout="constrained"
    )
    for (by_steps, by_time), env in zip(grid, environments, strict=True):
        for (of_env, method), some in _grouped(runs).items():
            if of_env != env:
                continue
            seeds = f"{len(some)} seeds" if len(some) > 1 else "1 seed"
            color, label = f"C{methods.index(method) % 10}", f"{_LABELS.get(method, method)}, {seeds}"
            draw_runs(by_steps, [(run.steps / 1e3, run.success) for run in some], color, label)
            draw_runs(by_time, [(run.cpu_s / 60.0, run.success) for run in some], color, label)
        for at, ((of_env, label), steps) in enumerate(PUBLISHED.items()):
            if of_env == env:
                middle = float(np.median(steps)) / 1e3
                spread = [[middle - min(steps) / 1e3], [max(steps) / 1e3 - middle]]
                by_steps.errorbar(
                    [middle], [ENOUGH], xerr=spread, fmt="d", capsize=3, color=("k", "0.5")[at % 2], label=label
                )
        by_steps.set(xlabel="environment steps [thousands]", ylabel="success, unseen episodes", xscale="log", title=env)
        by_time.set(xlabel="simulation and learning on one core [min]", xlim=(0.0, None))
        for axis in (by_steps, by_time):
            axis.axhline(ENOUGH, color="0.8", linewidth=0.8, zorder=0)
            axis.set_ylim(-0.02, 1.02)
            axis.grid(alpha=0.3)
        by_steps.legend(loc="lower right", fontsize="small")
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=110)
    plt.close(figure)


def _grouped(runs: Sequence[Run]) -> dict[tuple[str, str], list[Run]]:
    grouped: dict[tuple[str, str], list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.env, run.method, run.seed)):
        grouped.setdefault((run.env, run.method), []).append(run)
    return grouped


def draw_runs(axis: object, curves: Sequence[tuple[Float64, Float64]], color: str, label: str) -> None:
    """Draw the median and the range of curves (x, y) on a common grid, as far as the slowest one goes."""
    start, end = max(x[0] for x, _ in curves), max(x[-1] for x, _ in curves)
    common = np.linspace(start, end, 200)
    values = np.array([np.interp(common, x, y) for x, y in curves])
    axis.plot(common, np.median(values, axis=0), color=color, label=label)  # type: ignore[attr-defined]
    axis.fill_between(common, values.min(0), values.max(0), color=color, alpha=0.15)  # type: ignore[attr-defined]
    for x, y in curves:
        axis.plot(x, y, ".", color=color, markersize=3, alpha=0.5)  # type: ignore[attr-defined]
