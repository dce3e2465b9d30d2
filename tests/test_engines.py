"""What every engine keeps: the same tests for each. Drake's run where it is installed (``make check-extras``)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import pytest

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.errors import FetchSim2RealError, SetupError
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.sim.engine import VisualShape, find_engine
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.timing import PHYSICS_STEP_S
from fetch_sim2real.types import FloatArray, RgbdFrame

SIZE = (106, 60)
HAS_DRAKE = find_spec("pydrake") is not None
ENGINES = (
    pytest.param("mujoco"),
    pytest.param(
        "drake",
        marks=[
            pytest.mark.extras,
            pytest.mark.skipif(not HAS_DRAKE, reason="Drake is not installed: make venv EXTRAS=drake"),
        ],
    ),
)
pytestmark = pytest.mark.gl


def simulation(engine: str, world: str = "nominal", background: bool = False) -> Simulation:
    return Simulation(load_world(world, worlds_dir()), find_task("push"), SIZE, background, engine=engine)


@pytest.fixture(scope="module", params=ENGINES)
def shared(request: pytest.FixtureRequest) -> Iterator[Simulation]:
    sim = simulation(request.param)
    yield sim
    sim.close()


@pytest.fixture
def sim(shared: Simulation) -> Simulation:
    shared.reset(10_000)
    return shared


def hold(sim: Simulation, duration_s: float) -> None:
    """Let physics run with the arm where its episode begins."""
    sim.engine.advance(np.repeat(sim.episode.arm_start_rad[None], round(duration_s / PHYSICS_STEP_S), axis=0))
    sim.engine.update_poses()


def picture(sim: Simulation) -> tuple[FloatArray, FloatArray]:
    """Colour (H, W, 3) and depth (H, W) [m] of the present moment, without a sensor's errors."""
    return sim.engine.render(
        sim.engine.configuration(), None, lambda seen: (seen.rgb.astype(float), seen.depth_m.astype(float))
    ).result()


def test_an_episode_begins_at_rest_where_it_was_drawn(sim: Simulation) -> None:
    joints, block, drawn = sim.engine.joints(), sim.engine.object_state("block"), sim.episode.objects["block"]
    np.testing.assert_allclose(joints.arm_rad, sim.episode.arm_start_rad, atol=1e-12)
    np.testing.assert_allclose(joints.arm_rad_s, 0.0, atol=1e-12)
    np.testing.assert_allclose(joints.fingers_m, 0.0, atol=1e-12)
    np.testing.assert_allclose(block.position_m, drawn.position_m, atol=1e-12)
    np.testing.assert_allclose(np.arctan2(block.rotation[1, 0], block.rotation[0, 0]), drawn.yaw_rad, atol=1e-9)
    np.testing.assert_allclose(sim.engine.object_velocity("block"), 0.0, atol=1e-12)
    np.testing.assert_allclose(sim.engine.grip_position_m(), sim.ik.grip_position_m(joints.arm_rad), atol=1e-6)


def test_what_stands_still_stays(sim: Simulation) -> None:
    before, grip_m = sim.engine.object_state("block").position_m, sim.engine.grip_position_m()
    hold(sim, 1.0)
    np.testing.assert_allclose(sim.engine.object_state("block").position_m, before, atol=1e-3)
    np.testing.assert_allclose(sim.engine.grip_position_m(), grip_m, atol=1e-3)


def test_joints_go_where_their_servos_are_told(sim: Simulation) -> None:
    target = sim.episode.arm_start_rad + np.linspace(-0.05, 0.05, ARM.joint_count)
    sim.engine.set_finger_target(0.03)
    sim.engine.advance(np.repeat(target[None], 480, axis=0))
    joints = sim.engine.joints()
    np.testing.assert_allclose(joints.arm_rad, target, atol=2e-3)
    np.testing.assert_allclose(joints.fingers_m, 0.03, atol=1e-3)


