"""Which goals of ``slide`` some stroke attains, and how far the gripper reaches.

Per episode strokes are searched through the same limits, filter and delays that an actor has: the gripper goes over to
a place behind the puck, comes down, is moved straight ahead with a constant action until it is past where the puck lay,
and is held. A stroke is open loop: what the puck does is not looked at. First strokes of one speed are tried that
differ in direction and in how far aside of the puck's centre they are; then, for those whose puck left most nearly
towards the goal, the speed is halved in until the puck stops there. An episode that no stroke solves counts as not
attainable: the share is a lower bound.

    python -m benchmarks.slide_attainable --episodes 200 --first-seed 0 --world randomized --output runs/attainable.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from fetch_sim2real.control.action import ACTION_SCALE_M
from fetch_sim2real.episode import Arrival, EpisodeRunner, EpisodeStart, make_loop
from fetch_sim2real.evaluation.statistics import wilson_interval
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.perception.observe import ACTION_SIZE
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.types import FloatArray

PUCK: Final = "puck"
_BEHIND_M: Final = 0.09  # where a stroke begins, before the puck's centre
_PAST_M: Final = 0.03  # where it ends, past the puck's first place
_CLEAR_Z_M, _LOW_Z_M = 0.805, 0.755  # over the puck; as low as the gripper is aimed
_THERE_M, _DOWN_M = 0.006, 0.004
_GAIN: Final = 0.25
_TURNS_RAD: Final = tuple(float(np.deg2rad(turn)) for turn in (0.0, -20.0, 20.0))
_ASIDES_M: Final = (0.0, 0.008, -0.008, 0.016, -0.016, 0.024, -0.024)
_FIRST_SPEED: Final = 0.55
_BEST: Final = 5
_HALVINGS: Final = 6


@dataclass(frozen=True)
class Stroke:
    """Turned by so much from the line to the goal, its line so far aside of the puck; speed is a share of the full
    action."""

    turn_rad: float
    aside_m: float
    speed: float


class _Striker:
    """Makes one stroke from the true start of an episode."""

    def __init__(self, sim: Simulation, stroke: Stroke) -> None:
        self._sim, self._stroke = sim, stroke
        self._puck_m = sim.objects_m[PUCK][:2]
        way = sim.goal_m[:2] - self._puck_m
        angle = np.arctan2(way[1], way[0]) + stroke.turn_rad
        self._ahead = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-self._ahead[1], self._ahead[0]])
        self._from_m = self._puck_m - _BEHIND_M * self._ahead + stroke.aside_m * across
        self._phase = 0

    def action(self) -> FloatArray:
        grip = self._sim.grip_position_m
        if self._phase == 0:
            left_m = float(np.linalg.norm(self._from_m - grip[:2]))
            over = left_m < 2 * _THERE_M
            place = self._from_m if over or grip[2] > _CLEAR_Z_M - 0.015 else grip[:2]
            to = np.array([*place, _LOW_Z_M if over else _CLEAR_Z_M])
            if left_m >= _THERE_M or grip[2] > _LOW_Z_M + _DOWN_M:
                return np.append(np.clip((to - grip) * (_GAIN / ACTION_SCALE_M), -1.0, 1.0), -1.0)
            self._phase = 1
        if (grip[:2] - self._puck_m) @ self._ahead > _PAST_M:
            self._phase = 2
        return np.append(self._ahead * self._stroke.speed * (self._phase == 1), [0.0, -1.0])


@dataclass(frozen=True)
class Result:
    """Where the puck came to rest (2,) [m] and whether the episode was a success."""

    at_m: FloatArray
    success: bool


class Search:
    """The strokes of one episode, each chosen by what the ones before it did."""

    def __init__(self, puck_m: FloatArray, goal_m: FloatArray) -> None:
        self._puck_m, self._way = puck_m[:2], goal_m[:2] - puck_m[:2]
        self.tried = 0
        self.success: Stroke | None = None
        self._strokes = self._all()
        self.next: Stroke | None = next(self._strokes)
        self._result: Result | None = None

    def tell(self, result: Result) -> None:
        """Take the result of ``next`` and choose another stroke; None once there is no more to try."""
        self.tried += 1
        if result.success:
            self.success, self.next = self.next, None
            return
        self._result = result
        self.next = next(self._strokes, None)

    def _all(self) -> Iterator[Stroke]:
        ranked = []
        for turn_rad in _TURNS_RAD:
            for aside_m in _ASIDES_M:
                stroke = Stroke(turn_rad, aside_m, _FIRST_SPEED)
                yield stroke
                ranked.append((abs(self._off_rad()), stroke))
        ranked.sort(key=lambda each: each[0])
        for _, stroke in ranked[:_BEST]:
            low, high = 0.1, 1.0
            for _ in range(_HALVINGS):
                speed = 0.5 * (low + high)
                yield replace(stroke, speed=speed)
                if self._gone_m() > np.linalg.norm(self._way):
                    high = speed
                else:
                    low = speed

    def _moved(self) -> FloatArray:
        assert self._result is not None
        moved: FloatArray = self._result.at_m - self._puck_m
        return moved

    def _gone_m(self) -> float:
        return float(self._moved() @ self._way / np.linalg.norm(self._way))

    def _off_rad(self) -> float:
        moved = self._moved()
        if np.linalg.norm(moved) < 0.02:
            return float(np.pi)
        off = np.arctan2(moved[1], moved[0]) - np.arctan2(self._way[1], self._way[0])
        return float((off + np.pi) % (2.0 * np.pi) - np.pi)


def strike(runner: EpisodeRunner, seeds: Sequence[int], strokes: Sequence[Stroke]) -> list[Result]:
    """Run the episodes of ``seeds`` side by side, one stroke each."""
    arrivals: list[Arrival] = runner.begin([EpisodeStart(seed) for seed in seeds])
    strikers = [_Striker(loop.sim, stroke) for loop, stroke in zip(runner.loops, strokes, strict=False)]
    while arrivals:
        actions = np.array([strikers[arrival.environment].action() for arrival in arrivals])
        arrivals = runner.step(arrivals, actions.reshape(-1, ACTION_SIZE))
    sims = [loop.sim for loop in runner.loops[: len(seeds)]]
    return [Result(sim.objects_m[PUCK][:2], sim.outcome().success) for sim in sims]


def search(world: str, seeds: Sequence[int], environments: int) -> dict[int, Search]:
    """Search every episode's strokes."""
    loaded, task = load_world(world, worlds_dir()), find_task("slide")
    runner = EpisodeRunner([make_loop(loaded, task, 0) for _ in range(min(environments, len(seeds)))])
    found: dict[int, Search] = {}
    for seed in seeds:
        sample = runner.loops[0].sim.reset(seed)
        found[seed] = Search(sample.objects_m[PUCK], sample.goal_m)
    while waiting := [seed for seed in seeds if found[seed].next is not None]:
        some = waiting[: len(runner.loops)]
        strokes = [stroke for seed in some if (stroke := found[seed].next) is not None]
        for seed, result in zip(some, strike(runner, some, strokes), strict=True):
            found[seed].tell(result)
            if found[seed].next is None:
                print(f"{seed}: {found[seed].success} ({found[seed].tried} strokes)", flush=True)
    runner.close()
    return found


