"""Pictures of a run, made from its bag."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fetch_sim2real.evaluation.film_strip import COLUMNS, FilmTitle, film_strip, write_picture
from fetch_sim2real.evaluation.recorded_episode import read_episode
from fetch_sim2real.observation.camera import Pose
from fetch_sim2real.robot.ik import DifferentialIk
from fetch_sim2real.sim.episode import draw_episode
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks import Task
from operator_cli.episodes import Episode
from operator_cli.settings import SimSettings

PICTURE_FILE: Final = "episode.png"


def make_pictures(settings: SimSettings, episodes: Sequence[Episode]) -> str:
    """Write the film strip, and the video if one is asked for, of the first success or else of the first episode."""
    assert settings.folder is not None
    shown = next((episode for episode in episodes if episode.result.success), episodes[0])
    result, world = shown.result, settings.world
    span_ns = (shown.began_ns, shown.ended_ns)
    base_T_camera = _true_camera(world, settings.task, result.seed)
    bag = settings.folder / "bag"
    title = FilmTitle(
        text=f"{settings.policy_folder.name} in {world.name}, seed {result.seed}",
        success=result.success,
        final_distance_m=result.final_distance_m,
        tolerance_m=world.task(settings.task.name).tolerance_m,
    )
    moments = read_episode(bag, result, span_ns, settings.task.target, world.robot.torso_height_m, COLUMNS)
    picture = settings.folder / PICTURE_FILE
    write_picture(film_strip(moments, base_T_camera, title), picture)
    if settings.video is not None:
        from fetch_sim2real.evaluation.film import write_film

        moments = read_episode(bag, result, span_ns, settings.task.target, world.robot.torso_height_m)
        write_film(moments, base_T_camera, title, settings.video)
    return str(picture)


def _true_camera(world: World, task: Task, seed: int) -> Pose:
    """Where the camera truly was: the seed decides it."""
    draw = draw_episode(world, task, seed, DifferentialIk(world.robot.torso_height_m)).camera
    return Pose(draw.position_m, draw.rotation)
