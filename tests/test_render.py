"""What rendering leaves out, or does in another order, must not show in the pictures."""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np
import pytest
from mujoco_simulation import mujoco_of

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.mujoco.render import RgbdRenderer
from fetch_sim2real.sim.mujoco.scene import BACKDROP_GROUP, CAMERA
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task

SEEDS = range(40, 48)  # some with shadows, some without


@pytest.fixture(scope="module")
def dressed() -> Iterator[tuple[Simulation, RgbdRenderer]]:
    """A world whose episodes are dressed for a renderer of the test's own."""
    sim = Simulation(load_world("gap", worlds_dir()), find_task("push"), None)
    renderer = RgbdRenderer(mujoco_of(sim).model, CAMERA, 424, 240)
    yield sim, renderer
    renderer.close()


def _place(sim: Simulation, renderer: RgbdRenderer, seed: int) -> mujoco.MjData:
    """An episode's appearance, with the arm anywhere."""
    sim.reset(seed)
    renderer.upload_textures(mujoco_of(sim).paint_textures())
    data = mujoco.MjData(mujoco_of(sim).model)
    data.qpos[:] = mujoco_of(sim).data.qpos
    rng = np.random.default_rng(seed)
    for joint in ARM.joint_names:
        data.joint(joint).qpos += rng.normal(0.0, 0.3)
    mujoco.mj_kinematics(mujoco_of(sim).model, data)
    mujoco.mj_camlight(mujoco_of(sim).model, data)
    return data


def test_colour_and_depth_alone_are_those_of_the_whole_picture(dressed: tuple[Simulation, RgbdRenderer]) -> None:
    sim, renderer = dressed
    for seed in SEEDS:
        data = _place(sim, renderer, seed)
        rgb, depth_m = renderer.render(data)
        np.testing.assert_array_equal(renderer.render_color(data), rgb)
        np.testing.assert_array_equal(renderer.render_depth(data), depth_m)


def test_order_of_drawing_and_what_is_not_drawn_do_not_show(dressed: tuple[Simulation, RgbdRenderer]) -> None:
    sim, renderer = dressed
    as_drawn = mujoco_of(sim).model.geom_group.copy()
    assert set(as_drawn) > {0, BACKDROP_GROUP}
    for seed in SEEDS:
        data = _place(sim, renderer, seed)
        rgb, depth_m = renderer.render(data)
        mujoco_of(sim).model.geom_group[:] = 0
        everything_rgb, everything_depth_m = renderer.render(data)
        mujoco_of(sim).model.geom_group[:] = as_drawn
        np.testing.assert_array_equal(everything_rgb, rgb)
        np.testing.assert_array_equal(everything_depth_m, depth_m)
