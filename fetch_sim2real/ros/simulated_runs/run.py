"""A simulated run from start to end: the graph is launched, episodes are run, the graph is ended, files are made."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fetch_sim2real import __version__, graph
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.common.outputs import Attempts
from fetch_sim2real.common.picture_file import write_picture
from fetch_sim2real.common.stop_request import StopRequest, StopRequestedError
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.evaluation.provenance import git_revision, policy_sha256
from fetch_sim2real.evaluation.recorded_episode import Moment, read_episode
from fetch_sim2real.evaluation.result import Latencies, LatencyRecord, RunResult, success_of, write_result
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.reports.film_strip import COLUMNS, FilmTitle, film_strip
from fetch_sim2real.ros.node_parameters import read_parameters
from fetch_sim2real.ros.session import RosSession
from fetch_sim2real.ros.simulated_runs.episodes import Episode, Run, run_episodes
from fetch_sim2real.ros.simulated_runs.settings import BRIDGE_PARAMETERS, SimSettings, attached
from fetch_sim2real.ros.simulation_client import SimulationClient
from fetch_sim2real.sim.randomization.sample import draw_episode
from fetch_sim2real.stack.launcher import launch
from fetch_sim2real.stack.processes import sim_graph

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


RESULT_FILE: Final = "result.json"
_LOGS: Final = "logs"
_GRAPH_LIMIT_S: Final = 60.0
_ATTACH_LIMIT_S: Final = 10.0
# Lockstep has a limit of its own for each answer; this one is for everything else that may hang.
_EPISODE_LIMIT_S: Final = 60.0
_EPISODE_LIMIT_FACTOR: Final = 20.0


class InterruptedRunError(StopRequestedError):
    """The user stopped the run; ``result`` is of the episodes that were over, None without any."""

    def __init__(self, signal_number: int, result: RunResult | None) -> None:
        super().__init__(signal_number)
        self.result = result


def run_sim(settings: SimSettings, console: Console, started_s: float, attempts: Attempts) -> RunResult:
    """Do what ``settings`` (checked ones) ask for. Files that cannot be written are told by ``attempts``.

    ``started_s`` is when the program started (monotonic clock). Raises ``GraphError`` if the graph fails,
    ``InterruptedRunError`` after a signal; of the episodes that were over by then the result is written all the same.
    """
    run = Run()
    ended: FetchSim2RealError | StopRequestedError | None = None
    result: RunResult | None = None
    with _log_folder(settings) as logs, StopRequest(lambda: _say_stopping(console)) as stop:
        try:
            if settings.attach:
                settings = _run_attached(settings, stop, console, run)
            else:
                _run_launched(settings, logs, stop, console, run)
        except (FetchSim2RealError, StopRequestedError) as error:
            ended = error
        if run.episodes or ended is None:
            # First the numbers, which nothing that is drawn may cost; a signal waits meanwhile.
            result = _result(settings, run, started_s)
            _write(result, settings, attempts)
    if result is not None and settings.folder is not None and not isinstance(ended, FetchSim2RealError):
        # Imported here: it takes as long as a node does to start, and would delay the first command.
        from fetch_sim2real.ros.simulated_runs.run import make_pictures

        if (picture := make_pictures(settings, run.episodes, attempts)) is not None:
            result = result.model_copy(update={"picture": picture})
            _write(result, settings, attempts)
    if isinstance(ended, StopRequestedError):
        raise InterruptedRunError(ended.signal_number, result)
    if ended is not None:
        if result is not None:
            console.print(f"of {len(run.episodes)} episodes that were over the result is kept", style="yellow")
        raise ended
    assert result is not None
    return result


def _write(result: RunResult, settings: SimSettings, attempts: Attempts) -> None:
    own = None if settings.folder is None else settings.folder / RESULT_FILE
    for path in (own, settings.json_file):
        if path is not None:
            attempts.make(f"the result {path}", partial(write_result, result, path), asked=True)


@contextmanager
def _log_folder(settings: SimSettings) -> Iterator[Path]:
    if settings.folder is not None:
        yield settings.folder / _LOGS
        return
    # A failure's message quotes the log, so nothing is lost with the folder.
    with tempfile.TemporaryDirectory(prefix="fetch_sim2real_") as folder:
        yield Path(folder)


def _run_launched(settings: SimSettings, logs: Path, stop: StopRequest, console: Console, run: Run) -> None:
    options = settings.graph
    if options.record:
        options = replace(options, record_metadata=_metadata(settings))
    with launch(sim_graph(options), logs, hurry=stop.insists) as supervisor:

        def watch() -> None:
            stop.check()
            supervisor.check()

        with RosSession(graph.OPERATOR, watch) as session:
            operator = SimulationClient(session, options.backend)
            with console.status("starting the graph"):
                operator.wait_for_graph(_GRAPH_LIMIT_S, bool(options.record), options.camera)
            _run_row(settings, operator, console, run, options.camera)


def _run_attached(settings: SimSettings, stop: StopRequest, console: Console, run: Run) -> SimSettings:
    with RosSession(graph.OPERATOR, stop.check, namespace=settings.namespace) as session:
        operator = SimulationClient(session)
        with console.status("looking for the graph"):
            bridge = read_parameters(session, graph.SIM_BRIDGE, BRIDGE_PARAMETERS)
            camera_source = str(bridge["camera_source"])
            operator.set_backend(str(bridge["backend"]))
            operator.wait_for_graph(_ATTACH_LIMIT_S, recording=False, camera_source=camera_source)
        policy = str(read_parameters(session, graph.POLICY_NODE, ("policy",))["policy"])
        settings = attached(settings, bridge, policy)
        _run_row(settings, operator, console, run, camera_source)
    return settings


def _run_row(settings: SimSettings, operator: SimulationClient, console: Console, run: Run, camera_source: str) -> None:
    operator.refuse_strangers(camera_source)
    limit_s = _EPISODE_LIMIT_S + _EPISODE_LIMIT_FACTOR * settings.world.episode_of(settings.task).episode_s
    with _progress(console) as progress:
        task = progress.add_task("episodes", total=len(settings.seeds))

        def on_episode(episode: Episode) -> None:
            progress.console.print(_line(episode), highlight=False)
            progress.advance(task)
            # On a busy machine others are discovered late.
            operator.refuse_strangers(camera_source)

        run_episodes(operator, run, settings.seeds, settings.graph.move_block, limit_s, on_episode)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


def _line(episode: Episode) -> str:
    result = episode.result
    verdict = "[green]success[/]" if result.success else "[red]failure[/]"
    return (
        f"  seed {result.seed:<6} {verdict}  {100 * result.final_distance_m:5.1f} cm from the goal  "
        f"{result.steps} frames in {episode.wall_s:.1f} s"
    )


def _say_stopping(console: Console) -> None:
    console.print("stopping the graph (again to kill it at once)", style="yellow")


def _metadata(settings: SimSettings) -> str:
    options = settings.graph
    return json.dumps(
        {
            "command": settings.command,
            "git_revision": git_revision(),
            "policy": str(settings.policy_folder),
            "policy_sha256": policy_sha256(settings.policy_folder),
            "task": settings.task.name,
            "world": options.world,
            "world_description": settings.world.model_dump_json(),
            "engine": options.engine,
            "camera": options.camera_profile,
            "camera_source": options.camera,
            "lockstep": json.dumps(options.lockstep),
            "first_seed": str(options.seed),
            "move_block": json.dumps(options.move_block),
            "blank_image": json.dumps(options.blank_image),
            "profile": options.profile,
            "backend": options.backend,
            "speed_scale": str(options.speed_scale),
        }
    )


def _result(settings: SimSettings, run: Run, started_s: float) -> RunResult:
    options = settings.graph
    rate, interval = success_of(run.results)
    bag = Path(options.record) if options.record else None
    return RunResult(
        version=__version__,
        command=settings.command,
        policy=options.policy,
        policy_sha256=policy_sha256(settings.policy_folder),
        world=options.world,
        engine=options.engine,
        camera=options.camera_profile,
        camera_source=options.camera,
        clock="lockstep" if options.lockstep else "realtime",
        control="blank_image" if options.blank_image else "none",
        move_block=options.move_block,
        success_rate=rate,
        ci95=interval,
        episodes=run.results,
        latency_ms=Latencies(
            frame_to_command=LatencyRecord.of(run.values_ms("frame_to_command_ms")),
            total=LatencyRecord.of(run.values_ms("total_ms")),
            render=LatencyRecord.of(run.values_ms("render_ms")),
        ),
        rate_hz=run.rate_hz,
        missed_cycles=run.total("missed"),
        frames_lost=run.frames_lost,
        refusals=run.refusals,
        limited_commands=run.limited,
        realtime_factor=run.realtime_factor,
        start_up_s=None if run.first_command_s is None else run.first_command_s - started_s,
        frames_unrecorded=None if bag is None else _frames_unrecorded(bag, run),
        bag=None if bag is None else str(bag),
        picture=None,
    )


def _frames_unrecorded(bag: Path, run: Run) -> int | None:
    """Frames that were published and are not in the bag; one that was published again counts once.

    None where the recorder could not finish its own count.
    """
    try:
        topics = json.loads((bag / "recording.json").read_text(encoding="utf-8"))["topics"]
        there = min(topics[t.name]["messages"] - topics[t.name]["repeated"] for t in (graph.COLOR, graph.DEPTH))
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return max(0, sum(result.steps for result in run.results) - there)
