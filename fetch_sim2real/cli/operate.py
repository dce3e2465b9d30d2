"""``fetch-sim2real operate``: the dialogue without a subcommand, each of its steps with one."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from fetch_sim2real.cli.entry import declared_option, make_console, stoppable
from fetch_sim2real.common.outputs import require_file_place
from fetch_sim2real.operation.log import OUTCOMES, OperationLog
from fetch_sim2real.ros.namespaces import checked_namespace
from fetch_sim2real.ros.operate.choices import Choices, Expected
from fetch_sim2real.stack.heartbeat import BEAT_PERIOD_S
from fetch_sim2real.stack.options import MODE, NAMESPACE, SPEED_SCALE

if TYPE_CHECKING:
    from fetch_sim2real.ros.operate.steps import Steps

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

DEFAULT_LOG: Final = Path("runs/operate.jsonl")
_WAIT_S: Final = 15.0
_RECORDER_S: Final = 5.0  # found within a second, but for busy machines
_HELP: Final = """Run a policy on a robot from one terminal: check list, goal, enable, start, stop, label, and again.

The nodes have to run already. Without a subcommand it is a dialogue; the subcommands are its steps, for scripts. The
software is no emergency stop: have the robot's run-stop in your hand.

\b
Examples:
  fetch-sim2real operate                                    the dialogue
  fetch-sim2real operate --mode shadow                      show what would be sent; the driver runs with mode:=shadow
  fetch-sim2real operate --speed 0.25                       a quarter of the profile's speed
  fetch-sim2real operate --namespace left                   a robot whose nodes run with namespace:=left
  fetch-sim2real operate --sim push                         try it: a simulated graph in place of the robot
  fetch-sim2real operate check && fetch-sim2real operate goal 0.62 0.05 0.745
  fetch-sim2real operate heartbeat &
  fetch-sim2real operate enable && fetch-sim2real operate start && sleep 5 && fetch-sim2real operate stop
  fetch-sim2real operate label success --note "first try" && fetch-sim2real operate reset
"""


@app.callback(invoke_without_command=True, help=_HELP)
def operate(
    context: typer.Context,
    mode: Annotated[str, declared_option(MODE, note="How the driver is meant to run.")] = MODE.default,
    log: Annotated[Path, typer.Option(help="JSON lines of all that is done.")] = DEFAULT_LOG,
    speed: Annotated[float | None, declared_option(SPEED_SCALE, show_default="as the driver has it")] = None,
    accept: Annotated[
        list[str] | None, typer.Option(help="An item of the check list that may fail. May be given again.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Calibration file of the camera, as calibrate-camera writes it.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Answer yes to all questions of yes or no.")] = False,
    operator: Annotated[
        str | None, typer.Option(help="Who operates: kept in log and bag.", show_default="the name of the login")
    ] = None,
    trial: Annotated[
        float | None,
        typer.Option(min=0.5, max=600.0, help="Longest duration of a run [s].", show_default="as in training"),
    ] = None,
    sim: Annotated[
        str | None, typer.Option(help="Start a simulated graph with this policy and operate it.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 20_000, help="Simulation: seed of the first start.")] = 0,
    namespace: Annotated[str, declared_option(NAMESPACE)] = NAMESPACE.default,
) -> None:
    if fault := MODE.fault(mode):
        raise typer.BadParameter(f"--mode is {fault}")
    if namespace and sim is not None:
        raise typer.BadParameter("--namespace is for a graph that runs already, --sim starts one without a namespace")
    expected = Expected(mode, speed, calibration, tuple(accept or ()))
    who = _login_name() if operator is None else operator
    choices = Choices(expected, log, yes, checked_namespace(namespace), who)
    context.obj = choices
    # An arm is stopped whatever becomes of the log.
    if context.invoked_subcommand != "stop":
        require_file_place(log, "--log")
    if context.invoked_subcommand is not None:
        return
    # Imported here, so that --help needs neither ROS nor torch.
    from fetch_sim2real.ros.operate.run_session import run_dialogue

    with stoppable() as stop:
        if not run_dialogue(choices, make_console(), stop, trial, sim, seed):
            raise typer.Exit(1)


@app.command()
def check(context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Walk the check list; the exit status is 1 if something stands in the way."""
    from fetch_sim2real.ros.operate.check_list import print_check_list

    with _steps(context) as steps:
        check_list = steps.check()
        if as_json:
            typer.echo(json.dumps([asdict(one) for one in check_list.checks], indent=2))
        else:
            print_check_list(check_list, make_console())
        if check_list.failed:
            raise typer.Exit(1)


