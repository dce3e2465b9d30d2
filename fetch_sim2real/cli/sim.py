"""``fetch-sim2real sim``: the whole stack with a simulated robot and camera, for a row of episodes."""

from __future__ import annotations

import time
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, cast

import typer
from rich.console import Console

from fetch_sim2real.cli.entry import declared_option, in_ms, make_console, typed_command
from fetch_sim2real.cli.view import COMMAND as VIEW_COMMAND
from fetch_sim2real.graph import ROSBRIDGE
from fetch_sim2real.policy.actor_runtime import ActorRuntime
from fetch_sim2real.policy.look_rate import LookRate
from fetch_sim2real.ros.namespaces import checked_namespace
from fetch_sim2real.stack import options
from fetch_sim2real.stack.options import SimGraphOptions
from fetch_sim2real.stack.ros_environment import enter_domain, free_port

# Plain help: the examples keep their lines, and brackets mean themselves.
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

DEFAULT_EPISODES: Final = 10
_LATENCY_MS: Final = in_ms(options.ROSBRIDGE_LATENCY_S)
_JITTER_MS: Final = in_ms(options.ROSBRIDGE_JITTER_S)
# Room for the seeds of the others.
FIRST_SEED: Final = options.SEED.but(high=2**31 - 20_000)
_HELP: Final = """Run the whole stack in simulation: policy, arm driver, and a simulation in place of robot and camera.

Policy and driver are the processes that run on a robot. The run ends with a table, a bag of everything, and a picture
of an episode, in runs/<date>-<time>. If a process fails, it is named with the end of its log, and the exit status is 1.

\b
Examples:
  fetch-sim2real sim                                      ten episodes, as fast as they can be computed
  fetch-sim2real sim --episodes 100 --no-record           measure a success rate
  fetch-sim2real sim --world randomized --seed 500        varied appearance, camera poses, latencies
  fetch-sim2real sim --engine drake                       in a simulator that no policy was trained in
  fetch-sim2real sim --move-block                         the block is put elsewhere on the way
  fetch-sim2real sim --perturb shove --look once          an actor that looks once, and a block that is shoved
  fetch-sim2real sim --blank-image                        control experiment: does the policy look at all?
  fetch-sim2real sim --realtime --duration 60             latencies and rate against the wall clock
  fetch-sim2real sim --camera-source software-device      pictures take the way of a RealSense camera's
  fetch-sim2real sim --backend rosbridge --rosbridge-latency-ms 20 --rosbridge-jitter-ms 10
  fetch-sim2real sim --policy out/my_policy --json r.json --video e.mp4
  fetch-sim2real sim --view                               watch it in a browser
  fetch-sim2real sim --attach                             in a graph that was started with ros2 launch
"""


