"""What the robot says, by stamp and arrival: what cannot be believed replaces nothing, and what is missing is named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from arm_geometry import TABLE_SCENE
from joint_messages import JointMessage, joint_message

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.limits import PROFILES
from fetch_sim2real.control.checks import ActivationError
from fetch_sim2real.control.filter import SafetyFilter
from fetch_sim2real.control.readings import TORSO_TIMEOUT_S, RobotReadings
from fetch_sim2real.control.states import State
from fetch_sim2real.errors import ObservationError
from fetch_sim2real.types import FloatArray, JointCommand, JointSample

TORSO_M = 0.35
PERIOD_NS = 10_000_000
START_NS = 5_000_000_000_000
S_NS = 10**9


FIRST_TWO = ARM.joint_names[:2]


class Robot:
    """Reports its joints each 10 ms; ``stamp_error_ns`` is what its clock is off by, ``joints`` where the arm is."""

    def __init__(self, *, simulated: bool = False, lockstep: bool = False) -> None:
        self.readings = RobotReadings(TORSO_M, simulated=simulated, lockstep=lockstep)
        self.now_ns = START_NS
        self.stamp_error_ns = 0
        self.torso_m: float | None = TORSO_M
        self.position: FloatArray = np.array(ARM.home_rad)
        self.refusals: list[str] = []

    def say(self, **changes: object) -> JointSample | None:
        """One period later, one message; what is not believed is noted."""
        self.now_ns += PERIOD_NS
        message = joint_message(self.now_ns + self.stamp_error_ns, self.position, self.torso_m)
        for name, value in changes.items():
            setattr(message, name, value)
        try:
            return self.readings.take(message, self.now_ns)
        except ObservationError as error:
            self.refusals.append(str(error))
            return None

    def talk(self, times: int) -> None:
        for _ in range(times):
            self.say()

    @property
    def objection(self) -> str:
        return self.readings.objection(self.now_ns)


# -- stamps ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump_s", [0.021, 1.0, 60.0, 1e6, -0.05, -1.0, -60.0])
def test_a_single_odd_stamp_is_refused_and_hides_nothing_after_it(jump_s: float) -> None:
    robot = Robot()
    robot.talk(20)
    robot.stamp_error_ns = round(jump_s * S_NS)
    assert robot.say() is None
    (refusal,) = robot.refusals
    assert (f"{jump_s:.3f} s ahead" if jump_s > 0 else "before one that came earlier") in refusal
    robot.stamp_error_ns = 0
    for _ in range(20):
        assert robot.say() is not None
        assert robot.objection == "" and robot.readings.take_clock_step() == ""
    counts = robot.readings.report()
    assert counts["joint_states_ahead"] == (jump_s > 0) and counts["joint_states_out_of_order"] == (jump_s < 0)


@pytest.mark.parametrize("jump_s", [0.5, 60.0, -0.5, -60.0])
def test_a_clock_that_is_set_is_told_once_and_objected_to_until_it_is_right(jump_s: float) -> None:
    robot = Robot()
    robot.talk(20)
    robot.stamp_error_ns = round(jump_s * S_NS)
    told = ""
    for _ in range(3):
        robot.say()
        told = told or robot.readings.take_clock_step()
    assert "clock was set" in told
    for _ in range(30):
        robot.say()
        assert robot.readings.take_clock_step() == ""
        way = "ahead of" if jump_s > 0 else "behind"
        assert f"{abs(jump_s):.3f} s {way} this machine's clock" in robot.objection and "chrony" in robot.objection
    robot.stamp_error_ns = 0
    robot.talk(3)
    assert robot.objection == ""


@pytest.mark.parametrize("offset_s", [5.0, -5.0, 0.03, -0.2])
def test_a_clock_that_is_always_off_is_named_with_its_offset(offset_s: float) -> None:
    robot = Robot()
    robot.stamp_error_ns = round(offset_s * S_NS)
    robot.talk(50)
    assert f"{abs(offset_s):.3f} s" in robot.objection and "chrony" in robot.objection
    assert robot.readings.take_clock_step() == "", "nothing has changed"


def test_what_is_a_little_ahead_is_as_old_as_its_arrival() -> None:
    robot = Robot()
    robot.stamp_error_ns = 15_000_000
    robot.talk(3)
    sample = robot.readings.sample
    assert sample is not None and sample.stamp_ns == robot.now_ns
    robot.now_ns += 101_000_000
    assert "0.101 s old" in robot.objection


def test_a_late_message_and_then_silence_is_silence_and_no_wrong_clock() -> None:
    robot = Robot()
    robot.talk(10)
    robot.stamp_error_ns = -60_000_000
    robot.now_ns += 70_000_000
    robot.say()
    robot.now_ns += 50_000_000
    assert "0.110 s old" in robot.objection and "chrony" not in robot.objection


@pytest.mark.parametrize("stuck_ns", [0, START_NS])
def test_a_stamp_that_comes_again_and_again_is_not_fresh(stuck_ns: int) -> None:
    robot = Robot()
    for _ in range(30):
        robot.now_ns += PERIOD_NS
        robot.readings.take(joint_message(stuck_ns, robot.position, TORSO_M), robot.now_ns)
    assert ("no stamp" if stuck_ns == 0 else "its stamp has come 29 times") in robot.objection


def test_a_simulation_that_jumps_and_stands_still_may_be_heard_before_its_clock() -> None:
    robot = Robot(simulated=True)
    robot.talk(3)
    jumped = joint_message(robot.now_ns + S_NS, robot.position, robot.torso_m)
    with pytest.raises(ObservationError, match="ahead"):
        robot.readings.take(jumped, robot.now_ns)
    robot.now_ns += S_NS
    taken = robot.readings.take(jumped, robot.now_ns)
    assert taken is not None and taken.stamp_ns == robot.now_ns
    assert robot.readings.take(jumped, robot.now_ns) is None and not robot.objection


def test_in_lockstep_the_simulation_keeps_the_only_clock() -> None:
    robot = Robot(lockstep=True)
    robot.stamp_error_ns = 3 * S_NS
    assert robot.say() is not None
    robot.now_ns += 10 * S_NS
    assert robot.objection == "" and robot.refusals == []


# -- what the filter makes of it ---------------------------------------------------------------------------------


def test_the_setpoint_never_runs_ahead_of_a_blocked_arm_whatever_its_stamps() -> None:
    """A stamp a minute ahead once a second, and from some time on always: the arm is stopped all the same."""
    for odd in ({30}, set(range(30, 2000)), set(range(30, 2000, 2)), {30, 31}):
        robot = Robot()
        safety = SafetyFilter(PROFILES["default"], TABLE_SCENE)
        robot.talk(3)
        assert robot.readings.sample is not None
        decision = safety.activate(robot.now_ns, robot.readings.sample)
        velocity, furthest = np.array([0.4, 0, 0, 0, 0, 0, 0]), 0.0
        for count in range(300):
            robot.stamp_error_ns = 60 * S_NS if count in odd else 0
            sample = robot.say()
            if sample is not None:
                safety.on_joint_sample(sample)
            if objection := robot.objection:
                safety.lose(robot.now_ns, objection)
            safety.tick(robot.now_ns)
            if count % 3 == 0:
                setpoint = decision.setpoint
                position = setpoint.position + 0.5 * (setpoint.velocity + velocity) / 30
                decision = safety.on_command(robot.now_ns, JointCommand(robot.now_ns, position, velocity))
                furthest = max(furthest, float(np.abs(decision.setpoint.position - robot.position).max()))
        assert safety.state in (State.STOPPED, State.HOLD)
        assert furthest < 0.2 + 0.3 * 0.4


def test_the_filter_itself_stops_at_a_sample_of_the_future() -> None:
    safety = SafetyFilter(PROFILES["default"], TABLE_SCENE)
    at_rest = JointSample(START_NS, np.array(ARM.home_rad), np.zeros(7), 0.0)
    ahead = JointSample(START_NS + 5 * S_NS, at_rest.position, at_rest.velocity, 0.0)
    with pytest.raises(ActivationError, match=r"5\.000 s ahead.*chrony"):
        safety.activate(START_NS, ahead)
    safety.activate(START_NS, at_rest)
    safety.on_joint_sample(ahead)
    noticed = safety.tick(START_NS + PERIOD_NS)
    assert noticed is not None and "ahead" in noticed.detail and safety.state is State.HOLD


def test_after_a_clock_that_was_set_the_arm_brakes_first_and_is_then_disabled() -> None:
    safety = SafetyFilter(PROFILES["default"], TABLE_SCENE)
    now_ns = START_NS
    decision = safety.activate(now_ns, JointSample(now_ns, np.array(ARM.home_rad), np.zeros(7), 0.0))
    velocity = np.array([0.3, 0, 0, 0, 0, 0, 0])
    for _ in range(10):
        now_ns += S_NS // 30
        setpoint = decision.setpoint
        safety.on_joint_sample(JointSample(now_ns, setpoint.position, setpoint.velocity, 0.0))
        position = setpoint.position + 0.5 * (setpoint.velocity + velocity) / 30
        decision = safety.on_command(now_ns, JointCommand(now_ns, position, velocity))
    assert safety.lose(now_ns, "the clock was set", then_disabled=True) is not None
    states = []
    for _ in range(100):
        now_ns += PERIOD_NS
        states.append((safety.is_at_rest(now_ns), safety.state))
        safety.tick(now_ns)
    assert states[0] == (False, State.HOLD) and states[-1] == (True, State.DISABLED)
    assert (False, State.DISABLED) not in states and safety.state_reason == "the clock was set"


# -- the torso ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("torso_m", [0.25, 0.339, 0.361, float("nan")])
def test_a_torso_that_moved_is_named_until_it_is_right(torso_m: float) -> None:
    robot = Robot()
    robot.talk(3)
    robot.torso_m = torso_m
    robot.say()
    assert f"torso is at {torso_m:.3f} m" in robot.objection and "0.350" in robot.objection
    robot.torso_m = TORSO_M + 0.005
    robot.say()
    assert robot.objection == ""


def test_a_torso_that_was_known_may_not_cease_and_one_that_never_was_need_not_come() -> None:
    robot = Robot()
    robot.talk(3)
    robot.torso_m = None
    robot.talk(round(TORSO_TIMEOUT_S * S_NS / PERIOD_NS) - 1)
    assert robot.objection == ""
    robot.talk(2)
    assert ARM.torso_joint in robot.objection and "0.310 s old" in robot.objection
    never = Robot()
    never.torso_m = None
    never.talk(100)
    assert never.objection == ""


# -- what messages hold ------------------------------------------------------------------------------------------


def without(*joints: str) -> Callable[[JointMessage], None]:
    def change(message: JointMessage) -> None:
        kept = [i for i, name in enumerate(message.name) if name not in joints]
        message.name = [message.name[i] for i in kept]
        message.position = [message.position[i] for i in kept]
        message.velocity = [message.velocity[i] for i in kept]

    return change


def put(field: str, joint: str, value: float) -> Callable[[JointMessage], None]:
    return lambda message: getattr(message, field).__setitem__(message.name.index(joint), value)


def with_foreign(message: JointMessage) -> None:
    """Wheels listed twice, without numbers."""
    message.name = [*message.name, "r_wheel_joint", "r_wheel_joint", "l_wheel_joint"]
    message.position = [*message.position, np.nan, 3.0, np.inf]
    message.velocity = [*message.velocity, np.nan, np.nan, np.nan]


def with_efforts(message: JointMessage) -> None:
    message.effort = [1.0, 2.0]


def doubled_finger(message: JointMessage) -> None:
    message.name = [*message.name, ARM.gripper_joints[0]]
    message.position, message.velocity = [*message.position, 0.0], [*message.velocity, 0.0]


NAN = float("nan")


@pytest.mark.parametrize(
    "change",
    [
        put("velocity", ARM.gripper_joints[0], NAN),
        put("position", ARM.gripper_joints[1], NAN),
        put("velocity", ARM.torso_joint, NAN),
        without(ARM.gripper_joints[0]),
        without(*ARM.gripper_joints),
        with_foreign,
        with_efforts,
        doubled_finger,
    ],
)
def test_what_the_driver_does_not_need_is_not_judged(change: Callable[[JointMessage], None]) -> None:
    readings = RobotReadings(TORSO_M)
    for count in range(1, 5):
        message = joint_message(START_NS + count * PERIOD_NS, np.array(ARM.home_rad), TORSO_M)
        change(message)
        assert readings.take(message, START_NS + count * PERIOD_NS) is not None
    assert readings.objection(START_NS + 4 * PERIOD_NS) == ""


def short(message: JointMessage) -> None:
    message.position = message.position[:-1]


def positions_only(message: JointMessage) -> None:
    message.velocity = []


def prefixed(message: JointMessage) -> None:
    message.name = [f"fetch/{name}" for name in message.name]


def listed_twice(message: JointMessage) -> None:
    message.name = [*message.name, ARM.joint_names[3]]
    message.position, message.velocity = [*message.position, 0.0], [*message.velocity, 0.0]


WRONG: list[tuple[Callable[[JointMessage], None], str, str]] = [
    (without("wrist_roll_joint"), "joint states come, but wrist_roll_joint is missing", "wrist_roll_joint has ceased"),
    (without(*FIRST_TWO), f"{', '.join(FIRST_TWO)} are missing", f"{', '.join(FIRST_TWO)} have ceased"),
    (
        without(*ARM.joint_names),
        "shoulder_pan_joint, shoulder_lift",
        "20 messages have come since, without joints of the",
    ),
    (prefixed, "fetch/shoulder_pan_joint", "20 messages have come since, without joints of the arm"),
    (put("velocity", "elbow_flex_joint", NAN), "the velocity of elbow_flex_joint is NaN", ""),
    (put("position", "elbow_flex_joint", float("inf")), "the position of elbow_flex_joint is infinite", ""),
    (positions_only, "without velocities", ""),
    (short, "10 names and 9 positions", ""),
    (listed_twice, "elbow_flex_joint twice", ""),
]


@pytest.mark.parametrize(("change", "at_first", "later"), WRONG)
def test_what_is_missing_or_wrong_is_named(
    change: Callable[[JointMessage], None], at_first: str, later: str
) -> None:
    for good, words in ((0, at_first), (20, later or at_first)):
        robot = Robot()
        robot.talk(good)
        for _ in range(20):
            robot.now_ns += PERIOD_NS
            message = joint_message(robot.now_ns, robot.position, TORSO_M)
            change(message)
            try:
                assert robot.readings.take(message, robot.now_ns) is None
            except ObservationError as error:
                assert words in str(error)
        assert words in robot.objection
        robot.talk(2)
        assert robot.objection == ""


def test_before_anything_came_that_is_said() -> None:
    assert "no joint state has come" in Robot().objection
    assert set(ARM.command_joints) == {*ARM.joint_names, *ARM.gripper_joints}
