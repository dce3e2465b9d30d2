"""``python -m fetch_sim2real.cli.training``: train actors, and measure them without ROS."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from fetch_sim2real.cli.entry import one_line_errors, require_utf8
from fetch_sim2real.common.outputs import require_file_place, require_folder_place, write_text
from fetch_sim2real.errors import FetchSim2RealError, SetupError
from fetch_sim2real.training.curve import require_plotting
from fetch_sim2real.training.defaults import EXPERT_STEPS, PICTURES, PROCESSES, TUNING_STEPS

app = typer.Typer(
    help="Train actors, and measure them without ROS.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_FIRST_SEED = 10_000
_TASKS = "reach, reach_block, push or pick_and_place"


@app.callback()
def _common() -> None:
    """Each training run has a folder; a run that was interrupted goes on when called again."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")


@app.command("train")
def train_command(
    task: Annotated[str, typer.Argument(help=f"What to learn: {_TASKS}.")],
    run: Annotated[Path, typer.Option(help="The run's folder: checkpoints, progress.csv, learning_curve.png.")],
    encoder_run: Annotated[
        Path | None,
        typer.Option(help="Folder of pictures and encoder, which runs can share.", show_default="<run>/encoder"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where the finished policy bundle goes.", show_default="policies/<task>")
    ] = None,
    seed: Annotated[int, typer.Option(help="Everything random in training follows from it.")] = 0,
    world: Annotated[str, typer.Option(help="World to train in: a name, or a path ending in .yaml.")] = "randomized",
    pictures: Annotated[int, typer.Option(help="Labelled pictures for the encoder.")] = PICTURES,
    expert_steps: Annotated[int, typer.Option(help="Environment steps of the expert.")] = EXPERT_STEPS,
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
    processes: Annotated[
        int, typer.Option(min=1, help="Processes that take pictures and collect episodes; 1: all in one, on one core.")
    ] = PROCESSES,
) -> None:
    """Train an actor that looks at pictures: expert with HER, encoder, DAgger, fine-tuning, bundle."""
    encoder_run, output = encoder_run or run / "encoder", output or Path("policies") / task
    for folder, option in ((run, "--run"), (encoder_run, "--encoder-run"), (output, "--output")):
        require_folder_place(folder, option)
    require_plotting()
    _one_thread()
    from fetch_sim2real.perception.preprocess import CHANNELS
    from fetch_sim2real.training.actor_critic import CRITICS_SEE, LearnerSettings
    from fetch_sim2real.training.pipeline import TrainingRun, train

    _check("channels", channels, CHANNELS)
    _check("critic-sees", critic_sees, CRITICS_SEE)
    request = TrainingRun(
        task=task,
        run=run,
        encoder_run=encoder_run,
        output=output,
        seed=seed,
        world=world,
        proprioception=proprioception,
        command="python -m fetch_sim2real.cli.training " + " ".join(sys.argv[1:]),
        channels=channels,  # type: ignore[arg-type]  # checked above
        pictures=pictures,
        processes=processes,
    )
    expert, tuning = request.expert, request.tuning
    learner = LearnerSettings(critic_sees=critic_sees)  # type: ignore[arg-type]  # checked above
    expert = replace(expert, learner=learner, loop=replace(expert.loop, steps=expert_steps), processes=processes)
    tuning = replace(tuning, learner=learner, loop=replace(tuning.loop, steps=tuning_steps), processes=processes)
    train(replace(request, expert=expert, tuning=tuning))


@app.command("state")
def state_command(
    task: Annotated[str, typer.Argument(help=f"What to learn: {_TASKS}.")],
    run: Annotated[Path, typer.Option(help="The run's folder.")],
    seed: Annotated[int, typer.Option(help="Everything random in training follows from it.")] = 0,
    world: Annotated[str, typer.Option(help="World to train in.")] = "randomized",
    steps: Annotated[int, typer.Option(help="Environment steps (30 a second of simulated time).")] = EXPERT_STEPS,
    demonstrator: Annotated[bool, typer.Option(help="Imitate the scripted demonstrator, or plain HER.")] = True,
    processes: Annotated[
        int, typer.Option(min=1, help="Processes that collect episodes; 1: everything in one, on one core.")
    ] = PROCESSES,
    episodes: Annotated[
        int, typer.Option(min=0, help="Episodes to measure the best actor on, by seeds that training never uses.")
    ] = 200,
) -> None:
    """Train on true positions by HER, without pictures: the first stage alone. Then measure the best actor."""
    require_folder_place(run, "--run")
    require_plotting()
    _one_thread()
    from rich.progress import track

    from fetch_sim2real.evaluation.statistics import wilson_interval
    from fetch_sim2real.training.run_directory import RunDirectory
    from fetch_sim2real.training.setup import Setting
    from fetch_sim2real.training.state_estimator import NO_ERRORS
    from fetch_sim2real.training.state_stage import StageSettings, measure_best, train_with_her

    stage = StageSettings(processes=processes)
    learner = stage.learner if demonstrator else replace(stage.learner, imitation=0.0)
    stage = replace(stage, learner=learner, loop=replace(stage.loop, steps=steps))
    setting, directory = Setting(task, world, True, NO_ERRORS), RunDirectory(run)
    best = train_with_her(setting, directory, stage, seed)
    typer.echo(f"best success on held-out training seeds: {best:.2f}")
    if episodes:
        seeds = range(_FIRST_SEED, _FIRST_SEED + episodes)
        outcomes = track(measure_best(setting, directory, learner, seeds), description="unseen seeds", total=episodes)
        successes = sum(outcomes)
        low, high = wilson_interval(successes, episodes)
        typer.echo(f"unseen seeds: {successes} of {episodes} succeed ({low:.3f} to {high:.3f})")


@app.command("measure")
def measure_command(
    policy: Annotated[str, typer.Argument(help="Name of a shipped policy, or folder of a bundle.")],
    world: Annotated[str, typer.Option(help="World: a name, or a path ending in .yaml.")] = "randomized",
    episodes: Annotated[int, typer.Option(min=1, help="How many episodes.")] = 500,
    seed: Annotated[int, typer.Option(min=1, help="Seed of the first; the others follow.")] = _FIRST_SEED,
    control: Annotated[
        str,
        typer.Option(
            help="none; blank-image, foreign-pictures, do-nothing, which must fail; or a baseline: look-once, "
            "look-each-second, scripted."
        ),
    ] = "none",
    move_block: Annotated[bool, typer.Option("--move-block", help="Move the object during each episode.")] = False,
    perturb: Annotated[
        list[str] | None,
        typer.Option(help="An unplanned change: shove, move_goal, push_arm, bump_camera, switch_light, occlude, ..."),
    ] = None,
    inject: Annotated[
        list[str] | None,
        typer.Option(help="A fault and its size, for example extra_latency_ms=60; docs/evaluation.md lists them."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="One JSON line per episode goes here; those that are there are not run again.")
    ] = None,
) -> None:
    """Measure a bundle's success in one process, without ROS; the graph in lockstep gives the same episodes."""
    if output is not None:
        require_file_place(output, "--output")
    _one_thread()
    from rich.progress import track

    from fetch_sim2real.evaluation.measure import CONTROLS, Case, goals_in_air, measure
    from fetch_sim2real.evaluation.statistics import wilson_interval
    from fetch_sim2real.paths import find_policy, worlds_dir
    from fetch_sim2real.policy.bundle import load_bundle
    from fetch_sim2real.sim.disturbances.conditions import conditions_of, faults_of
    from fetch_sim2real.sim.world_file import load_world
    from fetch_sim2real.tasks.registry import find_task

    _check("control", control, CONTROLS)
    done = {}
    if output is not None and output.exists():
        done = {line["seed"]: bool(line["success"]) for line in _lines(output)}
        write_text(_whole(output), output)
    seeds = range(seed, seed + episodes)
    left = [each for each in seeds if each not in done]
    conditions = conditions_of({"perturb": perturb or [], "faults": faults_of(inject or [])})
    case = Case(load_world(world, worlds_dir()), control, move_block, conditions)  # type: ignore[arg-type]  # checked
    bundle = load_bundle(find_policy(policy))
    if left:
        for outcome in track(measure(bundle, case, left), description=f"{policy} in {world}", total=len(left)):
            done[outcome.seed] = outcome.success
            if output is not None:
                with output.open("a", encoding="utf-8") as stream:
                    line = {"seed": outcome.seed, "success": outcome.success, "distance_m": outcome.final_distance_m}
                    stream.write(json.dumps(line) + "\n")
    in_air = goals_in_air(case.world, find_task(bundle.manifest.task), seeds)
    for subset, words in ((seeds, "succeed"), (sorted(in_air), "succeed of those with a goal in the air")):
        if subset:
            successes = sum(done[each] for each in subset)
            low, high = wilson_interval(successes, len(subset))
            typer.echo(f"{successes} of {len(subset)} {words} ({low:.3f} to {high:.3f})")


@app.command("compare")
def compare_command(
    first: Annotated[Path, typer.Argument(help="What `measure --output` has written.")],
    second: Annotated[Path, typer.Argument(help="Another such file; episodes are compared by seed.")],
) -> None:
    """Compare two measurements episode by episode: the difference of their success rates and its 95 % interval."""
    from fetch_sim2real.evaluation.statistics import paired_difference

    outcomes = [{line["seed"]: bool(line["success"]) for line in _lines(path)} for path in (first, second)]
    seeds = sorted(outcomes[0].keys() & outcomes[1].keys())
    if not seeds:
        raise FetchSim2RealError(
            f"{first} and {second} have no seed in common, expected measurements of the same seeds: measure both with "
            "the same --seed"
        )
    found = paired_difference(*([each[seed] for seed in seeds] for each in outcomes))
    counts = ", ".join(
        f"{sum(each[seed] for seed in seeds)} in {path}" for path, each in zip((first, second), outcomes, strict=True)
    )
    typer.echo(f"of {len(seeds)} episodes succeed {counts}")
    typer.echo(f"difference: {found.text()}")


def _lines(path: Path) -> list[dict[str, Any]]:
    """What `measure` has written; half a line, of a process that was killed, is none. SetupError for anything else."""
    try:
        lines: list[dict[str, Any]] = [json.loads(line) for line in _whole(path).splitlines()]
        for line in lines:
            int(line["seed"]), bool(line["success"])
    except (ValueError, LookupError, TypeError) as error:
        raise SetupError(f"{path} is not what `measure --output` writes ({error!r}): choose another file") from None
    return lines


def _whole(path: Path) -> str:
    """The text up to its last line's end."""
    text = path.read_text(encoding="utf-8")
    return text[: text.rfind("\n") + 1]


def _check(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise FetchSim2RealError(f"{name} is '{value}', expected one of {', '.join(known)}")


def _one_thread() -> None:
    # One thread for torch: rollouts have the other core.
    import torch

    torch.set_num_threads(1)


def main() -> None:
    """Run a command; an error that the user can repair is one line."""
    with one_line_errors({"fetch_sim2real"}):
        require_utf8(sys.argv[1:])
        app()


if __name__ == "__main__":
    main()
