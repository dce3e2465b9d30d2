"""What a bag holds beside its pictures: joints, goals, commands, and the driver's answers to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fetch_sim2real import graph
from fetch_sim2real.bags.reading import RecordedBag, decoded
from fetch_sim2real.bags.statistics import StampStatistics, statistics_of
from fetch_sim2real.common.raw_header import STAMPED_TYPES, stamp_ns_in
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.messages.joint_states import JointStateMerger
from fetch_sim2real.messages.motion import SetpointReport, decode_command, decode_setpoint_report, is_refused
from fetch_sim2real.messages.poses import decode_goal
from fetch_sim2real.messages.statuses import (
    OperatorEvent,
    SimulatedOutcome,
    decode_move_status,
    decode_operator_event,
    decode_simulated_outcome,
)
from fetch_sim2real.types import Goal, JointCommand, JointSample

CAMERA_TOPICS: Final = (graph.COLOR, graph.COLOR_INFO, graph.DEPTH)
_LIGHT: Final = (
    graph.JOINT_STATES, graph.GOAL, graph.JOINT_COMMAND, graph.SETPOINT, graph.DIAGNOSTICS, graph.OPERATOR_EVENTS,
    graph.SIM_OUTCOME,
)  # fmt: skip
# In bags of version 0.1: what became of the slow moves that the policy followed. Since then the driver does.
_FORMER_MOVE_STATUS: Final = "/policy/move_status"


@dataclass(frozen=True)
class Answer:
    """What the policy published for the frame of ``stamp_ns``, received at ``received_ns`` (the recorder's clock).

    ``by_move``: a bag of version 0.1, whose policy followed an operator's slow moves; the command is not the actor's.
    """

    stamp_ns: int
    received_ns: int
    command: JointCommand
    by_move: bool = False


@dataclass(frozen=True)
class Reply:
    """The driver's report about the command of a frame, received at ``received_ns`` (the recorder's clock)."""

    report: SetpointReport
    received_ns: int

    @property
    def stamp_ns(self) -> int:
        """Stamp of the command, which is the frame's."""
        return self.report.stamp_ns


@dataclass
class RecordedRun:
    """A run, each list in the order in which it was received.

    Goals, outcomes and what the operator did carry the time at which they were received.
    """

    joints: list[JointSample] = field(default_factory=list)
    goals: list[tuple[int, Goal]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    outcomes: list[tuple[int, SimulatedOutcome]] = field(default_factory=list)
    events: list[tuple[int, OperatorEvent]] = field(default_factory=list)
    frames_ns: dict[int, int] = field(default_factory=dict)
    statistics: dict[str, StampStatistics] = field(default_factory=dict)
    losses: tuple[str, ...] = ()
    malformed: Counter[str] = field(default_factory=Counter)
    bundles: set[str] = field(default_factory=set)
    diagnostics: dict[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def refusals(self) -> Counter[str]:
        """How many commands the driver refused, by outcome."""
        return Counter(reply.report.outcome for reply in self.replies if is_refused(reply.report.outcome))


def read_run(bag: RecordedBag) -> RecordedRun:
    """Return everything but the pictures, of which only the stamps are read.

    Messages that are no such message are counted in ``malformed``. Raises ``SetupError`` if the bag cannot be read.
    """
    run, merger = RecordedRun(), JointStateMerger()
    is_moving = False

    def on_joints(message: Any, _: int) -> None:
        sample = merger.merge(message)
        if sample is not None:
            run.joints.append(sample)

    def on_goal(message: Any, received_ns: int) -> None:
        run.goals.append((received_ns, decode_goal(message)))

    def on_command(message: Any, received_ns: int) -> None:
        command = decode_command(message)
        run.answers.append(Answer(command.stamp_ns, received_ns, command, is_moving and not command.hold))

    def on_former_move(message: Any, _: int) -> None:
        nonlocal is_moving
        is_moving = decode_move_status(message.data).state == "moving"

    def on_setpoint(message: Any, received_ns: int) -> None:
        run.replies.append(Reply(decode_setpoint_report(message), received_ns))

    def on_diagnostics(message: Any, _: int) -> None:
        for status in message.status:
            values = {value.key: value.value for value in status.values}
            run.diagnostics[status.name] = values
            if "bundle_sha256" in values:
                run.bundles.add(values["bundle_sha256"])

    def on_event(message: Any, received_ns: int) -> None:
        run.events.append((received_ns, decode_operator_event(message.data)))

    def on_outcome(message: Any, received_ns: int) -> None:
        run.outcomes.append((received_ns, decode_simulated_outcome(message.data)))

    takers: dict[str, Callable[[Any, int], None]] = dict(
        zip(
            (topic.name for topic in _LIGHT),
            (on_joints, on_goal, on_command, on_setpoint, on_diagnostics, on_event, on_outcome),
            strict=True,
        )
    )
    takers[_FORMER_MOVE_STATUS] = on_former_move
    known = {topic.name: topic for topic in graph.RECORDED}
    run.statistics = {name: statistics_of(topic) for name, topic in known.items()}
    for raw in bag.messages((*known, _FORMER_MOVE_STATUS)):
        if topic := known.get(raw.topic):
            stamp_ns = stamp_ns_in(raw.data) if topic.type in STAMPED_TYPES else None
            run.statistics[raw.topic].note(stamp_ns)
            if raw.topic == graph.COLOR.name and stamp_ns is not None:
                run.frames_ns.setdefault(stamp_ns, raw.received_ns)
        taker = takers.get(raw.topic)
        if taker is not None:
            try:
                taker(decoded(raw), raw.received_ns)
            except (FetchSim2RealError, ValueError, AttributeError):
                run.malformed[raw.topic] += 1
    run.losses = tuple(bag.losses)
    return run
