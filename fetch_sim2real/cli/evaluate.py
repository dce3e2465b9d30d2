"""``fetch-sim2real evaluate``: a suite of cases through the graph, its report, and a check against a baseline."""

from __future__ import annotations

import os
import platform
import time
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console

from fetch_sim2real.cli.entry import make_console, typed_command
from fetch_sim2real.errors import SetupError

if TYPE_CHECKING:
    from fetch_sim2real.evaluation.evidence import Evidence

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

# A graph in lockstep keeps about two cores busy.
_CORES_PER_GRAPH: Final = 2
_MAX_DEFAULT_JOBS: Final = 8
_CLIPS: Final = 3
_HELP: Final = """Run a suite of cases through the graph in lockstep, and write one report.

SUITE is smoke, nominal, randomized, gap, perturbed, latency, imperfect or transfer, or a YAML file of your own
(docs/evaluation.md). A run that was ended goes on when the command is given again. The report is an HTML file that
needs nothing but itself.

With --baseline the exit status is 1 if success or latency is significantly worse than in that file.

\b
Examples:
  fetch-sim2real evaluate smoke                                    does everything still work? two minutes
  fetch-sim2real evaluate randomized --json r.json --jobs 4
  fetch-sim2real evaluate perturbed --policy out/my_policy --episodes 100
  fetch-sim2real evaluate smoke --baseline smoke.json              a regression check for CI
"""


