"""What randomizing the appearance is worth, by what the actor sees of a picture: colour, depth, or both.

Two encoders for each, of as many pictures of the same kind: one was trained with the appearance of
``randomized``, one with the nominal one and as much variation of dynamics and delays. Both get a head that has
rehearsed without pictures, taught by the same expert, and are measured on the same seeds in ``gap``, which looks
like neither. There are no rounds on pictures, so success is below a shipped actor's.

    python -m benchmarks.visual_ablation --run runs/appearance --pictures 16000 --episodes 60
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fetch_sim2real.common.outputs import write_text

if TYPE_CHECKING:
    from fetch_sim2real.training.pipeline import TrainingRun
    from fetch_sim2real.training.teacher import Expert

_PLAIN: Final = str(Path(__file__).parent / "worlds" / "plain_appearance.yaml")
APPEARANCES: Final = {"randomized": "randomized", "plain": _PLAIN}
CHANNELS: Final = ("rgbd", "rgb", "depth")
_TASK: Final = "push"
_FIRST_SEED: Final = 20_000


def main(arguments: list[str] | None = None) -> int:
    """Train and measure what is not there yet; print the table."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--run", type=Path, required=True, help="folder of everything; what it holds is not made again")
    made.add_argument("--pictures", type=int, default=16_000, help="for each encoder")
    made.add_argument("--epochs", type=int, default=8, help="of each encoder")
    made.add_argument("--episodes", type=int, default=60, help="evaluation episodes of each actor")
    made.add_argument("--worlds", nargs="+", default=["gap"], help="where they are measured")
    made.add_argument("--channels", nargs="+", choices=CHANNELS, default=list(CHANNELS))
    options = made.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    import torch

    from fetch_sim2real.evaluation.statistics import paired_difference

    torch.set_num_threads(1)
    expert = _expert(options)
    lines = []
    for channels in options.channels:
        for world in options.worlds:
            outcomes = {each: _outcomes(options, expert, each, channels, world) for each in APPEARANCES}
            counts = ", ".join(f"{name} {sum(each)} of {len(each)}" for name, each in outcomes.items())
            apart = paired_difference(outcomes["plain"], outcomes["randomized"]).text()
            lines.append(f"{channels:6} in {world}: {counts}; plain against randomized {apart}")
    print("\n".join(lines))
    return 0


def _request(options: argparse.Namespace, appearance: str, channels: str) -> TrainingRun:
    from fetch_sim2real.training.encoder import PretrainSettings
    from fetch_sim2real.training.pipeline import TrainingRun
    from fetch_sim2real.training.student_stage import StudentSettings

    pretrain = PretrainSettings(epochs=options.epochs)
    return TrainingRun(
        task=_TASK,
        run=options.run / f"{appearance}_{channels}",
        # One teacher, and one folder of pictures for all channels.
        expert_run=options.run / "expert",
        encoder_run=options.run / appearance,
        output=options.run / f"{appearance}_{channels}" / "bundle",
        seed=0,
        world=APPEARANCES[appearance],
        proprioception=True,
        command="python -m benchmarks.visual_ablation " + " ".join(sys.argv[1:]),
        channels=channels,  # type: ignore[arg-type]  # one of CHANNELS
        pictures=options.pictures,
        student=StudentSettings(rounds=0),
        pretrain=pretrain if appearance == "randomized" else replace(pretrain, augment=None),
    )


def _expert(options: argparse.Namespace) -> Expert:
    """The teacher of every actor."""
    from fetch_sim2real.training.pipeline import train_expert

    return train_expert(_request(options, "randomized", "rgbd"), print)


def _outcomes(
    options: argparse.Namespace, expert: Expert, appearance: str, channels: str, world: str
) -> list[bool]:
    from fetch_sim2real.evaluation.measure import Case, measure
    from fetch_sim2real.paths import worlds_dir
    from fetch_sim2real.policy.bundle import load_bundle
    from fetch_sim2real.sim.world_file import load_world

    request = _request(options, appearance, channels)
    if not request.output.exists():
        _make(request, expert)
    path = request.run / f"{Path(world).stem}.json"
    known: list[bool] = json.loads(path.read_text()) if path.exists() else []
    seeds = range(_FIRST_SEED + len(known), _FIRST_SEED + options.episodes)
    if len(seeds):
        case = Case(load_world(world, worlds_dir()))
        known += [outcome.success for outcome in measure(load_bundle(request.output), case, seeds)]
        write_text(json.dumps(known), path)
    return known[: options.episodes]


def _make(request: TrainingRun, expert: Expert) -> None:
    """Encoder and rehearsed head as a bundle."""
    from fetch_sim2real.training.pipeline import export, fit_encoder
    from fetch_sim2real.training.run_directory import RunDirectory
    from fetch_sim2real.training.student_stage import distil

    encoder, pictures = fit_encoder(request, expert)
    run = RunDirectory(request.run / "student")
    actor = distil(request.setting(), expert, encoder, pictures, run, request.student, request.seed)
    export(request, actor)


if __name__ == "__main__":
    sys.exit(main())
