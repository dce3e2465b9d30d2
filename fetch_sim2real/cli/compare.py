"""``fetch-sim2real compare``: two measurements, episode by episode."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fetch_sim2real.cli.measure import measured
from fetch_sim2real.errors import SetupError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="What `measure --output` has written.")],
    second: Annotated[Path, typer.Argument(help="Another such file; episodes are compared by seed.")],
) -> None:
    """Compare two measurements episode by episode: the difference of their success rates and its 95 % interval."""
    from fetch_sim2real.evaluation.statistics import paired_difference

    outcomes = [{line["seed"]: bool(line["success"]) for line in measured(path)} for path in (first, second)]
    seeds = sorted(outcomes[0].keys() & outcomes[1].keys())
    if not seeds:
        raise SetupError(
            f"{first} and {second} have no seed in common, expected measurements of the same seeds: measure both with "
            "the same --seed"
        )
    found = paired_difference(*([each[seed] for seed in seeds] for each in outcomes))
    counts = ", ".join(
        f"{sum(each[seed] for seed in seeds)} in {path}" for path, each in zip((first, second), outcomes, strict=True)
    )
    typer.echo(f"of {len(seeds)} episodes succeed {counts}")
    typer.echo(f"difference: {found.text()}")
