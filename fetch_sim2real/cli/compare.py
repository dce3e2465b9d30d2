"""``fetch-sim2real compare``: measurements of two policies, or of two methods, episode by episode."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fetch_sim2real.cli.measure import measured
from fetch_sim2real.errors import SetupError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

_HELP = """Compare measurements of the same seeds: the difference of success rates and its 95 % interval.

Two files compare two policies, episode by episode. To compare two methods, train each with several seeds: with
--against, the interval is for other training seeds as well as for other episodes.

\b
Examples:
  fetch-sim2real compare shipped.jsonl mine.jsonl
  fetch-sim2real compare gru_1.jsonl gru_2.jsonl gru_3.jsonl --against plain_1.jsonl --against plain_2.jsonl
"""


@app.command(help=_HELP)
def compare(
    files: Annotated[list[Path], typer.Argument(help="What `measure --output` has written.")],
    against: Annotated[
        list[Path] | None, typer.Option(help="A training of the other method; may be given again.")
    ] = None,
) -> None:
    from fetch_sim2real.evaluation.statistics import methods_difference, paired_difference

    first, second = (files, against) if against else (files[:1], files[1:])
    if not against and len(files) != 2:
        raise SetupError(f"{len(files)} file(s), expected two; several trainings of a method need --against FILE")
    groups = [[_outcomes(path) for path in paths] for paths in (first, second)]
    seeds = sorted(set.intersection(*(set(outcomes) for group in groups for outcomes in group)))
    names = [", ".join(map(str, paths)) for paths in (first, second)]
    if not seeds:
        raise SetupError(
            f"{names[0]} and {names[1]} have no seed in common, expected measurements of the same seeds: measure all "
            "with the same --seed"
        )
    outcomes = [[[run[seed] for seed in seeds] for run in group] for group in groups]
    for paths, group in zip((first, second), outcomes, strict=True):
        for path, run in zip(paths, group, strict=True):
            typer.echo(f"{sum(run)} of {len(seeds)} episodes succeed in {path}")
    if len(first) == len(second) == 1:
        typer.echo(f"difference: {paired_difference(outcomes[0][0], outcomes[1][0]).text()}")
        return
    try:
        typer.echo(f"difference over trainings: {methods_difference(outcomes[0], outcomes[1]).text()}")
    except ValueError as error:
        raise SetupError(str(error)) from None


def _outcomes(path: Path) -> dict[int, bool]:
    """Whether each seed's episode succeeded."""
    return {line["seed"]: bool(line["success"]) for line in measured(path)}
