"""Compares a running graph, described as plain data, with the contract. Knows nothing of rclpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from fetch_sim2real import graph
from fetch_sim2real.graph import JOINT_TRAJECTORY, ROSBRIDGE, Qos, Topic
from fetch_sim2real.policy.synchronization import MAX_DEPTH_OFFSET_NS, SYNC_ADVICE, depth_offset_words

# Several nodes may publish here: a Fetch reports arm and gripper separately, everybody has diagnostics.
SHARED_TOPICS: Final = frozenset(
    {graph.JOINT_STATES.name, graph.DIAGNOSTICS.name, graph.GOAL.name, graph.HEARTBEAT.name}
)

_RATE_ADVICE: Final = {
    graph.CAMERA: ": choose a profile of that rate (rgb_camera.color_profile, depth_module.depth_profile), and give it "
    "light or switch auto_exposure_priority off"
}

Severity = Literal["violation", "note"]


@dataclass(frozen=True)
class Endpoint:
    """One publisher or subscription. ``qos.depth`` is 0 where the middleware does not tell it."""

    node: str
    type: str
    qos: Qos


@dataclass(frozen=True)
class LiveTopic:
    """What is known of a topic: its ends, and what messages said during the observation.

    ``rate_hz`` follows from the stamps, so that it is the rate in the graph's own time; None if too few came. Of joint
    states it is the rate of the arm joint that comes most seldom: robots send groups of joints apart.
    ``missing_joints`` are those of the arm that no message named. ``offset_ns``: by how much stamps differ from those
    of the topic that the contract says they share; None where that cannot be told.
    """

    publishers: tuple[Endpoint, ...] = ()
    subscribers: tuple[Endpoint, ...] = ()
    frame_ids: frozenset[str] = frozenset()
    messages: int = 0
    rate_hz: float | None = None
    missing_joints: tuple[str, ...] = ()
    offset_ns: int | None = None


@dataclass(frozen=True)
class LiveGraph:
    """Nodes and topics of a running graph, without those of the checker itself."""

    nodes: tuple[str, ...]
    topics: Mapping[str, LiveTopic]

    @property
    def simulated(self) -> bool:
        """Whether a simulated robot takes part: only then the simulation's topics are expected."""
        return graph.SIM_BRIDGE in self.nodes


@dataclass(frozen=True)
class Finding:
    """Something to say about a topic: ``kind`` for programs, ``message`` for people."""

    topic: str
    kind: str
    severity: Severity
    message: str


def contract_of(live: LiveGraph) -> tuple[Topic, ...]:
    """Return the contract that holds for ``live``: a driver that publishes joint states has them through rosbridge,
    and one that publishes no trajectories reaches the robot by a back end of another package.
    """

    def by_driver(topic: Topic) -> bool:
        return any(end.node == graph.ARM_DRIVER for end in live.topics.get(topic.name, LiveTopic()).publishers)

    if by_driver(graph.JOINT_STATES):
        return graph.contract_with(ROSBRIDGE)
    trajectories = any(by_driver(topic) for topic in (graph.ARM_TRAJECTORY, graph.GRIPPER_TRAJECTORY))
    elsewhere = graph.ARM_DRIVER in live.nodes and not trajectories
    return graph.contract_with("" if elsewhere else JOINT_TRAJECTORY)


def compare(live: LiveGraph, contract: Sequence[Topic] | None = None) -> tuple[Finding, ...]:
    """Return everything in which ``live`` departs from ``contract``, by default the one that holds.

    Notes are no fault.
    """
    topics = contract_of(live) if contract is None else contract
    return tuple(finding for topic in topics for finding in _check(topic, live))