@app.command()
def goal(
    context: typer.Context,
    x: float,
    y: float,
    z: float,
    frame: Annotated[str | None, typer.Option(help="Frame of the goal.", show_default="the policy's own")] = None,
) -> None:
    """State a goal [m] to the policy, which from now on waits for `start`; exit status 1 if it is refused.

    For negative numbers write `goal -- 0.6 -0.1 0.745`.
    """
    import numpy as np

    from fetch_sim2real.graph import BASE_FRAME
    from fetch_sim2real.types import Goal

    with _steps(context) as steps:
        if frame is None:
            bundle = steps.stack_info.bundle
            frame = BASE_FRAME if bundle is None else bundle.manifest.goal.frame
        steps.hold()
        accepted, reason = steps.goal(Goal(frame, np.array([x, y, z])))
        typer.echo("accepted" if accepted else f"refused: {reason}")
        if not accepted:
            raise typer.Exit(1)


@app.command("to-start")
def to_start(context: typer.Context) -> None:
    """Move the arm slowly to where training began; Ctrl-C stops it."""
    with _steps(context, keeps_going=False) as steps:
        steps.hold()
        steps.client.session.spin(0.5)
        move = steps.plan_to_start()
        choices: Choices = context.obj
        question = f"The arm will move for about {move.least_duration_s:.0f} s or more. Go on?"
        if not (choices.assume_yes or typer.confirm(question)):
            raise typer.Exit(1)
        arrived, reason = steps.move(move, lambda: False)
        typer.echo("there" if arrived else f"stopped: {reason}")
        if not arrived:
            raise typer.Exit(1)


@app.command()
def heartbeat(context: typer.Context) -> None:
    """Say that you are there, for as long as this program and the shell or script that started it live.

    A driver on a robot is enabled only while somebody says so, and brakes when they cease. In a script put it into the
    background before `enable`; it ends with the script, however that ends.
    """
    from fetch_sim2real.graph import OPERATOR
    from fetch_sim2real.ros.heartbeat import Heartbeat
    from fetch_sim2real.ros.session import RosSession

    starter, choices = os.getppid(), cast(Choices, context.obj)

    def is_due() -> bool:
        return os.getppid() == starter

    with (
        stoppable() as stop,
        RosSession(OPERATOR, stop.check, namespace=choices.namespace) as session,
        Heartbeat(session.node, is_due),
    ):
        while is_due():
            session.spin(BEAT_PERIOD_S)


@app.command()
def enable(context: typer.Context) -> None:
    """Let commands through to the arm; the policy holds until `start`."""

    def hold_and_enable(steps: Steps) -> None:
        steps.hold()
        # This program ends now: whoever called it has to say that somebody is there.
        steps.enable(stays=False)

    _do(context, hold_and_enable, "enabled, holding")


@app.command()
def start(context: typer.Context) -> None:
    """Let the policy act on its goal."""
    _do(context, lambda steps: steps.start(), "running; `operate stop` stops it")


@app.command()
def stop(context: typer.Context) -> None:
    """Stop the arm and latch the driver."""
    # Stops as soon as the driver is connected, whoever else is missing.
    with _steps(context, limit_s=None) as steps:
        steps.stop("operate stop")
    typer.echo("stopped")


@app.command()
def reset(context: typer.Context) -> None:
    """Leave the stopped state and forget the goal."""
    _do(context, lambda steps: steps.reset(), "reset")


@app.command()
def label(
    context: typer.Context,
    outcome: Annotated[str, typer.Argument(help=f"{', '.join(OUTCOMES)}.")],
    note: Annotated[str, typer.Option(help="Anything worth knowing.")] = "",
) -> None:
    """Write down how the last run went; needs no nodes. A recorder that is still there gets it too."""
    from fetch_sim2real.operation.log import run_summary

    if outcome not in OUTCOMES:
        raise typer.BadParameter(f"outcome is '{outcome}', available: {', '.join(OUTCOMES)}")
    choices: Choices = context.obj
    log = OperationLog(choices.log, choices.operator)
    event = log.append("label", None, outcome=outcome, note=note, **run_summary(log.events()))
    # Imported here, so that --help needs no ROS.
    from fetch_sim2real.graph import OPERATOR
    from fetch_sim2real.ros.operate.event_publisher import EventPublisher
    from fetch_sim2real.ros.session import RosSession

    with stoppable() as stop, RosSession(OPERATOR, stop.check, namespace=choices.namespace) as session:
        publisher = EventPublisher(session)
        if publisher.wait_for_recorder(_RECORDER_S):
            publisher.publish(event.line())
        else:
            typer.echo(f"no recorder is running: the label is in {log.path} alone")


def _login_name() -> str:
    """The name of who is logged in; empty where the system knows none, as in some containers."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def _do(context: typer.Context, step: Callable[[Steps], None], words: str) -> None:
    with _steps(context) as steps:
        step(steps)
    typer.echo(words)


@contextmanager
def _steps(context: typer.Context, keeps_going: bool = True, limit_s: float | None = _WAIT_S) -> Iterator[Steps]:
    """The steps on the running graph. What a step has set in motion goes on after it, unless it fails."""
    from fetch_sim2real.ros.operate.run_session import entered

    choices: Choices = context.obj
    with stoppable() as stop, entered(choices, stop.check, limit_s) as steps:
        yield steps
        if keeps_going:
            steps.may_move = False
