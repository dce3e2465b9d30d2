"""``fetch-sim2real export``: recordings as data that other tools read, without ROS."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fetch_sim2real.cli.entry import stoppable
from fetch_sim2real.common.outputs import new_folder, require_folder_place, require_new_folder
from fetch_sim2real.common.stop_request import StopRequest
from fetch_sim2real.timing import CONTROL_PERIOD_S

if TYPE_CHECKING:
    from fetch_sim2real.bags.export.steps import StepWriter
    from fetch_sim2real.bags.reading import RecordedBag

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_RUN_BAG: Final = "bag"  # a run's bag within its folder, whose name says more
_GIGABYTE: Final = 1e9


class Format(str, Enum):
    """What to write."""

    LEROBOT = "lerobot"
    PARQUET = "parquet"
    ROSBAG1 = "rosbag1"
    SQLITE3 = "sqlite3"


Advance = Callable[[], None]
Progress = Callable[[str, "int | None"], Advance]
"""Begin to show a piece of work, from its name and how many steps it has if that is known."""


@dataclass(frozen=True)
class _Done:
    """What was written, in words, and how long it took in reality [s]; None where that is not counted."""

    words: str
    real_s: float | None = None


@app.command()
def main(
    bags: Annotated[list[Path], typer.Argument(help="Bags: folders, folders of runs, or .mcap or .db3 files.")],
    to: Annotated[Format, typer.Option(help="Format.", show_default=False)],
    output: Annotated[Path, typer.Option(help="Folder to make; it must not exist yet.", show_default=False)],
    task: Annotated[
        str, typer.Option(help="lerobot: what the robot is told to do, in words.", show_default="as the bag says")
    ] = "",
    video: Annotated[
        bool, typer.Option("--video", help="lerobot: colour as video, which is smaller and loses detail.")
    ] = False,
    images: Annotated[bool, typer.Option(help="parquet: with pictures, without loss.")] = True,
    rename: Annotated[
        list[str] | None,
        typer.Option(help="Topic that has another name in the bag: /joint_states:=/fetch/joint_states."),
    ] = None,
) -> None:
    """Write recordings as data that other tools read: a LeRobot dataset, Parquet tables, or bags of other formats.

    The folder appears when all of it is written; what is interrupted leaves nothing.
    """
    require_new_folder(output, "--output")
    require_folder_place(output.parent, "--output")
    # Imported here, so that --help is instant.
    from fetch_sim2real.bags.reading import open_bag, renames_of

    _require_package(to)
    renamed = renames_of(rename or [])
    opened = {name: open_bag(bag, renamed) for name, bag in _named(bags).items()}
    left_out: Counter[str] = Counter()
    begin_s = time.perf_counter()
    with stoppable() as stop, new_folder(output) as folder, _progress(stop) as progress:
        if to is Format.LEROBOT or to is Format.PARQUET:
            done = _write_steps(opened, _writer(to, folder, task, video, images), left_out, progress)
        else:
            done = _copy(opened, to, folder, left_out, progress)
    _tell(output, done, opened, left_out, time.perf_counter() - begin_s)


def _write_steps(
    bags: Mapping[str, RecordedBag], writer: StepWriter, left_out: Counter[str], progress: Progress
) -> _Done:
    from fetch_sim2real.bags.export.episodes import find_episodes, require_episodes
    from fetch_sim2real.bags.export.steps import read_steps, write_steps
    from fetch_sim2real.bags.run import read_run

    episodes = steps = 0
    for name, bag in bags.items():
        progress(f"{name}: looking for episodes", None)
        run = read_run(bag)
        found = find_episodes(run)
        require_episodes(found, run, bag.path)
        advance = progress(name, sum(len(episode.periods) for episode in found))
        written = write_steps(writer, name, read_steps(bag, run, found, left_out), advance)
        require_episodes(found if written[1] else (), run, bag.path)
        episodes, steps = episodes + written[0], steps + written[1]
    writer.close()
    return _Done(f"{episodes} episodes, {steps} control periods", steps * CONTROL_PERIOD_S)


def _copy(
    bags: Mapping[str, RecordedBag], to: Format, folder: Path, left_out: Counter[str], progress: Progress
) -> _Done:
    from fetch_sim2real.bags.export.rosbag import copy_bag

    folder.mkdir()
    written = 0
    for name, bag in bags.items():
        advance = progress(name, bag.promised_messages)
        if to is Format.ROSBAG1:
            written += copy_bag(bag, folder / f"{name}.bag", "rosbag1", left_out, advance)
        else:
            written += copy_bag(bag, folder / name, "sqlite3", left_out, advance)
    return _Done(f"{written} messages")


def _writer(to: Format, folder: Path, task: str, video: bool, images: bool) -> StepWriter:
    if to is Format.LEROBOT:
        from fetch_sim2real.bags.export.lerobot import LeRobotWriter

        return LeRobotWriter(folder, task, video)
    from fetch_sim2real.bags.export.parquet import ParquetWriter

    return ParquetWriter(folder, images)


def _require_package(to: Format) -> None:
    if to is Format.LEROBOT:
        from fetch_sim2real.bags.export.lerobot import require_lerobot

        require_lerobot()
    elif to is Format.PARQUET:
        from fetch_sim2real.bags.export.parquet import require_parquet

        require_parquet()


def _named(bags: list[Path]) -> dict[str, Path]:
    """Bags by a name for each: its folder's or file's, of a run's bag the run's; numbered where it occurs again."""
    named: dict[str, Path] = {}
    for bag in bags:
        place = bag.expanduser().resolve()
        stem = (place.parent if place.name == _RUN_BAG else place).name.partition(".")[0] or _RUN_BAG
        name = stem
        for number in range(2, len(bags) + 2):
            if name not in named:
                break
            name = f"{stem}_{number}"
        named[name] = bag
    return named


def _tell(output: Path, done: _Done, bags: Mapping[str, RecordedBag], left_out: Counter[str], took_s: float) -> None:
    per_gigabyte_s = took_s / max(sum(bag.size_bytes for bag in bags.values()) / _GIGABYTE, 1e-9)
    pace = "" if done.real_s is None else f", {done.real_s / took_s:.1f} times as fast as the {done.real_s:.1f} s took"
    typer.echo(f"{output}: {done.words} in {took_s:.1f} s, {per_gigabyte_s:.0f} s for a gigabyte{pace}")
    for reason, count in left_out.items():
        typer.echo(f"left out: {count}: {reason}")
    for name, bag in bags.items():
        for text in bag.losses:
            typer.echo(f"lost: {name}: {text}")




@contextmanager
def _progress(stop: StopRequest) -> Iterator[Progress]:
    """A bar on standard error where that is a terminal. Between its steps the user's wish to stop is heard."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:

        def begin(name: str, total: int | None) -> Advance:
            for finished in bar.task_ids:
                bar.remove_task(finished)
            shown = bar.add_task(name, total=total)

            def advance() -> None:
                stop.check()
                bar.advance(shown)

            return advance

        yield begin
