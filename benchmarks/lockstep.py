"""Lockstep: how fast can episodes be computed through the whole graph?"""

from __future__ import annotations

import argparse
import dataclasses
import sys

from benchmarks.graph_run import latency_text, machine, machine_text, parser, report, run_graph, used_text


def add_options(made: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    made.add_argument("--episodes", type=int, default=10, help="how many episodes in lockstep")


def run(options: argparse.Namespace) -> None:
    """Run some episodes, and report."""
    found = machine()
    measured = run_graph(
        ["--episodes", str(options.episodes), "--policy", options.policy, "--camera", options.camera, "--no-record"]
    )
    result = measured.result
    rows = {
        "machine": machine_text(found),
        "camera": options.camera,
        "speed": f"{result['realtime_factor']:.2f} x real time, {result['rate_hz']:.1f} commands/s",
        "frame to command": latency_text(result["latency_ms"]["frame_to_command"]),
        "rendering": latency_text(result["latency_ms"]["render"]),
        "start-up": f"{result['start_up_s']:.1f} s",
        "memory": used_text(measured.memory_mib, 0, "MiB"),
        "processor": used_text(measured.cpu_cores, 2, "cores"),
    }
    content = {"machine": found, **dataclasses.asdict(measured)}
    report(f"Lockstep, {options.episodes} episodes", rows, content, options.out / "lockstep.json")


def main(arguments: list[str] | None = None) -> int:
    """Run this benchmark alone."""
    made = parser(__doc__ or "")
    add_options(made)
    run(made.parse_args(arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