@app.command(help=_HELP)
def evaluate(
    suite: Annotated[str, typer.Argument(help="Name of a shipped suite, or a YAML file.")],
    policy: Annotated[
        str | None,
        typer.Option(
            help="Policy of every case of its task; cases of other tasks are left out.", show_default="the suite's"
        ),
    ] = None,
    episodes: Annotated[int | None, typer.Option(min=1, max=10_000, help="Episodes of every case.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="First seed of every case.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result to this file too.")] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Report, result, logs and unfinished work.", show_default="runs/evaluate-<suite>"),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=64, help="Graphs at a time.", show_default="one for every two cores")
    ] = None,
    videos: Annotated[
        int | None,
        typer.Option(min=0, max=50, help="How many of the worst episodes the report shows.", show_default=str(_CLIPS)),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="JSON of an earlier evaluation: fail if this one is significantly worse.")
    ] = None,
    max_slowdown: Annotated[
        float, typer.Option(min=0.0, help="With --baseline: allowed factor of latency; 0 does not look at it.")
    ] = 1.25,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard unfinished work in the folder.")] = False,
    ray: Annotated[
        str | None,
        typer.Option(metavar="auto|ADDRESS", help="Refused: graphs run on this machine. `measure --ray` needs none."),
    ] = None,
) -> None:
    if ray is not None:
        raise SetupError(
            f"--ray {ray}: every episode of an evaluation runs through a ROS graph, and graphs on several machines of "
            "one network would hear each other. Leave --ray out (--jobs N runs N graphs here), or take `fetch-sim2real "
            f"measure POLICY --ray {ray}`: the same episodes without ROS"
        )
    started_s, started = time.monotonic(), datetime.now(timezone.utc).isoformat(timespec="seconds")
    console = make_console()
    # Imported here, so that --help needs neither ROS nor the simulation.
    from fetch_sim2real.common.outputs import Attempts, require_file_place, require_folder_place, write_text
    from fetch_sim2real.common.stop_request import StopRequest, StopRequestedError
    from fetch_sim2real.evaluation.evidence import Evidence, Timing, read_evidence
    from fetch_sim2real.evaluation.regression_check import compare
    from fetch_sim2real.evaluation.result import write_result
    from fetch_sim2real.evaluation.suite import load_suite
    from fetch_sim2real.paths import expanded, find_policy, policy_task
    from fetch_sim2real.reports.evaluation_page import report_html, worst_clips
    from fetch_sim2real.ros.simulated_runs.evaluation import DONE, REPORT, case_results, checked, prepare, run_workers

    overrides: dict[str, Any] = {"episodes": episodes, "seed": seed}
    chosen = load_suite(suite, {name: value for name, value in overrides.items() if value is not None}, policy)
    if policy is not None:
        names = [case.name for case in chosen.cases]
        chosen = chosen.with_policy(policy, lambda each: policy_task(find_policy(each)))
        left_out = [name for name in names if name not in {case.name for case in chosen.cases}]
        if left_out:
            told = f"left out, of other tasks than {policy}: {', '.join(left_out)}"
            console.print(told, style="yellow", markup=False, highlight=False)
    before = None if baseline is None else read_evidence(baseline)
    folder = expanded(folder or Path("runs") / f"evaluate-{chosen.name}").absolute()
    require_folder_place(folder, "--folder")
    if json_file is not None:
        require_file_place(json_file, "--json")
    plan = checked(chosen)
    jobs = jobs or max(1, min(_MAX_DEFAULT_JOBS, (os.cpu_count() or 1) // _CORES_PER_GRAPH))
    done = prepare(folder, plan, fresh)
    if done.results:
        console.print(f"going on: {len(done.results)} of {chosen.total} episodes are there", style="yellow")
    with StopRequest(lambda: console.print("stopping (again to kill at once)", style="yellow")) as stop:
        try:
            run_workers(chosen, folder, done, jobs, stop, console)
        except StopRequestedError as stopped:
            console.print(f"{len(done.results)} of {chosen.total} episodes are kept; the same command goes on")
            raise typer.Exit(128 + stopped.signal_number) from None
    evidence = Evidence(
        version=plan.version,
        suite=chosen.name,
        description=chosen.description,
        suite_sha256=plan.suite_sha256,
        cases=case_results(chosen, plan, done),
        timing=Timing(
            started=started,
            command=typed_command("evaluate"),
            machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            jobs=jobs,
            wall_s=round(time.monotonic() - started_s, 1),
            cases={case.name: tuple(done.timings[case.name, each] for each in case.seeds) for case in chosen.cases},
        ),
    )
    findings = () if before is None else compare(evidence, before, max_slowdown)
    attempts = Attempts(lambda text: console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True))
    # First the numbers, which nothing that is drawn may cost.
    _print(evidence, console)
    if json_file is not None:
        attempts.make(f"the result {json_file}", partial(write_result, evidence, json_file), asked=True)
    with console.status("pictures of the worst episodes"):
        draw = partial(worst_clips, evidence, _CLIPS if videos is None else videos)
        clips = attempts.make("the pictures of the worst episodes", draw, asked=videos is not None)
    report = folder / REPORT

    def write_report() -> None:
        write_text(report_html(evidence, clips or (), findings), report)
        console.print(f"[bold]report  [/]{report}", soft_wrap=True, highlight=False)

    attempts.make(f"the report {report}", write_report, asked=True)
    # Last: it says that the evaluation is complete.
    attempts.make(f"the result {folder / DONE}", partial(write_result, evidence, folder / DONE), asked=True)
    for finding in findings:
        console.print(finding.text, style="bold red" if finding.worse else None, markup=False, highlight=False)
    if any(finding.worse for finding in findings):
        console.print(f"worse than the baseline {baseline}", style="bold red")
        raise typer.Exit(1)
    if attempts.failed:
        raise typer.Exit(1)


def _print(evidence: Evidence, console: Console) -> None:
    from rich.table import Table

    table = Table(title=f"{evidence.suite}: {evidence.description}", title_justify="left", pad_edge=False)
    for name in ("case", "task", "success", "95 % interval", "median distance", "refused"):
        table.add_column(name, justify="left" if name in ("case", "task") else "right")
    for result in evidence.cases:
        low, high = result.ci95
        table.add_row(
            result.case.name,
            result.task,
            f"{result.successes} of {len(result.episodes)}",
            f"{low:.0%} to {high:.0%}",
            f"{100 * result.median_distance_m:.1f} cm",
            str(sum(result.refusals.values())),
        )
    console.print(table)
    for case, other, found in evidence.differences():
        console.print(f"{case} against {other}: {found.text()}", markup=False, highlight=False)
