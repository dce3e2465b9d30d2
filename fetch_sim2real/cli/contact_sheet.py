"""``fetch-sim2real contact-sheet``: look at a world before anything is trained in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from fetch_sim2real.common.picture_file import drawable, require_picture_place, write_picture
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.perception.preprocess import ImageSpec, preprocess
from fetch_sim2real.policy.default_observation import IMAGE
from fetch_sim2real.reports.film_strip import depth_picture
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import World, load_world
from fetch_sim2real.stack.options import DEFAULT_CAMERA_SIZE
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.tasks.registry import find_task

_TILE_HEIGHT_PX: Final = 168
_GAP_PX: Final = 6
_COLUMNS: Final = 2


def contact_sheet(
    nominal: World, world: World, task: Task, image: ImageSpec, first_seed: int, count: int
) -> NDArray[np.uint8]:
    """Return a sheet (H, W, 3) of tiles, the first one of ``nominal``, then ``count`` episodes of ``world``.

    A tile shows colour and depth as the camera gives them, then both as the actor sees them. Holes in depth are black.
    """
    tiles = [*_tiles(nominal, task, image, [first_seed], "nominal")]
    tiles += _tiles(world, task, image, range(first_seed, first_seed + count), world.name)
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % _COLUMNS)
    rows = [np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
    return np.vstack(rows)


def _tiles(world: World, task: Task, image: ImageSpec, seeds: list[int] | range, name: str) -> list[NDArray[np.uint8]]:
    sim = Simulation(world, task, DEFAULT_CAMERA_SIZE)
    try:
        return [_tile(sim, image, seed, name) for seed in seeds]
    finally:
        sim.close()


def _tile(sim: Simulation, image: ImageSpec, seed: int, name: str) -> NDArray[np.uint8]:
    sim.reset(seed)
    captured = sim.advance_to_next_frame()
    if captured is None or captured.frame is None:
        raise RuntimeError("an episode ended before its first frame")
    frame = captured.frame
    seen = preprocess(frame, sim.camera_model, image)
    pictures = (frame.rgb, depth_picture(frame.depth_mm), seen.rgb, depth_picture(seen.depth_mm))
    parts = [_scaled(picture) for picture in pictures]
    title = drawable(f"{name} {seed}")
    cv2.putText(parts[0], title, (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
    framed = [np.pad(part, ((0, _GAP_PX), (0, _GAP_PX), (0, 0)), constant_values=255) for part in parts]
    return np.hstack(framed)


def _scaled(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    size = (round(width * _TILE_HEIGHT_PX / height), _TILE_HEIGHT_PX)
    # Pixels stay visible as such: neither depth nor noise is averaged.
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST), np.uint8)


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
