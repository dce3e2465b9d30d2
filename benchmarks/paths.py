"""Does the way to the robot cost success? The same seeds through the graph in lockstep by several ways.

``direct``: the bridge's own pictures, joint trajectories. ``software-device``: pictures through the RealSense SDK and
``camera_node``. ``rosbridge``: commands to a stock Fetch behind a rosbridge server, 20 +- 10 ms each way. Each way runs
on its own and keeps its result, so a run that was ended goes on when the command is given again.

    python -m benchmarks.paths reach_block push --episodes 200 --folder runs/paths
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from fetch_sim2real.evaluation.result import RunResult
from fetch_sim2real.evaluation.statistics import paired_difference, wilson_interval

_DIRECT: Final = "direct"
WAYS: Final[dict[str, tuple[str, ...]]] = {
    _DIRECT: (),
    "software-device": ("--camera-source", "software-device"),
    "rosbridge": ("--backend", "rosbridge", "--rosbridge-latency-ms", "20", "--rosbridge-jitter-ms", "10"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run what is not there yet; print success by way, and each way's difference to the direct one."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("policies", nargs="+", help="names of shipped policies, or folders of bundles")
    made.add_argument("--ways", nargs="+", choices=tuple(WAYS), default=list(WAYS))
    made.add_argument("--world", default="randomized")
    made.add_argument("--episodes", type=int, default=200)
    made.add_argument("--seed", type=int, default=10_000, help="of the first episode")
    made.add_argument("--folder", type=Path, required=True, help="results; what it holds is not run again")
    options = made.parse_args(arguments)
    table = Table("policy", "way", "success", "95 % interval", "against the direct way")
    for policy in options.policies:
        outcomes = {way: _outcomes(policy, way, options) for way in options.ways}
        for way, successes in outcomes.items():
            low, high = wilson_interval(sum(successes), len(successes))
            apart = ""
            if way != _DIRECT and _DIRECT in outcomes:
                apart = paired_difference(successes, outcomes[_DIRECT]).text()
            table.add_row(policy, way, f"{sum(successes)} of {len(successes)}", f"{low:.3f} to {high:.3f}", apart)
    Console(width=160).print(table)
    return 0


def _outcomes(policy: str, way: str, options: argparse.Namespace) -> list[bool]:
    name = f"{Path(policy).name}_{way}_{options.world}_{options.seed}_{options.episodes}.json"
    path: Path = options.folder / name
    if not path.exists():
        command = [
            str(Path(sys.executable).with_name("fetch-sim2real")), "sim", "--policy", policy, "--world", options.world,
            "--episodes", str(options.episodes), "--seed", str(options.seed), "--no-record", "--json", str(path),
            *WAYS[way],
        ]  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(command, check=True)
    return [episode.success for episode in RunResult.model_validate_json(path.read_text()).episodes]


if __name__ == "__main__":
    sys.exit(main())
