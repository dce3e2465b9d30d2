"""Textures, lights and distractors: drawn as the world file says, shown by the renderer, the same for the same seed."""

from __future__ import annotations

import colorsys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from fetch_sim2real.common.ranges import rgb_of
from fetch_sim2real.errors import WorldFileError
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.randomization.textures import (
    FAMILIES,
    SurfaceConfig,
    SurfaceSample,
    draw_surface,
    texture_pixels,
)
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import World, load_world
from fetch_sim2real.tasks.registry import find_task

BLACK, WHITE = np.zeros(3), np.ones(3)


def _world(folder: Path, change: dict[str, object], base: str = "nominal") -> World:
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({"extends": base, "name": "own", **change}))
    return load_world(str(path), worlds_dir())


@pytest.mark.parametrize("hsv", [(0.0, 1.0, 1.0), (200.0, 0.4, 0.7), (-10.0, 0.8, 0.5), (350.0, 0.8, 0.5)])
def test_hue_saturation_value(hsv: tuple[float, float, float]) -> None:
    np.testing.assert_allclose(
        rgb_of(np.array(hsv)), colorsys.hsv_to_rgb((hsv[0] % 360) / 360, hsv[1], hsv[2]), atol=1e-12
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_mixes_two_colours_and_follows_from_its_seed(family: str) -> None:
    first = texture_pixels(SurfaceSample(family, BLACK, WHITE, 1.0, 3))
    again = texture_pixels(SurfaceSample(family, BLACK, WHITE, 1.0, 3))
    others = [texture_pixels(SurfaceSample(family, BLACK, WHITE, 1.0, seed)) for seed in range(4, 8)]
    np.testing.assert_array_equal(first, again)
    if family == "plain":
        assert np.all(first == 0)
    else:
        assert first.std() > 20 and any(np.any(first != other) for other in others)
    assert np.ptp(texture_pixels(SurfaceSample(family, WHITE, WHITE, 1.0, 3))) == 0


def test_unknown_family_and_unknown_shape_are_answered_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(WorldFileError, match=r"table\.families.*'marble'; families: plain, checker"):
        _world(tmp_path, {"table": {"families": ["marble"]}})
    with pytest.raises(WorldFileError, match=r"distractors\.shapes.*teapot; shapes: box, cylinder"):
        _world(tmp_path, {"distractors": {"shapes": ["teapot"]}})


def test_an_image_beside_the_world_file_becomes_the_table(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "green.png"), np.full((40, 40, 3), (0, 200, 0), np.uint8))
    world = _world(tmp_path, {"table": {"families": [], "images": ["green.png"]}})
    sim = Simulation(world, find_task("reach"), (168, 168))
    sim.reset(0)
    captured = sim.advance_to_next_frame()
    sim.close()
    assert captured is not None and captured.frame is not None
    red, green, blue = captured.frame.rgb[120:150, 60:100].reshape(-1, 3).mean(axis=0)
    assert green > 60 and red < 5 and blue < 5
    with pytest.raises(WorldFileError, match=r"table\.images.*missing\.png"):
        _world(tmp_path, {"table": {"images": ["missing.png"]}})


def test_no_choice_of_textures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WorldFileError, match="name images, or families"):
        _world(tmp_path, {"floor": {"families": []}})


def test_all_choices_are_drawn() -> None:
    part = SurfaceConfig.model_validate(
        {"color_hsv": [0, 0, [0, 1]], "families": ["noise", "wood"], "images": [], "contrast": 1.0, "tile_m": 1.0}
    )
    rng = np.random.default_rng(0)
    assert {draw_surface(part, rng).texture for _ in range(30)} == {"noise", "wood"}


