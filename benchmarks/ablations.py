"""What parts of the training are worth: the first stage without one of them, on ``push`` seen with a camera's errors.

Without pictures, so that a variant takes minutes: the actor gets positions as old and as wrong as its encoder gives
them. Every variant has the same budget and the same seeds; success is measured on evaluation seeds, which no training
uses, in the world as it is meant to be and with every picture 60 ms older.

    python -m benchmarks.ablations --run runs/ablations --steps 40000 --episodes 200
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
    from fetch_sim2real.training.run_directory import RunDirectory
    from fetch_sim2real.training.setup import Setting
    from fetch_sim2real.training.state_stage import StageSettings

_WORLDS: Final = Path(__file__).parent / "worlds"
VARIANTS: Final = {
    "whole": "as it is",
    "fixed-timing": "no randomization of delays, neither the world's nor training's",
    "symmetric-critic": "critics see what the actor sees",
    "no-limits": "trained without limits of velocity and acceleration",
    "no-demonstrator": "HER alone",
}
_JUDGED_IN: Final = {"randomized": "randomized", "60 ms later": str(_WORLDS / "late.yaml")}
_FIRST_SEED: Final = 10_000


def main(arguments: list[str] | None = None) -> int:
    """Train and measure the variants whose results are not there yet; print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of the runs; what it holds is not run again")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--task", default="push", help="push or pick_and_place (default: push)")
    parser.add_argument("--steps", type=int, default=40_000, help="environment steps of each training")
    parser.add_argument("--episodes", type=int, default=200, help="evaluation episodes per cell")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for variant in options.variants:
        print(f"{variant:18} {_row(variant, options)}", flush=True)
    return 0


def _row(variant: str, options: argparse.Namespace) -> str:
    import torch

    from fetch_sim2real.evaluation.statistics import wilson_interval
    from fetch_sim2real.training.run_directory import RunDirectory
    from fetch_sim2real.training.state_stage import train_with_her

    torch.set_num_threads(1)
    setting, stage = _trained_as(variant, options.task, options.steps)
    run = RunDirectory(options.run / f"{variant}_{options.seed}")
    if not run.finished.exists():
        train_with_her(setting, run, stage, options.seed)
        run.finished.touch()
    cells = []
    for name, world in _JUDGED_IN.items():
        judged = replace(setting, world=world, limited=True)
        successes = sum(_outcomes(judged, run, stage, name, options.episodes))
        low, high = wilson_interval(successes, options.episodes)
        cells.append(f"{name}: {successes} of {options.episodes} ({low:.3f} to {high:.3f})")
    return ", ".join(cells)


def _trained_as(variant: str, task: str, steps: int) -> tuple[Setting, StageSettings]:
    from fetch_sim2real.training.latency_randomization import NO_ADDED_LATENCY, LatencyRandomization
    from fetch_sim2real.training.setup import Setting
    from fetch_sim2real.training.state_estimator import EstimationErrors
    from fetch_sim2real.training.state_stage import StageSettings

    setting, stage = Setting(task, "randomized", True, EstimationErrors()), StageSettings()
    latency = NO_ADDED_LATENCY if variant == "fixed-timing" else LatencyRandomization()
    stage = replace(stage, loop=replace(stage.loop, steps=steps, evaluate_every=8_000, latency_randomization=latency))
    if variant == "fixed-timing":
        setting = replace(setting, world=str(_WORLDS / "fixed_timing.yaml"))
    elif variant == "symmetric-critic":
        stage = replace(stage, learner=replace(stage.learner, critic_sees="observation"))
    elif variant == "no-limits":
        setting = replace(setting, limited=False)
    elif variant == "no-demonstrator":
        stage = replace(stage, learner=replace(stage.learner, imitation=0.0))
    return setting, stage


def _outcomes(setting: Setting, run: RunDirectory, stage: StageSettings, name: str, episodes: int) -> list[bool]:
    """Success of each evaluation episode with the run's best actor; kept beside the run."""
    from fetch_sim2real.training.state_stage import measure_best

    path = run.path / f"{name.replace(' ', '_')}.json"
    known: list[bool] = json.loads(path.read_text()) if path.exists() else []
    if len(known) < episodes:
        known += measure_best(setting, run, stage.learner, range(_FIRST_SEED + len(known), _FIRST_SEED + episodes))
        write_text(json.dumps(known), path)
    return known[:episodes]


if __name__ == "__main__":
    sys.exit(main())
