"""One of the processes that share an evaluation: runs its part of the episodes, graph after graph.

Each episode is a line of its output file as soon as it is over; the last line says that all are.
"""

from __future__ import annotations

import os
import sys
from itertools import groupby
from pathlib import Path
from typing import Final, TextIO

from fetch_sim2real import graph, paths
from fetch_sim2real.common.schema import Record
from fetch_sim2real.common.stop_request import StopRequest, StopRequestedError
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.evaluation.evidence import SeedResult, SeedTiming
from fetch_sim2real.evaluation.result import LatencyRecord
from fetch_sim2real.evaluation.suite import Case
from fetch_sim2real.ros.session import RosSession
from fetch_sim2real.ros.simulated_runs.episodes import Episode, Run, run_episodes
from fetch_sim2real.ros.simulation_client import SimulationClient
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.stack.launcher import launch
from fetch_sim2real.stack.options import SimGraphOptions
from fetch_sim2real.stack.processes import sim_graph
from fetch_sim2real.stack.ros_environment import DOMAIN_VARIABLE, claim_domain
from fetch_sim2real.tasks.registry import find_task

_GRAPH_LIMIT_S: Final = 120.0
_EPISODE_LIMIT_S: Final = 120.0
_EPISODE_LIMIT_FACTOR: Final = 30.0


class Part(Record):
    """Some seeds of a case."""

    case: Case
    seeds: tuple[int, ...]


class Work(Record):
    """What a worker is to do, in this order, and where its lines and logs go.

    ``alone`` in its evaluation, it takes the ROS domain that the user has chosen; several never share one.
    """

    alone: bool
    parts: tuple[Part, ...]
    output: str
    logs: str


class Line(Record):
    """A line of a worker's output: an episode, or, with neither, the end of the work."""

    case: str = ""
    result: SeedResult | None = None
    timing: SeedTiming | None = None


def options_of(case: Case) -> SimGraphOptions:
    """Return the graph that a case runs in. Cases that differ only in conditions and seeds share one."""
    return SimGraphOptions(
        policy=case.policy,
        task=case.task,
        world=case.world,
        engine=case.engine,
        look=case.look,
        blank_image=case.blank_image,
    )


def task_of(case: Case) -> str:
    """Return the case's task: its own, or else the one that its policy was trained for."""
    return case.task or paths.policy_task(paths.find_policy(case.policy))


def do(work: Work) -> None:
    """Run all of it. ``FetchSim2RealError`` if a graph fails, ``StopRequestedError`` after a signal."""
    with Path(work.output).open("a", encoding="utf-8") as output, StopRequest() as stop:
        groups = groupby(work.parts, key=lambda part: options_of(part.case))
        for number, (options, parts) in enumerate(groups):
            _run_graph(options, list(parts), Path(work.logs) / str(number), output, stop)
        _write(Line(), output)


def _run_graph(options: SimGraphOptions, parts: list[Part], logs: Path, output: TextIO, stop: StopRequest) -> None:
    with launch(sim_graph(options), logs, hurry=stop.insists) as supervisor:

        def watch() -> None:
            stop.check()
            supervisor.check()

        with RosSession(graph.OPERATOR, watch) as session:
            operator = SimulationClient(session)
            operator.wait_for_graph(_GRAPH_LIMIT_S, recording=False)
            operator.refuse_strangers()
            for part in parts:
                _run_part(operator, part, output)


def _run_part(operator: SimulationClient, part: Part, output: TextIO) -> None:
    case = part.case
    episode_s = load_world(case.world, paths.worlds_dir()).episode_of(find_task(task_of(case))).episode_s
    limit_s = _EPISODE_LIMIT_S + _EPISODE_LIMIT_FACTOR * episode_s

    def on_episode(episode: Episode) -> None:
        _write(Line(case=case.name, result=_result(episode), timing=_timing(episode)), output)

    run_episodes(operator, Run(), part.seeds, False, limit_s, on_episode, case.conditions)


def _result(episode: Episode) -> SeedResult:
    run, result = Run([episode]), episode.result
    return SeedResult(
        seed=result.seed,
        success=result.success,
        final_distance_m=result.final_distance_m,
        steps=result.steps,
        refusals=dict(sorted(run.refusals.items())),
        limited_commands=run.limited,
        setpoints_sha256=episode.outcome["setpoints_sha256"],
    )


def _timing(episode: Episode) -> SeedTiming:
    return SeedTiming(
        seed=episode.result.seed,
        frame_to_command=LatencyRecord.of(episode.outcome["frame_to_command_ms"]),
        total=LatencyRecord.of(episode.outcome["total_ms"]),
        wall_s=episode.wall_s,
    )


def _write(line: Line, output: TextIO) -> None:
    output.write(line.model_dump_json() + "\n")
    output.flush()


def main() -> int:
    """Run the worker's program: its argument is the file that holds its work."""
    work = Work.model_validate_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    lock = None
    if not os.environ.get(DOMAIN_VARIABLE) or not work.alone:
        domain, lock = claim_domain()
        os.environ[DOMAIN_VARIABLE] = str(domain)
    try:
        do(work)
    except StopRequestedError as stopped:
        return 128 + stopped.signal_number
    except FetchSim2RealError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        if lock is not None:
            lock.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