def test_distractors_leave_the_way_free_and_are_never_red() -> None:
    sim = Simulation(load_world("randomized", worlds_dir()), find_task("push"), None)
    clearance, seen = sim.world.distractors.clearance_m, 0
    for seed in range(60):
        draw = sim.reset(seed)
        for item in draw.appearance.distractors:
            seen += 1
            hue, saturation, _ = colorsys.rgb_to_hsv(*item.rgb)
            assert saturation < 1e-6 or 30.0 < hue * 360.0 < 330.0
            for block_xy in (draw.main_object.position_m[:2], draw.move_to_xy_m):
                on_way = block_xy + np.linspace(0.0, 1.0, 50)[:, None] * (draw.goal_m[:2] - block_xy)
                gap = np.linalg.norm(on_way - item.xy_m, axis=1).min()
                assert gap >= clearance + item.radius_m - 1e-3
    assert seen > 40


def test_rendering_in_the_background_gives_the_same_pixels_over_episodes() -> None:
    pictures = []
    for background in (False, True):
        sim = Simulation(load_world("randomized", worlds_dir()), find_task("reach_block"), (168, 168), background)
        frames = []
        for seed in (1, 2):
            sim.reset(seed)
            frames += [sim.advance_to_next_frame() for _ in range(3)]
        pictures.append(frames)
        sim.close()
    for here, there in zip(*pictures, strict=True):
        assert here is not None and here.frame is not None and there is not None and there.frame is not None
        np.testing.assert_array_equal(here.frame.rgb, there.frame.rgb)
        np.testing.assert_array_equal(here.frame.depth_mm, there.frame.depth_mm)


def test_the_order_of_episodes_leaves_no_trace() -> None:
    sim = Simulation(load_world("randomized", worlds_dir()), find_task("reach_block"), (168, 168))
    frames = []
    for seed in (5, 3, 4, 5):
        sim.reset(seed)
        captured = sim.advance_to_next_frame()
        assert captured is not None and captured.frame is not None
        frames.append(captured.frame)
    sim.close()
    np.testing.assert_array_equal(frames[0].rgb, frames[-1].rgb)
    np.testing.assert_array_equal(frames[0].depth_mm, frames[-1].depth_mm)


def test_a_distractor_is_seen_and_a_snapshot_hides_it_where_the_block_is_put(tmp_path: Path) -> None:
    distractors = {"count": [1, 1], "half_size_m": 0.04, "saturation": 1.0, "value": 1.0, "x_m": 0.62, "y_m": -0.1}
    sim = Simulation(_world(tmp_path, {"distractors": distractors}), find_task("reach_block"), (168, 168))
    seed = next(seed for seed in range(50) if sim.reset(seed).appearance.distractors)
    item = sim.reset(seed).appearance.distractors[0]
    place = np.array([*item.xy_m, 0.75])
    in_camera = sim.episode.camera.rotation.T @ (place - sim.episode.camera.position_m)
    u, v = np.rint(sim.camera_model.project(in_camera)).astype(int)
    away, on_it = np.array([0.55, 0.2, 0.745]), np.array([0.60, -0.1, 0.745])
    arm = sim.episode.arm_start_rad
    shown = sim.snapshot(arm, 0.0, away, 0.0).rgb[v, u].astype(int)
    hidden = sim.snapshot(arm, 0.0, on_it, 0.0).rgb[v, u].astype(int)
    back = sim.snapshot(arm, 0.0, away, 0.0).rgb[v, u].astype(int)
    sim.close()
    assert np.ptp(shown) > 60
    assert np.abs(shown - hidden).max() > 40
    np.testing.assert_array_equal(shown, back)


def test_shadows_and_the_second_light_change_the_picture(tmp_path: Path) -> None:
    def picture(**light: object) -> np.ndarray:
        sim = Simulation(_world(tmp_path, {"light": light}), find_task("reach_block"), (168, 168))
        sim.reset(2)
        captured = sim.advance_to_next_frame()
        sim.close()
        assert captured is not None and captured.frame is not None
        return captured.frame.rgb.astype(int)

    plain, shadows, second = picture(), picture(shadow_probability=1.0), picture(second_probability=1.0)
    assert np.mean(shadows - plain) < -1.0
    assert shadows.max() <= plain.max() + 1
    assert np.mean(second - plain) > 5.0
