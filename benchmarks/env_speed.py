"""Environment steps a second: ours from state beside gymnasium-robotics' FetchPush-v4, random actions, one core, at the
same control period.

Seconds are CPU time, so that other work on the machine counts less. FetchPush-v4 does not run on the MuJoCo that this
project needs: it gets an interpreter of its own.

    python -m venv /tmp/theirs && /tmp/theirs/bin/pip install "mujoco==3.10.*" "gymnasium-robotics==1.4.*" rich
    python -m benchmarks.env_speed --theirs /tmp/theirs/bin/python
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

_THEIRS: Final = "FetchPush-v4"
# 17 steps of 2 ms instead of their 20: 34 ms, and ours 16 of 1/480 s: 33.3 ms.
_THEIR_SUBSTEPS: Final = 17
_RATE_HZ: Final = {_THEIRS: 500.0 / _THEIR_SUBSTEPS, "FetchSim2Real/Push-v0": 30.0}


def measure(name: str, steps: int, seed: int) -> float:
    """Steps a second of CPU time of the environment ``name``, resets included, by random actions."""
    import gymnasium

    if name == _THEIRS:
        import gymnasium_robotics

        gymnasium.register_envs(gymnasium_robotics)
        environment = gymnasium.make(name)
        environment.unwrapped.n_substeps = _THEIR_SUBSTEPS
    else:
        import fetch_sim2real.envs  # noqa: F401  # registers

        environment = gymnasium.make(name, observation_mode="state")
    environment.reset(seed=seed)
    environment.action_space.seed(seed)
    actions = [environment.action_space.sample() for _ in range(1000)]
    started = time.process_time()
    for index in range(steps):
        _, _, terminated, truncated, _ = environment.step(actions[index % len(actions)])
        if terminated or truncated:
            environment.reset()
    elapsed_s = time.process_time() - started
    environment.close()
    return steps / elapsed_s


def main(arguments: list[str] | None = None) -> int:
    """Measure both in turn, each in a process of its own, and print a table."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--steps", type=int, default=5_000, help="environment steps of each measurement")
    made.add_argument("--rounds", type=int, default=3, help="how often both are measured in turn")
    made.add_argument("--theirs", help=f"Python that {_THEIRS} runs in, with MuJoCo 3.10")
    made.add_argument("--only", choices=tuple(_RATE_HZ), help="one environment in this process, result as JSON")
    options = made.parse_args(arguments)
    if options.only:
        print(json.dumps(measure(options.only, options.steps, 0)))
        return 0
    if options.theirs is None:
        made.error(f"--theirs is missing: the Python that {_THEIRS} runs in; --help says how to make one")
    found: dict[str, list[float]] = {name: [] for name in _RATE_HZ}
    for _ in range(options.rounds):
        for name, rates in found.items():
            python = options.theirs if name == _THEIRS else sys.executable
            command = [python, "-m", "benchmarks.env_speed", "--only", name, "--steps", str(options.steps)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rates.append(float(json.loads(done.stdout.splitlines()[-1])))
    table = Table("environment", "steps/s, median", "of", "simulated s/s")
    for name, rates in found.items():
        median = float(np.median(rates))
        each = ", ".join(f"{rate:.0f}" for rate in rates)
        table.add_row(name, f"{median:.0f}", each, f"{median / _RATE_HZ[name]:.1f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