def test_a_constant_velocity_is_followed_without_lag(sim: Simulation) -> None:
    velocity = np.full(ARM.joint_count, 0.2)
    times_s = PHYSICS_STEP_S * np.arange(1, 481)[:, None]
    lead_s = sim.engine.velocity_lead_s()
    sim.engine.advance(sim.episode.arm_start_rad + velocity * (times_s + lead_s))
    wanted = sim.episode.arm_start_rad + velocity * times_s[-1]
    # What is left is the friction of the joints.
    np.testing.assert_allclose(sim.engine.joints().arm_rad, wanted, atol=2e-3)


def test_a_sliding_block_stops_where_friction_says(sim: Simulation) -> None:
    hold(sim, 0.2)  # contacts have to be there before they can slow anything down
    before = sim.engine.object_state("block").position_m
    sim.engine.set_object_velocity("block", np.array([0.0, 0.5, 0.0, 0.0, 0.0, 0.0]))
    np.testing.assert_allclose(sim.engine.object_velocity("block")[:3], [0.0, 0.5, 0.0], atol=1e-9)
    hold(sim, 0.5)
    way_m = float(np.linalg.norm(sim.engine.object_state("block").position_m[:2] - before[:2]))
    expected_m = 0.5**2 / (2.0 * sim.episode.objects["block"].physics.friction * 9.81)
    assert way_m == pytest.approx(expected_m, rel=0.15)


