"""The command ``fetch-sim2real``.

Every subcommand is a module with a ``typer.Typer`` called ``app``, imported only when it is run: ``--help`` stays
instant and works on a machine where ROS or torch are missing. A new subcommand is one line in ``SUBCOMMANDS``.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from fetch_sim2real import __version__
from fetch_sim2real.cli.entry import one_line_errors, require_utf8
from fetch_sim2real.stack.ros_environment import require_importable


@dataclass(frozen=True)
class Subcommand:
    """A subcommand's name, the module that holds its ``app``, and its line in ``--help``.

    What it was called once goes on working, but is not listed.
    """

    name: str
    module: str
    summary: str
    needs_ros: bool = False
    former_name: str = ""


SUBCOMMANDS: Final = (
    Subcommand(
        "sim",
        "fetch_sim2real.cli.sim",
        "Run policy, driver and a simulated robot and camera: the whole stack without hardware.",
        needs_ros=True,
    ),
    Subcommand(
        "evaluate",
        "fetch_sim2real.cli.evaluate",
        "Run a suite of cases through the graph: success, latencies, worst episodes, one report; or check a change.",
        needs_ros=True,
    ),
    Subcommand(
        "view",
        "fetch_sim2real.cli.view",
        "Show a running graph live in a browser: camera, depth, goal, joints, latency, the driver's state.",
        needs_ros=True,
    ),
    Subcommand(
        "operate",
        "fetch_sim2real.cli.operate",
        "Run a policy on a robot from one terminal: check list, goal, enable, start, stop, label.",
        needs_ros=True,
    ),
    Subcommand(
        "check-graph",
        "fetch_sim2real.cli.check_graph",
        "Print the topics, types, QoS, frames and rates of the stack and compare a running graph with them.",
        needs_ros=True,
    ),
    Subcommand(
        "calibrate-camera",
        "fetch_sim2real.cli.calibrate_camera",
        "Find the camera's pose in base_link from pictures of a board, and write the calibration file.",
        needs_ros=True,
    ),
    Subcommand(
        "check-calibration",
        "fetch_sim2real.cli.check_calibration",
        "Compare a calibration file with where the camera was when the policy was trained.",
    ),
    Subcommand(
        "align-camera",
        "fetch_sim2real.cli.align_camera",
        "Draw what the policy expects to see over the live picture, and measure how far the camera is off.",
        needs_ros=True,
    ),
    Subcommand(
        "rerun",
        "fetch_sim2real.cli.rerun",
        "Give a bag's frames to a policy once more, and compare its commands with those that were recorded.",
        former_name="replay",
    ),
    Subcommand(
        "play",
        "fetch_sim2real.cli.play",
        "Play a bag to a policy in a live graph, without robot and driver, to look at what it would do.",
        needs_ros=True,
    ),
    Subcommand(
        "report",
        "fetch_sim2real.cli.run_report",
        "Write one HTML page of a robot's run from its bag: timeline, joints, latency, refusals, pictures.",
    ),
    Subcommand(
        "export",
        "fetch_sim2real.cli.export",
        "Write recordings as a LeRobot dataset, as Parquet tables, or as bags of other formats.",
    ),
    Subcommand(
        "train",
        "fetch_sim2real.cli.train",
        "Train an actor: expert with HER, encoder, DAgger on pictures, policy bundle.",
    ),
    Subcommand(
        "measure",
        "fetch_sim2real.cli.measure",
        "Measure a policy's success in one process, without ROS.",
    ),
    Subcommand(
        "compare",
        "fetch_sim2real.cli.compare",
        "Compare two measurements episode by episode.",
    ),
    Subcommand(
        "trials",
        "fetch_sim2real.cli.trials",
        "Compare two policies on a robot: blinded, in pairs, ended as soon as enough is known.",
    ),
    Subcommand(
        "contact-sheet",
        "fetch_sim2real.cli.contact_sheet",
        "Write a picture of a world's episodes as camera and actor see them.",
    ),
    Subcommand(
        "urdf",
        "fetch_sim2real.cli.urdf",
        "Print or write the robot's URDF, for RViz, Foxglove, MoveIt and others.",
    ),
    Subcommand(
        "import-policy",
        "fetch_sim2real.cli.import_policy",
        "Make a policy bundle from a policy trained with Stable-Baselines3, or from an ONNX network.",
    ),
    Subcommand(
        "export-policy",
        "fetch_sim2real.cli.export_policy",
        "Write a policy bundle's actor as an ONNX file for other runtimes.",
    ),
    Subcommand(
        "reference",
        "fetch_sim2real.cli.reference",
        "Write the pages of the documentation that follow from the code.",
        needs_ros=True,
    ),
    Subcommand(
        "doctor",
        "fetch_sim2real.cli.doctor",
        "Say what this machine has and lacks, and the command that gets what is missing.",
    ),
)

_OWN_PACKAGES: Final = {"fetch_sim2real"}

app = typer.Typer(
    name="fetch-sim2real",
    help="Closed-loop RGB-D policies on a Fetch arm, on the robot and in simulation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fetch-sim2real {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _register(subcommand: Subcommand) -> None:
    # The placeholder takes every argument as it is, --help included, and hands it to the real command.
    settings = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

    def run(context: typer.Context) -> None:
        run_subcommand(subcommand, list(context.args))

    for name in (subcommand.name, subcommand.former_name):
        if name:
            app.command(
                name,
                help=subcommand.summary,
                context_settings=settings,
                add_help_option=False,
                hidden=name == subcommand.former_name,
            )(run)


def run_subcommand(subcommand: Subcommand, arguments: list[str]) -> None:
    """Import the subcommand and run it. An error that the user can repair becomes one line and exit status 1."""
    with one_line_errors(_OWN_PACKAGES):
        require_utf8(arguments)
        if subcommand.needs_ros:
            require_importable(os.environ)
        module = importlib.import_module(subcommand.module)
        module.app(args=arguments, prog_name=f"fetch-sim2real {subcommand.name}")


for _subcommand in SUBCOMMANDS:
    _register(_subcommand)


if __name__ == "__main__":
    app()
