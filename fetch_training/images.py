"""Pictures of the randomized world with the true block and gripper positions: what the encoder is pretrained on."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from fetch_sim2real.observation.preprocess import ImageSpec, preprocess
from fetch_sim2real.robot.ik import HOME_POSITION_RAD
from fetch_sim2real.sim.ranges import box_of, draw3
from fetch_sim2real.sim.world import SimWorld
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.types import FloatArray
from fetch_training.seeds import training_seeds

# Rendered at twice the actor's resolution and averaged down, which looks like a real camera's image averaged down.
RENDER_SIZE: Final = (168, 168)
# A new world costs a reset; each gives this many pictures with other arm and block poses.
_PICTURES_PER_WORLD: Final = 4
# Share of pictures with the gripper where the task brings it, the others anywhere in the workspace.
_NEAR_GOAL_SHARE: Final = 0.5


@dataclass(frozen=True)
class PoseImages:
    """n labelled images in storage form: rgb (n, S, S, 3), depth_mm (n, S, S).

    ``block_m`` and ``grip_m`` (n, 3) are true positions in base_link, ``block_uv`` and ``grip_uv`` (n, 2) where they
    appear, in pixels of the S x S image.
    """

    rgb: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]
    block_m: NDArray[np.float32]
    grip_m: NDArray[np.float32]
    block_uv: NDArray[np.float32]
    grip_uv: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rgb)

    def save(self, path: Path) -> None:
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @staticmethod
    def load(path: Path) -> PoseImages:
        with np.load(path, allow_pickle=False) as stored:
            return PoseImages(**{field.name: stored[field.name] for field in fields(PoseImages)})


def collect_pose_images(world: World, image: ImageSpec, count: int, run_seed: int, stream: str) -> PoseImages:
    """``count`` pictures; the same arguments give the same pictures."""
    sim = SimWorld(world, RENDER_SIZE)
    rng = np.random.default_rng([run_seed, *stream.encode(), 1])
    rgb = np.empty((count, image.size, image.size, 3), np.uint8)
    depth = np.empty((count, image.size, image.size), np.uint16)
    block, grip = np.empty((count, 3), np.float32), np.empty((count, 3), np.float32)
    block_uv, grip_uv = np.empty((count, 2), np.float32), np.empty((count, 2), np.float32)
    ideal = image.camera()
    seeds = training_seeds(run_seed, stream)
    arm = np.array(HOME_POSITION_RAD)
    for i in track(range(count), description=f"pictures ({stream})"):
        if i % _PICTURES_PER_WORLD == 0:
            sim.reset(next(seeds))
            arm = sim.episode.arm_start_rad
        block_xy = np.array([world.block.spawn_x_m.draw(rng), world.block.spawn_y_m.draw(rng)])
        reached = sim.ik.reach(arm, _grip_target(world, block_xy, rng))
        arm = arm if reached is None else reached
        frame = sim.snapshot(arm, block_xy, rng.uniform(-np.pi, np.pi))
        picture = preprocess(frame, sim.camera_model, image)
        rgb[i], depth[i] = picture.rgb, picture.depth_mm
        block[i], grip[i] = sim.block_position_m, sim.grip_position_m
        camera = sim.episode.camera
        in_camera = (np.stack([sim.block_position_m, sim.grip_position_m]) - camera.position_m) @ camera.rotation
        block_uv[i], grip_uv[i] = ideal.project(in_camera)
    sim.close()
    return PoseImages(rgb, depth, block, grip, block_uv, grip_uv)


def _grip_target(world: World, block_xy_m: FloatArray, rng: np.random.Generator) -> FloatArray:
    lower, upper = box_of(world.robot.workspace_m)
    if rng.random() < _NEAR_GOAL_SHARE:
        block = np.array([*block_xy_m, world.table.height_m.middle + world.block.half_size_m.middle])
        wanted = block + draw3(world.goal.offset_m, rng) + rng.normal(0.0, 0.03, 3)
    else:
        wanted = rng.uniform(lower, upper)
    target: FloatArray = np.clip(wanted, lower, upper)
    return target
