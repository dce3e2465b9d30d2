"""The cell that actors are trained in: the part of a world that is the same for every learner."""

from __future__ import annotations

from typing import Final

from fetch_sim2real.arm.limits import DEFAULT_PROFILE, LimitProfile, limit_profile
from fetch_sim2real.control.target_box import target_box_of
from fetch_sim2real.episode import ActionSettings, ClosedLoop
from fetch_sim2real.perception.observe import ObservationSpec, make_observation_spec
from fetch_sim2real.perception.preprocess import ImageSpec
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks.registry import Task

# The part of the camera's 42.5 degrees that holds the workspace, with room for an error of the camera's pose.
IMAGE: Final = ImageSpec(size=84, fov_deg=35.0, depth_near_m=0.5, depth_far_m=1.8, channels="rgbd")
# Rendered at twice the actor's resolution and averaged down, which looks like a real camera's image averaged down.
RENDER_SIZE: Final = (168, 168)
LAST_ACTIONS: Final = 3
# Gripper displacement [m] per control period of a full action.
ACTION_SCALE_M: Final = 0.02


def observation_spec(
    proprioception: bool,
    goal_centre_m: tuple[float, float, float],
    goal_scale_m: tuple[float, float, float],
    image: ImageSpec = IMAGE,
) -> ObservationSpec:
    """What the actor sees: image, goal, its last actions, and, if asked for, its gripper's measured and commanded
    position and its fingers."""
    return make_observation_spec(
        image,
        proprioception=proprioception,
        commanded=proprioception,
        last_actions=LAST_ACTIONS,
        goal_centre_m=goal_centre_m,
        goal_scale_m=goal_scale_m,
        grip_centre_m=(0.63, 0.0, 0.84),
        grip_scale_m=(0.1, 0.1, 0.1),
    )


def make_loop(world: World, task: Task, picture_every: int, profile: LimitProfile | None = None) -> ClosedLoop:
    """The closed loop of ``task``: pictures at training's size of every n-th frame (0: none), the default limits unless
    others are given."""
    settings = ActionSettings(
        ACTION_SCALE_M, task.controls_gripper, target_box_of(world.workcell), profile or limit_profile(DEFAULT_PROFILE)
    )
    size = RENDER_SIZE if picture_every else None
    return ClosedLoop(Simulation(world, task, size, picture_every=max(1, picture_every)), settings)
