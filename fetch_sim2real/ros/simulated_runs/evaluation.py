"""Runs a suite by workers, each with graphs of its own, and goes on where an earlier attempt was ended."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from fetch_sim2real import __version__, paths
from fetch_sim2real.common.schema import Record
from fetch_sim2real.common.stop_request import StopRequest
from fetch_sim2real.common.supervision import Child, Patience, Supervisor
from fetch_sim2real.errors import GraphError, SetupError
from fetch_sim2real.evaluation.evidence import CaseResult, SeedResult, SeedTiming, case_result
from fetch_sim2real.evaluation.provenance import git_revision, policy_sha256
from fetch_sim2real.evaluation.result import write_result
from fetch_sim2real.evaluation.suite import Case, Suite
from fetch_sim2real.ros.simulated_runs.evaluation_worker import Line, Part, Work, options_of, task_of
from fetch_sim2real.sim.engine import find_engine
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.stack.processes import absolute_world
from fetch_sim2real.stack.ros_environment import require_ros_environment
from fetch_sim2real.tasks.registry import find_task

_PLAN: Final = "plan.json"
DONE: Final = "evaluation.json"
REPORT: Final = "report.html"
_POLL_S: Final = 0.2


class Plan(Record):
    """What the episodes in a folder are of: they are gone on with only under the same plan."""

    version: str
    revision: str
    suite_sha256: str
    policies_sha256: dict[str, str]
    worlds: dict[str, str]


@dataclass
class Progressed:
    """Episodes that are over, by case and seed."""

    results: dict[tuple[str, int], SeedResult] = field(default_factory=dict)
    timings: dict[tuple[str, int], SeedTiming] = field(default_factory=dict)
    finished_workers: int = 0

    def add(self, line: Line) -> None:
        if line.result is None or line.timing is None:
            self.finished_workers += 1
            return
        key = (line.case, line.result.seed)
        self.results[key], self.timings[key] = line.result, line.timing


def checked(suite: Suite) -> Plan:
    """Return what the suite needs, found before anything starts. ``FetchSim2RealError`` names what does not exist."""
    for case in suite.cases:
        load_world(case.world, paths.worlds_dir()).episode_of(find_task(task_of(case)))
        find_engine(case.engine)
    policies = {case.policy: policy_sha256(paths.find_policy(case.policy)) for case in suite.cases}
    worlds = {
        case.world: load_world(absolute_world(case.world), paths.worlds_dir()).model_dump_json()
        for case in suite.cases
    }
    return Plan(
        version=__version__,
        revision=git_revision(),
        suite_sha256=suite.sha256(),
        policies_sha256=policies,
        worlds=worlds,
    )


def prepare(folder: Path, plan: Plan, fresh: bool) -> Progressed:
    """Make the folder ready, and read what an unfinished evaluation of the same plan has left in it.

    ``SetupError`` if it holds an unfinished evaluation of something else, or files that are no evaluation's.
    """
    path = folder / _PLAN
    if folder.exists() and any(folder.iterdir()) and not path.exists():
        raise SetupError(f"the folder {folder} is in use for something else, choose another: --folder DIR")
    if path.exists() and (fresh or (folder / DONE).exists()):
        _discard(folder)
    if path.exists():
        if path.read_text(encoding="utf-8").strip() != plan.model_dump_json(indent=2):
            raise SetupError(
                f"{folder} holds an unfinished evaluation of another suite, policy, world or code version: discard it "
                "with --fresh, or choose another folder with --folder DIR"
            )
    else:
        write_result(plan, path)
    done = Progressed()
    for output in sorted(folder.glob("episodes-*.jsonl")):
        for line in read_lines(output, 0)[0]:
            done.add(line)
    done.finished_workers = 0
    return done


def _discard(folder: Path) -> None:
    """Remove what evaluations write, and nothing else."""
    for pattern in (_PLAN, DONE, REPORT, "work-*.json", "episodes-*.jsonl"):
        for path in folder.glob(pattern):
            path.unlink()
    shutil.rmtree(folder / "logs", ignore_errors=True)


def run_workers(suite: Suite, folder: Path, done: Progressed, jobs: int, stop: StopRequest, console: Console) -> None:
    """Run the episodes that ``done`` lacks, and add them to it. ``GraphError`` with a worker's last words."""
    left = [(case, seed) for case, seed in suite.items() if (case.name, seed) not in done.results]
    if not left:
        return
    require_ros_environment(os.environ)
    first = len(list(folder.glob("episodes-*.jsonl")))
    shares = _shared(left, jobs)
    alone = len(shares) == 1
    works = [_work(share, folder, first + number, alone) for number, share in enumerate(shares)]
    children = [
        Child(f"worker-{first + number}", _command(work, folder, first + number), {}, required=False)
        for number, work in enumerate(works)
    ]
    with (
        _progress(console) as progress,
        Supervisor(children, folder / "logs", Patience(interrupt_s=20.0), stop.insists) as supervisor,
    ):
        bar = progress.add_task("episodes", total=suite.total, completed=len(done.results))
        readers = {child.name: _Reader(Path(work.output)) for child, work in zip(children, works, strict=True)}
        while done.finished_workers < len(works):
            stop.check()
            ended = {child.name: supervisor.ended(child.name) for child in children}
            for name, reader in readers.items():
                reader.read_into(done)
                if ended[name] is not None and not reader.finished:
                    raise GraphError(
                        f"{name} {ended[name]} before its episodes were done; the end of its log "
                        f"({supervisor.log_path(name)}):\n{supervisor.log_tail(name)}\nThe same command goes on here."
                    )
            progress.update(bar, completed=len(done.results))
            time.sleep(_POLL_S)


