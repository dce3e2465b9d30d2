"""``fetch-sim2real doctor``: what this machine has, what it lacks, and the command that gets what is missing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fetch_sim2real.cli import checks
from fetch_sim2real.cli.checks import Check

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

CHECKS: Final[tuple[Callable[[], list[Check]], ...]] = (
    checks.check_python,
    checks.check_packages,
    checks.check_ros,
    checks.check_transport,
    checks.check_graphics,
    checks.check_drake,
    checks.check_realsense,
    checks.check_machine,
    checks.check_terminal,
)
_STYLES: Final = {"ok": "green", "missing": "bold red", "optional": "yellow"}


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False) -> None:
    """Check this machine. The exit status is 1 if something is missing that the stack needs."""
    report = [line for check in CHECKS for line in check()]
    missing = [line for line in report if line.status == "missing"]
    if as_json:
        content = {"ok": not missing, "checks": [dataclasses.asdict(line) for line in report]}
        typer.echo(json.dumps(content, indent=2))
    else:
        print_report(report, Console())
    if missing:
        raise typer.Exit(1)


def print_report(report: Sequence[Check], console: Console) -> None:
    """Print a table of all checks, then the remedies, each on a line of its own so that it can be copied."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", "what", "state", "found"):
        table.add_column(heading, overflow="fold")
    group = ""
    for line in report:
        shown = "" if line.group == group else line.group
        group = line.group
        # Text, not str: what was found may hold square brackets, which rich would take for markup.
        table.add_row(Text(shown, "bold"), Text(line.name), Text(line.status, _STYLES[line.status]), Text(line.found))
    console.print(table)
    _print_remedies("Missing:", [line for line in report if line.status == "missing"], console)
    _print_remedies("Optional:", [line for line in report if line.status == "optional"], console)
    if not any(line.status == "missing" for line in report):
        console.print("\nThis machine has all that the stack needs.", style="green")


def _print_remedies(heading: str, lines: Sequence[Check], console: Console) -> None:
    if not lines:
        return
    console.print(f"\n{heading}", style="bold")
    for line in lines:
        console.print(Text(f"  {line.name}"), soft_wrap=True)
        if line.remedy:
            console.print(Text(f"      {line.remedy}", "cyan"), soft_wrap=True)
