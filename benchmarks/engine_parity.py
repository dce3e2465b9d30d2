"""How far apart are two engines? The same states and the same servo targets in both, without a sensor's errors.

    python -m benchmarks.engine_parity                                  # Drake against MuJoCo
    python -m benchmarks.engine_parity --engines mujoco drake:hydroelastic

Depth of the same scenes, the way of the gripper in free space, a sliding block, a falling one, a held one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.engine import Rendering
from fetch_sim2real.sim.simulation import GRAVITY_M_S2, Simulation
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.timing import JOINT_STATE_EVERY_STEPS, PHYSICS_STEP_S
from fetch_sim2real.types import FloatArray

_SIZE: Final = (424, 240)
_FIRST_SEED: Final = 10_000
_SLIDING_M_S: Final = 0.5
_DROP_M: Final = 0.2
# Free motion: each joint swings about where the episode begins, slower than its limit, for so long.
_SWING_RAD, _SWING_HZ, _FREE_S = 0.15, 0.4, 5.0
_OPEN_M: Final = 0.045
_GRIP_S, _HELD_S = 1.0, 3.0


def simulation(engine: str, world: str, task: str, size: tuple[int, int] | None = None) -> Simulation:
    """Return a simulation on its own engine."""
    return Simulation(load_world(world, worlds_dir()), find_task(task), size, engine=engine)


def pictures(engine: str, world: str, scenes: int) -> list[Rendering]:
    """What the camera sees where episodes begin."""
    sim = simulation(engine, world, "push", _SIZE)
    seen = []
    for seed in range(_FIRST_SEED, _FIRST_SEED + scenes):
        sim.reset(seed)
        seen.append(sim.engine.render(sim.engine.configuration(), None, lambda rendering: rendering).result())
    sim.close()
    return seen


def free_way_m(engine: str, episodes: int) -> FloatArray:
    """Where the gripper is (n, 3) at 120 Hz while the joints swing, in several episodes one after the other."""
    sim, way = simulation(engine, "nominal", "reach"), []
    for seed in range(_FIRST_SEED, _FIRST_SEED + episodes):
        start = sim.reset(seed).arm_start_rad
        rng = np.random.default_rng(seed)
        size, phase = _SWING_RAD * rng.uniform(-1.0, 1.0, (2, ARM.joint_count))
        lead_s = sim.engine.velocity_lead_s()
        for first in range(0, round(_FREE_S / PHYSICS_STEP_S), JOINT_STATE_EVERY_STEPS):
            times_s = PHYSICS_STEP_S * np.arange(first + 1, first + 1 + JOINT_STATE_EVERY_STEPS)[:, None]
            angle = 2.0 * np.pi * _SWING_HZ * times_s
            # Begins at rest.
            position = start + size * (1.0 - np.cos(angle)) + phase * (angle - np.sin(angle)) / 8.0
            velocity = 2.0 * np.pi * _SWING_HZ * (size * np.sin(angle) + phase * (1.0 - np.cos(angle)) / 8.0)
            sim.engine.advance(position + velocity * lead_s)
            sim.engine.update_poses()
            way.append(sim.engine.grip_position_m())
    sim.close()
    return np.array(way)


def hold(sim: Simulation, duration_s: float) -> None:
    """Let physics run with the arm where its episode begins."""
    sim.engine.advance(np.repeat(sim.episode.arm_start_rad[None], round(duration_s / PHYSICS_STEP_S), axis=0))
    sim.engine.update_poses()


def sliding_m(engine: str) -> float:
    """How far a block slides that is given a speed."""
    sim = simulation(engine, "nominal", "push")
    sim.reset(_FIRST_SEED)
    hold(sim, 0.2)
    before = sim.engine.object_state("block").position_m
    sim.engine.set_object_velocity("block", np.array([0.0, _SLIDING_M_S, 0.0, 0.0, 0.0, 0.0]))
    hold(sim, 0.5)
    after = sim.engine.object_state("block").position_m
    sim.close()
    return float(np.linalg.norm(after[:2] - before[:2]))


def falling_s(engine: str) -> float:
    """How long a block falls until it is on the table, to a physics step."""
    sim = simulation(engine, "nominal", "push")
    sim.reset(_FIRST_SEED)
    rest_m = sim.engine.object_state("block").position_m
    sim.engine.place_object("block", rest_m + np.array([0.0, 0.0, _DROP_M]), 0.0)
    steps = 0
    while sim.engine.object_state("block").position_m[2] > rest_m[2] + 1e-4 and steps < 480:
        hold(sim, PHYSICS_STEP_S)
        steps += 1
    sim.close()
    return steps * PHYSICS_STEP_S


def held_mm_s(engine: str) -> float:
    """How fast a block sinks in closed fingers in the air [mm/s], after they have had time to close."""
    sim = simulation(engine, "nominal", "pick_and_place")
    sim.reset(_FIRST_SEED)
    sim.engine.place_arm(sim.episode.arm_start_rad, _OPEN_M)
    sim.engine.update_poses()
    sim.engine.place_object("block", sim.engine.grip_position_m(), 0.0)
    sim.engine.set_finger_target(0.0)
    mass_kg = sim.episode.objects["block"].physics.mass_kg
    sim.engine.apply_force("block", np.array([0.0, 0.0, mass_kg * GRAVITY_M_S2]), sim.engine.grip_position_m())
    hold(sim, _GRIP_S)
    sim.engine.apply_force("block", np.zeros(3), sim.engine.grip_position_m())
    hold(sim, _GRIP_S)
    before_m = sim.engine.object_state("block").position_m[2]
    hold(sim, _HELD_S)
    after_m = sim.engine.object_state("block").position_m[2]
    sim.close()
    return float(1e3 * (before_m - after_m) / _HELD_S)


def compared(engines: tuple[str, str], scenes: int, episodes: int) -> Mapping[str, object]:
    """Return the figures, each with its unit in its name; pairs are in the order of ``engines``."""
    content: dict[str, object] = {"engines": engines}
    for world in ("nominal", "randomized"):
        first, second = (pictures(engine, world, scenes) for engine in engines)
        off_mm = 1e3 * np.abs(np.array([a.depth_m - b.depth_m for a, b in zip(first, second, strict=True)]))
        color = [np.abs(a.rgb.astype(float) - b.rgb).mean() for a, b in zip(first, second, strict=True)]
        content[f"depth {world}"] = {
            "median_mm": float(np.median(off_mm)),
            "p99_mm": float(np.percentile(off_mm, 99)),
            "within_5_mm": float(np.mean(off_mm <= 5.0)),
            "color_levels": float(np.mean(color)),
        }
    ways = [free_way_m(engine, episodes) for engine in engines]
    off_mm = 1e3 * np.linalg.norm(ways[0] - ways[1], axis=1)
    content["free gripper"] = {"mean_mm": float(off_mm.mean()), "max_mm": float(off_mm.max())}
    friction = find_task("push").objects["block"].friction.middle
    content["sliding_mm"] = {
        "theory": 1e3 * _SLIDING_M_S**2 / (2.0 * friction * GRAVITY_M_S2),
        **{engine: 1e3 * sliding_m(engine) for engine in engines},
    }
    content["falling_s"] = {
        "theory": float(np.sqrt(2.0 * _DROP_M / GRAVITY_M_S2)), **{engine: falling_s(engine) for engine in engines}
    }  # fmt: skip
    content["sinking_mm_s"] = {engine: held_mm_s(engine) for engine in engines}
    return content


def main(arguments: list[str] | None = None) -> int:
    """Compare two engines."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--engines", nargs=2, default=("mujoco", "drake"))
    made.add_argument("--scenes", type=int, default=20, help="pictures of each world")
    made.add_argument("--episodes", type=int, default=5, help="free motions, of five seconds each")
    made.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = made.parse_args(arguments)
    content = compared(tuple(options.engines), options.scenes, options.episodes)
    print(text := json.dumps(content, indent=2))
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
