"""A control: the same actor on another episode's pictures. If it still succeeded, it would not need to look."""

from __future__ import annotations

from collections import deque

from fetch_sim2real.observation.observe import Observation, observe
from fetch_sim2real.observation.preprocess import Image, preprocess
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.policy.runner import Policy
from fetch_sim2real.robot.limits import limit_profile
from fetch_sim2real.sim.loop import ActionSettings, ClosedLoop
from fetch_sim2real.sim.world import SimWorld
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks import find_task

_CAMERA_SIZE = (424, 240)


def succeeds_on_foreign_pictures(bundle: PolicyBundle, world: World, seeds: range) -> list[bool]:
    """Success of each seed's episode with the pictures that the actor saw in the episode of the seed before.

    All else is the episode's own. Runs in one process, without ROS.
    """
    action = bundle.manifest.action
    settings = ActionSettings(
        action.scale_m, action.gripper == "controlled", limit_profile(bundle.manifest.limit_profile)
    )
    loop = ClosedLoop(SimWorld(world, find_task(bundle.manifest.task), _CAMERA_SIZE), settings)
    pictures: list[Image] = []
    results = []
    for seed in (seeds.start - 1, *seeds):
        foreign = deque(pictures)
        pictures, success = _episode(loop, bundle, seed, foreign)
        results.append(success)
    return results[1:]


def _episode(loop: ClosedLoop, bundle: PolicyBundle, seed: int, foreign: deque[Image]) -> tuple[list[Image], bool]:
    """Run an episode on ``foreign`` pictures (on its own where there are none left); its own pictures, and success."""
    goal_m = loop.reset(seed).goal_m
    policy, spec = Policy(bundle), bundle.manifest.observation
    own: list[Image] = []
    while (captured := loop.next_frame()) is not None:
        assert captured.frame is not None
        camera, joints = loop.sim.camera_model, loop.joints_at(captured)
        observation = observe(spec, captured.frame, camera, joints, goal_m, policy.last_actions, loop.grip_position_m)
        own.append(preprocess(captured.frame, camera, spec.image))
        if foreign:
            observation = Observation(foreign.popleft(), observation.vector)
        loop.act(policy.act(observation), captured)
    return own, loop.sim.outcome().success
