"""How well the camera's pose comes back from one picture of a simulated world, starting 2 cm and 2 degrees off."""

from __future__ import annotations

import argparse
import sys
from typing import Final

import numpy as np

from fetch_sim2real.calibration.align import align
from fetch_sim2real.calibration.expected_view import ExpectedView, Setting
from fetch_sim2real.calibration.rotations import pose_of_vector
from fetch_sim2real.calibration.trained_range import CameraOffset
from fetch_sim2real.observation.camera import Pose
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.world import SimWorld
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks import find_task
from fetch_sim2real.types import FloatArray

_SIZE: Final = (424, 240)
_OFF_M, _OFF_RAD = 0.02, float(np.deg2rad(2.0))


def measure(sim: SimWorld, seed: int, height_known: bool) -> tuple[float, float, bool]:
    """Error of position [mm] and rotation [deg] in the episode of ``seed``, and whether the result was doubted."""
    draw = sim.reset(seed)
    captured = sim.advance_to_next_frame()
    if captured is None or captured.frame is None:
        raise RuntimeError(f"the episode of seed {seed} ended before its first frame")
    true, joints = Pose(draw.camera.position_m, draw.camera.rotation), sim.measured()
    rng = np.random.default_rng(seed)
    way, axis = (vector / np.linalg.norm(vector) for vector in rng.standard_normal((2, 3)))
    start = true @ pose_of_vector(np.concatenate([_OFF_M * way, _OFF_RAD * axis]))
    nominal = load_world("nominal", worlds_dir())
    height_m = draw.dynamics.table_height_m if height_known else nominal.table.height_m.middle
    setting = Setting(joints.position, joints.finger_position_m, nominal.robot.torso_height_m)
    expected = ExpectedView(nominal, setting, sim.camera_model)
    try:
        found = align(captured.frame.depth_mm, sim.camera_model, start, expected.render, height_m, height_known)
    finally:
        expected.close()
    offset = CameraOffset.between(true, found.base_T_camera)
    return 1000 * float(np.linalg.norm(offset.position_m)), float(np.rad2deg(offset.angle_rad)), bool(found.doubts())


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--world", default="randomized")
    options.add_argument("--episodes", type=int, default=20)
    options.add_argument("--seed", type=int, default=500)
    given = options.parse_args()
    sim = SimWorld(load_world(given.world, worlds_dir()), find_task("push"), _SIZE)
    try:
        for known in (True, False):
            seeds = range(given.seed, given.seed + given.episodes)
            results: FloatArray = np.array([measure(sim, seed, known) for seed in seeds])
            (mm, deg, _), (most_mm, most_deg, _) = np.median(results, axis=0), results.max(axis=0)
            print(
                f"{given.world}, table height {'given' if known else 'estimated'}: median {mm:.1f} mm {deg:.2f} deg, "
                f"worst {most_mm:.1f} mm {most_deg:.2f} deg, doubted {int(results[:, 2].sum())} of {len(results)}"
            )
    finally:
        sim.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