def test_a_placed_block_is_upright_and_at_rest(sim: Simulation) -> None:
    place_m = sim.engine.object_state("block").position_m + np.array([0.05, -0.05, 0.0])
    sim.engine.set_object_velocity("block", np.ones(6))
    sim.engine.place_object("block", place_m, 0.3)
    block = sim.engine.object_state("block")
    np.testing.assert_allclose(block.position_m, place_m, atol=1e-12)
    np.testing.assert_allclose(block.rotation[2], [0.0, 0.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(sim.engine.object_velocity("block"), 0.0, atol=1e-12)


def test_velocities_are_stated_as_they_are_given(sim: Simulation) -> None:
    """Linear in base_link, angular about the block's own axes."""
    sim.engine.place_object("block", np.array([0.6, 0.0, 1.2]), 0.7)
    velocity = np.array([0.1, -0.2, 0.3, 0.4, -0.5, 0.6])
    sim.engine.set_object_velocity("block", velocity)
    np.testing.assert_allclose(sim.engine.object_velocity("block"), velocity, atol=1e-12)


def test_a_force_pulls_until_the_next_call(sim: Simulation) -> None:
    place_m = sim.engine.object_state("block").position_m
    above_m = place_m + np.array([0.0, 0.0, 0.3])
    mass_kg = sim.episode.objects["block"].physics.mass_kg
    sim.engine.place_object("block", above_m, 0.0)
    sim.engine.apply_force("block", np.array([0.0, 0.0, 9.81 * mass_kg]), above_m)
    hold(sim, 0.3)
    assert sim.engine.object_state("block").position_m[2] == pytest.approx(above_m[2], abs=1e-3)
    sim.engine.apply_force("block", np.zeros(3), place_m)
    hold(sim, 0.1)
    assert sim.engine.object_state("block").position_m[2] == pytest.approx(above_m[2] - 9.81 / 2 * 0.01, abs=3e-3)


def test_a_pushed_link_gives_way_until_it_is_let_go(sim: Simulation) -> None:
    still_m = sim.engine.grip_position_m()
    sim.engine.push_link(ARM.joints[-2].link, np.array([0.0, 30.0, 0.0]))
    hold(sim, 0.5)
    assert np.linalg.norm(sim.engine.grip_position_m() - still_m) > 2e-3
    sim.engine.push_link(ARM.joints[-2].link, np.zeros(3))
    hold(sim, 1.0)
    np.testing.assert_allclose(sim.engine.grip_position_m(), still_m, atol=1e-3)


def test_depth_is_where_geometry_says(sim: Simulation) -> None:
    """Of the table in the picture's lower corner, where nothing else is."""
    _, depth_m = picture(sim)
    camera, sample = sim.camera_model, sim.episode
    row, column = SIZE[1] - 3, SIZE[0] // 4
    pose = Pose(sample.camera.position_m, sample.camera.rotation)
    seen_m = pose.apply(camera.deproject([column, row], depth_m[row, column]))
    assert seen_m[2] == pytest.approx(sample.dynamics.table_height_m, abs=5e-4)


def test_the_block_is_seen_where_it_is_and_red(sim: Simulation) -> None:
    sim.engine.place_object("block", np.array([0.75, 0.15, 0.745]), 0.0)
    rgb, _ = picture(sim)
    pose = Pose(sim.episode.camera.position_m, sim.episode.camera.rotation)
    column, row = np.rint(sim.camera_model.project(pose.inverse().apply([0.75, 0.15, 0.77]))).astype(int)
    red, green, blue = rgb[row, column]
    assert red > 2.0 * max(green, blue)


def test_changes_of_what_is_seen_are_seen_from_then_on(sim: Simulation) -> None:
    before, depth_m = picture(sim)
    hand = VisualShape(
        "ellipsoid", (0.05, 0.03, 0.1), np.array([0.75, 0.2, 1.1]), np.array([1.0, 0.0, 0.0, 0.0]), (0.8, 0.6, 0.5)
    )
    sim.engine.set_visual_shape(0, hand)
    assert (depth_m - picture(sim)[1]).max() > 0.1
    sim.engine.set_visual_shape(0, None)
    assert np.abs(picture(sim)[0] - before).max() <= 1.0
    (light,) = sim.episode.appearance.lights
    sim.engine.set_light(0, None)
    assert picture(sim)[0].mean() < 0.8 * before.mean()
    sim.engine.set_light(0, light)
    assert np.abs(picture(sim)[0] - before).max() <= 1.0
    camera = sim.episode.camera
    sim.engine.set_camera_pose(Pose(camera.position_m + np.array([0.0, 0.0, 0.1]), camera.rotation))
    assert np.abs(picture(sim)[1] - depth_m).max() > 0.05


def frames(sim: Simulation, seed: int, count: int) -> list[RgbdFrame | None]:
    sim.reset(seed)
    taken = [sim.advance_to_next_frame() for _ in range(count)]
    return [captured.frame for captured in taken if captured is not None]


def assert_same(first: list[RgbdFrame | None], second: list[RgbdFrame | None]) -> None:
    for one, other in zip(first, second, strict=True):
        assert one is not None and other is not None
        np.testing.assert_array_equal(one.rgb, other.rgb)
        np.testing.assert_array_equal(one.depth_mm, other.depth_mm)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_seed_gives_the_same_pictures_whatever_was_before_and_whoever_renders(engine: str) -> None:
    sim = simulation(engine, "randomized")
    first, joints = frames(sim, 10_002, 3), sim.engine.joints()
    frames(sim, 10_003, 1)
    assert_same(first, frames(sim, 10_002, 3))
    np.testing.assert_array_equal(joints.arm_rad, sim.engine.joints().arm_rad)
    sim.close()
    sim = simulation(engine, "randomized", background=True)
    assert_same(first, frames(sim, 10_002, 3))
    sim.close()


def test_an_unknown_engine_is_named_with_the_known_ones() -> None:
    with pytest.raises(FetchSim2RealError, match="'bullet' is unknown, available: drake, mujoco"):
        find_engine("bullet")


@pytest.mark.skipif(HAS_DRAKE, reason="Drake is installed")
def test_an_engine_that_is_not_installed_says_how_to_get_it() -> None:
    with pytest.raises(SetupError, match="needs the package pydrake, which is not installed: make venv EXTRAS=drake"):
        find_engine("drake")
