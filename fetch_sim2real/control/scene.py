"""The safety scene of a world: what its description says of table, workspace and torso."""

from __future__ import annotations

from fetch_sim2real.arm.collision import Scene
from fetch_sim2real.arm.fetch.spheres import Box
from fetch_sim2real.sim.randomization.ranges import box_of
from fetch_sim2real.sim.world_file import World


def scene_of_world(world: World) -> Scene:
    """The scene that the safety filter keeps the arm clear of; a table of varying height counts at its highest."""
    lower, upper = box_of(world.robot.workspace_m)
    (x, y), (depth, width) = world.table.center_xy_m, world.table.size_xy_m
    table = Box(
        "table", (x - depth / 2, y - width / 2, 0.0), (x + depth / 2, y + width / 2, world.table.height_m.high)
    )
    return Scene(
        torso_height_m=world.robot.torso_height_m,
        workspace_lower_m=tuple(lower.tolist()),
        workspace_upper_m=tuple(upper.tolist()),
        tables=(table,),
    )
