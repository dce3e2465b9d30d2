"""``fetch-sim2real train``: an actor from nothing to a policy bundle, or its first stage alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fetch_sim2real.cli.entry import RayAddress, typed_command
from fetch_sim2real.common.outputs import require_folder_place
from fetch_sim2real.errors import SetupError
from fetch_sim2real.tasks.registry import find_task, task_names
from fetch_sim2real.training.curve import require_plotting
from fetch_sim2real.training.defaults import EXPERT_STEPS, PICTURES, PROCESSES, RELAY_STEPS, TUNING_STEPS

if TYPE_CHECKING:
    from fetch_sim2real.common.workers import Workplace
    from fetch_sim2real.training.pipeline import TrainingRun
    from fetch_sim2real.training.run_directory import RunDirectory
    from fetch_sim2real.training.state_stage import StageSettings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

ALL: Final = "all"
EXPERT: Final = "expert"
_STAGES: Final = (ALL, EXPERT)
# Evaluation seeds: training draws from a billion on.
_FIRST_SEED: Final = 10_000
_HELP: Final = """Train an actor: expert with HER, encoder, DAgger, fine-tuning on pictures, policy bundle.

The run's folder keeps what is done: an interrupted run goes on when the command is given again. At the end the result
is measured on seeds that training never uses, and summary.json says what came out. Expert alone: an actor on true
positions, without pictures and without bundle.

\b
Examples:
  fetch-sim2real train push --run runs/push
  fetch-sim2real train push --stage expert --seed 3 --run runs/push_expert_3
  fetch-sim2real sim --policy runs/push/policy
  fetch-sim2real train slide --stage expert --run runs/slide --ray 10.0.0.1:6379 --in-flight 8
