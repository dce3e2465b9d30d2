"""What does a controller cost that starts each new trajectory from the measured state?

ros2_control's joint_trajectory_controller does so unless ``interpolate_from_desired_state`` is set. The whole loop in
one process, in a world whose controller starts from the desired state and in one whose controller starts from the
measured one: the gripper is sent sideways across the table at a steady speed, and shipped policies run their episodes.
Where servos are told the wanted velocity too, as a Fetch's are, there is next to nothing between the two states; so
this is done once more with servos that are told positions alone.

    python -m benchmarks.splice --policies reach_block push --episodes 20 --folder runs/splice
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
from rich.console import Console
from rich.table import Table

from fetch_sim2real.arm.limits import limit_profile
from fetch_sim2real.control.action import ACTION_SCALE_M, target_box_of
from fetch_sim2real.episode import ActionSettings, ClosedLoop, EpisodeRunner, EpisodeStart, Step
from fetch_sim2real.evaluation.measure import Case, measure
from fetch_sim2real.paths import find_policy, worlds_dir
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import World, load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.timing import CONTROL_PERIOD_S

Start = Literal["desired", "measured"]
STARTS: Final[tuple[Start, ...]] = get_args(Start)
SPEEDS_M_S: Final = (0.1, 0.2, 0.4)
FEEDFORWARDS: Final = (1.0, 0.0)
_SEED: Final = 10_000


@dataclass(frozen=True)
class Crossing:
    """The gripper on its way across the table.

    ``commanded_m_s`` is the speed of the driver's setpoint, ``reached_m_s`` the gripper's, each the mean of the way's
    second half. ``behind_rad``: the most that a joint was behind where it was commanded. ``stopped``: why the driver
    gave up, empty if it did not.
    """

    commanded_m_s: float
    reached_m_s: float
    behind_rad: float
    stopped: str


def world_that_starts_from(start: Start, name: str, feedforward: float) -> World:
    """The shipped world ``name`` with a controller that starts trajectories from ``start``, and servos told that share
    of the wanted velocity."""
    world = load_world(name, worlds_dir())
    changes = {"trajectories_start_from": start, "servo_feedforward": feedforward}
    return world.model_copy(update={"robot": world.robot.model_copy(update=changes)})


def cross(world: World, speed_m_s: float) -> Crossing:
    """Send the gripper 0.3 m sideways at ``speed_m_s``."""
    settings = ActionSettings(ACTION_SCALE_M, False, target_box_of(world.workcell), limit_profile("default"))
    loop = ClosedLoop(Simulation(world.with_episode_s(60.0), find_task("reach"), None), settings)
    runner = EpisodeRunner([loop])
    arrivals = runner.begin([EpisodeStart(_SEED)])
    side = -1.0 if loop.grip_position_m(loop.setpoint.position)[1] > 0.0 else 1.0
    action = np.array([0.0, side * speed_m_s * CONTROL_PERIOD_S / ACTION_SCALE_M, 0.0, 0.0])
    commanded, reached, behind_rad, stopped = [], [], 0.0, ""

    def watch(step: Step) -> None:
        nonlocal behind_rad, stopped
        if step.decision.outcome not in ("command", "limited"):
            stopped = f"{step.decision.outcome}: {step.decision.detail}"
            return
        measured = loop.sim.measured().position
        commanded.append(loop.grip_position_m(loop.setpoint.position)[1])
        reached.append(loop.grip_position_m(measured)[1])
        behind_rad = max(behind_rad, float(np.abs(loop.setpoint.position - measured).max()))

    for _ in range(round(0.3 / (speed_m_s * CONTROL_PERIOD_S))):
        arrivals = runner.step(arrivals, action[None], watch)
        if stopped:
            break
    runner.close()
    return Crossing(_speed(commanded), _speed(reached), behind_rad, stopped)


def _speed(positions_m: list[float]) -> float:
    late = positions_m[len(positions_m) // 2 :]
    return float(abs(late[-1] - late[0])) / ((len(late) - 1) * CONTROL_PERIOD_S) if len(late) > 1 else 0.0


def main(arguments: list[str] | None = None) -> int:
    """Print speeds and successes."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--policies", nargs="*", default=["reach_block", "push"], help="shipped ones, or folders")
    made.add_argument("--world", default="nominal", help="a shipped world")
    made.add_argument("--episodes", type=int, default=20)
    made.add_argument("--folder", type=Path, help="write splice.json there")
    options = made.parse_args(arguments)
    console = Console(width=160)
    table = Table(
        *("velocity told", "starts from", "asked [m/s]", "commanded [m/s]", "reached [m/s]", "behind [rad]"),
        "driver stops",
    )
    rows: list[dict[str, object]] = []
    for feedforward, speed, start in product(FEEDFORWARDS, SPEEDS_M_S, STARTS):
        found = cross(world_that_starts_from(start, options.world, feedforward), speed)
        numbers = (f"{value:.3f}" for value in (speed, found.commanded_m_s, found.reached_m_s, found.behind_rad))
        table.add_row(f"{feedforward:.0%}", start, *numbers, found.stopped.partition(":")[2].strip() or "no")
        rows.append({"feedforward": feedforward, "start": start, "asked_m_s": speed, **asdict(found)})
    console.print(table)
    successes: list[dict[str, object]] = []
    for policy, feedforward, start in product(options.policies, FEEDFORWARDS, STARTS):
        case = Case(world_that_starts_from(start, options.world, feedforward))
        seeds = range(_SEED, _SEED + options.episodes)
        count = sum(outcome.success for outcome in measure(load_bundle(find_policy(policy)), case, seeds))
        console.print(f"{policy}, velocity told {feedforward:.0%}, from {start}: {count} of {options.episodes}")
        successes.append({"policy": policy, "feedforward": feedforward, "start": start, "successes": count})
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        content = {"crossings": rows, "successes": successes}
        (options.folder / "splice.json").write_text(json.dumps(content, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
