"""``fetch-sim2real train``: an actor from nothing to a policy bundle, or its first stage alone."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fetch_sim2real import __version__
from fetch_sim2real.cli.entry import RayAddress, typed_command
from fetch_sim2real.common.outputs import require_folder_place, require_own_place
from fetch_sim2real.errors import SetupError
from fetch_sim2real.policy.look_rate import EVERY_FRAME, LOOK_RATES
from fetch_sim2real.tasks.registry import find_task, task_names
from fetch_sim2real.training.curve import require_plotting
from fetch_sim2real.training.defaults import ENOUGH, MEMORY, PICTURES, PROCESSES, RELAY_STEPS, ROUNDS

if TYPE_CHECKING:
    from fetch_sim2real.common.workers import Workplace
    from fetch_sim2real.training.pipeline import TrainingRun
    from fetch_sim2real.training.relay_config import RelayConfig
    from fetch_sim2real.training.run_directory import RunDirectory, Spent

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

ALL: Final = "all"
EXPERT: Final = "expert"
_STAGES: Final = (ALL, EXPERT)
# Evaluation seeds: training draws from a billion on.
_FIRST_SEED: Final = 10_000
_DEFAULTS_OF_ALL: Final[Mapping[str, Any]] = {
    "pictures": PICTURES, "memory": MEMORY, "rounds": ROUNDS, "proprioception": True, "channels": "rgbd",
    "look": EVERY_FRAME,
}  # fmt: skip
_HELP: Final = """Train an actor: from nothing to a policy bundle, or the expert alone.

--stage expert learns on the true state from binary rewards alone, by relay HER: no pictures, no demonstrator, no
bundle. --stage all (the default) makes a bundle: that expert, an encoder of pictures, and a student with memory that
sees what a robot has and is taught by the expert (DAgger).

A run says what will take how long, and stops at Ctrl-C with a checkpoint: the same command goes on. At the end the
result is measured on seeds that training never uses; summary.json says what came out, run.json what was asked for.

\b
Examples:
  fetch-sim2real train push --stage expert --run runs/push_expert
  fetch-sim2real train push --stage expert --seed 3 --expert-steps 600000 --until 1.1 --run runs/push_long
  fetch-sim2real train slide --stage expert --config my.yaml --set hidden=512 --run runs/slide_wide
  fetch-sim2real train slide --stage expert --run runs/slide --ray 10.0.0.1:6379 --in-flight 8
  fetch-sim2real train push --run runs/push
  fetch-sim2real sim --policy runs/push/policy
  tensorboard --logdir runs
