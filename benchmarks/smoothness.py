"""How smooth is what a controller makes of the filter's trajectories when goals arrive late and unevenly?

The real filter and models of two controllers, without ROS and in simulated time: ros2_control's, which takes a goal up
at its next update and goes on from its desired state, and a Fetch's, which looks for one 50 times a second. The arm
moves one joint steadily; then something stops it. Each goal takes a lag and up to a jitter more.

    python -m benchmarks.smoothness --folder runs/smoothness
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from rich.console import Console
from rich.table import Table

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.limits import LimitProfile, limit_profile
from fetch_sim2real.control.checks import FilterSettings
from fetch_sim2real.control.filter import Decision, SafetyFilter
from fetch_sim2real.control.trajectory import held_until, position_after_step
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.rosbridge import topics as ros1
from fetch_sim2real.rosbridge.messages import ArmActionGoal, read
from fetch_sim2real.sim.servos import TrajectoryFollower
from fetch_sim2real.timing import CONTROL_PERIOD_NS
from fetch_sim2real.types import FloatArray, JointCommand, JointSample, JointTrajectory
from fetch_sim2real.workcell import load_workcell
from sim_bridge.fetch_actions import ArmAction

PROFILE: Final[LimitProfile] = limit_profile("default")
SPEED_RAD_S: Final = 0.8
# Shoulder pan takes 10 periods to brake from there, wrist roll 3.
JOINTS: Final = {"shoulder_pan": 0, "wrist_roll": 6}
LAGS_S: Final = (0.0, 0.02, 0.04, 0.06)
JITTERS_S: Final = (0.0, 0.01, 0.02)
# From the last command to the stop.
PHASES_S: Final = (0.001, 0.009, 0.017, 0.025)
_STEP_NS: Final = 1_000_000
_TICK_STEPS: Final = 10
_STEADY_PERIODS: Final = 24
_STEADY_S: Final = 0.3
_WATCHED_S: Final = 1.2
_UPDATE_S: Final = 0.01  # ros2_control's default: 100 Hz
_START_NS: Final = 1_000_000_000
_FOLLOWED: Final = ("command", "limited", "paced", "activated")


class Controller(Protocol):
    """A model of a controller. Times are seconds."""

    send_periods: int
    taken_s: list[float]

    def on_goal(self, now_s: float, trajectory: JointTrajectory) -> None:
        """A goal has arrived."""

    def work(self, now_s: float) -> None:
        """Do what is due."""

    def desired(self, now_s: float) -> tuple[FloatArray, FloatArray]:
        """Position and velocity (7,) that it asks of the joints."""


class Ros2Control:
    """joint_trajectory_controller with ``interpolate_from_desired_state``."""

    send_periods = 1

    def __init__(self, position: FloatArray, now_s: float) -> None:
        self._follower = TrajectoryFollower(position, now_s)
        self._waiting: JointTrajectory | None = None
        self._update_s = now_s
        self.taken_s: list[float] = []

    def on_goal(self, now_s: float, trajectory: JointTrajectory) -> None:
        """See Controller."""
        self._waiting = trajectory

    def work(self, now_s: float) -> None:
        """See Controller."""
        if now_s < self._update_s:
            return
        self._update_s += _UPDATE_S
        if self._waiting is not None:
            self._follower.accept(self._waiting, now_s)
            self._waiting = None
            self.taken_s.append(now_s)

    def desired(self, now_s: float) -> tuple[FloatArray, FloatArray]:
        """See Controller."""
        position, velocity = self._follower.desired(np.array([now_s]))
        return position[0], velocity[0]


class Fetch:
    """A Fetch's action server, as the simulated one is, behind goals as the rosbridge back end writes them."""

    send_periods = 2

    def __init__(self, position: FloatArray, now_s: float) -> None:
        self._follower = TrajectoryFollower(position, now_s)
        self._now_s = now_s
        self._goals = 0
        self._action = ArmAction(self, lambda *_: None)
        self.taken_s: list[float] = []

    def on_goal(self, now_s: float, trajectory: JointTrajectory) -> None:
        """See Controller."""
        self._now_s = now_s
        self._goals += 1
        held = held_until(trajectory, ros1.GOAL_HORIZON_S)
        goal = ros1.arm_goal_json(held, str(self._goals), [0.3] * 7, 1.0)
        self._action.on_goal(now_s, read(ArmActionGoal, goal, ros1.ARM_GOAL.name))

    def work(self, now_s: float) -> None:
        """See Controller."""
        self._now_s = now_s
        self._action.work(now_s)

    def desired(self, now_s: float) -> tuple[FloatArray, FloatArray]:
        """See Controller."""
        position, velocity = self._follower.desired(np.array([now_s]))
        return position[0], velocity[0]

    def start(self, trajectory: JointTrajectory, from_measured: bool) -> None:
        """See Arm; the arm is where it is wanted."""
        self._follower.accept(trajectory, self._now_s)
        self.taken_s.append(self._now_s)

    def hold(self) -> None:
        """See Arm."""
        self._follower = TrajectoryFollower(self.desired(self._now_s)[0], self._now_s)

    def error_rad(self) -> FloatArray:
        """See Arm."""
        return np.zeros(7)


