"""Pictures of a run, made from its bag."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.common.outputs import Attempts
from fetch_sim2real.common.picture_file import write_picture
from fetch_sim2real.evaluation.recorded_episode import Moment, read_episode
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.reports.film_strip import COLUMNS, FilmTitle, film_strip
from fetch_sim2real.ros.simulated_runs.episodes import Episode
from fetch_sim2real.ros.simulated_runs.settings import SimSettings
from fetch_sim2real.sim.randomization.sample import draw_episode

PICTURE_FILE: Final = "episode.png"


def make_pictures(settings: SimSettings, episodes: Sequence[Episode], attempts: Attempts) -> str | None:
    """Write the film strip, and the video if one is asked for, of the first success or else of the first episode.

    The strip's file; None where it could not be made, which ``attempts`` tells as it does of a video.
    """
    assert settings.folder is not None
    shown = next((episode for episode in episodes if episode.result.success), episodes[0])
    picture = settings.folder / PICTURE_FILE
    made = attempts.make(f"the picture {picture}", lambda: _write_strip(settings, shown, picture), asked=False)
    if (video := settings.video) is not None:
        attempts.make(f"the video {video}", lambda: _write_video(settings, shown, video), asked=True)
    return made


def _write_strip(settings: SimSettings, shown: Episode, picture: Path) -> str:
    strip = film_strip(_moments(settings, shown, COLUMNS), _true_camera(settings, shown), _title(settings, shown))
    write_picture(strip, picture)
    return str(picture)


def _write_video(settings: SimSettings, shown: Episode, video: Path) -> None:
    # Imported here: not everybody wants one.
    from fetch_sim2real.reports.film_strip import write_film

    write_film(_moments(settings, shown), _true_camera(settings, shown), _title(settings, shown), video)


def _moments(settings: SimSettings, shown: Episode, count: int | None = None) -> tuple[Moment, ...]:
    assert settings.folder is not None
    span_ns, torso_height_m = (shown.began_ns, shown.ended_ns), settings.world.workcell.torso_height_m
    bag = settings.folder / "bag"
    return read_episode(bag, shown.result, span_ns, settings.task, torso_height_m, count)


def _title(settings: SimSettings, shown: Episode) -> FilmTitle:
    result, world = shown.result, settings.world
    return FilmTitle(
        text=f"{settings.policy_folder.name} in {world.name}, seed {result.seed}",
        success=result.success,
        final_distance_m=result.final_distance_m,
        tolerance_m=world.episode_of(settings.task).tolerance_m,
    )


def _true_camera(settings: SimSettings, shown: Episode) -> Pose:
    """Where the camera truly was: the seed decides it."""
    world = settings.world
    draw = draw_episode(world, settings.task, shown.result.seed, DifferentialIk(world.workcell.torso_height_m)).camera
    return Pose(draw.position_m, draw.rotation)
