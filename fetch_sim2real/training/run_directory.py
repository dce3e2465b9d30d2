"""A training run's folder: checkpoint, log, curve, summary. Everything needed to go on after an interruption."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from fetch_sim2real.common.outputs import write_text


@dataclass(frozen=True)
class Spent:
    """What a stage has taken so far, interrupted calls included; ``updates`` are of its learner."""

    env_steps: int
    updates: int
    wall_s: float


@dataclass(frozen=True)
class Summary:
    """What came out of a run, for programs that compare runs. None: not known.

    ``success_rate`` is of ``episodes`` on evaluation seeds, none of which training draws; ``ci95`` its 95 % interval.
    ``env_steps`` and ``updates`` are those of actor-critic learning. ``minutes`` are of the wall clock; unknown where
    stages were finished by an earlier call. ``demonstrator``: whether the task's scripted baseline was asked.
    """

    task: str
    stage: str
    world: str
    seed: int
    demonstrator: bool
    env_steps: int
    updates: int
    minutes: float | None
    episodes: int
    success_rate: float | None
    ci95: tuple[float, float] | None
    command: str


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
    def summary(self) -> Path:
        return self.path / "summary.json"

    def images(self, stream: str) -> Path:
        return self.path / f"images_{stream}.npz"

    def save(self, path: Path, state: dict[str, Any]) -> None:
        """Write so that an interruption leaves the old file or the new one, never half of one."""
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def load(self, path: Path) -> dict[str, Any]:
        """Return a checkpoint of one's own run; weights only, so a foreign file cannot run code."""
        state: dict[str, Any] = torch.load(path, weights_only=True)
        return state

    def spent(self) -> Spent:
        """Return what the last checkpoint had taken; nothing without one."""
        if not self.last.exists():
            return Spent(0, 0, 0.0)
        stored = self.load(self.last)
        return Spent(int(stored["steps"]), int(stored["learner"]["updates"]), float(stored["wall_s"]))

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
