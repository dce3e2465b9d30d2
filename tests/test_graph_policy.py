"""The policy node against a scripted camera, robot and driver: one answer to each frame, and none without one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from rclpy.node import Node

from benchmarks.rig.graph_harness import START_LIMIT_S, Tap, call, running, values_of, write_untrained_bundle
from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.messages.camera_info import encode_camera_info
from fetch_sim2real.messages.images import encode_color, encode_depth
from fetch_sim2real.messages.joint_states import encode_joint_state
from fetch_sim2real.messages.motion import SentCounts, SetpointReport, encode_setpoint_report
from fetch_sim2real.messages.poses import encode_goal
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.ros.session import RosSession
from fetch_sim2real.ros.topics import publish_to
from fetch_sim2real.stack.processes import NodeProcess
from fetch_sim2real.timing import CONTROL_PERIOD_NS
from fetch_sim2real.types import Goal, JointSample, JointSetpoint

pytestmark = pytest.mark.ros

GOOD_GOAL = Goal(graph.BLOCK_FRAME, np.array([0.0, 0.0, 0.1]))
CAMERA = CameraModel.from_fovy(424, 240, np.deg2rad(42.5))
TORSO_M = 0.35


class PolicyRig:
    """Plays everything around the policy node."""

    def __init__(self, session: RosSession, folder: Path) -> None:
        self.session = session
        self._folder = folder
        topics = (
            graph.COLOR, graph.COLOR_INFO, graph.DEPTH, graph.JOINT_STATES, graph.SETPOINT, graph.GOAL,
        )  # fmt: skip
        self._publishers = {topic: publish_to(session.node, topic) for topic in topics}
        self.commands = Tap(session, graph.JOINT_COMMAND)
        self.status = Tap(session, graph.GOAL_STATUS)
        self.diagnostics = Tap(session, graph.DIAGNOSTICS)
        self.stamp_ns = 10 * 10**9
        self._rng = np.random.default_rng(0)
        session.wait_until(
            lambda: (
                all(p.get_subscription_count() for p in self._publishers.values())
                and bool(session.node.count_publishers(graph.JOINT_COMMAND.name))
            ),
            START_LIMIT_S,
            lambda: "policy node",
        )
        session.spin(0.3)

    def reset(self) -> None:
        assert call(self.session, graph.POLICY_RESET)[0]
        self.commands.messages.clear()
        self.status.messages.clear()

    def state_goal(self, goal: Goal = GOOD_GOAL) -> dict[str, object]:
        self.status.messages.clear()
        self._publishers[graph.GOAL].publish(encode_goal(goal))
        self.session.wait_until(lambda: bool(self.status.messages), 5.0, lambda: "goal status")
        answer: dict[str, object] = json.loads(self.status.messages[-1].data)
        return answer

    def setpoint(self, stamp_ns: int, outcome: str) -> None:
        setpoint = JointSetpoint.at_rest(ARM.home_rad)
        report = SetpointReport(stamp_ns, outcome, setpoint)
        self._publishers[graph.SETPOINT].publish(encode_setpoint_report(report, SentCounts(1)))

    def joints(self, stamp_ns: int, torso_m: float = TORSO_M) -> None:
        sample = JointSample(stamp_ns, np.array(ARM.home_rad), np.zeros(7), 0.0)
        self._publishers[graph.JOINT_STATES].publish(encode_joint_state(sample, torso_m))

    def frame(self, stamp_ns: int, width: int = 424, parts: tuple[str, ...] = ("info", "color", "depth")) -> None:
        rgb = self._rng.integers(0, 255, (240, width, 3), dtype=np.uint8)
        depth = self._rng.integers(500, 1800, (240, width)).astype(np.uint16)
        frame_id = graph.COLOR_OPTICAL_FRAME
        messages = {
            "info": (graph.COLOR_INFO, encode_camera_info(CAMERA, stamp_ns, frame_id)),
            "color": (graph.COLOR, encode_color(rgb, stamp_ns, frame_id)),
            "depth": (graph.DEPTH, encode_depth(depth, stamp_ns, frame_id)),
        }
        for part in parts:
            topic, message = messages[part]
            self._publishers[topic].publish(message)

    def log(self) -> str:
        """What the policy node has said so far."""
        return "".join(path.read_text() for path in self._folder.rglob("*") if path.is_file())

    def next_stamp(self) -> int:
        self.stamp_ns += CONTROL_PERIOD_NS
        return self.stamp_ns

    def answers(self, count: int, limit_s: float = 5.0) -> list[bool]:
        """Wait for ``count`` answers; for each, whether it is a command (and not a hold)."""
        self.session.wait_until(lambda: len(self.commands.messages) >= count, limit_s, lambda: f"{count} answers")
        self.session.spin(0.1)
        return [bool(message.points) for message in self.commands.messages]

    def diagnosis(self) -> dict[str, str]:
        """The next diagnostics: of what has happened up to now."""
        self.diagnostics.messages.clear()
        self.session.wait_until(
            lambda: bool(values_of(self.diagnostics, graph.POLICY_NODE)), 5.0, lambda: "diagnostics"
        )
        return values_of(self.diagnostics, graph.POLICY_NODE)


@pytest.fixture(scope="module")
def module_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PolicyRig]:
    folder = tmp_path_factory.mktemp("policy")
    write_untrained_bundle(folder / "bundle")
    process = NodeProcess("policy_node", graph.POLICY_NODE, {"policy": str(folder / "bundle")}, 0)
    with running([process], folder / "log") as (_, session):
        yield PolicyRig(session, folder / "log")


@pytest.fixture
def rig(module_rig: PolicyRig) -> PolicyRig:
    module_rig.reset()
    return module_rig


def act_once(rig: PolicyRig) -> int:
    """Bring the policy to act: goal, activation, one frame."""
    assert rig.state_goal()["accepted"]
    stamp_ns = rig.next_stamp()
    rig.setpoint(stamp_ns, "activated")
    rig.joints(stamp_ns)
    rig.frame(stamp_ns)
    assert rig.answers(1) == [True]
    return stamp_ns


def test_goals_are_accepted_or_refused_with_a_reason(rig: PolicyRig) -> None:
    assert rig.state_goal()["accepted"] is True
    for goal, word in (
        (Goal("map", GOOD_GOAL.position_m), "frame 'map'"),
        (Goal(graph.BLOCK_FRAME, np.array([0.0, np.nan, 0.1])), "not finite"),
        (Goal(graph.BLOCK_FRAME, np.array([0.0, 0.5, 0.1])), "outside"),
    ):
        answer = rig.state_goal(goal)
        assert answer["accepted"] is False and word in str(answer["reason"])


def test_a_command_carries_its_observations_stamp_and_the_training_limits(rig: PolicyRig) -> None:
    stamp_ns = act_once(rig)
    (message,) = rig.commands.messages
    assert decode_stamp(message.header.stamp) == stamp_ns
    assert message.header.frame_id == "default"


def test_no_goal_no_motion(rig: PolicyRig) -> None:
    stamp_ns = rig.next_stamp()
    rig.setpoint(stamp_ns, "activated")
    rig.joints(stamp_ns)
    rig.frame(stamp_ns)
    assert rig.answers(1) == [False]


def test_a_driver_that_is_not_active_gets_holds(rig: PolicyRig) -> None:
    stamp_ns = act_once(rig)
    rig.setpoint(stamp_ns, "refused:not_active")
    stamp_ns = rig.next_stamp()
    rig.joints(stamp_ns)
    rig.frame(stamp_ns)
    assert rig.answers(2) == [True, False]


def test_a_frozen_camera_commands_nothing(rig: PolicyRig) -> None:
    before = int(rig.diagnosis()["repeated_frames"])
    stamp_ns = act_once(rig)
    rig.setpoint(stamp_ns, "command")
    for _ in range(5):
        rig.joints(rig.next_stamp())
        rig.frame(stamp_ns)  # new pixels, old stamp
        rig.session.spin(0.05)
    rig.session.spin(0.2)
    assert rig.answers(1) == [True]
    assert int(rig.diagnosis()["repeated_frames"]) - before == 5


def test_two_cameras_command_nothing_and_are_named(rig: PolicyRig) -> None:
    stamp_ns = act_once(rig)
    rig.setpoint(stamp_ns, "command")
    other = Node("other_camera", context=rig.session.node.context)
    publish_to(other, graph.DEPTH)
    rig.session.spin(0.3)
    stamp_ns = rig.next_stamp()
    rig.joints(stamp_ns)
    rig.frame(stamp_ns)
    assert rig.answers(2) == [True, False]
    assert "other_camera" in rig.log() and graph.DEPTH.name in rig.log()
    other.destroy_node()
    rig.session.spin(0.3)
    rig.setpoint(stamp_ns, "command")
    stamp_ns = rig.next_stamp()
    rig.joints(stamp_ns)
    rig.frame(stamp_ns)
    assert rig.answers(3) == [True, False, True]


def test_a_frame_without_depth_commands_nothing(rig: PolicyRig) -> None:
    stamp_ns = act_once(rig)
    rig.setpoint(stamp_ns, "command")
    for _ in range(3):
        stamp_ns = rig.next_stamp()
        rig.joints(stamp_ns)
        rig.frame(stamp_ns, parts=("info", "color"))
        rig.session.spin(0.05)
    assert rig.answers(1) == [True]


def test_a_frame_waits_for_its_joint_state_and_for_the_last_answer(rig: PolicyRig) -> None:
    stamp_ns = act_once(rig)
    late_ns = rig.next_stamp()
    rig.frame(late_ns)
    rig.session.spin(0.2)
    assert rig.answers(1) == [True], "no joint state, no setpoint: too early"
    rig.joints(late_ns)
    rig.session.spin(0.2)
    assert rig.answers(1) == [True], "no setpoint: too early"
    rig.setpoint(stamp_ns, "command")
    assert rig.answers(2) == [True, True]


def test_a_frame_that_is_overtaken_is_answered_with_a_hold(rig: PolicyRig) -> None:
    act_once(rig)  # its setpoint never comes
    overtaken_ns, newest_ns = rig.next_stamp(), rig.next_stamp()
    rig.joints(overtaken_ns)
    rig.frame(overtaken_ns)
    rig.session.spin(0.1)
    rig.joints(newest_ns)
    rig.frame(newest_ns)
    assert rig.answers(2) == [True, False]
    assert decode_stamp(rig.commands.messages[-1].header.stamp) == overtaken_ns


@pytest.mark.parametrize("fault", ["image_size", "old_joints", "torso"])
def test_an_impossible_observation_is_answered_with_a_hold(rig: PolicyRig, fault: str) -> None:
    stamp_ns = act_once(rig)
    rig.setpoint(stamp_ns, "command")
    stamp_ns = rig.next_stamp()
    if fault == "old_joints":
        # The nearest joint state is of another moment than the frame.
        stamp_ns += 3 * CONTROL_PERIOD_NS
        rig.stamp_ns = stamp_ns + 3 * CONTROL_PERIOD_NS
        rig.joints(rig.stamp_ns)
    else:
        rig.joints(stamp_ns, TORSO_M - 0.1 if fault == "torso" else TORSO_M)
    rig.frame(stamp_ns, width=320 if fault == "image_size" else 424)
    assert rig.answers(2) == [True, False]
    rig.joints(rig.next_stamp())


def shoot(rig: PolicyRig, stamps_ns: list[int], parts: tuple[str, ...] = ("info", "color", "depth")) -> None:
    """Frames in real time, as a camera sends them."""
    for stamp_ns in stamps_ns:
        rig.frame(stamp_ns, parts=parts)
        rig.session.spin(0.02)


def beat(start_ns: int, count: int) -> list[int]:
    return [start_ns + i * CONTROL_PERIOD_NS for i in range(count)]


def answer_to(rig: PolicyRig, stamp_ns: int, tries: int = 20) -> bool:
    """Whether the frame is answered; it is sent again as long as it is not, since a busy machine may lose pictures."""

    def is_answered() -> bool:
        return any(decode_stamp(message.header.stamp) == stamp_ns for message in rig.commands.messages)

    for _ in range(tries):
        rig.frame(stamp_ns)
        for _ in range(10):
            if is_answered():
                return True
            rig.session.spin(0.01)
    return False


@pytest.mark.parametrize("jump_s", [-4247, 3600])
def test_one_odd_stamp_costs_its_own_frame_and_is_named(rig: PolicyRig, jump_s: int) -> None:
    before = int(rig.diagnosis()["stray_frames"])
    stamps_ns = beat(10_000 * 10**9, 11)
    odd_ns = stamps_ns[5] + jump_s * 10**9
    for stamp_ns in stamps_ns[:5]:
        assert answer_to(rig, stamp_ns)
    assert not answer_to(rig, odd_ns, tries=3)
    for stamp_ns in stamps_ns[6:]:
        assert answer_to(rig, stamp_ns)
    assert int(rig.diagnosis()["stray_frames"]) == before + 1
    assert "the camera stamps it" in rig.log()


@pytest.mark.parametrize("jump_s", [-4247, 3600])
def test_a_camera_whose_clock_was_set_is_answered_again(rig: PolicyRig, jump_s: int) -> None:
    before = int(rig.diagnosis()["camera_clock_sets"])
    for stamp_ns in beat(10_000 * 10**9, 5):
        assert answer_to(rig, stamp_ns)
    anew = [answer_to(rig, stamp_ns, tries=3) for stamp_ns in beat((10_000 + jump_s) * 10**9, 10)]
    assert sum(anew) >= 7 and anew[-1]
    assert int(rig.diagnosis()["camera_clock_sets"]) == before + 1
    assert "its clock was set" in rig.log()


def test_an_odd_joint_state_does_not_blind_the_policy(rig: PolicyRig) -> None:
    assert rig.state_goal()["accepted"]
    rig.setpoint(rig.next_stamp(), "activated")
    for i in range(10):
        stamp_ns = rig.next_stamp()
        rig.joints(stamp_ns + (60 * 10**9 if i == 3 else 0))
        rig.joints(stamp_ns + CONTROL_PERIOD_NS // 4)
        rig.frame(stamp_ns)
        assert rig.answers(i + 1) == [True] * (i + 1)
        rig.setpoint(stamp_ns, "command")
    assert int(rig.diagnosis()["stray_joint_states"]) >= 1


def test_fast_joint_states_and_a_slow_camera_are_paired(rig: PolicyRig) -> None:
    assert rig.state_goal()["accepted"]
    rig.setpoint(rig.next_stamp(), "activated")
    stamp_ns = rig.next_stamp()
    for i in range(-20, 91):
        rig.joints(stamp_ns + i * 1_000_000)
        rig.session.spin(0.001)
    rig.frame(stamp_ns)
    assert rig.answers(1) == [True]
    assert float(rig.diagnosis()["joint_skew_p50_ms"]) < 1.0
    rig.stamp_ns = stamp_ns + 100_000_000


def test_a_joint_state_of_another_moment_is_named(rig: PolicyRig) -> None:
    assert rig.state_goal()["accepted"]
    rig.setpoint(rig.next_stamp(), "activated")
    stamp_ns = rig.next_stamp()
    rig.joints(stamp_ns - 27_000_000)
    rig.joints(stamp_ns + 27_000_000)
    rig.frame(stamp_ns)
    assert rig.answers(1) == [False]
    assert int(rig.diagnosis()["answers_hold_joint_skew"]) >= 1
    rig.stamp_ns += CONTROL_PERIOD_NS


def test_depth_beside_its_colour_is_answered_and_named(rig: PolicyRig) -> None:
    for stamp_ns in beat(rig.next_stamp(), 12):
        shoot(rig, [stamp_ns], ("info", "color"))
        shoot(rig, [stamp_ns + 5_000_000], ("depth",))
    assert len(rig.answers(8)) >= 8
    assert float(rig.diagnosis()["depth_offset_ms"]) == 5.0
    assert "depth is stamped 5.0 ms after its colour" in rig.log() and "enable_sync" in rig.log()


def test_a_camera_of_another_rate_is_named(rig: PolicyRig) -> None:
    start_ns = rig.next_stamp()
    for i in range(33):
        assert answer_to(rig, start_ns + i * CONTROL_PERIOD_NS // 2)
    assert float(rig.diagnosis()["frame_rate_hz"]) == pytest.approx(60.0, rel=0.01)
    assert "the camera's rate is 60 Hz, expected 30 Hz" in rig.log()


def test_depth_of_another_moment_is_named(rig: PolicyRig) -> None:
    for stamp_ns in beat(rig.next_stamp(), 12):
        shoot(rig, [stamp_ns], ("info", "color"))
        shoot(rig, [stamp_ns + 16_000_000], ("depth",))
    assert rig.commands.messages == []
    assert float(rig.diagnosis()["depth_offset_ms"]) == 16.0
    assert "depth is stamped 16.0 ms after its colour" in rig.log()


def test_reset_forgets_the_goal(rig: PolicyRig) -> None:
    act_once(rig)
    rig.reset()
    stamp_ns = rig.next_stamp()
    rig.setpoint(stamp_ns, "activated")
    rig.joints(stamp_ns)
    rig.frame(stamp_ns)
    assert rig.answers(1) == [False]


def test_diagnostics_name_rate_age_and_latency(rig: PolicyRig) -> None:
    stamp_ns = act_once(rig)
    for _ in range(5):
        rig.setpoint(stamp_ns, "command")
        stamp_ns = rig.next_stamp()
        rig.joints(stamp_ns)
        rig.frame(stamp_ns)
        rig.session.spin(0.03)
    rig.answers(6)
    values = rig.diagnosis()
    for key in ("answer_rate_hz", "observation_age_p50_ms", "inference_p99_ms", "missed_cycles", "unpaired_frames"):
        assert key in values
    assert 0.0 < float(values["inference_p50_ms"]) < 1000.0
    gap_ns = rig.next_stamp() + 4 * CONTROL_PERIOD_NS
    rig.setpoint(stamp_ns, "command")
    rig.joints(gap_ns)
    rig.frame(gap_ns)
    rig.stamp_ns = gap_ns
    rig.answers(7)
    deadline = time.monotonic() + 5.0
    while int(values["missed_cycles"]) < 4 and time.monotonic() < deadline:
        values = rig.diagnosis()
    assert int(values["missed_cycles"]) >= 4


def test_a_damaged_bundle_is_refused_at_start(tmp_path: Path) -> None:
    write_untrained_bundle(tmp_path)
    weights = tmp_path / "actor.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    command = [sys.executable, "-m", "policy_node.main", "--ros-args", "-p", f"policy:={tmp_path}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert "actor.safetensors" in result.stderr and "Traceback" not in result.stderr
