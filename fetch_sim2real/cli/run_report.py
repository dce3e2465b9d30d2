"""``fetch-sim2real report``: one page of a robot's run, from its bag."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fetch_sim2real.bags.reading import open_bag, renames_of
from fetch_sim2real.bags.run import read_run
from fetch_sim2real.common.outputs import require_file_place, write_text
from fetch_sim2real.reports.run_report import run_report_html

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    bag: Annotated[Path, typer.Argument(help="Bag: a folder, the folder of a run, or one .mcap or .db3 file.")],
    output: Annotated[Path, typer.Option(help="Page to write, .html.")] = Path("run.html"),
    rename: Annotated[
        list[str] | None,
        typer.Option(help="Topic that has another name in the bag: /joint_states:=/fetch/joint_states."),
    ] = None,
) -> None:
    """Write one HTML page of a run from its bag; it needs no other file and no network."""
    require_file_place(output, "--output")
    recorded = open_bag(bag, renames_of(rename or []))
    run = read_run(recorded)
    page = run_report_html(recorded, run)
    write_text(page, output)
    typer.echo(f"{output}: {len(run.frames_ns)} frames, {len(run.answers)} answers, {run.refusals.total()} refused")
    for text in run.losses:
        typer.echo(f"lost: {text}")