"""


@app.command(help=_HELP)
def train(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help=f"What to learn: {', '.join(task_names())}.")],
    run: Annotated[
        Path, typer.Option(help="The run's folder: checkpoints, progress.csv, learning_curve.png, summary.json.")
    ],
    stage: Annotated[
        str, typer.Option(help="all; or expert: on exact true positions, with the world's own latencies.")
    ] = ALL,
    seed: Annotated[int, typer.Option(help="Everything random in training follows from it.")] = 0,
    world: Annotated[str, typer.Option(help="World to train in: a name, or a path ending in .yaml.")] = "randomized",
    expert_steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Environment steps of the expert, 30 a second of simulated time.",
            show_default=f"{EXPERT_STEPS}; without a demonstrator {RELAY_STEPS}",
        ),
    ] = None,
    demonstrator: Annotated[
        bool | None,
        typer.Option(
            help="With --stage expert: imitate the task's scripted baseline, or learn by relay HER alone.",
            show_default="imitate where the task has one",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes that take pictures and collect episodes; 1: all in one, on one core.",
            show_default=f"{PROCESSES}; with --ray a worker for each CPU of the cluster",
        ),
    ] = None,
    ray: RayAddress = None,
    in_flight: Annotated[
        int,
        typer.Option(
            min=1,
            help="Without a demonstrator: requests of 16 episodes that are asked for ahead of learning. At least as "
            "many as there are workers, else some idle; the same number gives the same run on any of them.",
        ),
    ] = 1,
    episodes: Annotated[
        int, typer.Option(min=0, help="Episodes to measure the result on, by seeds that training never uses; 0: none.")
    ] = 200,
    encoder_run: Annotated[
        Path | None,
        typer.Option(help="Folder of pictures and encoder, which runs can share.", show_default="<run>/encoder"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where the finished policy bundle goes.", show_default="<run>/policy")
    ] = None,
    pictures: Annotated[int, typer.Option(help="Labelled pictures for the encoder.")] = PICTURES,
    tuning_steps: Annotated[
        int, typer.Option(min=0, help="Environment steps of fine-tuning on pictures; 0: the actor as DAgger leaves it.")
    ] = TUNING_STEPS,
    proprioception: Annotated[
        bool, typer.Option(help="Whether the actor is told its gripper's position, which a real robot knows.")
    ] = True,
    channels: Annotated[str, typer.Option(help="What the actor sees of a picture: rgbd, rgb or depth.")] = "rgbd",
    critic_sees: Annotated[
        str, typer.Option(help="state: the simulator's; observation: what the actor sees, for comparison.")
    ] = "state",
) -> None:
    started_s = time.monotonic()
    _require_choice("stage", stage, _STAGES)
    has_baseline = find_task(task).scripted is not None
    if demonstrator and not has_baseline:
        raise SetupError(f"the task '{task}' has no scripted baseline to imitate: leave --demonstrator out")
    if stage == ALL and demonstrator is False:
        raise SetupError("--no-demonstrator goes with --stage expert alone: the other stages ask the baseline, too")
    imitates = has_baseline if demonstrator is None else demonstrator
    encoder_run, output = encoder_run or run / "encoder", output or run / "policy"
    for folder, option in ((run, "--run"), (encoder_run, "--encoder-run"), (output, "--output")):
        require_folder_place(folder, option)
    require_plotting()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("OpenGL").setLevel(logging.WARNING)  # else it tells which optional part of it is not installed
    # Imported here, so that --help needs no torch.
    import torch
    from rich.progress import track

    from fetch_sim2real.common.workers import Workplace
    from fetch_sim2real.evaluation.statistics import wilson_interval
    from fetch_sim2real.perception.preprocess import CHANNELS
    from fetch_sim2real.training.actor_critic import CRITICS_SEE, LearnerSettings
    from fetch_sim2real.training.latency_randomization import NO_ADDED_LATENCY
    from fetch_sim2real.training.pipeline import TrainingRun
    from fetch_sim2real.training.pipeline import train as train_all
    from fetch_sim2real.training.run_directory import RunDirectory, Summary

    torch.set_num_threads(1)  # rollouts have the other core
    _require_choice("channels", channels, CHANNELS)
    _require_choice("critic-sees", critic_sees, CRITICS_SEE)
    request = TrainingRun(
        task=task,
        run=run,
        encoder_run=encoder_run,
        output=output,
        seed=seed,
        world=world,
        proprioception=proprioception,
        command=typed_command("train"),
        channels=channels,  # type: ignore[arg-type]  # checked above
        pictures=pictures,
        processes=processes or PROCESSES,
    )
    learner = LearnerSettings(critic_sees=critic_sees)  # type: ignore[arg-type]  # checked above
    expert, tuning = request.expert, request.tuning
    loop = replace(expert.loop, steps=expert_steps or EXPERT_STEPS)
    workplace = Workplace(processes if processes or ray else PROCESSES, ray)
    context.with_resource(workplace.connected())
    expert = replace(expert, learner=learner, loop=loop, workplace=workplace)
    tuning = replace(tuning, learner=learner, loop=replace(tuning.loop, steps=tuning_steps), workplace=workplace)
    seeds, directory = range(_FIRST_SEED, _FIRST_SEED + episodes), RunDirectory(run)
    began_here = not any(run.iterdir())
    minutes: float | None
    if stage == EXPERT and not imitates:
        outcomes = _relay_expert(task, world, directory, expert_steps or RELAY_STEPS, seed, seeds, in_flight, workplace)
        parts, minutes = [directory], directory.spent().wall_s / 60.0
    elif stage == EXPERT:
        # The world's own latencies: nothing comes after this stage that would have to cope with more.
        alone = replace(expert, loop=replace(expert.loop, latency_randomization=NO_ADDED_LATENCY))
        outcomes = _expert(task, world, directory, alone, seed, seeds)
        parts, minutes = [directory], directory.spent().wall_s / 60.0
    else:
        train_all(replace(request, expert=expert, tuning=tuning))
        outcomes = _measured(request, seeds, workplace)
        parts = [RunDirectory(run / name) for name in ("expert", "tuned") if (run / name).exists()]
        minutes = (time.monotonic() - started_s) / 60.0 if began_here else None
    successes = sum(track(outcomes, description="unseen seeds", total=episodes)) if episodes else None
    ci95 = None if successes is None else wilson_interval(successes, episodes)
    spent = [part.spent() for part in parts]
    summary = Summary(
        task=task,
        stage=stage,
        world=world,
        seed=seed,
        demonstrator=imitates,
        env_steps=sum(each.env_steps for each in spent),
        updates=sum(each.updates for each in spent),
        minutes=minutes,
        episodes=episodes,
        success_rate=None if successes is None else successes / episodes,
        ci95=ci95,
        command=request.command,
    )
    directory.write_summary(summary)
    if ci95 is not None:
        typer.echo(f"unseen seeds: {successes} of {episodes} succeed ({ci95[0]:.3f} to {ci95[1]:.3f})")
    typer.echo(f"summary: {directory.summary}")


def _expert(
    task: str, world: str, directory: RunDirectory, settings: StageSettings, seed: int, seeds: Sequence[int]
) -> Iterator[bool]:
    """Train on exact true positions; then whether the best actor succeeds, seed by seed."""
    from fetch_sim2real.training.setup import Setting
    from fetch_sim2real.training.state_estimator import NO_ERRORS
    from fetch_sim2real.training.state_stage import measure_best, train_with_her

    setting = Setting(task, world, True, NO_ERRORS)
    best = train_with_her(setting, directory, settings, seed)
    typer.echo(f"best success on held-out training seeds: {best:.2f}")
    return measure_best(setting, directory, settings.learner, seeds, settings.workplace)


def _relay_expert(
    task: str,
    world: str,
    directory: RunDirectory,
    steps: int,
    seed: int,
    seeds: Sequence[int],
    in_flight: int,
    workplace: Workplace,
) -> Iterator[bool]:
    """Train without a demonstrator; then whether the best actor succeeds, seed by seed."""
    from fetch_sim2real.training.relay_stage import measure_best, relay_run, train_with_relay

    asked = relay_run(task, world, seed, steps, in_flight)
    best = train_with_relay(asked, directory, workplace)
    typer.echo(f"best success on held-out training seeds: {best:.2f}")
    return measure_best(asked, directory, seeds, workplace)


def _measured(request: TrainingRun, seeds: Sequence[int], workplace: Workplace) -> Iterator[bool]:
    """Whether the finished bundle succeeds, seed by seed."""
    from fetch_sim2real.evaluation.measure import Case, measure
    from fetch_sim2real.paths import worlds_dir
    from fetch_sim2real.policy.bundle import load_bundle
    from fetch_sim2real.sim.world_file import load_world

    case = Case(load_world(request.world, worlds_dir()))
    for outcome in measure(load_bundle(request.output), case, seeds, workplace=workplace):
        yield outcome.success


def _require_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise SetupError(f"{name} is '{value}', expected one of {', '.join(known)}")
