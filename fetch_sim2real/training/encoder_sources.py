"""Where labelled pictures come from: scattered arm and object poses, and episodes of a task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.common.ranges import box_of
from fetch_sim2real.episode import TRAINING_CAMERA_SIZE
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.policy.default_observation import IMAGE
from fetch_sim2real.sim.sensors.camera_timing import Captured
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.training.labelled_images import ImageAlbum, PoseImages
from fetch_sim2real.training.rollout import Collector, RolloutRequest
from fetch_sim2real.training.seeds import training_seeds

# A new world costs a reset; each gives this many pictures with other arm and object poses.
_PICTURES_PER_WORLD: Final = 4
# Share of pictures with the gripper close to the object, the others anywhere in the workspace.
_NEAR_SHARE: Final = 0.6
_NEAR_M: Final = np.array([0.05, 0.05, 0.06])
# Share of pictures with the object in the air between the fingers, as when it is carried.
_HELD_SHARE: Final = 0.2


Tell = Callable[[int], object]
"""Called with how many more pictures there are now."""


def scattered_pictures(
    task: Task, world_name: str, count: int, run_seed: int, stream: str, tell: Tell = lambda _: None
) -> PoseImages:
    """``count`` pictures of random arm and object poses in ``task``; the same arguments give the same pictures."""
    world = load_world(world_name, worlds_dir())
    sim = Simulation(world, task, TRAINING_CAMERA_SIZE)
    album, part = ImageAlbum(sim, IMAGE), sim.episode_config
    rng = np.random.default_rng([run_seed, *stream.encode(), 1])
    seeds = training_seeds(run_seed, stream)
    lower, upper = box_of(world.workcell.workspace_m)
    arm = np.array(ARM.home_rad)
    for index in range(count):
        if index % _PICTURES_PER_WORLD == 0:
            draw = sim.reset(next(seeds))
            arm = draw.arm_start_rad
        object_m = np.array([part.object_x_m.draw(rng), part.object_y_m.draw(rng), draw.main_object.position_m[2]])
        held = rng.random() < _HELD_SHARE
        near = held or rng.random() < _NEAR_SHARE
        wanted = object_m + rng.normal(0.0, _NEAR_M) + [0.0, 0.0, 0.04] if near else rng.uniform(lower, upper)
        reached = sim.ik.reach(arm, np.clip(wanted, lower, upper))
        arm = arm if reached is None else reached
        if held:
            object_m = sim.ik.grip_position_m(arm) + rng.normal(0.0, [0.008, 0.004, 0.008])
        half_width_m = float(draw.main_object.physics.half_extents_m[0])
        finger_m = half_width_m if held else ARM.finger_max_m * float(rng.integers(2))
        frame = sim.snapshot(arm, finger_m, object_m, rng.uniform(-np.pi, np.pi))
        album.add(Captured(frame.stamp_ns, frame, sim.truth()))
        tell(1)
    sim.close()
    return album.images()


def pictures_of_episodes(
    collector: Collector, requests: Iterator[RolloutRequest], count: int, tell: Tell = lambda _: None
) -> PoseImages:
    """At least ``count`` pictures of the episodes asked for; how many each gives is the collector's world's affair."""
    album = ImageAlbum(collector.loop.sim, IMAGE)
    collector.watch = album.add
    while (before := len(album)) < count:
        collector.collect(next(requests))
        tell(len(album) - before)
    collector.watch = None
    return album.images()