CONTROLLERS: Final[dict[str, Callable[[FloatArray, float], Controller]]] = {
    "ros2_control": Ros2Control,
    "fetch": Fetch,
}

@dataclass(frozen=True)
class Stop:
    """A way to stop: what is asked of the filter once, what becomes of the commands, whether joint states go on."""

    act: Callable[[SafetyFilter, int], Decision | None] = lambda safety, now_ns: None
    command: Callable[[JointCommand], JointCommand | None] = lambda command: None
    joint_states: bool = True


STOPS: Final[dict[str, Stop]] = {
    "silence": Stop(),
    "joint states cease": Stop(command=lambda command: command, joint_states=False),
    "refused": Stop(command=lambda command: replace(command, position=np.full(7, np.nan))),
    "hold": Stop(command=lambda command: replace(command, hold=True)),
    "disable": Stop(act=lambda safety, now_ns: safety.disable(now_ns, "asked to")),
    "stop": Stop(act=lambda safety, now_ns: safety.stop(now_ns, "asked to")),
    "lose": Stop(act=lambda safety, now_ns: safety.lose(now_ns, "connection lost")),
}


@dataclass(frozen=True)
class Case:
    """One run."""

    controller: str
    stop: str
    joint: str = "shoulder_pan"
    lag_s: float = 0.0
    jitter_s: float = 0.0
    phase_s: float = PHASES_S[0]
    seed: int = 0


@dataclass(frozen=True)
class Smoothness:
    """What the controller asked of the moving joint, as shares of the commanded speed.

    ``steady_peak``: the greatest speed before the stop. From the first goal on that the stop sent, or, if it sent none,
    from where the last goal slows down by itself: ``peak``, as a share of the speed there if that is greater than the
    commanded one; ``back``, against the motion; ``acceleration``, the greatest as a share of the profile's.
    ``goals``: how many the stop sent. ``rest_s``: from the stop to rest.
    """

    steady_peak: float
    peak: float
    back: float
    acceleration: float
    goals: int
    rest_s: float


