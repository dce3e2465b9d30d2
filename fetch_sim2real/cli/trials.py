"""``fetch-sim2real trials``: blinded trials of two policies on a robot, ended as soon as enough is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fetch_sim2real.cli.entry import make_console

if TYPE_CHECKING:
    from fetch_sim2real.evaluation.sequential import Effort
    from fetch_sim2real.operation.trials import TrialFolder

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

_HELP: Final = """Compare two policies on a robot: blinded, in pairs, and no longer than it takes.

A pair is two trials of the same start and goal, one of each policy. After each you may look at the verdict: looking
costs nothing, and the error stays below 5 % however often you look and whenever you stop (docs/trials.md).

\b
Examples:
  fetch-sim2real trials effort --rate 0.9 --against 0.6      how many pairs that will take
  fetch-sim2real trials effort --rate 0.95 --at-least 0.8    how many trials certify 80 %
  fetch-sim2real trials plan runs/trials push runs/push/policy --pairs 40
  fetch-sim2real trials next runs/trials                     the next trial, and the verdict so far
  fetch-sim2real operate --log runs/trials/log.jsonl         run and label it
  fetch-sim2real trials reveal runs/trials                   which policy was X; ends the blinding
"""
_Folder = Annotated[Path, typer.Argument(help="The folder of the plan.", metavar="FOLDER")]


@app.callback(help=_HELP)
def trials() -> None:
    """See _HELP."""


@app.command()
def plan(
    folder: _Folder,
    first: Annotated[str, typer.Argument(help="Name of a shipped policy, or folder of a bundle.")],
    second: Annotated[str, typer.Argument(help="The one that it is compared with.")],
    pairs: Annotated[int, typer.Option(min=1, max=500, help="At most; fewer will do if the difference is large.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Starts, goals, order and names follow from it.")] = 0,
) -> None:
    """Write a plan: starts, goals, the order of the policies in each pair, and which of them is called X."""
    from fetch_sim2real.operation.trials import TrialFolder
    from fetch_sim2real.paths import find_policy
    from fetch_sim2real.policy.bundle import load_bundle

    policies = []
    for name in (first, second):
        path = find_policy(name)
        policies.append((name, path, load_bundle(path)))
    trial_folder = TrialFolder(folder)
    trial_folder.begin(policies, pairs, seed)
    typer.echo(f"{2 * pairs} trials at most, in {folder / 'schedule.csv'}; do not open key.json before you are done")
    _say_next(trial_folder)


@app.command("next")
def next_trial(folder: _Folder) -> None:
    """Say what the log tells so far, and which trial is next."""
    from fetch_sim2real.operation.trials import TrialFolder

    _say_next(TrialFolder(folder))


@app.command()
def reveal(folder: _Folder) -> None:
    """Say which policy X is and which Y, and what came out."""
    from fetch_sim2real.operation.trials import CODES, TrialFolder

    trial_folder = TrialFolder(folder)
    progress, names = trial_folder.progress(), trial_folder.names()
    for index, code in enumerate(CODES):
        points = sum(pair[index] for pair in progress.scores)
        typer.echo(f"{code} is {names[code]}: {points:g} of {len(progress.scores)}")
    typer.echo(_verdict(trial_folder))


@app.command()
def effort(
    rate: Annotated[float, typer.Option(min=0.01, max=1.0, help="The success rate that you expect of the policy.")],
    against: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Of the policy that it is compared with: pairs that decide.")
    ] = None,
    at_least: Annotated[
        float | None, typer.Option(min=0.01, max=0.99, help="A rate to certify: trials that show it is above this.")
    ] = None,
) -> None:
    """Say how many trials a decision takes, by simulating studies."""
    from fetch_sim2real.evaluation.sequential import certificate_effort, comparison_effort

    if (against is None) == (at_least is None):
        raise typer.BadParameter("say either --against RATE, to compare, or --at-least RATE, to certify")
    if against is not None:
        typer.echo(_effort_in_words(comparison_effort(rate, against), "pairs", 500))
    elif at_least is not None:
        typer.echo(_effort_in_words(certificate_effort(rate, at_least), "trials", 1_000))


def _effort_in_words(effort: Effort, what: str, longest: int) -> str:
    if effort.half is None:
        return f"more than {longest} {what} in half of all studies: too close to be decided on a robot"
    most = f"{effort.most} {what}" if effort.most is not None else f"more than {longest} {what}"
    return f"half of all studies are decided after {effort.half} {what}, nine of ten after {most}"


def _say_next(folder: TrialFolder) -> None:
    plan, progress, console = folder.plan(), folder.progress(), make_console()
    if progress.scores:
        console.print(_verdict(folder))
    if progress.next is None:
        console.print("all trials of the plan are done")
        return
    trial = progress.next
    x, y, _ = trial.pair.object_m
    goal = " ".join(f"{value:g}" for value in trial.pair.goal_m)
    console.print(
        f"trial {trial.number}: policy:={folder.bundle(trial.code)}; object at x {x:g}, y {y:g} m, turned by "
        f"{trial.pair.object_yaw_deg:g} degrees; goal {goal} in {plan.goal_frame}"
    )


def _verdict(folder: TrialFolder) -> str:
    from fetch_sim2real.evaluation.sequential import wealth_needed
    from fetch_sim2real.operation.trials import CODES

    found = folder.progress().comparison
    told = (
        f"after {found.pairs} pairs X is {100 * found.difference:+.0f} points from Y "
        f"({100 * found.low:+.0f} to {100 * found.high:+.0f}, at whatever time you stop)"
    )
    if found.winner is not None:
        return f"{told}: decided, {CODES[found.winner]} is better"
    evidence = max(found.first_wealth, found.second_wealth)
    return f"{told}: not decided, the evidence is {evidence:.2g} of {wealth_needed():g}"
