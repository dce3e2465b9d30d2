"""Finds the episodes of a run: what was commanded in each control period, towards which goal, and how it ended.

An episode begins when the driver is enabled and ends when it follows no more commands, is enabled again, or when the
frames' stamps jump. Holds before its first and after its last command do not belong to it: an operator reads the check
list meanwhile.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from fetch_sim2real import graph
from fetch_sim2real.bags.run import CAMERA_TOPICS, Answer, RecordedRun, Reply
from fetch_sim2real.bags.statistics import PAUSE_NS
from fetch_sim2real.errors import SetupError
from fetch_sim2real.messages.motion import ENDS_ACTIVITY
from fetch_sim2real.types import Goal, JointCommand

OPERATOR: Final = "operator"
SIMULATION: Final = "simulation"
_FOREVER_NS: Final = 2**62
_NEEDED: Final = (*CAMERA_TOPICS, graph.JOINT_STATES, graph.JOINT_COMMAND)


@dataclass(frozen=True)
class Judgement:
    """How an episode went: ``outcome`` (success, failure, unclear; empty where nobody said), and who says so.

    ``judge`` is the operator or the simulation, ``seed`` the simulation's.
    """

    outcome: str = ""
    judge: str = ""
    operator: str = ""
    note: str = ""
    seed: int | None = None


@dataclass(frozen=True)
class Period:
    """One control period: the command for the frame of ``stamp_ns``, received at ``received_ns`` (recorder's clock).

    ``driver_outcome`` is what the driver made of it, empty where the bag does not say; ``goal`` the one in force.
    """

    stamp_ns: int
    received_ns: int
    command: JointCommand
    driver_outcome: str
    goal: Goal | None


@dataclass(frozen=True)
class Episode:
    """Periods in the order of their stamps. ``task`` and ``policy_sha256`` are empty where the bag does not say."""

    periods: tuple[Period, ...]
    judgement: Judgement
    task: str
    policy_sha256: str


def find_episodes(run: RecordedRun) -> tuple[Episode, ...]:
    """Return the episodes of ``run`` in their order; none where nothing was commanded."""
    parts = [trimmed for part in _parts(run) if (trimmed := _without_outer_holds(part))]
    begins_ns = [part[0].received_ns for part in parts]
    policy = run.diagnostics.get(graph.POLICY_NODE, {})
    episodes = []
    for part, (begin_ns, next_ns) in zip(parts, pairwise([*begins_ns, _FOREVER_NS]), strict=True):
        judgement, label = _judgement(run, begin_ns, next_ns)
        task = str(label.get("task") or policy.get("task", ""))
        sha256 = str(label.get("policy_sha256") or policy.get("bundle_sha256", ""))
        episodes.append(Episode(tuple(part), judgement, task, sha256))
    return tuple(episodes)


def _parts(run: RecordedRun) -> Iterator[list[Period]]:
    """Periods between the driver's activations, in the order of its replies; without any, of the commands."""
    answers = {answer.stamp_ns: answer for answer in run.answers if not answer.by_move}
    sequence: list[Answer | Reply] = list(run.replies) or list(answers.values())
    goals_ns = [at_ns for at_ns, _ in run.goals]
    part: list[Period] = []
    for item in sequence:
        outcome = item.report.outcome if isinstance(item, Reply) else ""
        is_activation = isinstance(item, Reply) and item.report.is_activation
        jumps = bool(part) and not is_activation and not 0 < item.stamp_ns - part[-1].stamp_ns < PAUSE_NS
        if is_activation or jumps or outcome in ENDS_ACTIVITY:
            if part:
                yield part
            part = []
        answer = answers.get(item.stamp_ns)
        if is_activation or outcome in ENDS_ACTIVITY or answer is None:
            continue
        before = bisect_right(goals_ns, answer.received_ns)
        goal = run.goals[before - 1][1] if before else None
        part.append(Period(item.stamp_ns, answer.received_ns, answer.command, outcome, goal))
    if part:
        yield part


def _without_outer_holds(part: list[Period]) -> list[Period]:
    acting = [index for index, period in enumerate(part) if not period.command.hold]
    return part[acting[0] : acting[-1] + 1] if acting else []


def _judgement(run: RecordedRun, begin_ns: int, next_ns: int) -> tuple[Judgement, dict[str, object]]:
    """What was said of an episode between its begin and the next one's, and the operator's label itself."""
    events = [event for at_ns, event in run.events if begin_ns <= at_ns < next_ns]
    labels = [event for event in events if event.event == "label"]
    simulated = [outcome for at_ns, outcome in run.outcomes if begin_ns <= at_ns < next_ns]
    seed = simulated[0].seed if simulated else None
    operator = next((event.operator for event in reversed(events) if event.operator), "")
    if labels:
        # The last one: a mistake is corrected by another label.
        detail = labels[-1].detail
        outcome, note = str(detail.get("outcome", "")), str(detail.get("note", ""))
        return Judgement(outcome, OPERATOR, operator, note, seed), detail
    if simulated:
        outcome = "success" if simulated[0].success else "failure"
        return Judgement(outcome, SIMULATION, operator, "", seed), {}
    return Judgement(operator=operator), {}


def require_episodes(episodes: Sequence[Episode], run: RecordedRun, path: Path) -> None:
    """Raise ``SetupError``, which says what the bag at ``path`` lacks, if there are no ``episodes`` in its ``run``."""
    if episodes:
        return
    counts = {topic.name: run.statistics[topic.name].count for topic in _NEEDED}
    missing = [name for name, count in counts.items() if not count]
    holds = ", ".join(f"{count} on {name}" for name, count in counts.items() if count) or "nothing of them"
    if missing:
        advice = (
            f"it has no message on {', '.join(missing)}; where they have another name: --rename {missing[0]}:=/NAME"
        )
    else:
        advice = "every command is a hold, or their stamps are of no frame: was the driver ever enabled?"
    raise SetupError(
        f"{path} has no control period to export, expected frames, joint states and commands of a policy: {advice} "
        f"(it holds {holds})"
    )
