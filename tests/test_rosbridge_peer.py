"""The simulated Fetch's action server, its network, and what the driver makes of goals' ends and round trips."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.control.trajectory import held_until, stopping_trajectory
from fetch_sim2real.rosbridge import topics as ros1
from fetch_sim2real.rosbridge.messages import ActionResult, ArmActionGoal, GoalStatusArray, read
from fetch_sim2real.rosbridge.topics import Json
from fetch_sim2real.types import FloatArray, JointSetpoint, JointTrajectory
from sim_bridge.fetch_actions import ArmAction
from sim_bridge.network import Line, NetworkSettings
from sim_bridge.rosbridge_port import RosbridgePort

TOLERANCE = [0.2] * 7


class Arm:
    def __init__(self) -> None:
        self.starts: list[bool] = []
        self.held = 0
        self.error = np.zeros(7)

    def start(self, trajectory: JointTrajectory, from_measured: bool) -> None:
        self.starts.append(from_measured)

    def hold(self) -> None:
        self.held += 1

    def error_rad(self) -> FloatArray:
        return self.error


class Bench:
    def __init__(self) -> None:
        self.arm = Arm()
        self.ends: list[tuple[str, int, int]] = []
        self.action = ArmAction(self.arm, lambda goal, status, code, _text: self.ends.append((goal, status, code)))

    def send(self, now_s: float, goal_id: str) -> None:
        self.action.on_goal(now_s, read(ArmActionGoal, goal(goal_id), "goal"))


def goal(goal_id: str) -> Json:
    rest = stopping_trajectory(JointSetpoint.at_rest(np.zeros(7)), np.ones(7))
    return ros1.arm_goal_json(held_until(rest, 0.3), goal_id, TOLERANCE, 1.0)


def test_a_newer_goal_is_noticed_fifty_times_a_second_and_goes_on_from_the_desired_state() -> None:
    bench = Bench()
    bench.send(1.0, "a-1")
    assert bench.arm.starts == [True], "nothing ran before: from where the arm is"
    bench.send(1.005, "a-2")
    assert bench.action.next_s == pytest.approx(1.02)
    bench.action.work(1.019)
    assert bench.arm.starts == [True]
    bench.send(1.0195, "a-3")
    bench.action.work(1.02)
    assert bench.arm.starts == [True, False]
    assert bench.ends == [("a-2", ros1.RECALLED, 0), ("a-1", ros1.PREEMPTED, 0)]
    bench.action.work(1.32)
    assert bench.ends[-1] == ("a-3", ros1.SUCCEEDED, 0)


def test_tolerances_end_a_goal() -> None:
    bench = Bench()
    bench.send(1.0, "a-1")
    bench.arm.error = np.full(7, 0.19)
    bench.action.work(1.1)
    assert bench.action.active_id == "a-1"
    bench.arm.error = np.full(7, 0.21)
    bench.action.work(1.11)
    assert bench.ends == [("a-1", ros1.ABORTED, ros1.PATH_TOLERANCE_VIOLATED)] and bench.arm.held == 1


def test_without_power_no_goal_is_taken() -> None:
    bench = Bench()
    bench.send(1.0, "a-1")
    bench.action.set_power(False)
    bench.send(1.1, "a-2")
    assert [(goal, status) for goal, status, _ in bench.ends] == [("a-1", ros1.ABORTED), ("a-2", ros1.ABORTED)]
    bench.action.set_power(True)
    assert bench.action.active_id == "", "nothing goes on by itself"


def test_goals_survive_the_way_through_json() -> None:
    moving = stopping_trajectory(JointSetpoint(np.linspace(0, 1, 7), np.full(7, 0.3)), np.full(7, 2.0))
    sent = json.loads(json.dumps(ros1.arm_goal_json(moving, "x", TOLERANCE, 1.0)))
    back = ros1.trajectory_of_goal(read(ArmActionGoal, sent, "goal").goal, ARM.joint_names)
    assert back.joint_names == ARM.joint_names
    for given, got in zip(moving.points, back.points, strict=True):
        assert np.array_equal(given.position, got.position) and np.array_equal(given.velocity, got.velocity)
        assert got.time_from_start_s == pytest.approx(given.time_from_start_s, abs=1e-9)


def test_a_line_keeps_order_and_its_delay_is_within_the_jitter() -> None:
    line: Line[int] = Line(NetworkSettings(0.02, 0.01), np.random.default_rng(0))
    arrivals = []
    for number in range(200):
        line.send(number * 0.005, number)
        arrivals.append(line._waiting[-1][0] - number * 0.005)
    assert min(arrivals) >= 0.01 and max(arrivals) <= 0.03 and np.ptp(arrivals) > 0.01
    assert line.take(10.0) == list(range(200))


def test_a_line_can_lose() -> None:
    line: Line[int] = Line(NetworkSettings(loss=0.5), np.random.default_rng(0))
    for number in range(1000):
        line.send(0.0, number)
    assert 400 < len(line.take(1.0)) < 600


def result(goal_id: str, status: int, code: int = 0) -> ActionResult:
    message = {"status": ros1.status_json(goal_id, status, "why"), "result": {"error_code": code}}
    return read(ActionResult, message, "result")


def test_what_a_goals_end_means() -> None:
    from arm_driver.rosbridge_bookkeeping import GoalLedger

    ledger = GoalLedger("arm_controller")
    first, latest = ledger.new_id(0), ledger.new_id(0)
    for normal in (
        result(first, ros1.PREEMPTED),
        result(first, ros1.RECALLED),
        result(first, ros1.ABORTED),
        result(latest, ros1.SUCCEEDED),
        result("moveit-7", ros1.ABORTED, -4),
    ):
        assert ledger.fault_of_result(normal) == ""
    assert "PATH_TOLERANCE_VIOLATED" in ledger.fault_of_result(result(first, ros1.ABORTED, -4))
    assert "controller_abort" in ledger.fault_of_result(result(latest, ros1.ABORTED))
    assert "preempted" in ledger.fault_of_result(result(latest, ros1.PREEMPTED))


def test_a_controller_that_says_nothing_is_a_fault() -> None:
    from arm_driver.rosbridge_bookkeeping import GoalLedger

    ledger = GoalLedger("arm_controller")
    goal_id = ledger.new_id(1_000_000_000)
    ledger.new_id(2_000_000_000)
    assert ledger.fault_of_silence(2_000_000_000) == ""
    assert "no_answer" in ledger.fault_of_silence(2_600_000_000)
    ledger.new_id(3_000_000_000)
    listed = {"status_list": [ros1.status_json(goal_id, ros1.ACTIVE)]}
    ledger.on_status(read(GoalStatusArray, listed, "status"))
    assert ledger.fault_of_silence(9_000_000_000) == ""


def test_the_offset_is_off_by_no_more_than_it_says() -> None:
    from arm_driver.rosbridge_bookkeeping import ClockOffset

    rng = np.random.default_rng(0)
    true_ns, offset = 5_000_000_000, ClockOffset()
    assert not offset.is_known and offset.offset_ns == 0
    for i in range(40):
        there_ns, back_ns = rng.integers(1_000_000, 40_000_000, 2).tolist()
        sent_ns = i * 500_000_000
        offset.add(sent_ns, sent_ns + there_ns + true_ns, sent_ns + there_ns + back_ns)
        assert abs(offset.offset_ns - true_ns) <= offset.uncertainty_ns
    assert offset.uncertainty_ns < 10_000_000


@pytest.mark.parametrize("step_s", [-60.0, -0.2, 0.2, 5.0])
def test_a_clock_that_is_set_is_measured_anew_at_once(step_s: float) -> None:
    from arm_driver.rosbridge_bookkeeping import ClockOffset

    rng, offset, true_ns = np.random.default_rng(1), ClockOffset(), 5_000_000_000
    steps = []
    for i in range(40):
        there_ns, back_ns = rng.integers(1_000_000, 40_000_000, 2).tolist()
        sent_ns = i * 500_000_000
        if i == 20:
            true_ns += round(step_s * 1e9)
        steps.append(offset.add(sent_ns, sent_ns + there_ns + true_ns, sent_ns + there_ns + back_ns))
        assert abs(offset.offset_ns - true_ns) <= offset.uncertainty_ns
    assert [i for i, step in enumerate(steps) if step] == [20]
    assert steps[20] * 1e-9 == pytest.approx(step_s, abs=0.05)


@pytest.mark.parametrize("rate", [-1e-3, 0.1e-3, 0.5e-3, 1e-3])
def test_a_clock_that_is_slewed_is_followed_and_is_no_clock_that_was_set(rate: float) -> None:
    """NTP corrects each clock by half a millisecond per second, for as long as it takes."""
    from arm_driver.rosbridge_bookkeeping import ClockOffset

    rng, offset = np.random.default_rng(2), ClockOffset()
    for i in range(400):
        there_ns, back_ns = rng.integers(500_000, 2_000_000, 2).tolist()
        sent_ns = i * 500_000_000
        true_ns = 5_000_000_000 + round(rate * (sent_ns + there_ns))
        assert offset.add(sent_ns, sent_ns + there_ns + true_ns, sent_ns + there_ns + back_ns) == 0
        assert abs(offset.offset_ns - true_ns) <= 6_000_000


class Server:
    """Has one client's messages, and keeps what is published."""

    def __init__(self) -> None:
        self.waiting: list[tuple[None, Json]] = []

    def take(self) -> list[tuple[None, Json]]:
        taken, self.waiting = self.waiting, []
        return taken

    def publish(self, topic: str, message: Json) -> None:
        pass


