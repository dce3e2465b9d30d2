"""Real time: does the graph keep 30 Hz, how fast is it, and what does it cost?"""

from __future__ import annotations

import argparse
import dataclasses
import sys

from benchmarks.graph_run import latency_text, machine, machine_text, parser, report, run_graph, used_text


def add_options(made: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    made.add_argument("--duration", type=float, default=60.0, help="length of the real-time run [s]")
    made.add_argument("--record", action="store_true", help="record a bag during the real-time run")


def run(options: argparse.Namespace) -> None:
    """Run a minute, and report."""
    found = machine()
    files = ["--record", str(options.out / "realtime_run")] if options.record else ["--no-record"]
    measured = run_graph(
        [
            "--realtime",
            "--duration",
            str(options.duration),
            "--policy",
            options.policy,
            "--camera",
            options.camera,
            *files,
        ]
    )
    result, latency = measured.result, measured.result["latency_ms"]
    rows = {
        "machine": machine_text(found),
        "camera": options.camera + (", recording" if options.record else ""),
        "rate": f"{result['rate_hz']:.2f} commands/s, {result['realtime_factor']:.3f} x real time",
        "frames": f"{result['episodes'][0]['steps']}, {result['frames_lost']} lost, {result['missed_cycles']} too late",
        "missing in the bag": "no bag" if result["bag"] is None else str(result["frames_unrecorded"]),
        "frame to command": latency_text(latency["frame_to_command"]),
        "render to driver": latency_text(latency["total"]),
        "rendering": latency_text(latency["render"]),
        "start-up": f"{result['start_up_s']:.1f} s",
        "memory": used_text(measured.memory_mib, 0, "MiB"),
        "processor": used_text(measured.cpu_cores, 2, "cores"),
    }
    content = {"machine": found, **dataclasses.asdict(measured)}
    report(f"Real time, {options.duration:g} s", rows, content, options.out / "realtime.json")


def main(arguments: list[str] | None = None) -> int:
    """Run this benchmark alone."""
    made = parser(__doc__ or "")
    add_options(made)
    run(made.parse_args(arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