"""


@app.command(help=_HELP)
def train(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help=f"What to learn: {', '.join(task_names())}.")],
    run: Annotated[
        Path,
        typer.Option(help="The run's folder: run.json, checkpoints, curves (CSV, TensorBoard, PNG), summary.json."),
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
            help="Environment steps of the expert, 30 a second of simulated time. A longer one goes on with a run.",
            show_default=f"{RELAY_STEPS}, or what the task says",
        ),
    ] = None,
    until: Annotated[
        float | None,
        typer.Option(
            help="The expert ends before that at this success in two judgements in a row, on training seeds that are "
            "held out (not those that the result is measured on); above 1: never.",
            show_default=f"{ENOUGH}",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="A YAML file of the expert's settings, one 'name: value' a line (docs/training.md)."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="One setting of the expert; may be given again."),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes. For the expert 1 collects and learns in turn; of N, 1 learns and N-1 collect.",
            show_default=f"{PROCESSES}; with --ray a worker for each CPU of the cluster",
        ),
    ] = None,
    ray: RayAddress = None,
    in_flight: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="For the expert: requests of 16 episodes that are asked for ahead of learning. With fewer than "
            "collect some are idle; the same number gives the same run on any of them.",
            show_default="as many as --processes collect",
        ),
    ] = None,
    episodes: Annotated[
        int, typer.Option(min=0, help="Episodes to measure the result on, by seeds that training never uses; 0: none.")
    ] = 200,
    expert_run: Annotated[
        Path | None, typer.Option(help="Folder of the expert, which students can share.", show_default="<run>/expert")
    ] = None,
    encoder_run: Annotated[
        Path | None,
        typer.Option(help="Folder of pictures and encoder, which runs can share.", show_default="<run>/encoder"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where the finished policy bundle goes.", show_default="<run>/policy")
    ] = None,
    overwrite_shipped: Annotated[
        bool, typer.Option("--overwrite-shipped", help="Let --output be among the policies that come with the project.")
    ] = False,
    pictures: Annotated[int, typer.Option(help="Labelled pictures for the encoder.")] = PICTURES,
    memory: Annotated[
        int, typer.Option(min=0, max=1024, help="Numbers that the student remembers by (GRU); 0: no memory.")
    ] = MEMORY,
    rounds: Annotated[
        int, typer.Option(min=0, help="Rounds of the student's own episodes on pictures, each followed by learning.")
    ] = ROUNDS,
    proprioception: Annotated[
        bool, typer.Option(help="Whether the actor is told its gripper's position, which a real robot knows.")
    ] = True,
    channels: Annotated[str, typer.Option(help="What the actor sees of a picture: rgbd, rgb or depth.")] = "rgbd",
    look: Annotated[
        str,
        typer.Option(
            help=f"How often the student sees: {', '.join(LOOK_RATES)}. Between it is told what it saw last, and that "
            "this is old; to be measured with `--look RATE --between remember`."
        ),
    ] = EVERY_FRAME,
) -> None:
    began_s, command = time.monotonic(), typed_command("train")
    _require_choice("stage", stage, _STAGES)
    find_task(task)
    _require_choice("look", look, LOOK_RATES)
    expert_run, encoder_run = expert_run or run / "expert", encoder_run or run / "encoder"
    output = output or run / "policy"
    folders = {"--run": run, "--expert-run": expert_run, "--encoder-run": encoder_run, "--output": output}
    for option, folder in folders.items():
        if not overwrite_shipped:
            require_own_place(folder, option, "--overwrite-shipped")
        require_folder_place(folder, option)
    require_plotting()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("OpenGL").setLevel(logging.WARNING)  # else it tells which optional part of it is not installed
    # Imported here and below, so that --help needs no torch.
    import torch

    from fetch_sim2real.common.workers import Workplace

    torch.set_num_threads(1)  # rollouts have the other core
    call = _Call(task, stage, world, seed, run, range(_FIRST_SEED, _FIRST_SEED + episodes), command)
    workplace = Workplace(processes if processes or ray else PROCESSES, ray)
    context.with_resource(workplace.connected())
    given = (("steps", expert_steps), ("until", until), ("in_flight", in_flight))
    options = {name: value for name, value in given if value is not None}
    expert = _relay_config(task, config, settings or [], options, workplace)
    if stage == EXPERT:
        _train_expert(call, expert, workplace)
        return
    from fetch_sim2real.perception.preprocess import CHANNELS
    from fetch_sim2real.training.pipeline import TrainingRun
    from fetch_sim2real.training.student_stage import StudentSettings

    _require_choice("channels", channels, CHANNELS)
    request = TrainingRun(
        task=task,
        run=run,
        expert_run=expert_run,
        encoder_run=encoder_run,
        output=output,
        seed=seed,
        world=world,
        proprioception=proprioception,
        command=command,
        channels=channels,  # type: ignore[arg-type]  # checked above
        look=look,  # type: ignore[arg-type]  # checked above
        pictures=pictures,
        workplace=workplace,
        expert=expert,
        student=StudentSettings(memory=memory, rounds=rounds),
    )
    stated = {
        "pictures": pictures, "memory": memory, "rounds": rounds, "proprioception": proprioception,
        "channels": channels, "look": look,
    }  # fmt: skip
    _train_all(call, request, stated, began_s)


@dataclass(frozen=True)
class _Call:
    """What was asked for, whatever the stage; ``seeds`` are those of the episodes that the result is measured on."""

    task: str
    stage: str
    world: str
    seed: int
    run: Path
    seeds: Sequence[int]
    command: str

    def begin(self, settings: Mapping[str, Any], free: Collection[str]) -> RunDirectory:
        """Write what is asked for into the run's folder, unless that is of a run with other settings."""
        from fetch_sim2real.cli.checks import library_versions
        from fetch_sim2real.training.run_directory import RunDirectory, RunRecord

        directory = RunDirectory(self.run)
        asked = {"task": self.task, "world": self.world, "seed": self.seed} | dict(settings)
        machine = {"system": f"{platform.system()} {platform.machine()}", "cores": os.cpu_count()}
        record = RunRecord(self.stage, asked, self.command, _version(), library_versions(), machine)
        directory.begin(record, free)
        return directory

    def sum_up(
        self,
        directory: RunDirectory,
        spent: Sequence[Spent],
        minutes: float | None,
        cpu_minutes: float | None,
        demonstrator: bool,
        settings: dict[str, Any],
        outcomes: Iterator[bool],
    ) -> None:
        """Measure the result, write and print what came out."""
        from rich.progress import track

        from fetch_sim2real.evaluation.statistics import wilson_interval
        from fetch_sim2real.training.run_directory import Summary

        episodes = len(self.seeds)
        try:
            successes = sum(track(outcomes, description="unseen seeds", total=episodes)) if episodes else None
        except KeyboardInterrupt:
            typer.echo("the training is done, its result is not measured yet; the same command measures it:")
            typer.echo(f"  {self.command}")
            raise
        ci95 = None if successes is None else wilson_interval(successes, episodes)
        summary = Summary(
            task=self.task,
            stage=self.stage,
            world=self.world,
            seed=self.seed,
            demonstrator=demonstrator,
            env_steps=sum(each.env_steps for each in spent),
            decisions=sum(each.decisions for each in spent),
            updates=sum(each.updates for each in spent),
            minutes=minutes,
            cpu_minutes=cpu_minutes,
            episodes=episodes,
            success_rate=None if successes is None else successes / episodes,
            ci95=ci95,
            command=self.command,
            settings=settings,
            version=_version(),
        )
        directory.write_summary(summary)
        if ci95 is not None:
            typer.echo(f"unseen seeds: {successes} of {episodes} succeed ({ci95[0]:.3f} to {ci95[1]:.3f})")
        typer.echo(f"summary: {directory.summary}")


