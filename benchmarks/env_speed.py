"""Environment steps a second: ours from state beside gymnasium-robotics' FetchPush-v4, random actions, one core.

Seconds are CPU time, so that other work on the machine counts less.
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

# Control periods: 20 steps of 2 ms, and 16 of 1/480 s.
_RATE_HZ: Final = {"FetchPush-v4": 25.0, "FetchSim2Real/Push-v0": 30.0}


def measure(name: str, steps: int, seed: int) -> float:
    """Steps a second of CPU time of the environment ``name``, resets included, by random actions."""
    import gymnasium

    if name == "FetchPush-v4":
        import gymnasium_robotics

        gymnasium.register_envs(gymnasium_robotics)
        environment = gymnasium.make(name)
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
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--steps", type=int, default=5_000, help="environment steps of each measurement")
    made.add_argument("--rounds", type=int, default=3, help="how often both are measured in turn")
    made.add_argument("--only", choices=tuple(_RATE_HZ), help="one environment in this process, result as JSON")
    options = made.parse_args(arguments)
    if options.only:
        print(json.dumps(measure(options.only, options.steps, 0)))
        return 0
    found: dict[str, list[float]] = {name: [] for name in _RATE_HZ}
    for _ in range(options.rounds):
        for name, rates in found.items():
            command = [sys.executable, "-m", "benchmarks.env_speed", "--only", name, "--steps", str(options.steps)]
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
