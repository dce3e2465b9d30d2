"""How often does an actor have to look? Success against looking rate, and the scripted baseline beside it.

Each rate is given the best chance there is: the shipped actor that holds its last action between looks, the same that
predicts what it would see, and a student that was trained to look so rarely (``--student RATE=BUNDLE``). The scripted
baseline looks at every frame, by the actor's own encoder, with a Kalman filter and without. All on the same seeds; what
the folder holds is not measured again.

    python -m benchmarks.looking intercept --policy runs/intercept/policy --student each-second=runs/rare/policy \
        --folder runs/looking
    python -m benchmarks.looking push --policy push --perturb keep_shoving --folder runs/looking
    python -m benchmarks.looking --plot docs/images/looking.png --folder runs/looking
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

import torch
from rich.progress import track

from fetch_sim2real.evaluation.measure import Case, Control, measure
from fetch_sim2real.evaluation.statistics import wilson_interval
from fetch_sim2real.paths import find_policy, worlds_dir
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.policy.look_rate import EVERY_FRAME, LOOK_RATES, Between, LookRate
from fetch_sim2real.sim.disturbances.conditions import Conditions, conditions_of
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task

_FIRST_SEED: Final = 70_000
RATES_HZ: Final[dict[LookRate, int]] = {"once": 0, "each-second": 1, "3-hz": 3, "10-hz": 10, EVERY_FRAME: 30}
_BASELINES: Final[tuple[Control, ...]] = ("scripted", "scripted-kalman")
_WORDS: Final = {
    "hold": "holds its action", "predict": "predicts", "remember": "trained for the rate",
    "scripted": "scripted baseline", "scripted-kalman": "the same with a Kalman filter",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One number of the study: who acts, how often it looks, and which bundle it is of."""

    way: str
    look: LookRate
    bundle: str

    def file(self, folder: Path, title: str) -> Path:
        """Return where its episodes are."""
        return folder / title / f"{self.way}_{self.look}.jsonl"


def cells(policy: str, students: dict[LookRate, str], *, scripted: bool) -> Iterator[Cell]:
    """Yield all that is to be measured of a policy, most telling first."""
    yield Cell("actor", EVERY_FRAME, policy)
    for control in _BASELINES if scripted else ():
        yield Cell(control, EVERY_FRAME, policy)
    for look in reversed(LOOK_RATES):
        if look != EVERY_FRAME:
            ways: tuple[Between, ...] = ("hold", "predict")
            yield from (Cell(way, look, policy) for way in ways)
            if look in students:
                yield Cell("remember", look, students[look])


def measure_cell(cell: Cell, world: str, conditions: Conditions, seeds: Sequence[int], path: Path) -> None:
    """Measure the seeds that the file does not have yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done = {row["seed"] for row in read_rows(path)}
    left = [seed for seed in seeds if seed not in done]
    if not left:
        return
    control: Control = cell.way if cell.way in _BASELINES else "none"  # type: ignore[assignment]  # it is one of them
    between: Between = cell.way if cell.way in get_args(Between) else "predict"  # type: ignore[assignment]  # likewise
    case = Case(load_world(world, worlds_dir()), control, False, conditions, look=cell.look, between=between)
    outcomes = measure(load_bundle(find_policy(cell.bundle)), case, left)
    with path.open("a", encoding="utf-8") as stream:
        for outcome in track(outcomes, description=f"{cell.way} {cell.look}", total=len(left)):
            row = {"seed": outcome.seed, "success": outcome.success, "rms_m": outcome.rms_m}
            stream.write(json.dumps(row) + "\n")
            stream.flush()


def read_rows(path: Path) -> list[dict[str, float]]:
    """Return the episodes of a file, none where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(folder: Path) -> str:
    """Return what the folder holds, as a table in Markdown."""
    lines = ["| | who | looks per second | succeed | 95 % interval |", "|---|---|---|---|---|"]
    for path in sorted(folder.glob("*/*.jsonl")):
        rows = read_rows(path)
        way, look = path.stem.rsplit("_", 1)
        succeeded, total = sum(bool(row["success"]) for row in rows), len(rows)
        low, high = wilson_interval(succeeded, total)
        told = f"{succeeded} of {total} | {low:.3f} to {high:.3f}"
        lines.append(f"| {path.parent.name} | {_WORDS.get(way, way)} | {RATES_HZ[look]} | {told} |")  # type: ignore[index]
    return "\n".join(lines)


def plot(folder: Path, picture: Path) -> None:
    """Draw success against looking rate, a panel for each task."""
    from matplotlib.figure import Figure

    titles = sorted(path.name for path in folder.iterdir() if path.is_dir())
    figure = Figure((4.2 * len(titles), 3.6), layout="constrained")
    panels = figure.subplots(1, len(titles), sharey=True, squeeze=False)[0]
    rates = sorted(RATES_HZ, key=lambda look: RATES_HZ[look])
    for panel, title in zip(panels, titles, strict=True):
        for way, marker in (("hold", "s"), ("predict", "o"), ("remember", "^")):
            points = []
            for place, look in enumerate(rates):
                own = "actor" if look == EVERY_FRAME else way
                rows = read_rows(Cell(own, look, "").file(folder, title))
                if rows:
                    points.append((place, sum(bool(row["success"]) for row in rows) / len(rows)))
            if len(points) > 1:
                panel.plot(*zip(*points, strict=True), marker=marker, label=_WORDS[way])
        for way, style in (("scripted", ":"), ("scripted-kalman", "--")):
            rows = read_rows(Cell(way, EVERY_FRAME, "").file(folder, title))
            if rows:
                share = sum(bool(row["success"]) for row in rows) / len(rows)
                panel.axhline(share, linestyle=style, color="0.4", label=_WORDS[way])
        panel.set_xticks(range(len(rates)), [str(RATES_HZ[look]) if RATES_HZ[look] else "once" for look in rates])
        panel.set(title=title, xlabel="looks per second", ylim=(-0.02, 1.02))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("success")
    panels[0].legend(fontsize=8)
    figure.savefig(picture, dpi=120)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.looking", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("title", nargs="?", help="what the panel is called: the task, or what happens in it")
    parser.add_argument("--policy", help="bundle of the actor that looks at every frame")
    parser.add_argument(
        "--student", action="append", default=[], metavar="RATE=BUNDLE", help="trained to look so rarely"
    )
    parser.add_argument("--world", default="randomized")
    parser.add_argument("--perturb", action="append", default=[])
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=Path("runs/looking"))
    parser.add_argument("--plot", type=Path, help="draw what the folder holds")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.title:
        students: dict[LookRate, str] = dict(each.split("=", 1) for each in options.student)
        bundle = load_bundle(find_policy(options.policy))
        scripted = find_task(bundle.manifest.task).scripted is not None
        seeds = range(_FIRST_SEED, _FIRST_SEED + options.episodes)
        for cell in cells(options.policy, students, scripted=scripted):
            conditions = conditions_of({"perturb": options.perturb})
            measure_cell(cell, options.world, conditions, seeds, cell.file(options.folder, options.title))
    print(table(options.folder))
    if options.plot:
        plot(options.folder, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
