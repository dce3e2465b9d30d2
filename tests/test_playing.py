"""Playing a bag to a policy, without ROS: order, pace, what is waited for, and what is given up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from synthetic_bag import START_NS, Message, messages, write_mcap, write_sqlite
from test_bundle import make_content, write_bundle

from fetch_sim2real import graph
from fetch_sim2real.bags.playing import PLAYED, Playback, Survey, survey
from fetch_sim2real.bags.raw_message import RawMessage
from fetch_sim2real.bags.reading import RecordedBag, open_bag
from fetch_sim2real.common.raw_header import stamp_ns_in
from fetch_sim2real.errors import SetupError
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.timing import CONTROL_PERIOD_NS

pytestmark = pytest.mark.timeout(60)

FRAMES = 6
PICTURES = {graph.COLOR.name, graph.COLOR_INFO.name, graph.DEPTH.name}


@pytest.fixture(scope="module")
def episode(tmp_path_factory: pytest.TempPathFactory) -> list[Message]:
    folder = write_bundle(tmp_path_factory.mktemp("policies") / "tiny", make_content())
    return list(messages(load_bundle(folder), FRAMES))


def stamps(index: int) -> int:
    return START_NS + index * CONTROL_PERIOD_NS


class Stand:
    """Plays on a clock of its own, with a policy that answers whole frames as the real one would."""

    def __init__(self, play: Playback, answers: Callable[[int], bool] = lambda _: True, takes_s: float = 0.0) -> None:
        self.play, self.now_s = play, 100.0
        self.out: list[tuple[float, RawMessage]] = []
        self._answers, self._takes_s = answers, takes_s
        self._parts: dict[int, set[str]] = {}
        self._open: tuple[int, float] | None = None
        self._awaited_ns: int | None = None
        self._joints_ns = -1
        self.given: list[int] = []

    def run(self) -> None:
        limit = 0
        while not self.play.is_over:
            message = self.play.take(self.now_s)
            if message is not None:
                self.out.append((self.now_s, message))
                self._hear(message)
            self._answer()
            if message is None:
                self.now_s += 0.001
            limit += 1
            assert limit < 100_000, "it does not end"

    def _hear(self, message: RawMessage) -> None:
        stamp_ns = stamp_ns_in(message.data) or 0
        if message.topic == graph.GOAL.name:
            self.play.goal_answered()
        elif message.topic == graph.JOINT_STATES.name:
            self._joints_ns = stamp_ns
        elif message.topic == graph.SETPOINT.name and (self._awaited_ns is None or stamp_ns == self._awaited_ns):
            self._awaited_ns = None
        elif message.topic in PICTURES:
            parts = self._parts.setdefault(stamp_ns, set())
            parts.add(message.topic)
            if parts == PICTURES:
                self._open = stamp_ns, self.now_s

    def _answer(self) -> None:
        if self._open is None or self._joints_ns < self._open[0] or self._awaited_ns is not None:
            return
        stamp_ns, since_s = self._open
        if self.now_s >= since_s + self._takes_s and self._answers(stamp_ns):
            self._open, self._awaited_ns = None, stamp_ns
            self.given.append(stamp_ns)
            self.play.answered(stamp_ns, hold=False)


def opened(path: Path) -> tuple[RecordedBag, Survey]:
    bag = open_bag(path)
    return bag, survey(bag)


def of_played(content: Iterable[Message]) -> list[tuple[str, bytes]]:
    names = {topic.name for topic in PLAYED}
    return [(message.topic.name, message.data) for message in content if message.topic.name in names]


@pytest.mark.parametrize("writer", ["sqlite3", "mcap"])
def test_exactly_the_bags_messages_come_in_order_and_at_its_pace(
    writer: str, tmp_path: Path, episode: list[Message]
) -> None:
    path = write_sqlite(tmp_path / "bag", episode) if writer == "sqlite3" else write_mcap(tmp_path / "b.mcap", episode)
    stand = Stand(Playback(*opened(path)), takes_s=0.004)
    stand.run()
    assert [(message.topic, message.data) for _, message in stand.out] == of_played(episode)
    begin_ns = episode[0].received_ns
    # The picture after the activation is delayed, the rest keeps its time.
    kept = [(at_s, m) for at_s, m in stand.out if stamp_ns_in(m.data) != START_NS]
    late_s = [at_s - 100.0 - (m.received_ns - begin_ns) * 1e-9 for at_s, m in kept]
    assert max(late_s) < 0.06 and min(late_s) >= -1e-6
    assert stand.given == [stamps(i) for i in range(FRAMES)]
    tally = stand.play.tally
    assert (tally.frames, tally.commands, tally.unanswered, tally.delayed_s) == (FRAMES, FRAMES, 0, 0.0)


def test_the_rate_stretches_time(tmp_path: Path, episode: list[Message]) -> None:
    bag, found = opened(write_sqlite(tmp_path / "bag", episode))
    stand = Stand(Playback(bag, found, rate=0.5))
    stand.run()
    assert stand.out[-1][0] - 100.0 == pytest.approx(2 * found.duration_s, abs=0.01)


def test_a_slow_policy_slows_the_recording_down_and_misses_nothing(tmp_path: Path, episode: list[Message]) -> None:
    stand = Stand(Playback(*opened(write_sqlite(tmp_path / "bag", episode))), takes_s=0.4)
    stand.run()
    assert stand.given == [stamps(i) for i in range(FRAMES)]
    assert [(m.topic, m.data) for _, m in stand.out] == of_played(episode)
    assert stand.play.tally.unanswered == 0 and stand.play.tally.delayed_s > 1.0


def test_an_answer_that_never_comes_is_given_up_and_counted(tmp_path: Path, episode: list[Message]) -> None:
    play = Playback(*opened(write_sqlite(tmp_path / "bag", episode)), patience_s=0.2)
    stand = Stand(play, answers=lambda stamp_ns: stamp_ns != stamps(2))
    stand.run()
    assert play.tally.unanswered == 1
    assert stand.given == [stamps(i) for i in (0, 1, 3, 4, 5)]
    assert [(m.topic, m.data) for _, m in stand.out] == of_played(episode)


@pytest.mark.parametrize(
    "late_s",
    [{graph.COLOR: 0.4, graph.DEPTH: 0.15}, {graph.JOINT_STATES: 0.02}, {graph.DEPTH: 0.02, graph.JOINT_STATES: 0.02}],
)
def test_topics_that_the_recorder_heard_late_do_not_mislead_the_policy(
    late_s: dict[graph.Topic, float], tmp_path: Path, episode: list[Message]
) -> None:
    shifted = [Message(m.topic, m.received_ns + round(1e9 * late_s.get(m.topic, 0.0)), m.data) for m in episode]
    bag = write_sqlite(tmp_path / "bag", sorted(shifted, key=lambda message: message.received_ns))
    stand = Stand(Playback(*opened(bag), patience_s=1.0))
    stand.run()
    assert stand.given == [stamps(i) for i in range(FRAMES)]
    assert stand.play.tally.unanswered == 0
    for topic in PLAYED:
        told = [m.data for _, m in stand.out if m.topic == topic.name]
        assert told == [m.data for m in episode if m.topic == topic], topic.name
    # No answer of the driver before the policy's, that is before the frame and its joints.
    order = [(m.topic, stamp_ns_in(m.data)) for _, m in stand.out]
    for index in range(FRAMES):
        reply = order.index((graph.SETPOINT.name, stamps(index)))
        assert all(order.index((topic, stamps(index))) < reply for topic in (*PICTURES, graph.JOINT_STATES.name))


def test_a_lost_picture_costs_its_frame_only(tmp_path: Path, episode: list[Message]) -> None:
    lost = [message for message in episode if message.topic == graph.DEPTH][3]
    content = [message for message in episode if message is not lost]
    stand = Stand(Playback(*opened(write_sqlite(tmp_path / "bag", content)), patience_s=1.0))
    stand.run()
    assert stand.given == [stamps(i) for i in (0, 1, 2, 4, 5)]
    assert stand.play.tally.unanswered == 0
    assert sorted((m.topic, m.data) for _, m in stand.out) == sorted(of_played(content))


def test_a_start_in_the_middle_begins_with_goal_and_activation(tmp_path: Path, episode: list[Message]) -> None:
    bag, found = opened(write_sqlite(tmp_path / "bag", episode))
    stand = Stand(Playback(bag, found, start_s=0.010 + 3 * 0.033))
    stand.run()
    names = [message.topic for _, message in stand.out]
    assert names[:3] == [graph.GOAL.name, graph.SETPOINT.name, graph.COLOR.name]
    assert stand.given == [stamps(i) for i in (3, 4, 5)]
    assert stand.out[-1][0] - 100.0 < 0.2
    with pytest.raises(SetupError, match=r"start is at 5 s, .* 0.2 s long"):
        Playback(bag, found, start_s=5.0)


def test_a_bag_without_what_a_policy_needs_says_so(tmp_path: Path, episode: list[Message]) -> None:
    content = [message for message in episode if message.topic != graph.SETPOINT]
    with pytest.raises(SetupError, match="no messages on /arm_driver/setpoint: a policy needs them"):
        opened(write_sqlite(tmp_path / "bag", content))


def test_the_time_of_the_stamps_is_found(tmp_path: Path, episode: list[Message]) -> None:
    _, found = opened(write_sqlite(tmp_path / "bag", episode))
    color = next(message for message in episode if message.topic == graph.COLOR)
    assert not found.has_clock
    assert color.received_ns + found.clock_offset_ns == START_NS
    near = [Message(m.topic, START_NS + 50_000_000 + i * 1_000_000, m.data) for i, m in enumerate(episode)]
    assert opened(write_sqlite(tmp_path / "near", near))[1].clock_offset_ns == 0