class Client:
    """Hears what was wrong with what it sent."""

    def __init__(self) -> None:
        self.complaints: list[str] = []

    def complain(self, text: str) -> None:
        self.complaints.append(text)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda message: message.pop("goal_id"), "field 'goal_id' is missing"),
        (lambda message: message["goal"].pop("trajectory"), "field 'goal.trajectory' is missing"),
        (lambda message: message["goal"]["trajectory"]["points"][0].update(positions="seven"), "'seven'"),
        (lambda message: message["header"].update(stamp={"sec": 1, "nanosec": 0}), "ROS 2"),
    ],
)
def test_a_goal_that_cannot_be_read_moves_nothing_and_its_sender_hears_why(
    spoil: Callable[[Json], object], named: str
) -> None:
    server, arm, client = Server(), Arm(), Client()
    port = RosbridgePort(server, NetworkSettings(), arm, lambda opening_m: None, 0.35)  # type: ignore[arg-type]
    message = goal("x-1")
    spoil(message)
    server.waiting.append((client, {"op": "publish", "topic": ros1.ARM_GOAL.name, "msg": message}))  # type: ignore[arg-type]
    assert port.receive(1.0) == []
    port.work(1.0)
    assert not arm.starts and len(client.complaints) == 1 and named in client.complaints[0]


