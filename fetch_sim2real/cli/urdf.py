"""``fetch-sim2real urdf``: the robot's description for RViz, Foxglove, MoveIt and others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from fetch_sim2real.arm.urdf import file_uri, urdf
from fetch_sim2real.common.outputs import require_file_place, write_text

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

_HELP: Final = """Print the robot's URDF, or write it: joints, limits, masses, what it looks like.

It is made from the same description that safety filter and simulation use. Meshes are named where they are installed on
this machine (file://...); --mesh-base names another place. Collision shapes are the spheres of the safety filter.

\b
Examples:
  fetch-sim2real urdf --output fetch.urdf
  fetch-sim2real urdf --mesh-base package://my_robot/meshes > fetch.urdf
"""


@app.command(help=_HELP)
def main(
    output: Annotated[Path | None, typer.Option(help="File to write.", show_default="print it")] = None,
    mesh_base: Annotated[
        str,
        typer.Option(
            help="What precedes the name of each mesh's file: a URI such as package://my_robot/meshes.",
            show_default="file://, where they are installed",
        ),
    ] = "",
) -> None:
    def named(path: Path) -> str:
        return f"{mesh_base.rstrip('/')}/{path.name}" if mesh_base else file_uri(path)

    if output is None:
        typer.echo(urdf(mesh_uri=named), nl=False)
        return
    require_file_place(output, "--output")
    write_text(urdf(mesh_uri=named), output)
    typer.echo(str(output))
