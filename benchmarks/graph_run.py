"""Runs ``fetch-sim2real sim`` for a benchmark, and looks at its processes meanwhile."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fetch_sim2real.common.outputs import write_text
from fetch_sim2real.stack.options import CAMERAS, SimGraphOptions

_SAMPLE_S: Final = 0.5
_MIB: Final = 2**20


@dataclass(frozen=True)
class GraphRun:
    """The run's result (as its JSON), and what the processes used.

    ``memory_mib``: the most of each process, shared pages counted in proportion; ``cpu_cores``: processor seconds per
    second of the run.
    """

    result: dict[str, Any]
    memory_mib: dict[str, float]
    cpu_cores: dict[str, float]


def parser(description: str) -> argparse.ArgumentParser:
    """Options that every benchmark has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--policy", default=SimGraphOptions().policy, help="shipped policy, or folder of a bundle")
    made.add_argument("--camera", choices=CAMERAS, default=CAMERAS[0], help="size and rate of the camera")
    made.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder for the results")
    return made


def run_graph(arguments: Sequence[str]) -> GraphRun:
    """Run ``fetch-sim2real sim`` with ``arguments``; raises ``CalledProcessError`` if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result.json"
        command = [sys.executable, "-m", "fetch_sim2real.cli.main", "sim", "--json", str(file), *arguments]
        program = subprocess.Popen(command)
        sampler = _Sampler(program.pid)
        try:
            status = program.wait()
        finally:
            sampler.stop()
        if status != 0:
            raise subprocess.CalledProcessError(status, command)
        result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return GraphRun(result, sampler.memory_mib, sampler.cpu_cores())


class _Sampler:
    """Looks at a program's node processes twice a second."""

    def __init__(self, pid: int) -> None:
        self._program = psutil.Process(pid)
        self._cpu: dict[str, list[tuple[float, float]]] = {}
        self.memory_mib: dict[str, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def cpu_cores(self) -> dict[str, float]:
        return {name: (v[-1][1] - v[0][1]) / (v[-1][0] - v[0][0]) for name, v in self._cpu.items() if len(v) > 1}

    def _run(self) -> None:
        elapsed_s = 0.0
        while not self._ended.wait(_SAMPLE_S):
            elapsed_s += _SAMPLE_S
            try:
                processes = [self._program, *self._program.children()]
            except psutil.NoSuchProcess:
                return
            for process in processes:
                try:
                    self._sample(process, elapsed_s)
                except psutil.Error:
                    continue  # it has just ended

    def _sample(self, process: psutil.Process, elapsed_s: float) -> None:
        words = process.cmdline()
        name = words[words.index("-m") + 1].partition(".")[0] if "-m" in words else "other"
        name = "command" if process == self._program else name
        info = process.memory_full_info()
        used = getattr(info, "pss", info.rss) / _MIB
        self.memory_mib[name] = max(used, self.memory_mib.get(name, 0.0))
        times = process.cpu_times()
        self._cpu.setdefault(name, []).append((elapsed_s, times.user + times.system))


def machine() -> dict[str, Any]:
    """What the figures were measured on, and how busy it was already."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {"cpu": model, "cores": os.cpu_count(), "load_before": round(os.getloadavg()[0], 2)}


def report(title: str, rows: Mapping[str, str], content: Mapping[str, Any], path: Path) -> None:
    """Print a table and write ``content`` as JSON."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(value))
    console = Console()
    console.print()
    console.print(table)
    write_text(json.dumps(content, indent=2) + "\n", path)
    console.print(Text(f"{path}"), soft_wrap=True)


def machine_text(found: Mapping[str, Any]) -> str:
    """One line about the machine."""
    busy = " (busy: the figures are worse than they need be)" if found["load_before"] > 0.5 else ""
    return f"{found['cpu']}, {found['cores']} cores, load before {found['load_before']}{busy}"


def used_text(values: Mapping[str, float], digits: int, unit: str) -> str:
    """A quantity of each process and their sum."""
    each = ", ".join(f"{name} {value:.{digits}f}" for name, value in sorted(values.items()))
    return f"{sum(values.values()):.{digits}f} {unit} ({each})"


def latency_text(latency: Mapping[str, float] | None) -> str:
    """Percentiles of a duration."""
    if latency is None:
        return "not measured"
    return f"p50 {latency['p50']:.1f}, p99 {latency['p99']:.1f}, max {latency['max']:.1f} ms"
