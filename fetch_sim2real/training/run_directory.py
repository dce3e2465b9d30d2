"""A training run's folder: what was asked, checkpoints, curves, summary. It has all that a run goes on with."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from fetch_sim2real.common.outputs import write_text
from fetch_sim2real.errors import SetupError


@dataclass(frozen=True)
class Spent:
    """What a stage has taken so far, interrupted calls included; ``updates`` are of its learner.

    ``cpu_s`` is the CPU time of all its processes; None where a stage does not count it.
    """

    env_steps: int
    decisions: int
    updates: int
    wall_s: float
    cpu_s: float | None


@dataclass(frozen=True)
class Summary:
    """What came out of a run, for programs that compare runs. None: not known.

    ``success_rate`` is of ``episodes`` on evaluation seeds, none of which training draws; ``ci95`` its 95 % interval.
    ``env_steps``, ``decisions`` and ``updates`` are those of actor-critic learning: a decision may last several steps.
    ``minutes`` are of the wall clock, ``cpu_minutes`` the CPU time of all processes of the training; unknown where
    stages were finished by an earlier call. ``demonstrator``: whether the task's scripted baseline was asked.
    ``settings`` are those that are not the defaults.
    """

    task: str
    stage: str
    world: str
    seed: int
    demonstrator: bool
    env_steps: int
    decisions: int
    updates: int
    minutes: float | None
    cpu_minutes: float | None
    episodes: int
    success_rate: float | None
    ci95: tuple[float, float] | None
    command: str
    settings: dict[str, Any]
    version: dict[str, str]


@dataclass(frozen=True)
class RunRecord:
    """What was asked for, with all settings, and the code, libraries and machine that it was asked of."""

    stage: str
    settings: dict[str, Any]
    command: str
    version: dict[str, str]
    libraries: dict[str, str]
    machine: dict[str, Any]


def require_same_run(
    stored: Mapping[str, Any], asked: Mapping[str, Any], place: Path, free: Collection[str] = ()
) -> None:
    """Raise SetupError if a run that ``place`` keeps is asked to go on as another one, with each field that differs.

    ``free`` names fields that may.
    """
    names = [name for name in (*stored, *(name for name in asked if name not in stored)) if name not in free]
    missing = "nothing"
    differing = [name for name in names if stored.get(name, missing) != asked.get(name, missing)]
    if differing:
        parts = (f"{name} {stored.get(name, missing)}, asked for {asked.get(name, missing)}" for name in differing)
        raise SetupError(
            f"{place} is of a run with {'; '.join(parts)}. Ask for what it has to go on with it, or begin anew with "
            "another --run"
        )


@dataclass(frozen=True)
class RunDirectory:
    """Paths within one run's folder."""

    path: Path

    def __post_init__(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)

    @property
    def best(self) -> Path:
        return self.path / "best.pt"

    @property
    def last(self) -> Path:
        return self.path / "last.pt"

    def encoder(self, channels: str) -> Path:
        """Return the path of the encoder of an actor that sees ``channels`` of a picture.

        The pictures are the same for all.
        """
        return self.path / f"encoder_{channels}.pt"

    @property
    def finished(self) -> Path:
        """Exists once the stage has come to its end."""
        return self.path / "finished"

    @property
    def log(self) -> Path:
        return self.path / "progress.csv"

    @property
    def curve(self) -> Path:
        return self.path / "learning_curve.png"

    @property
    def events(self) -> Path:
        """TensorBoard's event files."""
        return self.path / "events"

    @property
    def record(self) -> Path:
        return self.path / "run.json"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    def images(self, stream: str) -> Path:
        return self.path / f"images_{stream}.npz"

    def save(self, path: Path, state: dict[str, Any]) -> None:
        """Write so that an interruption leaves the old file or the new one, never half of one."""
        partial = path.with_suffix(".partial")
        with partial.open("wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)

    def load(self, path: Path) -> dict[str, Any]:
        """Return a checkpoint of one's own run; weights only, so a foreign file cannot run code."""
        state: dict[str, Any] = torch.load(path, weights_only=True)
        return state

    def spent(self) -> Spent:
        """Return what the last checkpoint had taken; nothing without one."""
        if not self.last.exists():
            return Spent(0, 0, 0, 0.0, 0.0)
        stored = self.load(self.last)
        steps, updates = int(stored["steps"]), int(stored["learner"]["updates"])
        return Spent(steps, int(stored.get("decisions", steps)), updates, float(stored["wall_s"]), stored.get("cpu_s"))

    def begin(self, record: RunRecord, free: Collection[str]) -> None:
        """Write ``run.json``: what is asked for now, and the calls so far.

        Raises SetupError if the folder is of a run with other settings, except for those called ``free``.
        """
        known = json.loads(self.record.read_text(encoding="utf-8")) if self.record.exists() else {}
        content = json.loads(json.dumps(asdict(record)))
        if known:
            stored, asked = ({"stage": each["stage"]} | each["settings"] for each in (known, content))
            require_same_run(stored, asked, self.record, free)
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        call = {"began": now, "command": record.command, "version": record.version}
        content["calls"] = [*known.get("calls", []), call]
        write_text(json.dumps(content, indent=2) + "\n", self.record)

    def write_summary(self, summary: Summary) -> None:
        """Write ``summary`` as JSON."""
        write_text(json.dumps(asdict(summary), indent=2) + "\n", self.summary)

    def append_log(self, row: dict[str, float]) -> None:
        """Write one line of progress; the header comes with the first."""
        new = not self.log.exists()
        with self.log.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)

    def read_log(self) -> list[dict[str, float]]:
        """Return all lines of progress so far."""
        if not self.log.exists():
            return []
        with self.log.open(encoding="utf-8") as stream:
            return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]