def violations(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return those findings that are faults."""
    return tuple(finding for finding in findings if finding.severity == "violation")


def _check(topic: Topic, live: LiveGraph) -> Iterator[Finding]:
    found = live.topics.get(topic.name, LiveTopic())
    if topic.simulation_only and not live.simulated and not found.publishers:
        return
    yield from _check_presence(topic, found)
    yield from _check_types(topic, found)
    yield from _check_commanders(topic, found)
    yield from _check_qos(topic, found)
    yield from _check_messages(topic, found, live.simulated)


def _check_presence(topic: Topic, found: LiveTopic) -> Iterator[Finding]:
    if not found.publishers:
        if topic.publisher == graph.OPERATOR:
            yield _note(topic, "missing_publisher", "no operator is there to publish it")
        elif topic == graph.DRIVER_TICK:
            yield _note(topic, "missing_publisher", "nobody publishes it: right in real time, wrong in lockstep")
        else:
            who = "any node" if topic.publisher == "*" else f"the {topic.publisher}"
            yield _violation(
                topic, "missing_topic", f"nobody publishes it; expected from {who}: is it running, and not remapped?"
            )
    # Recorders and views take everything and do nothing with it.
    working = [end for end in found.subscribers if not graph.only_listens(end.node)]
    if not working and set(topic.subscribers) - {graph.OPERATOR}:
        expected = ", ".join(topic.subscribers)
        yield _violation(topic, "missing_subscriber", f"nobody subscribes to it; expected {expected}: is it running?")


def _check_types(topic: Topic, found: LiveTopic) -> Iterator[Finding]:
    for verb, ends in (("publishes", found.publishers), ("subscribes to", found.subscribers)):
        for end in ends:
            if end.type != topic.type:
                yield _violation(topic, "wrong_type", f"{end.node} {verb} it as {end.type}, expected {topic.type}")


def _check_commanders(topic: Topic, found: LiveTopic) -> Iterator[Finding]:
    if len(found.publishers) < 2 or topic.name in SHARED_TOPICS:
        return
    names = ", ".join(sorted(end.node for end in found.publishers))
    yield _violation(
        topic,
        "second_publisher",
        f"{len(found.publishers)} publishers ({names}), expected one: end all but one of them",
    )


def _check_qos(topic: Topic, found: LiveTopic) -> Iterator[Finding]:
    for publisher in found.publishers:
        if weaker := _weaker(publisher.qos, topic.publish):
            yield _violation(topic, "qos", f"{publisher.node} publishes {weaker} by the contract")
        for subscriber in found.subscribers:
            if weaker := _weaker(publisher.qos, subscriber.qos):
                yield _violation(
                    topic, "qos", f"{publisher.node} publishes {weaker} by {subscriber.node}: they do not connect"
                )


def _weaker(offered: Qos, wanted: Qos) -> str | None:
    """In which respect ``offered`` does not fulfil ``wanted``."""
    if offered.reliability == "best_effort" and wanted.reliability == "reliable":
        return "best effort, reliable is asked for"
    if offered.durability == "volatile" and wanted.durability == "transient_local":
        return "volatile, transient local is asked for"
    return None


def _check_messages(topic: Topic, found: LiveTopic, simulated: bool) -> Iterator[Finding]:
    if topic.frame_id is not None and (wrong := found.frame_ids - {topic.frame_id}):
        names = ", ".join(f"'{name}'" for name in sorted(wrong))
        yield _violation(topic, "wrong_frame", f"frame is {names}, expected '{topic.frame_id}'")
    if found.offset_ns:
        yield _violation(topic, "stamp_offset", _offset_words(topic, found.offset_ns))
    if topic.allowed_hz is None or not found.publishers:
        return
    # A camera and a robot always have something to say; a paused simulation and an idle policy do not.
    is_due = topic.publisher in (graph.CAMERA, graph.ROBOT) and not simulated
    if found.messages and found.missing_joints:
        names = ", ".join(found.missing_joints)
        yield _violation(topic, "missing_joints", f"no message names {names}: expected all joints of the arm")
    elif found.rate_hz is not None:
        if words := wrong_rate_words(topic, found.rate_hz):
            yield _violation(topic, "wrong_rate", words + _RATE_ADVICE.get(topic.publisher, ""))
    elif found.messages == 0:
        if is_due:
            yield _violation(topic, "silent", "it is published, but no message came: is the device streaming?")
        else:
            yield _note(topic, "silent", "no message came: its rate was not checked (nothing is being done)")
    elif is_due:
        yield _violation(
            topic,
            "no_rate",
            f"{found.messages} messages came, too few of different stamps to tell a rate, expected {topic.rate_text}: "
            "is the device frozen?",
        )


def wrong_rate_words(topic: Topic, rate_hz: float) -> str:
    """Return what is wrong with a topic's rate; empty if it keeps the contract."""
    if topic.allowed_hz is None or topic.allowed_hz[0] <= rate_hz <= topic.allowed_hz[1]:
        return ""
    within = "" if topic.rate_range_hz is not None else f" within {graph.RATE_TOLERANCE:.0%}"
    return f"rate is {rate_hz:.3g} Hz, expected {topic.rate_text}{within}"


def _offset_words(topic: Topic, offset_ns: int) -> str:
    if topic.name != graph.DEPTH.name:
        return f"stamped {offset_ns * 1e-6:+.1f} ms from {topic.stamped_as}, expected the same: no frame is whole"
    verb = "is taken" if abs(offset_ns) <= MAX_DEPTH_OFFSET_NS else "makes no frame"
    most_ms = MAX_DEPTH_OFFSET_NS * 1e-6
    return f"{depth_offset_words(offset_ns)} (it {verb}: up to {most_ms:g} ms can be used), expected 0: {SYNC_ADVICE}"


def _violation(topic: Topic, kind: str, message: str) -> Finding:
    return Finding(topic.name, kind, "violation", message)


def _note(topic: Topic, kind: str, message: str) -> Finding:
    return Finding(topic.name, kind, "note", message)