class _Way:
    """Goals on their way to the controller, in order; when those arrive that are to stop the arm."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._rng = np.random.default_rng(case.seed)
        self._due: list[tuple[float, JointTrajectory]] = []
        self.newest: JointTrajectory | None = None
        self.stops_s: list[float] = []

    def send(self, now_s: float, decision: Decision | None) -> None:
        if decision is None or decision.trajectory is None:
            return
        self.newest = decision.trajectory
        # No sooner than the next step: the controller has had its turn in this one.
        due_s = now_s + max(self._case.lag_s + self._rng.uniform(0.0, 1.0) * self._case.jitter_s, _STEP_NS * 1e-9)
        self._due.append((max(due_s, self._due[-1][0]) if self._due else due_s, decision.trajectory))
        if decision.outcome not in _FOLLOWED:
            self.stops_s.append(self._due[-1][0])

    def deliver(self, now_s: float, controller: Controller) -> None:
        while self._due and self._due[0][0] <= now_s:
            controller.on_goal(now_s, self._due.pop(0)[1])


def run(case: Case) -> Smoothness:
    """Move steadily, stop, and look at the controller's output every millisecond."""
    joint, stop = JOINTS[case.joint], STOPS[case.stop]
    wanted = np.zeros(7)
    wanted[joint] = SPEED_RAD_S
    start = ARM.home_rad - 0.5 * wanted
    controller = CONTROLLERS[case.controller](start, _START_NS * 1e-9)
    settings = FilterSettings(soft_start_s=0.0, send_periods=controller.send_periods)
    safety = SafetyFilter(PROFILE, load_workcell("nominal", worlds_dir()).scene(), settings)
    way = _Way(case)
    activation = safety.activate(_START_NS, JointSample(_START_NS, start, np.zeros(7), 0.0))
    setpoint = activation.setpoint
    way.send(_START_NS * 1e-9, activation)

    stop_ns = _START_NS + _STEADY_PERIODS * CONTROL_PERIOD_NS + round(case.phase_s * 1e9)
    period, stopped = 1, False
    speeds: list[float] = []
    times_ns = range(_START_NS, stop_ns + round(_WATCHED_S * 1e9), _STEP_NS)
    for step, now_ns in enumerate(times_ns):
        now_s = now_ns * 1e-9
        way.deliver(now_s, controller)
        controller.work(now_s)
        position, velocity = controller.desired(now_s)
        speeds.append(float(velocity[joint]))
        if step % _TICK_STEPS == 0:
            if stop.joint_states or not stopped:
                safety.on_joint_sample(JointSample(now_ns, position, velocity, 0.0))
            way.send(now_s, safety.tick(now_ns))
        if not stopped and now_ns >= stop_ns:
            stopped = True
            way.send(now_s, stop.act(safety, now_ns))
        if now_ns >= _START_NS + period * CONTROL_PERIOD_NS:
            period += 1
            ahead = position_after_step(setpoint.position, setpoint.velocity, wanted)
            wish = JointCommand(now_ns, ahead, wanted)
            command = stop.command(wish) if stopped else wish
            if command is not None:
                decision = safety.on_command(now_ns, command)
                setpoint = decision.setpoint
                way.send(now_s, decision)
    if way.stops_s:
        begin_s = next(taken_s for taken_s in controller.taken_s if taken_s >= way.stops_s[0])
    else:
        assert way.newest is not None
        begin_s = controller.taken_s[-1] + way.newest.points[-2].time_from_start_s
    times_s, shares = np.array(times_ns) * 1e-9, np.array(speeds) / SPEED_RAD_S
    acceleration = float(PROFILE.acceleration[joint]) / SPEED_RAD_S
    return _judged(times_s, shares, acceleration, (stop_ns * 1e-9, begin_s), len(way.stops_s))


def _judged(
    times_s: FloatArray, shares: FloatArray, acceleration: float, moments_s: tuple[float, float], goals: int
) -> Smoothness:
    """``shares`` (n,) of the commanded speed at ``times_s`` (n,), the same of the limit [1/s]; when the stop was called
    for, and when its effect began."""
    stop_s, begin_s = moments_s
    steady = (times_s > stop_s - _STEADY_S) & (times_s <= stop_s)
    after = shares[times_s >= begin_s - 0.5e-9 * _STEP_NS]
    moving = np.flatnonzero(np.abs(shares) > 1e-6)
    return Smoothness(
        steady_peak=float(np.abs(shares[steady]).max()),
        peak=float(np.abs(after).max() / max(1.0, abs(after[0]))),
        back=float(max(0.0, -after.min())),
        acceleration=float(np.abs(np.diff(after)).max() / (_STEP_NS * 1e-9) / acceleration),
        goals=goals,
        rest_s=float(times_s[moving[-1]] - stop_s),
    )


def main(arguments: list[str] | None = None) -> int:
    """Run all cases; print the worst of each controller, stop and jitter."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--folder", type=Path, help="write smoothness.json there")
    made.add_argument("--seeds", type=int, default=1, help="runs of each case, with other jitter")
    options = made.parse_args(arguments)
    table = Table(
        "controller", "jitter [ms]", "stop", "steady peak", "peak", "back", "acceleration", "goals", "rest [s]"
    )
    found = []
    for controller, jitter_s, stop in product(CONTROLLERS, JITTERS_S, STOPS):
        cases = [
            Case(controller, stop, joint, lag_s, jitter_s, phase_s, seed)
            for joint, lag_s, phase_s, seed in product(JOINTS, LAGS_S, PHASES_S, range(options.seeds))
        ]
        results = [run(case) for case in cases]
        found += [{**asdict(case), **asdict(result)} for case, result in zip(cases, results, strict=True)]
        worst = [max(getattr(r, name) for r in results) for name in ("steady_peak", "peak", "back", "acceleration")]
        goals, rest_s = max(r.goals for r in results), max(r.rest_s for r in results)
        table.add_row(
            controller, f"0 to {1e3 * jitter_s:.0f}", stop, *(f"{w:.2f}" for w in worst), str(goals), f"{rest_s:.2f}"
        )
    Console(width=120).print(table)
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        (options.folder / "smoothness.json").write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
