"""Success of several learners against wall clock and against environment steps."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fetch_sim2real.errors import FetchSim2RealError


class Curve(NamedTuple):
    """One run, evaluation by evaluation."""

    who: str
    steps: list[float]
    wall_s: list[float]
    success: list[float]


def read_curve(path: Path) -> Curve:
    """A run's CSV: of ``benchmarks.her_baselines``, or the ``progress.csv`` of our training, named by its folder."""
    with path.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or not {"steps", "wall_s"} <= rows[0].keys() or not {"success", "evaluated_success"} & rows[0].keys():
        raise FetchSim2RealError(
            f"{path} has no evaluations; expected columns steps, wall_s and success (or evaluated_success)"
        )
    column = "success" if "success" in rows[0] else "evaluated_success"
    who = rows[0].get("who") or f"ours ({path.resolve().parent.name})"
    steps, wall_s, success = ([float(row[name]) for row in rows] for name in ("steps", "wall_s", column))
    return Curve(who, steps, wall_s, success)


def plot_success(paths: Sequence[Path], output: Path) -> None:
    """Draw all runs into one picture of two panels; runs of one learner share a colour."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    curves = [read_curve(path) for path in paths]
    learners = list(dict.fromkeys(curve.who for curve in curves))
    figure, (by_time, by_steps) = plt.subplots(1, 2, figsize=(11.0, 4.2), sharey=True, layout="constrained")
    labelled: set[str] = set()
    for curve in curves:
        color = f"C{learners.index(curve.who) % 10}"
        label = None if curve.who in labelled else curve.who
        labelled.add(curve.who)
        by_time.plot([s / 60.0 for s in curve.wall_s], curve.success, ".-", color=color, label=label)
        by_steps.plot([n / 1e3 for n in curve.steps], curve.success, ".-", color=color)
    by_time.set(xlabel="wall clock [min]", ylabel="success, held-out episodes", xlim=(0.0, None), ylim=(-0.02, 1.02))
    by_steps.set(xlabel="environment steps [thousands]", xlim=(0.0, None))
    for axis in (by_time, by_steps):
        axis.grid(alpha=0.3)
    by_time.legend(loc="center right")
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=120)
    plt.close(figure)
