"""``fetch-sim2real measure``: a policy's success without ROS."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Final

import typer

from fetch_sim2real.cli.entry import RayAddress, declared_option
from fetch_sim2real.common.outputs import require_file_place, write_text
from fetch_sim2real.errors import SetupError
from fetch_sim2real.policy.look_rate import BETWEEN, EVERY_FRAME, LOOK_RATES
from fetch_sim2real.stack.options import ENGINE

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_FIRST_SEED: Final = 10_000


@app.command()
def measure(
    context: typer.Context,
    policy: Annotated[str, typer.Argument(help="Name of a shipped policy, or folder of a bundle.")],
    world: Annotated[str, typer.Option(help="World: a name, or a path ending in .yaml.")] = "randomized",
    episodes: Annotated[int, typer.Option(min=1, help="How many episodes.")] = 500,
    seed: Annotated[int, typer.Option(min=1, help="Seed of the first; the others follow.")] = _FIRST_SEED,
    control: Annotated[
        str,
        typer.Option(
            help="none; blank-image, foreign-pictures, do-nothing, which must fail; or a baseline: look-once, "
            "look-each-second, scripted (on the encoder's positions), scripted-kalman (on those, filtered), "
            "colour-threshold (on those of the red patch)."
        ),
    ] = "none",
    look: Annotated[str, typer.Option(help=f"How often the actor sees: {', '.join(LOOK_RATES)}.")] = EVERY_FRAME,
    between: Annotated[
        str,
        typer.Option(
            help="What it goes by between: predict (what it would see), hold (its last action), or remember (what it "
            "saw last, known to be old: for one that was trained with `train --look`)."
        ),
    ] = "predict",
    engine: Annotated[str, declared_option(ENGINE)] = ENGINE.default,
    move_block: Annotated[bool, typer.Option("--move-block", help="Move the object during each episode.")] = False,
    tolerance_m: Annotated[
        float | None,
        typer.Option(min=0.001, max=0.2, help="How near to the goal is a success [m].", show_default="the task's own"),
    ] = None,
    perturb: Annotated[
        list[str] | None,
        typer.Option(
            help="An unplanned change: shove, keep_shoving, move_goal, push_arm, bump_camera, switch_light, occlude, "
            "hide."
        ),
    ] = None,
    inject: Annotated[
        list[str] | None,
        typer.Option(help="A fault and its size, for example extra_latency_ms=60; docs/evaluation.md lists them."),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes that run episodes.", show_default="1; with --ray one for each CPU of the cluster"
        ),
    ] = None,
    ray: RayAddress = None,
    output: Annotated[
        Path | None, typer.Option(help="One JSON line per episode goes here; those that are there are not run again.")
    ] = None,
) -> None:
    """Measure a bundle's success without ROS; the graph in lockstep gives the same episodes."""
    if output is not None:
        require_file_place(output, "--output")
    # One thread, as the policy's node: more round differently.
    import torch
    from rich.progress import track

    from fetch_sim2real.common.workers import Workplace
    from fetch_sim2real.evaluation.measure import CONTROLS, Case, goals_in_air
    from fetch_sim2real.evaluation.measure import measure as outcomes_of
    from fetch_sim2real.evaluation.statistics import wilson_interval
    from fetch_sim2real.paths import find_policy, worlds_dir
    from fetch_sim2real.policy.bundle import load_bundle
    from fetch_sim2real.sim.disturbances.conditions import conditions_of, faults_of
    from fetch_sim2real.sim.engine import find_engine
    from fetch_sim2real.sim.world_file import load_world
    from fetch_sim2real.tasks.registry import find_task

    torch.set_num_threads(1)
    chosen = (("control", control, CONTROLS), ("look", look, LOOK_RATES), ("between", between, BETWEEN))
    for name, value, choices in chosen:
        if value not in choices:
            raise SetupError(f"{name} is '{value}', expected one of {', '.join(choices)}")
    if control == "foreign-pictures" and (ray is not None or (processes or 1) > 1):
        raise SetupError(
            "the control 'foreign-pictures' shows each episode the pictures of the one before, expected one process: "
            "leave --processes and --ray out"
        )
    find_engine(engine)
    done = {}
    if output is not None and output.exists():
        done = {line["seed"]: bool(line["success"]) for line in measured(output)}
        write_text(_complete_lines(output), output)
    seeds = range(seed, seed + episodes)
    left = [each for each in seeds if each not in done]
    conditions = conditions_of({"perturb": perturb or [], "faults": faults_of(inject or [])})
    loaded = load_world(world, worlds_dir())
    loaded = loaded if tolerance_m is None else loaded.with_tolerance_m(tolerance_m)
    case = Case(loaded, control, move_block, conditions, engine, look, between)  # type: ignore[arg-type]  # checked
    bundle = load_bundle(find_policy(policy))
    if left:
        workplace = Workplace(processes, ray)
        context.with_resource(workplace.connected())
        outcomes = outcomes_of(bundle, case, left, workplace=workplace)
        for outcome in track(outcomes, description=f"{policy} in {world}", total=len(left)):
            done[outcome.seed] = outcome.success
            if output is not None:
                with output.open("a", encoding="utf-8") as stream:
                    line: dict[str, Any] = {
                        "seed": outcome.seed, "success": outcome.success, "distance_m": outcome.final_distance_m,
                    }  # fmt: skip
                    if outcome.rms_m is not None:
                        line["rms_m"] = outcome.rms_m
                    stream.write(json.dumps(line) + "\n")
    lines = [] if output is None else measured(output)
    distances_m = [line["rms_m"] for line in lines if "rms_m" in line]
    if distances_m:
        typer.echo(f"root mean square of the distance, the median of all episodes: {1e3 * median(distances_m):.1f} mm")
    in_air = goals_in_air(case.world, find_task(bundle.manifest.task), seeds)
    for subset, words in ((seeds, "succeed"), (sorted(in_air), "succeed of those with a goal in the air")):
        if subset:
            successes = sum(done[each] for each in subset)
            low, high = wilson_interval(successes, len(subset))
            typer.echo(f"{successes} of {len(subset)} {words} ({low:.3f} to {high:.3f})")


def measured(path: Path) -> list[dict[str, Any]]:
    """Return the lines that `measure --output` wrote; half a line, of a process that was killed, is none.

    Raises ``SetupError`` for anything else.
    """
    try:
        lines: list[dict[str, Any]] = [json.loads(line) for line in _complete_lines(path).splitlines()]
        for line in lines:
            int(line["seed"]), bool(line["success"])
    except (ValueError, LookupError, TypeError) as error:
        raise SetupError(f"{path} is not what `measure --output` writes ({error!r}): choose another file") from None
    return lines


def _complete_lines(path: Path) -> str:
    """The text up to its last line's end."""
    text = path.read_text(encoding="utf-8")
    return text[: text.rfind("\n") + 1]
