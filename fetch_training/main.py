"""``python -m fetch_training.main reach-block``: from nothing to a policy bundle, in stages that can be resumed."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Train the shipped actors.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


@app.callback()
def _common() -> None:
    """Train the shipped actors. Each run has a folder; a run that was interrupted goes on when called again."""


@app.command("reach-block")
def reach_block(
    run: Annotated[
        Path, typer.Option(help="The run's folder: pictures, checkpoints, progress.csv, learning_curve.png.")
    ],
    output: Annotated[Path, typer.Option(help="Where the finished policy bundle goes.")] = Path("policies/reach_block"),
    seed: Annotated[int, typer.Option(help="Everything random in training follows from it.")] = 0,
    world: Annotated[str, typer.Option(help="World to train in: a name, or a path ending in .yaml.")] = "randomized",
    pictures: Annotated[int, typer.Option(help="Labelled pictures for the encoder.")] = 40_000,
    steps: Annotated[int, typer.Option(help="Environment steps of reinforcement learning (30 a second).")] = 30_000,
    proprioception: Annotated[
        bool, typer.Option(help="Whether the actor is told its gripper's position, which a real robot knows.")
    ] = True,
    threads: Annotated[int, typer.Option(help="Threads for torch.")] = 1,
) -> None:
    """Train the reach_block actor: encoder on pictures, then HER with an asymmetric actor-critic, then export.

    About 45 minutes on two cores.
    """
    if sys.platform == "linux":
        os.environ.setdefault("MUJOCO_GL", "egl")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    import torch

    from fetch_training.reach_block import ReachBlockRun, train_reach_block

    torch.set_num_threads(threads)
    command = "python -m fetch_training.main " + " ".join(sys.argv[1:])
    request = ReachBlockRun(run, output, seed, world, pictures, steps, proprioception, command)
    train_reach_block(request)


@app.command("foreign-pictures")
def foreign_pictures(
    policy: Annotated[str, typer.Option(help="Name of a shipped policy, or folder of a bundle.")] = "reach_block",
    world: Annotated[str, typer.Option(help="World: a name, or a path ending in .yaml.")] = "randomized",
    episodes: Annotated[int, typer.Option(min=1, help="How many episodes.")] = 60,
    seed: Annotated[int, typer.Option(min=1, help="Seed of the first; the others follow.")] = 4000,
) -> None:
    """Control experiment: the actor is shown another episode's pictures. It must fail. A minute or two."""
    if sys.platform == "linux":
        os.environ.setdefault("MUJOCO_GL", "egl")
    import torch

    from fetch_sim2real.evaluation.statistics import wilson_interval
    from fetch_sim2real.paths import find_policy, worlds_dir
    from fetch_sim2real.policy.bundle import load_bundle
    from fetch_sim2real.sim.world_file import load_world
    from fetch_training.control import succeeds_on_foreign_pictures

    torch.set_num_threads(1)
    seeds = range(seed, seed + episodes)
    results = succeeds_on_foreign_pictures(load_bundle(find_policy(policy)), load_world(world, worlds_dir()), seeds)
    low, high = wilson_interval(sum(results), len(results))
    typer.echo(
        f"{sum(results)} of {len(results)} episodes succeed on another episode's pictures ({low:.3f} to {high:.3f})"
    )


if __name__ == "__main__":
    app()