def case_results(suite: Suite, plan: Plan, done: Progressed) -> tuple[CaseResult, ...]:
    """Return the suite's results, in its order. All episodes must be there."""
    results = []
    for case in suite.cases:
        task = task_of(case)
        tolerance_m = load_world(case.world, paths.worlds_dir()).episode_of(find_task(task)).tolerance_m
        episodes = tuple(done.results[case.name, seed] for seed in case.seeds)
        results.append(case_result(case, task, plan.policies_sha256[case.policy], tolerance_m, episodes))
    return tuple(results)


class _Reader:
    """Follows a growing file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.finished = False

    def read_into(self, done: Progressed) -> None:
        if not self._path.exists():
            return
        lines, self._offset = read_lines(self._path, self._offset)
        for line in lines:
            done.add(line)
            self.finished = self.finished or line.result is None


def read_lines(path: Path, offset: int) -> tuple[list[Line], int]:
    """Return whole lines from ``offset`` on, and where to read on; a line left half written is passed over."""
    with path.open("rb") as stream:
        stream.seek(offset)
        content = stream.read()
    whole = content[: content.rfind(b"\n") + 1]
    lines = []
    for text in whole.splitlines():
        try:
            lines.append(Line.model_validate_json(text))
        except ValidationError:
            continue
    return lines, offset + len(whole)


def _shared(items: list[tuple[Case, int]], jobs: int) -> list[list[tuple[Case, int]]]:
    """The items in as many runs of neighbours as there are jobs, all of about the same length."""
    jobs = min(jobs, len(items))
    edges = [round(index * len(items) / jobs) for index in range(jobs + 1)]
    return [items[low:high] for low, high in pairwise(edges)]


def _work(share: Iterable[tuple[Case, int]], folder: Path, number: int, alone: bool) -> Work:
    parts: list[Part] = []
    for case, seed in share:
        if parts and parts[-1].case == case:
            parts[-1] = Part(case=case, seeds=(*parts[-1].seeds, seed))
        else:
            parts.append(Part(case=case, seeds=(seed,)))
    # Cases of one graph after another, so that it is started once; the sort keeps their order otherwise.
    order = {options: index for index, options in enumerate(dict.fromkeys(options_of(part.case) for part in parts))}
    parts.sort(key=lambda part: order[options_of(part.case)])
    logs = folder / "logs" / f"worker-{number}"
    output = str(folder / f"episodes-{number}.jsonl")
    return Work(alone=alone, parts=tuple(parts), output=output, logs=str(logs))


def _command(work: Work, folder: Path, number: int) -> list[str]:
    path = folder / f"work-{number}.json"
    write_result(work, path)
    return [sys.executable, "-m", "fetch_sim2real.ros.simulated_runs.evaluation_worker", str(path)]


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )  # fmt: skip
    return Progress(*columns, console=console, transient=True)


