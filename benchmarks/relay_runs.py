"""Experts from binary rewards alone: finished runs of ``train TASK --stage expert`` as a table and a picture.

    python -m benchmarks.relay_runs runs/push_1 runs/push_2 ... --data docs/data/relay --out docs/images/relay_runs.png

Every run that is named is in both, and in two small files of ``--data``: ``runs.csv`` with a line a run (from
``summary.json``) and ``curves.csv`` with a line a judgement (from ``progress.csv``). Runs that these files hold already
stay, whether their folders are still there or not; one of the same task and seed takes the place of an older one.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from fetch_sim2real.evaluation.statistics import wilson_interval

RUN_COLUMNS: Final = (
    "task", "seed", "minutes", "cpu_minutes", "env_steps", "decisions", "updates", "episodes", "successes", "command",
)  # fmt: skip
CURVE_COLUMNS: Final = ("task", "seed", "steps", "decisions", "minutes", "cpu_minutes", "success")
Row = dict[str, Any]


def read_run(run: Path) -> tuple[Row, list[Row]]:
    """Return a finished run's line of ``runs.csv`` and its lines of ``curves.csv``.

    Raises SystemExit for a folder without a measured result.
    """
    try:
        summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
        with (run / "progress.csv").open(encoding="utf-8", newline="") as stream:
            judgements = list(csv.DictReader(stream))
    except OSError as error:
        raise SystemExit(f"{run} holds no finished run: {error}; train it to its end, with --episodes 200") from None
    successes = round(summary["success_rate"] * summary["episodes"])
    named = {"task": summary["task"], "seed": summary["seed"]}
    line = {name: summary.get(name) for name in RUN_COLUMNS} | {"successes": successes}
    for name in ("minutes", "cpu_minutes"):
        line[name] = round(summary[name], 1)
    # Where a run was is its owner's business.
    line["command"] = " ".join(_without_place(summary["command"].split()))
    curve = [
        named
        | {
            "steps": round(float(each["steps"])), "decisions": round(float(each["decisions"])),
            "minutes": round(float(each["wall_s"]) / 60.0, 2), "cpu_minutes": round(float(each["cpu_s"]) / 60.0, 2),
            "success": round(float(each["evaluated_success"]), 4),
        }
        for each in judgements
    ]  # fmt: skip
    return line, curve


def read_data(folder: Path) -> dict[tuple[str, int], tuple[Row, list[Row]]]:
    """Return the runs that ``runs.csv`` and ``curves.csv`` of a folder hold, by task and seed."""
    runs: dict[tuple[str, int], tuple[Row, list[Row]]] = {}
    for name in ("runs.csv", "curves.csv"):
        if not (folder / name).exists():
            continue
        with (folder / name).open(encoding="utf-8", newline="") as stream:
            for text in csv.DictReader(stream):
                row = {key: _number(value) for key, value in text.items()}
                key = (row["task"], row["seed"])
                if name == "runs.csv":
                    runs[key] = (row, [])
                else:
                    runs[key][1].append(row)
    return runs


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _without_place(words: Sequence[str]) -> Iterable[str]:
    for before, word in zip(["", *words], words, strict=False):
        yield "DIR" if before == "--run" else word


def markdown(lines: Sequence[Row]) -> str:
    """Return the table of runs."""
    rows = [
        "| task | seed | minutes | CPU minutes | decisions | updates | unseen seeds | 95 % interval |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        low, high = wilson_interval(line["successes"], line["episodes"])
        counts = (f"{line[name]:,}".replace(",", " ") for name in ("decisions", "updates"))
        cells = (
            line["task"], line["seed"], line["minutes"], line["cpu_minutes"], *counts,
            f"{line['successes']} of {line['episodes']}", f"{low:.3f} to {high:.3f}",
        )  # fmt: skip
        rows.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(rows)


def plot(curves: Sequence[Sequence[Row]], out: Path) -> None:
    """Draw success on held-out episodes against minutes and control periods, a colour a task, a line a run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 4.0), layout="constrained")
    tasks = list(dict.fromkeys(curve[0]["task"] for curve in curves))
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, name, unit, label in (
        (left, "minutes", 1.0, "minutes"), (right, "steps", 1e3, "thousands of control periods (30 a second)"),
    ):  # fmt: skip
        for curve in curves:
            task = curve[0]["task"]
            is_first = curve is next(each for each in curves if each[0]["task"] == task)
            axes.plot(
                [0.0, *(row[name] / unit for row in curve)], [0.0, *(row["success"] for row in curve)], "o-",
                color=f"C{tasks.index(task)}", label=task if is_first else None, markersize=3.0, linewidth=1.2,
            )  # fmt: skip
        axes.set_xlabel(label)
        axes.set_xlim(left=0.0)
        axes.grid(alpha=0.3)
    left.set_ylabel("success on 48 held-out episodes")
    left.set_ylim(0.0, 1.02)
    right.legend(loc="lower right")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the runs, write their data and picture, print the table."""
    options_of = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options_of.add_argument("runs", nargs="*", type=Path, help="folders that train was told to write to")
    options_of.add_argument("--data", type=Path, help="folder for runs.csv and curves.csv")
    options_of.add_argument("--out", type=Path, help="picture to draw")
    options = options_of.parse_args(arguments)
    runs = {} if options.data is None else read_data(options.data)
    runs |= {(line["task"], line["seed"]): (line, curve) for line, curve in map(read_run, options.runs)}
    if not runs:
        raise SystemExit("there are no runs: name finished ones, or a --data that holds some")
    tasks = list(dict.fromkeys(task for task, _ in runs))
    read = [runs[key] for key in sorted(runs, key=lambda key: (tasks.index(key[0]), key[1]))]
    lines, curves = [line for line, _ in read], [curve for _, curve in read]
    if options.data is not None:
        options.data.mkdir(parents=True, exist_ok=True)
        for name, columns, rows in (
            ("runs.csv", RUN_COLUMNS, lines), ("curves.csv", CURVE_COLUMNS, [row for curve in curves for row in curve]),
        ):  # fmt: skip
            with (options.data / name).open("w", encoding="utf-8", newline="") as stream:
                writer = csv.DictWriter(stream, columns, lineterminator="\n", extrasaction="ignore")
                writer.writeheader()
                writer.writerows(rows)
    if options.out is not None:
        plot(curves, options.out)
    print(markdown(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
