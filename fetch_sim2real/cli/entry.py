"""What every command does around its own work: names that can be passed on, errors of one line, a console."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from fetch_sim2real.common.option import Option
from fetch_sim2real.common.outputs import print_in_any_encoding
from fetch_sim2real.common.stop_request import StopRequest, StopRequestedError
from fetch_sim2real.common.validation import escaped, is_utf8
from fetch_sim2real.errors import FetchSim2RealError, SetupError

if TYPE_CHECKING:
    from rich.console import Console

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_FILE_WIDTH: Final = 120  # characters in a line where there is no terminal to say

RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="auto|ADDRESS",
        show_default="processes on this machine",
        help="Run episodes on a Ray cluster: the one at HOST:PORT; or auto: what RAY_ADDRESS names, else this "
        "machine's, else one that is started for this command alone. Results are the same, also when workers die on "
        "the way. Needs the extra 'ray'; docs/cluster.md.",
    ),
]
"""The option --ray, for ``common.workers.Workplace``."""


def require_utf8(arguments: Sequence[str]) -> None:
    """Raise ``SetupError`` for an argument, or a folder to work in, whose name is no UTF-8.

    ROS parameters, JSON and OpenCV take no other; the latter ends the process.
    """
    for argument in arguments:
        if not is_utf8(argument):
            raise SetupError(f"the argument '{escaped(argument)}' is not valid UTF-8: rename what it names")
    try:
        folder = os.getcwd()
    except OSError:
        raise SetupError("the folder that this was called in is no longer there: change to another one") from None
    if not is_utf8(folder):
        raise SetupError(
            f"the name of the folder that this was called in, {escaped(folder)}, is not valid UTF-8: rename it, or "
            "call from another one"
        )


@contextmanager
def one_line_errors(own_packages: Collection[str]) -> Iterator[None]:
    """Turn an error that the user can repair into one line and exit status 1.

    ``own_packages``: that one of these is missing is a fault of ours, not of the machine.
    """
    print_in_any_encoding()
    try:
        yield
    except FetchSim2RealError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in own_packages:
            raise
        _fail(
            f"the Python package '{error.name}' is not installed; `fetch-sim2real doctor` says what is missing and how "
            "to get it"
        )
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    except OSError as error:
        # A file or folder of the user's; what concerns none, and no full disk, is a fault of ours.
        if error.filename is None and error.errno not in _FULL:
            raise
        place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        _fail(f"{place}{error.strerror}: is the name right, may you read and write there, is there room on the disk?")


@contextmanager
def stoppable() -> Iterator[StopRequest]:
    """Yield the user's wish to stop; where it is raised inside, the command ends with the signal's exit status."""
    with StopRequest() as stop:
        try:
            yield stop
        except StopRequestedError as stopped:
            raise typer.Exit(128 + stopped.signal_number) from None


def make_console(file_width: int = _FILE_WIDTH) -> Console:
    """Return a console on standard output, ``file_width`` characters wide where that is no terminal."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=file_width)


def declared_option(option: Option[Any], *flags: str, note: str = "", **settings: Any) -> Any:
    """Return the command line's form of an option that launch files or nodes have too: its help, choices and bounds.

    ``flags`` are those that do not follow from the argument's name, ``note`` comes before the help.
    """
    words = " ".join(part for part in (note, option.text) if part)
    if option.choices:
        words += f" One of {', '.join(choice for choice in option.choices if choice)}."
    if not isinstance(option.default, str | bool):
        settings = {"min": option.low, "max": option.high, **settings}
    return typer.Option(*flags, help=words, **settings)


def in_ms(option: Option[float]) -> Option[float]:
    """Return an option in seconds as one in milliseconds, as it is typed."""
    low, high = (None if bound is None else bound * 1e3 for bound in (option.low, option.high))
    name = f"{option.name.removesuffix('_s')}_ms"
    return option.but(name=name, default=option.default * 1e3, unit="ms", low=low, high=high)


def typed_command(subcommand: str) -> str:
    """Return the command as it was typed, to be kept with its results."""
    arguments = sys.argv[sys.argv.index(subcommand) + 1 :] if subcommand in sys.argv else sys.argv[1:]
    return shlex.join(["fetch-sim2real", subcommand, *arguments])


def _fail(text: str) -> NoReturn:
    typer.secho(f"error: {text}", fg=typer.colors.RED, err=True)
    raise SystemExit(1)