def test_a_goal_whose_numbers_do_not_fit_ends_as_invalid() -> None:
    for spoil in (
        lambda goal: goal["trajectory"]["points"][0]["positions"].pop(),
        lambda goal: goal["path_tolerance"][0].update(name="elbow"),
        lambda goal: goal["trajectory"].update(points=[]),
    ):
        bench, message = Bench(), goal("a-1")
        spoil(message["goal"])
        bench.action.on_goal(1.0, read(ArmActionGoal, message, "goal"))
        assert not bench.arm.starts and bench.ends == [("a-1", ros1.ABORTED, ros1.INVALID_JOINTS)]


def test_a_goal_from_the_end_of_the_last_episode_counts_and_moves_nothing() -> None:
    server, arm = Server(), Arm()
    port = RosbridgePort(server, NetworkSettings(), arm, lambda opening_m: None, 0.35)  # type: ignore[arg-type]
    port.start_episode(3, 20.0)
    rest = held_until(stopping_trajectory(JointSetpoint.at_rest(np.zeros(7)), np.ones(7)), 0.3)
    for number, sent_ns in ((7, 19_900_000_000), (8, 20_000_000_000)):
        goal = ros1.arm_goal_json(rest, f"driver-{number}", TOLERANCE, 1.0, sent_ns)
        server.waiting.append((None, {"op": "publish", "topic": ros1.ARM_GOAL.name, "msg": goal}))
    assert port.receive(20.0) == [(0, 7), (0, 8)]
    port.work(20.0)
    assert port.robot.action.active_id == "driver-8" and len(arm.starts) == 1