def reach_m(world: str) -> float:
    """Return how far along x the gripper gets straight ahead at the height of the table, with nothing in its way."""
    loop = make_loop(load_world(world, worlds_dir()).with_episode_s(6.0), find_task("reach"), 0)
    runner = EpisodeRunner([loop])
    arrivals, farthest_m = runner.begin([EpisodeStart(0)]), 0.0
    while arrivals:
        grip = loop.sim.grip_position_m
        to = np.clip(np.array([0.0, -grip[1], _LOW_Z_M - grip[2]]) * (_GAIN / ACTION_SCALE_M), -1.0, 1.0)
        if grip[2] < _LOW_Z_M + _DOWN_M:
            to[0] = 1.0
            farthest_m = max(farthest_m, float(grip[0]))
        arrivals = runner.step(arrivals, np.append(to, -1.0)[None])
    runner.close()
    return farthest_m


def main(arguments: list[str] | None = None) -> int:
    """Search, print the share, and write which seeds are attainable."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--episodes", type=int, default=100)
    made.add_argument("--first-seed", type=int, default=0)
    made.add_argument("--world", default="randomized")
    made.add_argument("--environments", type=int, default=16, help="episodes side by side")
    made.add_argument("--output", type=Path, help="JSON: share, interval, and the attainable seeds")
    options = made.parse_args(arguments)
    seeds = range(options.first_seed, options.first_seed + options.episodes)
    found = search(options.world, seeds, options.environments)
    attainable = [seed for seed in seeds if found[seed].success is not None]
    low, high = wilson_interval(len(attainable), len(seeds))
    told = {
        "world": options.world, "first_seed": options.first_seed, "episodes": options.episodes,
        "reach_m": round(reach_m(options.world), 4), "share": len(attainable) / len(seeds),
        "ci95": [low, high], "attainable": attainable,
    }  # fmt: skip
    print(
        f"{options.world}: reach {told['reach_m']} m, {len(attainable)} of {len(seeds)} goals attainable, "
        f"{low:.2f} to {high:.2f}"
    )
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
