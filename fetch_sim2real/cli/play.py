"""``fetch-sim2real play``: a bag's observations to a policy in a live graph, to look at what it would do."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from fetch_sim2real import graph
from fetch_sim2real.bags.raw_message import LOSSES_IN_LOG
from fetch_sim2real.cli.entry import declared_option, make_console
from fetch_sim2real.cli.view import COMMAND as VIEW_COMMAND
from fetch_sim2real.common.outputs import require_folder_place
from fetch_sim2real.common.stop_request import StopRequest, StopRequestedError
from fetch_sim2real.common.supervision import Supervisor
from fetch_sim2real.errors import GraphError
from fetch_sim2real.stack import options as stack_options
from fetch_sim2real.stack.options import PlaybackOptions
from fetch_sim2real.stack.processes import playback_graph
from fetch_sim2real.stack.ros_environment import enter_domain

if TYPE_CHECKING:
    from fetch_sim2real.ros.session import RosSession

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

_DEFAULTS: Final = PlaybackOptions()
_HELP: Final = """Play a bag to a policy in a live graph, to look at what it would do.

There is no driver: nothing moves. Pictures, joint states, goals and the driver's recorded answers come from the bag, at
its pace and with its stamps; /joint_command is the policy's own. `rerun` compares commands without ROS, and faster.

\b
Examples:
  fetch-sim2real play runs/20260101-120000 --policy push --view
  fetch-sim2real play bags/shadow --policy out/mine --rate 0.5 --start 12
  fetch-sim2real play bags/shadow --policy out/mine --record bags/mine
"""


@app.command(help=_HELP)
def play(
    bag: Annotated[Path, typer.Argument(help="Bag: a folder, the folder of a run, or one .mcap or .db3 file.")],
    policy: Annotated[str, declared_option(stack_options.POLICY)],
    rate: Annotated[float, declared_option(stack_options.RATE)] = stack_options.RATE.default,
    start: Annotated[float, declared_option(stack_options.START_S)] = stack_options.START_S.default,
    loop: Annotated[bool, declared_option(stack_options.LOOP, "--loop")] = stack_options.LOOP.default,
    look: Annotated[str, declared_option(stack_options.LOOK)] = stack_options.LOOK.default,
    rename: Annotated[
        list[str] | None,
        typer.Option(help="Topic that has another name in the bag: /joint_states:=/fetch/joint_states."),
    ] = None,
    calibration: Annotated[Path | None, declared_option(stack_options.CALIBRATION)] = None,
    world: Annotated[str, declared_option(stack_options.DRIVERS_WORLD)] = stack_options.DRIVERS_WORLD.default,
    record: Annotated[Path | None, declared_option(stack_options.RECORD)] = None,
    view: Annotated[bool, typer.Option("--view", help="Show it live, as a page in a browser.")] = False,
) -> None:
    console = make_console()
    # Imported here, so that --help needs no ROS.
    from fetch_sim2real.bags.reading import open_bag, renames_of
    from fetch_sim2real.ros.view.beside import view_beside

    # A bag that is not there, or one that cannot be made, is said before anything starts.
    if record is not None:
        require_folder_place(record, "--record")
    open_bag(bag, renames_of(rename or []))
    values = {
        "bag": str(bag), "policy": policy, "look": look, "rename": " ".join(rename or []),
        "world": world,
        "calibration": "" if calibration is None else str(calibration), "record": "" if record is None else str(record),
    }  # fmt: skip
    options = replace(_DEFAULTS, rate=rate, start_s=start, loop=loop, **values)  # type: ignore[arg-type]
    _domain_lock = enter_domain(console)
    try:
        with view_beside(console, VIEW_COMMAND) if view else nullcontext():
            console.print(_run(options, console), soft_wrap=True, highlight=False)
    except StopRequestedError as stopped:
        raise typer.Exit(128 + stopped.signal_number) from None


def _run(options: PlaybackOptions, console: Console) -> str:
    """Play to the end; what the player said then. GraphError if a process fails."""
    from fetch_sim2real.ros.session import RosSession
    from fetch_sim2real.stack.launcher import launch

    # The player may end; its exit status is judged here.
    processes = [replace(p, required=p.node_name != graph.BAG_PLAYER) for p in playback_graph(options)]
    with (
        tempfile.TemporaryDirectory(prefix="fetch_sim2real_") as logs,
        StopRequest() as stop,
        launch(processes, Path(logs), hurry=stop.insists) as supervisor,
    ):

        def watch() -> None:
            stop.check()
            supervisor.check()

        losses = _Losses(console)
        with RosSession("play", watch) as session, _progress(console) as progress:
            _follow(session, progress, losses)
            while supervisor.ended(graph.BAG_PLAYER) is None:
                session.spin(0.1)
        # A short bag may be over before anything that the player reports has come.
        for line in supervisor.log_tail(graph.BAG_PLAYER).splitlines():
            _, found, loss = line.partition(LOSSES_IN_LOG)
            if found:
                losses.tell(loss)
        return _last_words(supervisor)


class _Losses:
    """Says once what of the bag cannot be read."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = ""

    def tell(self, losses: str) -> None:
        """Say it, unless it was said."""
        if losses not in self._told:
            self._told = losses
            self._console.print(f"lost: {losses}", style="yellow", markup=False, highlight=False, soft_wrap=True)


def _follow(session: RosSession, progress: Progress, losses: _Losses) -> None:
    """Show what the player reports, and what of the bag it cannot read."""
    from diagnostic_msgs.msg import DiagnosticArray

    from fetch_sim2real.ros.topics import subscribe_to

    task = progress.add_task("waiting for the policy", total=None)

    def on_diagnostics(message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == graph.BAG_PLAYER:
                values: Mapping[str, str] = {value.key: value.value for value in status.values}
                progress.update(
                    task,
                    description=f"{status.message}: {values['at_s']} of {values['duration_s']} s, "
                    f"{values['frames']} frames, {values['commands']} commands, {values['holds']} holds",
                    completed=float(values["at_s"]),
                    total=float(values["duration_s"]),
                )
                if values["losses"] != "none":
                    losses.tell(values["losses"])

    subscribe_to(session.node, graph.DIAGNOSTICS, on_diagnostics)


def _progress(console: Console) -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), console=console, transient=True)


def _last_words(supervisor: Supervisor) -> str:
    ended, log = supervisor.ended(graph.BAG_PLAYER), supervisor.log_tail(graph.BAG_PLAYER)
    if ended != "ended with status 0":
        raise GraphError(f"{graph.BAG_PLAYER} {ended}; the end of its log:\n{log}")
    # After the logger's own words: severity, time, name.
    return log.splitlines()[-1].rpartition("]: ")[2]
