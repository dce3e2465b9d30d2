"""Simulated seconds per second of one core: our push environment, alone and several together, and FetchPush-v4.

From state, by random actions, resets included. All act at the same rate, as nearly as whole physics steps allow:
gymnasium-robotics' FetchPush-v4 by 17 steps of 2 ms instead of its 20 (34 ms), ours by 16 of 1/480 s (33.3 ms). What is
compared is simulated time, so that the rest of the difference counts neither way. Seconds are CPU time, and every round
measures all of them in turn, so that other work on the machine meets them alike; the ratio is the median of the
rounds' own.

FetchPush-v4 does not run on the MuJoCo that this project needs. It gets an interpreter of its own:

    python -m venv /tmp/stock && /tmp/stock/bin/pip install "gymnasium-robotics==1.4.2" "mujoco==3.10.*"
    python -m benchmarks.env_speed --stock-python /tmp/stock/bin/python
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

import numpy as np

_STOCK: Final = "FetchPush-v4"
_OURS: Final = "FetchSim2Real/Push-v0"
_STOCK_SUBSTEPS: Final = 17
_STOCK_STEP_S: Final = 0.002 * _STOCK_SUBSTEPS
_OUR_STEP_S: Final = 1.0 / 30.0


def stock() -> Callable[[], float]:
    """Return what steps FetchPush-v4 once and returns the simulated seconds."""
    import gymnasium
    import gymnasium_robotics

    gymnasium.register_envs(gymnasium_robotics)
    environment = gymnasium.make(_STOCK)
    environment.unwrapped.n_substeps = _STOCK_SUBSTEPS
    return _stepping(environment, _STOCK_STEP_S)


def ours() -> Callable[[], float]:
    """Return what steps our single environment once."""
    import gymnasium

    import fetch_sim2real.envs  # noqa: F401  # registers

    return _stepping(gymnasium.make(_OURS, observation_mode="state"), _OUR_STEP_S)


def _stepping(environment, step_s: float) -> Callable[[], float]:  # type: ignore[no-untyped-def]
    environment.reset(seed=0)
    environment.action_space.seed(0)

    def step() -> float:
        _, _, terminated, truncated, _ = environment.step(environment.action_space.sample())
        if terminated or truncated:
            environment.reset()
        return step_s

    return step


def ours_together(count: int) -> Callable[[], float]:
    """Return what steps ``count`` of our environments once, together."""
    import gymnasium

    import fetch_sim2real.envs  # noqa: F401  # registers

    environment = gymnasium.make_vec(_OURS, num_envs=count, vectorization_mode="vector_entry_point")
    environment.reset(seed=0)
    environment.action_space.seed(0)

    def step() -> float:
        environment.step(environment.action_space.sample())
        return count * _OUR_STEP_S

    return step


def work(step: Callable[[], float], simulated_s: float) -> None:
    """Measure once for every line on standard input, and print simulated seconds per second of CPU time."""
    for _ in range(10):
        step()
    print("ready", flush=True)
    for _ in sys.stdin:
        done_s, started = 0.0, time.process_time()
        while done_s < simulated_s:
            done_s += step()
        print(done_s / (time.process_time() - started), flush=True)


class _Worker:
    """A process that measures when it is told to."""

    def __init__(self, python: str, what: str, simulated_s: float) -> None:
        command = [python, "-W", "ignore", "-m", "benchmarks.env_speed", "--work", what, "--seconds", str(simulated_s)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        while self._answer() != "ready":
            pass

    def measure(self) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a measuring process ended with {self._process.wait()}: see above")
        return line.strip()

    def close(self) -> None:
        self._process.communicate()


def main(arguments: list[str] | None = None) -> int:
    """Measure all in turn, each in a process of its own, and print a table."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--seconds", type=float, default=60.0, help="simulated seconds of each measurement")
    made.add_argument("--rounds", type=int, default=7, help="how often all are measured in turn")
    made.add_argument("--together", type=int, default=16, help="how many of ours are stepped together")
    made.add_argument("--stock-python", help=f"Python that {_STOCK} runs in, with MuJoCo 3.10")
    made.add_argument("--work", help=argparse.SUPPRESS)
    options = made.parse_args(arguments)
    if options.work:
        step = {"stock": stock, "ours": ours}.get(options.work) or (lambda: ours_together(int(options.work)))
        work(step(), options.seconds)
        return 0
    if options.stock_python is None:
        made.error(f"--stock-python is missing: the Python that {_STOCK} runs in; --help says how to make one")

    from rich.console import Console
    from rich.table import Table

    whats = {
        _STOCK: (options.stock_python, "stock"),
        f"{_OURS}, alone": (sys.executable, "ours"),
        f"{_OURS}, {options.together} together": (sys.executable, str(options.together)),
    }
    workers = {name: _Worker(python, what, options.seconds) for name, (python, what) in whats.items()}
    found = np.array([[worker.measure() for worker in workers.values()] for _ in range(options.rounds)])
    for worker in workers.values():
        worker.close()
    table = Table("environment", "simulated s per CPU s", "steps per CPU s", f"times {_STOCK}", "lowest to highest")
    for name, rates, ratios in zip(workers, found.T, (found / found[:, :1]).T, strict=True):
        rate = float(np.median(rates))
        step_s = _STOCK_STEP_S if name == _STOCK else _OUR_STEP_S
        spread = f"{ratios.min():.2f} to {ratios.max():.2f}"
        table.add_row(name, f"{rate:.1f}", f"{rate / step_s:.0f}", f"{np.median(ratios):.2f}", spread)
    Console(width=140).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
