"""``fetch-sim2real contact-sheet``: look at a world before anything is trained in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fetch_sim2real.common.picture_file import require_picture_place, write_picture
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.policy.default_observation import IMAGE
from fetch_sim2real.reports.contact_sheet import contact_sheet
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    world: Annotated[str, typer.Option(help="World: a name, or a path ending in .yaml.")] = "randomized",
    task: Annotated[str, typer.Option(help="Task whose starts are shown.")] = "push",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first episode.")] = 0,
    episodes: Annotated[int, typer.Option(min=1, max=99, help="How many episodes.")] = 11,
    output: Annotated[Path, typer.Option(help="Picture to write, .png or .jpg.")] = Path("contact_sheet.png"),
) -> None:
    """Write a picture of a world's episodes: colour and depth of the camera and of the actor, nominal first."""
    require_picture_place(output, "--output")
    shown = load_world(world, worlds_dir())
    sheet = contact_sheet(load_world("nominal", worlds_dir()), shown, find_task(task), IMAGE, seed, episodes)
    write_picture(sheet, output)
    typer.echo(f"{output}: nominal and {episodes} episodes of {shown.name} from seed {seed}")
