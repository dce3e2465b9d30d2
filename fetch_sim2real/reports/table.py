"""A run's result as a table for a person."""

from __future__ import annotations

import statistics

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fetch_sim2real.evaluation.result import LatencyRecord, RunResult

_CLOCKS = {"lockstep": "lockstep (the world waits for the policy)", "realtime": "real time"}
# Of the frames without an answer in time: more is no longer a hiccup.
_LATE_SHARE = 0.02
_CONTROLS = {"none": "", "blank_image": "black images without depth"}


def print_result(result: RunResult, console: Console) -> None:
    """Print the table, then where the files are, each path on a line of its own so that it can be copied."""
    console.print(result_table(result))
    for name, path in (("bag", result.bag), ("picture", result.picture)):
        if path is not None:
            console.print(Text.assemble((f"{name:<8}", "bold"), path), soft_wrap=True)


def result_table(result: RunResult) -> Table:
    """Return the result as a two-column table."""
    title = f"{result.policy} in {result.world}"
    if result.move_block:
        title += ", block moved on the way"
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(result):
        # Text, not str: reasons and paths may hold square brackets, which rich would take for markup.
        table.add_row(name, value if isinstance(value, Text) else Text(value))
    return table


def _rows(result: RunResult) -> list[tuple[str, str | Text]]:
    rows: list[tuple[str, str | Text]] = [("success", _success(result))]
    distances = [episode.final_distance_m for episode in result.episodes]
    if distances:
        rows.append(
            (
                "final distance",
                f"median {100 * statistics.median(distances):.1f} cm, worst {100 * max(distances):.1f} cm",
            )
        )
    if failed := [str(episode.seed) for episode in result.episodes if not episode.success]:
        rows.append(("failed seeds", ", ".join(failed)))
    if result.control != "none":
        rows.append(("control", Text(_CONTROLS[result.control], "yellow")))
    latency = result.latency_ms
    return [
        *rows,
        ("clock", f"{_CLOCKS[result.clock]}, camera {result.camera}{_source(result)}"),
        ("frame to command", _latency(latency.frame_to_command)),
        ("rendering", _latency(latency.render)),
        ("render to driver", _latency(latency.total)),
        ("rate", f"{result.rate_hz:.1f} commands/s, {result.realtime_factor:.2f} x real time"),
        ("frames", _frames(result)),
        *_hints(result),
        ("commands", _commands(result)),
        ("start-up", _start_up(result.start_up_s)),
        ("policy", f"sha256 {result.policy_sha256[:12]}, fetch-sim2real {result.version}"),
    ]


def _source(result: RunResult) -> str:
    return "" if result.camera_source == "sim" else f" ({result.camera_source})"


def _success(result: RunResult) -> Text:
    low, high = result.ci95
    text = (
        f"{result.successes} of {len(result.episodes)} = {result.success_rate:.0%} "
        f"(95 % interval {low:.0%} to {high:.0%})"
    )
    return Text(text, "bold green" if result.success_rate >= 0.5 else "bold red")


def _latency(latency: LatencyRecord | None) -> str:
    if latency is None:
        return "not measured"
    return f"p50 {latency.p50:.1f} ms, p99 {latency.p99:.1f} ms, max {latency.max:.1f} ms"


def _start_up(start_up_s: float | None) -> str:
    return "there was no command" if start_up_s is None else f"{start_up_s:.1f} s from launch to first command"


def _frames(result: RunResult) -> str:
    text = f"{result.frames_lost} lost, {result.missed_cycles} answered too late"
    return text if result.frames_unrecorded is None else f"{text}, {result.frames_unrecorded} missing in the bag"


def _hints(result: RunResult) -> list[tuple[str, Text]]:
    """Say so where a machine could not follow the wall clock: the success is then that of a late policy."""
    published = sum(episode.steps for episode in result.episodes)
    # Those that were never answered are among them.
    late = result.missed_cycles
    if result.clock == "lockstep" or late <= _LATE_SHARE * published:
        return []
    told = (
        f"{late} of {published} frames had no answer in time: this machine, with what else it does, is too slow for "
        "real time. Without --realtime the world waits for the policy (lockstep)"
    )
    return [("too slow", Text(told, "yellow"))]


def _commands(result: RunResult) -> str:
    refused = ", ".join(f"{count} {reason}" for reason, count in sorted(result.refusals.items()))
    return f"{result.limited_commands} slowed down by the safety filter, refused: {refused or 'none'}"
