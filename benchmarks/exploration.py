"""What exploration is worth: the same learner with none, pink noise, random network distillation and the relay.

The relay learns first, seed by seed, until two judgements in a row are at 0.95. The others then have three times the
median of its steps. Decisions are counted, so runs may share a machine with other work. What the folder holds is gone
on with.

    python -m benchmarks.exploration --folder runs/exploration
    python -m benchmarks.exploration --folder runs/exploration --plot docs/images/exploration.png
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.stock_fetch_plot import ENOUGH, Run, draw_runs, median_steps
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.training.run_directory import RunDirectory

EXPLORATIONS: Final = ("relay", "none", "pink", "rnd")
_TIMES: Final = 3
_JUDGED_EVERY: Final = 15_000  # control periods


def read_training(folder: Path, task: str, exploration: str, seed: int) -> Run:
    """Return what the run in ``folder`` has learned so far; its ``steps`` are decisions."""
    rows = RunDirectory(folder).read_log()
    if not rows:
        raise FetchSim2RealError(f"{folder} has no judgements yet; the same command without --plot makes them")
    columns = (np.array([row[name] for row in rows]) for name in ("decisions", "cpu_s", "evaluated_success"))
    return Run(task, exploration, seed, *columns)


def train_all(
    task: str, seeds: Sequence[int], folder: Path, steps: int, execute: Callable[[Sequence[str]], None]
) -> None:
    """Train with each exploration and seed: the relay for ``steps`` control periods at most, others as it took."""
    for exploration in EXPLORATIONS:
        later = exploration != EXPLORATIONS[0]
        budget = _TIMES * steps_of_relay(task, seeds, folder, steps) if later else steps
        for seed in seeds:
            run = run_folder(folder, task, exploration, seed)
            if not (run / "summary.json").exists():
                execute(
                    ["train", task, "--stage", "expert", "--seed", str(seed), "--run", str(run), "--episodes", "0",
                     "--expert-steps", str(budget), "--until", str(ENOUGH), "--set", f"exploration={exploration}",
                     "--set", f"evaluate_every={_JUDGED_EVERY}"]
                )  # fmt: skip


def run_folder(folder: Path, task: str, exploration: str, seed: int) -> Path:
    """Return where a run is."""
    return folder / f"{task}_{exploration}_{seed}"


def steps_of_relay(task: str, seeds: Sequence[int], folder: Path, steps: int) -> int:
    """Return the median of control periods that the relay took to get there; ``steps`` for one that did not."""
    taken = []
    for seed in seeds:
        place = run_folder(folder, task, EXPLORATIONS[0], seed)
        at = read_training(place, task, EXPLORATIONS[0], seed).first()
        taken.append(steps if at is None else int(RunDirectory(place).read_log()[at]["steps"]))
    return int(np.median(taken))


def table(runs: Sequence[Run]) -> list[str]:
    """Return the lines of a Markdown table, a line for each task and exploration."""
    lines = ["| task | exploration | decisions to 0.95, by seed | median | last judgements |", "|---|---|---|---|---|"]
    for task, exploration in dict.fromkeys((run.env, run.method) for run in runs):
        some = [run for run in runs if (run.env, run.method) == (task, exploration)]
        counts = [
            f"not by {run.steps[-1]:.0f}" if (at := run.first()) is None else f"{run.steps[at]:.0f}" for run in some
        ]
        median = median_steps(some)
        cells = (
            task, exploration, ", ".join(counts), "not reached" if median is None else f"{median:.0f}",
            ", ".join(f"{run.success[-1]:.2f}" for run in some),
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def plot(runs: Sequence[Run], output: Path) -> None:
    """Draw success against decisions, a panel for each task: medians over seeds, and their range."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    tasks = list(dict.fromkeys(run.env for run in runs))
    figure, (axes,) = plt.subplots(
        1, len(tasks), figsize=(5.5 * len(tasks), 4.0), squeeze=False, sharey=True, layout="constrained"
    )
    for axis, task in zip(axes, tasks, strict=True):
        for index, exploration in enumerate(EXPLORATIONS):
            curves = [(run.steps / 1e3, run.success) for run in runs if (run.env, run.method) == (task, exploration)]
            if curves:
                draw_runs(axis, curves, f"C{index}", f"{exploration}, {len(curves)} seeds")
        axis.axhline(ENOUGH, color="0.8", linewidth=0.8, zorder=0)
        axis.set(xlabel="decisions [thousands]", xlim=(0.0, None), ylim=(-0.02, 1.02), title=task)
        axis.grid(alpha=0.3)
        axis.legend(loc="lower right", fontsize="small")
    axes[0].set_ylabel("success, held-out episodes")
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=110)
    plt.close(figure)


def _execute(arguments: Sequence[str]) -> None:
    subprocess.run([str(Path(sys.executable).with_name("fetch-sim2real")), *arguments], check=True)


def main(arguments: list[str] | None = None) -> int:
    """Train what is not there yet, or draw it; print the table."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--tasks", nargs="+", default=["push", "pick_and_place"])
    made.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    made.add_argument("--steps", type=int, default=450_000, help="control periods of the relay, at most")
    made.add_argument("--folder", type=Path, required=True, help="runs; what it holds is not run again")
    made.add_argument("--plot", type=Path, metavar="PNG", help="draw what there is and train nothing")
    options = made.parse_args(arguments)
    if options.plot is None:
        for task in options.tasks:
            train_all(task, options.seeds, options.folder, options.steps, _execute)
    runs = [
        read_training(place, task, exploration, seed)
        for task in options.tasks
        for exploration in EXPLORATIONS
        for seed in options.seeds
        if (place := run_folder(options.folder, task, exploration, seed)).exists()
    ]
    if not runs:
        raise FetchSim2RealError(f"{options.folder} has no runs of {', '.join(options.tasks)}; leave --plot out")
    if options.plot is not None:
        plot(runs, options.plot)
    print("\n".join(table(runs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
