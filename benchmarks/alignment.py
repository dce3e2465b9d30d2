"""How well the camera's pose comes back from pictures of a simulated world, starting 2 cm and 2 degrees off.

From the first pose of the arm alone, and from it and three more together.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.arm.limits import DEFAULT_PROFILE, limit_profile
from fetch_sim2real.calibration.align import Sight, align
from fetch_sim2real.calibration.expected_view import ExpectedView, Setting
from fetch_sim2real.calibration.rotations import pose_of_vector
from fetch_sim2real.calibration.trained_range import CameraOffset
from fetch_sim2real.control.action import ACTION_SCALE_M, target_box_of
from fetch_sim2real.episode import ActionSettings, Arrival, ClosedLoop, EpisodeRunner, EpisodeStart, Step
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import World, load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.timing import CONTROL_RATE_HZ
from fetch_sim2real.types import FloatArray, JointSample

_SIZE: Final = (424, 240)
_TASK: Final = "push"
_OFF_M, _OFF_RAD = 0.02, float(np.deg2rad(2.0))
# Where the gripper goes after the pose of the episode's start [m].
_PLACES_M: Final = ((0.54, -0.22, 0.95), (0.74, -0.15, 0.86), (0.66, 0.22, 0.97))
# Time for each way and for coming to rest, in frames.
_WAY_FRAMES: Final = 90
_GAIN: Final = 5.0


@dataclass(frozen=True)
class Scene:
    """What a robot has after showing its arm in some poses, and what is true."""

    views: tuple[tuple[NDArray[np.uint16], JointSample], ...]
    camera: CameraModel
    true: Pose
    table_height_m: float


def long_world(name: str) -> World:
    """The world, its episode long enough for all poses."""
    return load_world(name, worlds_dir()).with_episode_s((len(_PLACES_M) + 1) * _WAY_FRAMES / CONTROL_RATE_HZ)


def make_loop(world: World) -> ClosedLoop:
    """The world behind the driver's limits, with a picture wherever the arm rests."""
    settings = ActionSettings(ACTION_SCALE_M, False, target_box_of(world.workcell), limit_profile(DEFAULT_PROFILE))
    return ClosedLoop(Simulation(world, find_task(_TASK), _SIZE, picture_every=_WAY_FRAMES), settings)


class _Visitor:
    """Goes to one place after another."""

    def reset(self, environments: Sequence[int]) -> None:
        """See Agent."""
        self._frames = 0

    def act(self, arrivals: Sequence[Arrival]) -> FloatArray:
        """See Agent."""
        (arrival,) = arrivals
        place_m = np.array(_PLACES_M[min(self._frames // _WAY_FRAMES, len(_PLACES_M) - 1)])
        self._frames += 1
        way = _GAIN * (place_m - arrival.loop.grip_position_m(arrival.joints.position))
        return np.array([[*np.clip(way, -1.0, 1.0), 0.0]])


def show(loop: ClosedLoop, seed: int) -> Scene:
    """Start the episode of ``seed``, look, and look again at each of the places."""
    views: list[tuple[NDArray[np.uint16], JointSample]] = []

    def watch(step: Step) -> None:
        frame = step.arrival.captured.frame
        if frame is not None:
            views.append((frame.depth_mm, step.arrival.joints))

    frames = len(_PLACES_M) * _WAY_FRAMES + 1
    EpisodeRunner([loop]).run(_Visitor(), [EpisodeStart(seed)], watch, most_steps=frames)
    if len(views) <= len(_PLACES_M):
        raise RuntimeError(f"the episode of seed {seed} ended after {len(views)} views")
    draw = loop.sim.episode
    true = Pose(draw.camera.position_m, draw.camera.rotation)
    return Scene(tuple(views), loop.sim.camera_model, true, draw.dynamics.table_height_m)


def measure(scene: Scene, seed: int, poses: int, height_known: bool) -> tuple[float, float, bool]:
    """Error of position [mm] and rotation [deg] from the first ``poses`` views, and whether the result was doubted."""
    rng = np.random.default_rng(seed)
    way, axis = (vector / np.linalg.norm(vector) for vector in rng.standard_normal((2, 3)))
    start = scene.true @ pose_of_vector(np.concatenate([_OFF_M * way, _OFF_RAD * axis]))
    nominal = load_world("nominal", worlds_dir())
    height_m = scene.table_height_m if height_known else nominal.workcell.table.height_m.middle
    with ExitStack() as resources:
        sights = []
        for depth_mm, joints in scene.views[:poses]:
            setting = Setting(joints.position, joints.finger_position_m, nominal.workcell.torso_height_m)
            expected = ExpectedView(nominal, setting, scene.camera)
            resources.callback(expected.close)
            sights.append(Sight(depth_mm, expected.render))
        found = align(sights, scene.camera, start, height_m, height_known)
    offset = CameraOffset.between(scene.true, found.base_T_camera)
    return 1000 * float(np.linalg.norm(offset.position_m)), float(np.rad2deg(offset.angle_rad)), bool(found.doubts())


def report(world: str, poses: int, height_known: bool, results: Sequence[tuple[float, float, bool]]) -> str:
    """One line of the table."""
    (mm, deg, _), (most_mm, most_deg, _) = np.median(results, axis=0), np.max(results, axis=0)
    return (
        f"{world}, {poses} pose{'s' * (poses > 1)}, table height {'given' if height_known else 'estimated'}: "
        f"median {mm:.1f} mm {deg:.2f} deg, worst {most_mm:.1f} mm {most_deg:.2f} deg, "
        f"doubted {sum(doubted for *_, doubted in results)} of {len(results)}"
    )


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--world", default="randomized")
    options.add_argument("--episodes", type=int, default=20)
    options.add_argument("--seed", type=int, default=500)
    given = options.parse_args()
    loop = make_loop(long_world(given.world))
    kinds = [(poses, known) for known in (True, False) for poses in (1, 1 + len(_PLACES_M))]
    results: dict[tuple[int, bool], list[tuple[float, float, bool]]] = {kind: [] for kind in kinds}
    try:
        for seed in range(given.seed, given.seed + given.episodes):
            scene = show(loop, seed)
            for kind in kinds:
                results[kind].append(measure(scene, seed, *kind))
    finally:
        loop.sim.close()
    for kind in kinds:
        print(report(given.world, *kind, results[kind]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