def _relay_config(
    task: str, config: Path | None, assignments: Sequence[str], options: Mapping[str, Any], workplace: Workplace
) -> RelayConfig:
    """Return the expert's settings: what suits the task, and no process idle, unless something else is stated."""
    from fetch_sim2real.training.relay_config import read_settings, relay_config, usual_settings
    from fetch_sim2real.training.relay_stage import collecting

    usual = usual_settings(find_task(task)) | {"in_flight": max(1, collecting(workplace))}
    return relay_config(usual | read_settings(config, assignments) | dict(options))


def _train_expert(call: _Call, chosen: RelayConfig, workplace: Workplace) -> None:
    """Train by relay HER, and measure the best actor."""
    from fetch_sim2real.training.relay_config import BUDGET, changed_settings
    from fetch_sim2real.training.relay_stage import RelayRun, measure_best, train_with_relay

    asked = RelayRun(call.task, call.world, call.seed, chosen)
    stated = asked.identity() | asdict(chosen) | asdict(workplace)
    directory = call.begin(stated, (*BUDGET, *asdict(workplace)))
    with _told_how_to_go_on(call, directory, chosen):
        best = train_with_relay(asked, directory, workplace, typer.echo)
    spent = directory.spent()
    minutes, cpu_minutes = (None if each is None else each / 60.0 for each in (spent.wall_s, spent.cpu_s))
    typer.echo(f"best success on held-out training seeds: {best:.2f}; {spent.env_steps} steps in {minutes:.1f} minutes")
    outcomes = measure_best(asked, directory, call.seeds, workplace)
    call.sum_up(directory, [spent], minutes, cpu_minutes, False, changed_settings(chosen), outcomes)


@contextmanager
def _told_how_to_go_on(call: _Call, directory: RunDirectory, chosen: RelayConfig) -> Iterator[None]:
    """Say that the first episodes take a while; after a stop, how much of the expert is learned and what goes on."""
    from fetch_sim2real.common.stop_request import StopRequestedError

    typer.echo(f"{call.task}: the first episodes will show how fast this machine is; Ctrl-C stops and saves")
    try:
        yield
    except StopRequestedError as stopped:
        steps = directory.spent().env_steps
        typer.echo(f"stopped after {steps} of {chosen.steps} steps, saved in {directory.last}; this goes on:")
        typer.echo(f"  {call.command}")
        raise typer.Exit(128 + stopped.signal_number) from None


def _train_all(call: _Call, request: TrainingRun, stated: Mapping[str, Any], began_s: float) -> None:
    """Train all stages, and measure the bundle."""
    from fetch_sim2real.training.pipeline import train as train_all
    from fetch_sim2real.training.relay_config import BUDGET
    from fetch_sim2real.training.run_directory import RunDirectory

    began_here = not call.run.exists() or not any(call.run.iterdir())
    place = asdict(request.workplace)
    directory = call.begin({**stated, **asdict(request.expert), **place}, (*BUDGET, *place))
    expert = RunDirectory(request.expert_run)
    with _told_how_to_go_on(call, expert, request.expert):
        train_all(request, typer.echo)
    minutes, cpu_minutes = None, None
    if began_here:
        # Of this process and of those that it has ended.
        minutes, cpu_minutes = (time.monotonic() - began_s) / 60.0, sum(os.times()[:4]) / 60.0
    changed = {name: value for name, value in stated.items() if value != _DEFAULTS_OF_ALL[name]}
    outcomes = _measured(request, call.seeds)
    call.sum_up(directory, [expert.spent()], minutes, cpu_minutes, False, changed, outcomes)


def _version() -> dict[str, str]:
    from fetch_sim2real.evaluation.provenance import git_revision

    return {"fetch_sim2real": __version__, "commit": git_revision(), "python": platform.python_version()}


def _measured(request: TrainingRun, seeds: Sequence[int]) -> Iterator[bool]:
    """Whether the finished bundle succeeds, seed by seed."""
    from fetch_sim2real.evaluation.measure import Case, measure
    from fetch_sim2real.paths import worlds_dir
    from fetch_sim2real.policy.bundle import load_bundle
    from fetch_sim2real.sim.world_file import load_world

    case = Case(load_world(request.world, worlds_dir()))
    for outcome in measure(load_bundle(request.output), case, seeds, workplace=request.workplace):
        yield outcome.success


def _require_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise SetupError(f"{name} is '{value}', expected one of {', '.join(known)}")