@app.command(help=_HELP)
def sim(
    policy: Annotated[str, declared_option(options.POLICY)] = options.POLICY.default,
    task: Annotated[
        str, declared_option(options.TASK, show_default="the one that the policy was trained for")
    ] = options.TASK.default,
    episodes: Annotated[int, typer.Option(min=1, max=10_000, help="How many episodes.")] = DEFAULT_EPISODES,
    seed: Annotated[int, declared_option(FIRST_SEED)] = FIRST_SEED.default,
    lockstep: Annotated[bool, declared_option(options.LOCKSTEP, "--lockstep/--realtime")] = options.LOCKSTEP.default,
    duration: Annotated[
        float | None,
        typer.Option(min=1.0, max=600.0, help="With --realtime: a single episode of this length [s]."),
    ] = None,
    camera: Annotated[str, declared_option(options.CAMERA_PROFILE)] = options.CAMERA_PROFILE.default,
    camera_source: Annotated[str, declared_option(options.CAMERA_SOURCE)] = options.CAMERA_SOURCE.default,
    world: Annotated[str, declared_option(options.WORLD)] = options.WORLD.default,
    engine: Annotated[str, declared_option(options.ENGINE)] = options.ENGINE.default,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what of a world's draws the engine cannot express, and end.")
    ] = False,
    runtime: Annotated[str, declared_option(options.RUNTIME)] = options.RUNTIME.default,
    move_block: Annotated[bool, declared_option(options.MOVE_BLOCK, "--move-block")] = options.MOVE_BLOCK.default,
    perturb: Annotated[
        list[str] | None,
        typer.Option(help="An unplanned change: shove, hide, move_goal, ... (docs/evaluation.md). May be given again."),
    ] = None,
    inject: Annotated[
        list[str] | None,
        typer.Option(help="A fault and its size, for example extra_latency_ms=60. May be given again."),
    ] = None,
    look: Annotated[str, declared_option(options.LOOK)] = options.LOOK.default,
    blank_image: Annotated[bool, declared_option(options.BLANK_IMAGE, "--blank-image")] = options.BLANK_IMAGE.default,
    backend: Annotated[str, declared_option(options.SIM_BACKEND)] = options.SIM_BACKEND.default,
    rosbridge_latency_ms: Annotated[float, declared_option(_LATENCY_MS)] = _LATENCY_MS.default,
    rosbridge_jitter_ms: Annotated[float, declared_option(_JITTER_MS)] = _JITTER_MS.default,
    rosbridge_loss: Annotated[float, declared_option(options.ROSBRIDGE_LOSS)] = options.ROSBRIDGE_LOSS.default,
    record: Annotated[
        Path | None,
        typer.Option(help="Folder for bag, picture, result and logs; new or empty.", show_default="runs/<date>-<time>"),
    ] = None,
    no_record: Annotated[bool, typer.Option("--no-record", help="Keep no files: no bag, no picture.")] = False,
    attach: Annotated[
        bool, typer.Option("--attach", help="Run the episodes in a graph that was started with ros2 launch.")
    ] = False,
    namespace: Annotated[str, declared_option(options.NAMESPACE, note="With --attach.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result to this file too.")] = None,
    video: Annotated[Path | None, typer.Option(help="Write a video of the pictured episode, .mp4.")] = None,
    view: Annotated[bool, typer.Option("--view", help="Show the run live, as a page in a browser.")] = False,
    scene: Annotated[bool, declared_option(options.SCENE, "--scene")] = options.SCENE.default,
) -> None:
    started_s = time.monotonic()
    console = make_console()
    if explain:
        _explain(engine, console)
        return
    if no_record and record is not None:
        raise typer.BadParameter("--record and --no-record exclude each other")
    # Imported here, so that --help needs neither ROS nor the simulation.
    from fetch_sim2real.common.outputs import Attempts
    from fetch_sim2real.reports.table import print_result
    from fetch_sim2real.ros.simulated_runs.run import RESULT_FILE, InterruptedRunError, run_sim
    from fetch_sim2real.ros.simulated_runs.settings import SimSettings, checked
    from fetch_sim2real.ros.view.beside import view_beside
    from fetch_sim2real.sim.disturbances.conditions import conditions_of, faults_of

    settings = checked(
        SimSettings(
            graph=SimGraphOptions(
                policy=policy,
                task=task,
                world=world,
                engine=engine,
                runtime=cast(ActorRuntime, runtime),
                camera=camera_source,
                camera_profile=camera,
                lockstep=lockstep,
                seed=seed,
                move_block=move_block,
                conditions=conditions_of({"perturb": perturb or [], "faults": faults_of(inject or [])}).to_text(),
                look=cast(LookRate, look),
                blank_image=blank_image,
                backend=backend,
                # Of a run that shares this machine with others, or with a robot's relay.
                rosbridge_port=free_port() if backend == ROSBRIDGE else options.SIM_ROSBRIDGE_PORT.default,
                rosbridge_latency_s=rosbridge_latency_ms * 1e-3,
                rosbridge_jitter_s=rosbridge_jitter_ms * 1e-3,
                rosbridge_loss=rosbridge_loss,
                scene=scene,
            ),
            episodes=episodes,
            command=typed_command("sim"),
            folder=None
            if no_record or (attach and record is None)
            else (record or Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}"),
            json_file=json_file,
            video=video,
            duration_s=duration,
            attach=attach,
            namespace=checked_namespace(namespace),
        )
    )
    # Held until the program ends. In a domain of its own a simulation meets neither a second one nor a robot.
    _domain_lock = None if attach else enter_domain(console)
    attempts = Attempts(lambda text: console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True))
    try:
        with view_beside(console, VIEW_COMMAND) if view else nullcontext():
            result = run_sim(settings, console, started_s, attempts)
    except InterruptedRunError as interrupted:
        if interrupted.result is not None:
            print_result(interrupted.result, console)
        raise typer.Exit(128 + interrupted.signal_number) from None
    console.print()
    print_result(result, console)
    if settings.folder is not None:
        console.print(f"[bold]result  [/]{settings.folder / RESULT_FILE}", soft_wrap=True, highlight=False)
    if attempts.failed:
        raise typer.Exit(1)


def _explain(engine: str, console: Console) -> None:
    from fetch_sim2real.sim.engine import declined_by

    declined = declined_by(engine)
    if not declined:
        console.print(f"Engine {engine} honours every part of a draw.", highlight=False)
    for each in declined:
        console.print(f"{each.part}\n    {each.instead}", soft_wrap=True, highlight=False, markup=False)
