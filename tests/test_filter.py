"""The safety filter as driver and simulation use it: judging commands, braking, watchdogs, states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from arm_geometry import TABLE_SCENE, euclidean_clearance

from fetch_sim2real.arm.limits import PROFILES
from fetch_sim2real.control.checks import ActivationError, FilterSettings
from fetch_sim2real.control.filter import Decision, SafetyFilter
from fetch_sim2real.control.limiter import Rule
from fetch_sim2real.control.states import State, TransitionError
from fetch_sim2real.control.trajectory import position_after_step, sample_trajectory
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.timing import CONTROL_PERIOD_NS, CONTROL_PERIOD_S
from fetch_sim2real.types import FloatArray, JointCommand, JointSample, JointSetpoint, JointTrajectory

DT = CONTROL_PERIOD_S
PROFILE = PROFILES["default"]
HOME = np.array([0.0, -0.75, 0.0, 1.35, 0.0, np.pi / 2 - 0.6, 0.0])
REST = np.zeros(7)
START_NS = 5_000_000_000
NO_SOFT_START = FilterSettings(soft_start_s=0.0)
SLOWLY = np.array([0.3, 0.0, 0.0, 0.0, 0.0, 0.2, -0.4])


def sample(stamp_ns: int, position: FloatArray = HOME, velocity: FloatArray = REST) -> JointSample:
    return JointSample(stamp_ns, position, velocity, 0.0)


@dataclass
class FilterRig:
    """A filter with an arm that follows perfectly, stepped one control period at a time."""

    filter: SafetyFilter
    setpoint: JointSetpoint
    period: int = 0

    @staticmethod
    def active(settings: FilterSettings = NO_SOFT_START) -> FilterRig:
        arm_filter = SafetyFilter(PROFILE, TABLE_SCENE, settings)
        decision = arm_filter.activate(START_NS, sample(START_NS))
        return FilterRig(arm_filter, decision.setpoint)

    @property
    def now_ns(self) -> int:
        return START_NS + round(self.period * 1e9 / 30)

    def command(self, velocity: FloatArray, stamp_ns: int | None = None, **changes: object) -> JointCommand:
        position = position_after_step(self.setpoint.position, self.setpoint.velocity, velocity)
        command = JointCommand(self.now_ns if stamp_ns is None else stamp_ns, position, velocity)
        return replace(command, **changes)  # type: ignore[arg-type]

    def next_period(self) -> Decision | None:
        self.period += 1
        self.filter.on_joint_sample(sample(self.now_ns, self.setpoint.position, self.setpoint.velocity))
        return self.filter.tick(self.now_ns)

    def send(self, command: JointCommand) -> Decision:
        decision = self.filter.on_command(self.now_ns, command)
        self.setpoint = decision.setpoint
        return decision

    def run(self, velocity: FloatArray, periods: int) -> Decision:
        """Follow ``velocity`` for some periods; the last decision."""
        for _ in range(periods):
            assert self.next_period() is None
            decision = self.send(self.command(velocity))
        return decision


def assert_ends_at_rest(trajectory: JointTrajectory | None) -> JointTrajectory:
    assert trajectory is not None
    assert not trajectory.points[-1].velocity.any()
    return trajectory


# --- activation -------------------------------------------------------------------------------------------------------


def test_activation_holds_where_the_arm_is() -> None:
    arm_filter = SafetyFilter(PROFILE, TABLE_SCENE)
    assert arm_filter.state is State.DISABLED
    decision = arm_filter.activate(START_NS, sample(START_NS))
    assert decision.outcome == "activated"
    assert arm_filter.state is State.ACTIVE
    np.testing.assert_array_equal(decision.setpoint.position, HOME)
    trajectory = assert_ends_at_rest(decision.trajectory)
    np.testing.assert_array_equal(trajectory.points[0].position, HOME)
    assert decision.finger_position_m is None


def at(joint: int, angle: float) -> FloatArray:
    position = HOME.copy()
    position[joint] = angle
    return position


@pytest.mark.parametrize(
    ("measured", "message"),
    [
        (sample(START_NS - 150_000_000), r"0\.150 s old.*at most 0\.1 s"),
        (sample(START_NS, velocity=np.array([0, 0, 0.2, 0, 0, 0, 0])), r"upperarm_roll_joint moves at 0\.200 rad/s"),
        (sample(START_NS, at(5, np.nan)), "7 finite values"),
        (sample(START_NS, HOME[:6]), "7 finite values"),
        (sample(START_NS, at(0, 1.60)), r"shoulder_pan_joint is at 1\.600 rad"),
        (sample(START_NS, at(0, 1.4)), "inside the workspace"),
        (sample(START_NS, at(1, 0.1)), "inside the workspace"),
    ],
)
def test_activation_is_refused_with_what_is_wrong(measured: JointSample, message: str) -> None:
    arm_filter = SafetyFilter(PROFILE, TABLE_SCENE)
    with pytest.raises(ActivationError, match=message):
        arm_filter.activate(START_NS, measured)
    assert arm_filter.state is State.DISABLED
    assert arm_filter.on_command(START_NS, JointCommand(START_NS, HOME, REST)).outcome == "refused:not_active"


def test_activation_in_collision_names_the_obstacle() -> None:
    scene = replace(TABLE_SCENE, workspace_lower_m=(0.3, -1.0, 0.1))
    with pytest.raises(ActivationError, match="clearance to the table"):
        SafetyFilter(PROFILE, scene).activate(START_NS, sample(START_NS, at(1, -0.45)))


def test_activating_twice_is_an_error_and_leaves_the_arm_alone() -> None:
    rig = FilterRig.active()
    rig.run(SLOWLY * 0.1, 3)
    with pytest.raises(TransitionError):
        rig.filter.activate(rig.now_ns, sample(rig.now_ns))
    assert rig.filter.state is State.ACTIVE
    rig.next_period()
    assert rig.send(rig.command(SLOWLY * 0.1)).outcome == "command"


def test_there_is_no_setpoint_before_the_first_activation() -> None:
    decision = SafetyFilter(PROFILE, TABLE_SCENE).on_command(START_NS, JointCommand(START_NS, HOME, REST))
    assert decision.outcome == "refused:not_active"
    assert decision.setpoint.position.shape == (0,)
    assert decision.trajectory is None


# --- commands ---------------------------------------------------------------------------------------------------------


def test_feasible_commands_pass_bit_for_bit_in_lockstep() -> None:
    """Periods of 33 333 333 and 33 333 334 ns alike: the reference is exactly the last setpoint."""
    rig = FilterRig.active()
    rng = np.random.default_rng(1)
    velocity = np.zeros(7)
    for _ in range(200):
        assert rig.next_period() is None
        velocity = 0.9 * velocity + rng.uniform(-1, 1, 7) * 0.012 - 0.03 * (rig.setpoint.position - HOME)
        command = rig.command(velocity)
        decision = rig.send(command)
        assert decision.outcome == "command"
        assert decision.rules is Rule.NONE
        np.testing.assert_array_equal(decision.setpoint.velocity, command.velocity)
        np.testing.assert_array_equal(decision.setpoint.position, command.position)
        first = assert_ends_at_rest(decision.trajectory).points[0]
        assert first.time_from_start_s == DT
        np.testing.assert_array_equal(first.position, command.position)
    assert not rig.filter.refusals


def test_a_command_that_is_too_fast_is_limited() -> None:
    rig = FilterRig.active()
    decision = rig.run(SLOWLY * 20, 1)
    assert decision.outcome == "limited"
    assert decision.rules & Rule.ACCELERATION
    np.testing.assert_allclose(np.max(np.abs(decision.setpoint.velocity) / (PROFILE.acceleration * DT)), 1.0)
    # One factor for all joints: the direction is kept.
    cosine = decision.setpoint.velocity @ SLOWLY / np.linalg.norm(decision.setpoint.velocity) / np.linalg.norm(SLOWLY)
    assert cosine == pytest.approx(1.0)


def test_positions_alone_are_taken_as_a_displacement() -> None:
    rig = FilterRig.active()
    rig.next_period()
    wanted = HOME + SLOWLY * DT * 0.1
    decision = rig.send(JointCommand(rig.now_ns, wanted))
    assert decision.outcome == "command"
    np.testing.assert_allclose(decision.setpoint.velocity, SLOWLY * 0.1, atol=1e-12)


def broken(command: JointCommand, index: int, value: float) -> JointCommand:
    assert command.velocity is not None
    velocity = command.velocity.copy()
    velocity[index] = value
    return replace(command, velocity=velocity)


Change = Callable[[FilterRig, JointCommand], JointCommand]
REFUSED: list[tuple[str, Change]] = [
    ("out_of_order", lambda rig, c: replace(c, stamp_ns=START_NS + 12 * CONTROL_PERIOD_NS)),
    ("future", lambda rig, c: replace(c, stamp_ns=rig.now_ns + 50_000_000)),
    ("before_activation", lambda rig, c: replace(c, stamp_ns=START_NS - 1)),
    ("non_finite", lambda rig, c: broken(c, 2, np.nan)),
    ("non_finite", lambda rig, c: broken(c, 6, np.inf)),
    ("non_finite", lambda rig, c: replace(c, position=c.position * np.nan)),
    ("non_finite", lambda rig, c: replace(c, finger_position_m=float("nan"))),
    ("wrong_joints", lambda rig, c: replace(c, position=c.position[:6])),
    ("wrong_joints", lambda rig, c: replace(c, velocity=np.zeros(8))),
    ("jump", lambda rig, c: replace(c, position=c.position + 0.2)),
    ("jump", lambda rig, c: replace(c, position=c.position + 0.2, velocity=None)),
    ("jump", lambda rig, c: broken(c, 0, 1e308)),
]


PATIENT = replace(NO_SOFT_START, command_timeout_s=10.0)


@pytest.mark.parametrize(("reason", "change"), REFUSED, ids=[f"{i}-{reason}" for i, (reason, _) in enumerate(REFUSED)])
def test_refused_commands_brake_then_hold(reason: str, change: Change) -> None:
    rig = FilterRig.active(PATIENT)
    rig.run(SLOWLY, 12)
    assert rig.setpoint.velocity.any()
    for count in range(1, 10):
        assert rig.next_period() is None
        before = rig.setpoint
        decision = rig.send(change(rig, rig.command(SLOWLY)))
        assert decision.outcome == f"refused:{reason}"
        assert decision.detail
        assert rig.filter.refusals == {reason: count}
        assert decision.finger_position_m is None
        slowing = before.velocity - decision.setpoint.velocity
        assert np.all(np.abs(slowing) <= PROFILE.acceleration * DT * (1 + 1e-6))
        assert np.all(np.abs(decision.setpoint.velocity) <= np.abs(before.velocity))
        if count == 1:
            assert_ends_at_rest(decision.trajectory)
        else:
            assert decision.trajectory is None  # braking already
    assert not rig.setpoint.velocity.any()
    # And the next good one is followed, from where the arm came to rest.
    rig.next_period()
    assert rig.send(rig.command(SLOWLY * 0.1)).outcome == "command"


def test_a_stale_command_is_refused_and_a_late_one_is_not() -> None:
    rig = FilterRig.active(PATIENT)
    for _ in range(12):
        rig.next_period()
    late = rig.command(SLOWLY * 0.1, stamp_ns=rig.now_ns - 8 * CONTROL_PERIOD_NS)
    assert rig.send(late).outcome == "command"
    rig.next_period()
    stale = rig.command(SLOWLY * 0.1, stamp_ns=rig.now_ns - 8 * CONTROL_PERIOD_NS - 2_000_000)
    assert rig.send(stale).outcome == "refused:stale"


def test_a_stamp_from_the_future_does_not_block_those_that_follow() -> None:
    rig = FilterRig.active()
    rig.run(SLOWLY * 0.1, 1)
    rig.next_period()
    assert rig.send(rig.command(SLOWLY, stamp_ns=rig.now_ns + 10**9)).outcome == "refused:future"
    rig.next_period()
    assert rig.send(rig.command(SLOWLY * 0.1)).outcome == "command"


def test_an_explicit_hold_brakes_and_keeps_the_driver_active() -> None:
    rig = FilterRig.active()
    rig.run(SLOWLY, 12)
    sent = []
    for _ in range(20):
        assert rig.next_period() is None
        decision = rig.send(JointCommand(rig.now_ns, hold=True))
        assert decision.outcome == "hold"
        sent.append(decision.trajectory)
    assert_ends_at_rest(sent[0])
    assert sent[1:] == [None] * 19
    assert not rig.setpoint.velocity.any()
    assert rig.filter.state is State.ACTIVE
    assert not rig.filter.refusals


def test_nothing_is_sent_while_nothing_moves() -> None:
    rig = FilterRig.active()
    decision = rig.run(REST, 5)
    assert decision.outcome == "command"
    assert decision.trajectory is None
    np.testing.assert_array_equal(decision.setpoint.position, HOME)


def test_soft_start_lets_the_speed_grow() -> None:
    rig = FilterRig.active(FilterSettings(soft_start_s=0.5, soft_start_speed=0.1))
    speeds = []
    for _ in range(20):
        rig.run(np.array([0, 0, 0, 0, 0, 0, 1.9]), 1)
        speeds.append(rig.setpoint.velocity[6] / PROFILE.velocity[6])
    ramp = 0.1 + 0.9 * np.minimum(np.arange(1, 21) * DT / 0.5, 1.0)
    assert np.all(speeds <= ramp + 1e-9)
    assert speeds[0] == pytest.approx(ramp[0])
    assert speeds[-1] > 0.9


def test_speed_scale_is_a_cap() -> None:
    rig = FilterRig.active(replace(NO_SOFT_START, speed_scale=0.25))
    decision = rig.run(np.array([0, 0, 0, 0, 0, 0, 1.9]), 20)
    assert decision.outcome == "limited"
    assert decision.setpoint.velocity[6] == pytest.approx(0.25 * PROFILE.velocity[6])


@pytest.mark.parametrize("share", [0.5, 0.2, 0.01])
def test_a_cap_that_is_lowered_on_the_way_slows_the_arm_down_within_the_acceleration_limits(share: float) -> None:
    wanted = np.array([0.6, 0.0, 0.0, 0.0, 0.0, 0.8, -1.5])
    rig = FilterRig.active()
    rig.run(wanted, 15)
    rig.filter.cap_speed(share)
    cap, excesses = share * PROFILE.velocity, [np.inf]
    while excesses[-1] > 1.0 + 1e-9:
        before = rig.setpoint.velocity
        decision = rig.run(wanted, 1)
        assert decision.outcome == "limited" and decision.rules & Rule.VELOCITY
        assert np.all(np.abs(decision.setpoint.velocity - before) <= PROFILE.acceleration * DT * (1.0 + 1e-9))
        assert_ends_at_rest(decision.trajectory)
        excesses.append(float(np.max(np.abs(decision.setpoint.velocity) / cap)))
        assert excesses[-1] < excesses[-2]
    assert len(excesses) < 15
    np.testing.assert_allclose(rig.run(wanted, 3).setpoint.velocity, wanted / np.max(np.abs(wanted) / cap), atol=1e-9)


def test_a_cap_is_raised_only_while_the_arm_does_not_follow() -> None:
    rig = FilterRig.active(replace(NO_SOFT_START, speed_scale=0.5))
    with pytest.raises(FetchSim2RealError, match=r"0\.5 and the arm is active, so it can only be lowered"):
        rig.filter.cap_speed(0.6)
    rig.filter.cap_speed(0.4)
    with pytest.raises(FetchSim2RealError, match=r"only be lowered"):
        rig.filter.cap_speed(0.5)
    assert rig.filter.settings.speed_scale == 0.4
    rig.filter.disable(rig.now_ns, "test")
    rig.filter.cap_speed(1.0)
    np.testing.assert_allclose(rig.filter.limiter.profile.velocity, PROFILE.velocity)


def test_fingers_are_commanded_on_change_only() -> None:
    rig = FilterRig.active()
    sent = []
    for opening in (0.02, 0.02, 0.0208, 0.0212, 0.0212, None, 0.9, 0.05, -1.0, 0.0):
        rig.next_period()
        sent.append(rig.send(rig.command(REST, finger_position_m=opening)).finger_position_m)
    assert sent == [0.02, None, None, 0.0212, None, None, 0.05, None, 0.0, None]


# --- silence, tracking, states ----------------------------------------------------------------------------------------


def test_silence_brakes_and_waits_for_an_enable() -> None:
    rig = FilterRig.active()
    rig.run(SLOWLY, 12)
    decisions = [rig.next_period() for _ in range(6)]
    # 100 ms are three periods: the fourth tick notices; the running tail is braking by then.
    assert [decision is not None for decision in decisions] == [False, False, False, True, False, False]
    noticed = decisions[3]
    assert noticed is not None
    assert noticed.outcome == "hold"
    assert "no valid command for 0.133 s" in noticed.detail
    assert rig.filter.state is State.HOLD
    late = rig.send(rig.command(SLOWLY))
    assert late.outcome == "refused:not_active"
    assert late.trajectory is None
    assert not late.setpoint.velocity.any()
    again = rig.filter.activate(rig.now_ns, sample(rig.now_ns, late.setpoint.position))
    assert again.outcome == "activated"


def test_a_clock_that_turns_out_to_be_set_disables_an_arm_that_is_held_already() -> None:
    """Slow joint states are missed before enough of them have come to tell that their clock was set."""
    rig = FilterRig.active()
    rig.run(SLOWLY, 12)
    for _ in range(4):
        rig.next_period()
    assert rig.filter.state is State.HOLD
    assert rig.filter.lose(rig.now_ns, "the clock was set", then_disabled=True) is None
    while not rig.filter.is_at_rest(rig.now_ns):
        assert rig.filter.state is State.HOLD
        rig.next_period()
    rig.next_period()
    assert rig.filter.state is State.DISABLED
    rig.filter.activate(rig.now_ns, sample(rig.now_ns, rig.setpoint.position))
    assert rig.filter.lose(rig.now_ns, "lost") is not None
    rig.next_period()
    assert rig.filter.state is State.HOLD


def test_a_shadow_goes_on_by_itself_after_its_arm_did_not_follow_and_after_nothing_else() -> None:
    pytest.importorskip("rclpy")
    from arm_driver.backends import Reanchor

    rig = FilterRig.active()
    reanchor = Reanchor(rig.filter)
    moving = sample(START_NS, HOME, SLOWLY)

    def lose_the_arm() -> None:
        rig.filter.on_joint_sample(sample(rig.now_ns, HOME + 0.5))
        rig.filter.tick(rig.now_ns)
        assert rig.filter.stopped_by_tracking

    lose_the_arm()
    assert reanchor.try_to(rig.now_ns, moving) is None and rig.filter.state is State.DISABLED
    assert reanchor.try_to(rig.now_ns, sample(rig.now_ns)) is not None
    rig.period += 1
    lose_the_arm()
    assert reanchor.try_to(rig.now_ns, moving) is None
    rig.filter.fault("the run-stop is pressed")
    assert reanchor.try_to(rig.now_ns, sample(rig.now_ns)) is None
    rig.filter.reset("reset by request")
    assert reanchor.try_to(rig.now_ns, sample(rig.now_ns)) is None
    assert rig.filter.state is State.DISABLED


def test_refused_commands_do_not_count_against_silence() -> None:
    rig = FilterRig.active()
    rig.run(SLOWLY * 0.1, 2)
    outcomes = []
    for _ in range(5):
        rig.next_period()
        outcomes.append(rig.send(broken(rig.command(REST), 0, np.nan)).outcome)
    assert outcomes[:3] == ["refused:non_finite"] * 3
    assert rig.filter.state is State.HOLD


def test_a_late_command_itself_does_not_wake_a_silent_driver() -> None:
    """Without a tick in between, too: what a command can do must not depend on when the watchdog was run."""
    rig = FilterRig.active()
    rig.run(SLOWLY * 0.1, 2)
    rig.period += 4
    rig.filter.on_joint_sample(sample(rig.now_ns, rig.setpoint.position))
    assert rig.send(rig.command(SLOWLY * 0.1)).outcome == "refused:command_timeout"
    assert rig.filter.state is State.HOLD


def test_the_first_command_may_take_longer() -> None:
    rig = FilterRig.active()
    for _ in range(29):
        assert rig.next_period() is None
    assert rig.send(rig.command(SLOWLY * 0.1)).outcome == "command"
    idle = FilterRig.active()
    assert [idle.next_period() is not None for _ in range(31)] == [False] * 30 + [True]
    assert idle.filter.state is State.HOLD


def test_old_joint_states_stop_the_motion() -> None:
    rig = FilterRig.active()
    rig.run(SLOWLY, 12)
    for _ in range(2):
        rig.period += 1
        assert rig.send(rig.command(SLOWLY)).outcome == "command"
    rig.period += 2
    decision = rig.send(rig.command(SLOWLY))
    assert decision.outcome == "refused:stale_joints"
    assert rig.filter.state is State.HOLD
    assert rig.filter.refusals == {"stale_joints": 1}


def test_broken_joint_states_are_as_good_as_none() -> None:
    rig = FilterRig.active()
    for _ in range(4):
        rig.period += 1
        rig.filter.on_joint_sample(sample(rig.now_ns, at(3, np.nan)))
    decision = rig.filter.tick(rig.now_ns)
    assert decision is not None
    assert "joint state" in decision.detail


def test_an_arm_that_does_not_follow_is_stopped_and_stays_so() -> None:
    rig = FilterRig.active()
    for _ in range(60):
        rig.period += 1
        rig.filter.on_joint_sample(sample(rig.now_ns, HOME))  # blocked
        decision = rig.filter.tick(rig.now_ns)
        if decision is not None:
            break
        rig.send(rig.command(SLOWLY))
    assert decision is not None
    assert "shoulder_pan_joint commanded to 0.2" in decision.detail
    assert_ends_at_rest(decision.trajectory)
    assert np.abs(rig.setpoint.position - HOME).max() < 0.4
    assert rig.filter.state is State.STOPPED
    with pytest.raises(TransitionError):
        rig.filter.activate(rig.now_ns, sample(rig.now_ns))
    rig.filter.reset("looked at")
    assert rig.filter.state is State.DISABLED
    assert rig.filter.activate(rig.now_ns, sample(rig.now_ns)).outcome == "activated"
    rig.setpoint = JointSetpoint.at_rest(HOME)
    rig.run(SLOWLY * 0.1, 3)


def test_joint_states_are_compared_with_the_command_of_their_own_time() -> None:
    """A sample from before the latest command is judged by the trajectory that ran then, not by the newest one."""
    tight = replace(NO_SOFT_START, tracking_error_rad=(1e-6,) * 7)
    rig = FilterRig.active(tight)
    fast = np.array([0, 0, 0, 0, 0, 0, 0.3])
    rig.run(fast, 5)
    begin = rig.setpoint
    rig.next_period()
    trajectory = rig.send(rig.command(fast)).trajectory
    assert trajectory is not None
    half = sample_trajectory(trajectory, begin, DT / 2)
    rig.period += 1
    rig.send(rig.command(fast))
    rig.filter.on_joint_sample(sample(rig.now_ns - CONTROL_PERIOD_NS // 2, half.position))
    assert rig.filter.tick(rig.now_ns) is None


@pytest.mark.parametrize(
    ("end", "state"),
    [(SafetyFilter.disable, State.DISABLED), (SafetyFilter.stop, State.STOPPED)],
    ids=["disable", "stop"],
)
def test_disable_and_stop_brake(end: Callable[[SafetyFilter, int, str], Decision], state: State) -> None:
    rig = FilterRig.active()
    rig.run(SLOWLY, 12)
    rig.next_period()
    decision = end(rig.filter, rig.now_ns, "asked to")
    assert decision.outcome == "hold"
    trajectory = assert_ends_at_rest(decision.trajectory)
    # At once: no coast.
    assert np.all(np.abs(trajectory.points[0].velocity) < np.abs(rig.setpoint.velocity) + 1e-12)
    assert len(trajectory.points) <= 2
    assert rig.filter.state is state
    assert rig.filter.state_reason == "asked to"
    assert rig.send(rig.command(SLOWLY)).outcome == "refused:not_active"


Halt = Callable[[FilterRig, int], Decision | None]
HALTS: dict[str, Halt] = {
    "disable": lambda rig, now_ns: rig.filter.disable(now_ns, "asked to"),
    "stop": lambda rig, now_ns: rig.filter.stop(now_ns, "asked to"),
    "lose": lambda rig, now_ns: rig.filter.lose(now_ns, "connection lost"),
    "refused": lambda rig, now_ns: rig.filter.on_command(now_ns, rig.command(SLOWLY * np.nan, now_ns)),
    "hold": lambda rig, now_ns: rig.filter.on_command(now_ns, JointCommand(now_ns, hold=True)),
}


@pytest.mark.parametrize("halt", HALTS)
@pytest.mark.parametrize(
    ("periods", "is_sent"),
    [
        (0.3, True),  # in the commanded step
        (1.0, True),
        (1.4, True),  # coasting, and for longer than is worth a goal
        (1.7, False),  # coasting for a moment more
        (2.0, False),
        (2.3, False),  # on the ramp
        (3.0, False),
        (40.0, False),  # at rest
    ],
)
def test_a_halt_sends_something_only_if_it_comes_to_rest_sooner(halt: str, periods: float, is_sent: bool) -> None:
    rig = FilterRig.active(PATIENT)
    last = rig.run(SLOWLY, 12)
    assert last.trajectory is not None
    own_rest_ns = rig.now_ns + round(last.trajectory.points[-1].time_from_start_s * 1e9)
    now_ns = rig.now_ns + round(periods * CONTROL_PERIOD_NS)
    rig.filter.on_joint_sample(sample(now_ns, last.setpoint.position))
    decision = HALTS[halt](rig, now_ns)
    assert decision is not None
    assert (decision.trajectory is not None) is is_sent
    if decision.trajectory is not None:
        ramp = assert_ends_at_rest(decision.trajectory)
        assert len(ramp.points) == 1, "a controller that is late has the whole ramp to make up for it"
        assert now_ns + ramp.points[0].time_from_start_s * 1e9 < own_rest_ns
    # And what comes after it finds the arm braking.
    again = rig.filter.on_command(now_ns + 5_000_000, JointCommand(now_ns, hold=True))
    assert again.trajectory is None


def test_a_fault_sends_nothing_and_is_latched() -> None:
    rig = FilterRig.active()
    rig.run(SLOWLY, 12)
    rig.filter.fault("run-stop")
    assert rig.filter.state is State.FAULT
    assert rig.next_period() is None
    decision = rig.send(rig.command(SLOWLY))
    assert decision.outcome == "refused:not_active"
    assert decision.trajectory is None
    assert decision.setpoint.position.size == 0
    with pytest.raises(TransitionError):
        rig.filter.activate(rig.now_ns, sample(rig.now_ns))


# --- what the arm is told, put together -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_the_commanded_motion_is_continuous_and_inside_all_limits_under_jitter(seed: int) -> None:
    """Commands of a wild policy at irregular times, some refused; the trajectories spliced as a controller does."""
    rng = np.random.default_rng(seed)
    arm_filter = SafetyFilter(PROFILE, TABLE_SCENE, replace(NO_SOFT_START, command_timeout_s=10.0))
    now_ns = START_NS
    decision = arm_filter.activate(now_ns, sample(now_ns))
    running, start, sent_ns = decision.trajectory, JointSetpoint.at_rest(HOME), now_ns
    positions, speeds, times = [], [], []
    wanted = np.zeros(7)
    for _ in range(150):
        assert running is not None
        wait_ns = round(CONTROL_PERIOD_NS * rng.choice([0.3, 0.9, 1.0, 1.1, 1.6, 2.5, 3.7]))
        for share in np.linspace(0.0, 1.0, 6)[:-1]:
            elapsed_s = (now_ns + share * wait_ns - sent_ns) * 1e-9
            state = sample_trajectory(running, start, elapsed_s)
            positions.append(state.position)
            speeds.append(state.velocity)
            times.append((now_ns + share * wait_ns - START_NS) * 1e-9)
        now_ns += wait_ns
        now = sample_trajectory(running, start, (now_ns - sent_ns) * 1e-9)
        arm_filter.on_joint_sample(sample(now_ns, now.position, now.velocity))
        assert arm_filter.tick(now_ns) is None
        wanted = 0.8 * wanted + rng.normal(size=7) * PROFILE.velocity * 0.5
        command = JointCommand(now_ns, position_after_step(now.position, now.velocity, wanted), wanted)
        if rng.random() < 0.1:
            command = replace(command, stamp_ns=0)
        decision = arm_filter.on_command(now_ns, command)
        if decision.trajectory is not None:
            running, start, sent_ns = decision.trajectory, now, now_ns
    position, speed, time = np.array(positions), np.array(speeds), np.array(times)
    step = np.diff(time)[:, None]
    assert np.all(np.abs(np.diff(speed, axis=0)) <= PROFILE.acceleration * step * (1 + 1e-6) + 1e-7)
    assert np.all(np.abs(speed) <= PROFILE.velocity * (1 + 1e-6))
    assert np.all((position >= PROFILE.position_lower - 1e-9) & (position <= PROFILE.position_upper + 1e-9))
    assert euclidean_clearance(position, TABLE_SCENE).least.min() >= 0.0
    assert np.abs(position - HOME).max() > 0.1
    assert arm_filter.refusals["before_activation"] > 3


# --- fingers ----------------------------------------------------------------------------------------------------------


def test_opposite_finger_goals_pass_at_a_bounded_rate_and_the_last_one_is_not_lost() -> None:
    rig = FilterRig.active(PATIENT)
    sent = []
    for frame in range(16):
        rig.next_period()
        opening = 0.05 if frame % 2 == 0 else 0.0
        position = rig.send(rig.command(REST, finger_position_m=opening)).finger_position_m
        if position is not None:
            sent.append((frame, position))
    # A quarter of a second, seven and a half periods, from opening to opening.
    assert sent == [(0, 0.05), (1, 0.0), (8, 0.05), (9, 0.0)]
    rig.next_period()
    assert rig.send(rig.command(REST, finger_position_m=0.03)).finger_position_m == 0.03


@pytest.mark.parametrize("follows", ["hold", "no finger", "same"])
def test_an_opening_that_had_to_wait_comes_later_and_the_newest_wins(follows: str) -> None:
    rig = FilterRig.active(PATIENT)
    for opening in (0.05, 0.0, 0.05, 0.02):
        rig.next_period()
        rig.send(rig.command(REST, finger_position_m=opening))
    sent = []
    for _ in range(20):
        rig.next_period()
        if follows == "hold":
            command = JointCommand(rig.now_ns, hold=True)
        else:
            command = rig.command(REST, finger_position_m=0.02 if follows == "same" else None)
        sent.append(rig.send(command).finger_position_m)
    assert [position for position in sent if position is not None] == [0.02]
    assert sent.index(0.02) == 4


def test_closing_never_waits_and_nothing_is_sent_by_a_refused_command() -> None:
    rig = FilterRig.active(PATIENT)
    for opening, is_sent in ((0.05, True), (0.03, True), (0.04, False), (0.01, True), (0.0, True), (0.05, False)):
        rig.next_period()
        decision = rig.send(rig.command(REST, finger_position_m=opening))
        assert (decision.finger_position_m == opening) is is_sent
    for _ in range(20):
        rig.next_period()
        assert rig.send(broken(rig.command(REST), 0, np.nan)).finger_position_m is None


def test_fingers_go_their_way_between_two_trajectories_too() -> None:
    rig = FilterRig.active(replace(PATIENT, send_periods=2))
    rig.run(SLOWLY * 0.1, 2)
    rig.next_period()
    decision = rig.send(rig.command(SLOWLY * 0.1, finger_position_m=0.04))
    assert (decision.outcome, decision.finger_position_m) == ("paced", 0.04)


@pytest.mark.parametrize("changes", [{"finger_effort_n": 0.0}, {"finger_effort_n": 61.0}, {"finger_reopen_s": -0.1}])
def test_settings_of_the_fingers_out_of_range_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(FetchSim2RealError, match="expected"):
        FilterSettings(**changes)  # type: ignore[arg-type]
