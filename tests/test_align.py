"""The camera's offset comes back from pictures rendered at a known one."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from calibration_bundle import NOMINAL, write_bundle
from calibration_scenes import (
    CAMERA,
    SETTING,
    TABLE_M,
    depth_from,
    expecting,
    moved,
    snapshot_from,
    write_bag,
    write_files,
)
from typer.testing import CliRunner

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.kinematics import grip_position
from fetch_sim2real.calibration.align import Alignment, Sight, align
from fetch_sim2real.calibration.camera_file import load_calibration
from fetch_sim2real.calibration.expected_view import NOTHING, ON_BLOCK, ON_TABLE, ROBOT, Setting
from fetch_sim2real.calibration.overlay import difference_picture, expected_edges
from fetch_sim2real.calibration.snapshot import Snapshot, combined, load_joints
from fetch_sim2real.calibration.trained_range import CameraOffset
from fetch_sim2real.cli import align_camera
from fetch_sim2real.errors import CalibrationError, ObservationError, SetupError
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task

pytestmark = pytest.mark.gl


def errors(found: Alignment, true: Pose) -> tuple[float, float]:
    """Position [m] and angle [deg] by which the found pose is off."""
    offset = CameraOffset.between(true, found.base_T_camera)
    return float(np.linalg.norm(offset.position_m)), float(np.rad2deg(offset.angle_rad))


@pytest.mark.parametrize("camera", [CAMERA, CameraModel(424, 240, 300.0, 320.0, 230.0, 100.0)])
def test_the_expected_view_follows_the_intrinsics(camera: CameraModel) -> None:
    with expecting(camera=camera) as expected:
        view = expected.render(NOMINAL, TABLE_M)
    rows, columns = np.mgrid[: camera.height, : camera.width]
    points = NOMINAL.apply(camera.deproject(np.stack([columns, rows], axis=-1), view.depth_m))
    np.testing.assert_allclose(points[view.shows == ON_TABLE][:, 2], 0.72, atol=1e-4)
    assert SETTING.block_xy_m is not None
    top = points[(view.shows == ON_BLOCK) & (np.abs(points[..., 2] - 0.77) < 1e-3)]
    np.testing.assert_allclose(top[:, :2].mean(axis=0), SETTING.block_xy_m, atol=0.004)
    # The gripper is where kinematics says, and the robot reaches no further down.
    grip = grip_position(SETTING.arm_rad, 0.35)
    near = np.linalg.norm(points[view.shows == ROBOT] - grip, axis=-1)
    assert near.min() < 0.05


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("block_known", [True, False])
def test_an_offset_is_recovered_from_depth_without_noise(seed: int, block_known: bool) -> None:
    true = moved(0.02, 2.0, seed)
    depth_mm = depth_from(true)
    with expecting(SETTING if block_known else replace(SETTING, block_xy_m=None)) as expected:
        found = align([Sight(depth_mm, expected.render)], CAMERA, NOMINAL, TABLE_M, height_known=False)
    position_m, angle_deg = errors(found, true)
    assert position_m < 0.001
    assert angle_deg < 0.05
    assert found.doubts() == []


@pytest.mark.parametrize(("world", "most_m", "most_deg"), [("nominal", 0.002, 0.15), ("randomized", 0.015, 0.8)])
def test_an_offset_is_recovered_from_a_depth_cameras_picture(world: str, most_m: float, most_deg: float) -> None:
    """``randomized`` also has another appearance, clutter, joints with zero errors and depth beside the colour."""
    sim = Simulation(load_world(world, worlds_dir()), find_task("push"), (CAMERA.width, CAMERA.height))
    try:
        for seed in (3, 4):
            draw = sim.reset(seed)
            captured = sim.advance_to_next_frame()
            assert captured is not None
            assert captured.frame is not None
            true, joints, camera = Pose(draw.camera.position_m, draw.camera.rotation), sim.measured(), sim.camera_model
            setting = Setting(joints.position, joints.finger_position_m, 0.35)
            with expecting(setting, camera) as expected:
                start = true @ NOMINAL.inverse() @ moved(0.02, 2.0, seed)
                height_m = draw.dynamics.table_height_m
                sights = [Sight(captured.frame.depth_mm, expected.render)]
                found = align(sights, camera, start, height_m, height_known=True)
            position_m, angle_deg = errors(found, true)
            assert position_m < most_m, seed
            assert angle_deg < most_deg, seed
            assert found.doubts() == []
    finally:
        sim.close()


def arm_at(*turns_rad: float) -> Setting:
    """The scene without a block, the arm's first joints turned by so much."""
    turned = np.array(SETTING.arm_rad)
    turned[: len(turns_rad)] += turns_rad
    return replace(SETTING, arm_rad=turned, block_xy_m=None)


POSES = (arm_at(), arm_at(0.3), arm_at(-0.25, 0.1), arm_at(0.1, 0.0, 0.3))


def test_poses_of_the_arm_give_one_camera_and_are_better_determined() -> None:
    true, rng = moved(0.02, 2.0, 2), np.random.default_rng(0)
    with ExitStack() as resources:
        sights = []
        for setting in POSES:
            # Noise of the size of a D435's, without its correlation.
            clean = depth_from(true, setting).astype(np.float64)
            noisy = np.rint(clean + rng.normal(0.0, 3.0, clean.shape)).astype(np.uint16)
            sights.append(Sight(noisy, resources.enter_context(expecting(setting)).render))
        one = align(sights[:1], CAMERA, NOMINAL, TABLE_M, height_known=False)
        four = align(sights, CAMERA, NOMINAL, TABLE_M, height_known=False)
    position_m, angle_deg = errors(four, true)
    assert position_m < 0.001 and angle_deg < 0.05
    assert four.pixels > 3.5 * one.pixels
    # As of four times as many pixels at least: poses that differ also leave less open.
    assert np.all(four.sigma_m < 0.55 * one.sigma_m)


def test_one_pose_that_shows_nothing_is_refused_among_others() -> None:
    with expecting() as expected:
        good = Sight(depth_from(NOMINAL), expected.render)
        blank = Sight(np.zeros((240, 424), np.uint16), expected.render)
        with pytest.raises(CalibrationError, match="only 0 pixels"):
            align([good, blank], CAMERA, NOMINAL, TABLE_M, height_known=True)


def test_a_table_alone_does_not_say_where_the_camera_is() -> None:
    depth_mm = depth_from(moved(0.005, 0.5, 0))
    with expecting() as expected:
        view = expected.render(NOMINAL, TABLE_M)
        rows, columns = np.mgrid[: CAMERA.height, : CAMERA.width]
        points = NOMINAL.apply(CAMERA.deproject(np.stack([columns, rows], axis=-1), view.depth_m))
        # The middle of its top, without what shows where it ends.
        inner = (view.shows == ON_TABLE) & (np.abs(points - [0.7, 0.0, TABLE_M]) < [0.18, 0.4, 0.001]).all(axis=-1)
        depth_mm[~inner] = 0
        found = align([Sight(depth_mm, expected.render)], CAMERA, NOMINAL, TABLE_M, height_known=True)
    assert any("more of the arm" in doubt for doubt in found.doubts()), found


def test_the_height_of_the_table_is_found_with_the_camera() -> None:
    true, height_m = moved(0.02, 2.0, 1), 0.745
    with expecting() as expected:
        sights = [Sight(depth_from(true, table_m=height_m), expected.render)]
        found = align(sights, CAMERA, NOMINAL, TABLE_M, height_known=False)
    assert found.table_height_m == pytest.approx(height_m, abs=0.001)
    position_m, angle_deg = errors(found, true)
    assert position_m < 0.001
    assert angle_deg < 0.05


def test_blank_depth_is_refused() -> None:
    with expecting() as expected, pytest.raises(CalibrationError, match="only 0 pixels"):
        align([Sight(np.zeros((240, 424), np.uint16), expected.render)], CAMERA, NOMINAL, TABLE_M, height_known=True)


def test_outlines_lie_on_things_and_differences_have_the_right_sign() -> None:
    with expecting() as expected:
        view = expected.render(NOMINAL, TABLE_M)
    edges = expected_edges(view)
    assert {ON_TABLE, ROBOT, ON_BLOCK} <= set(np.unique(edges))
    assert 0.005 < np.mean(edges != NOTHING) < 0.1
    depth_mm = np.rint(1000 * view.depth_m).astype(np.uint16)
    on_table = np.argwhere(view.shows == ON_TABLE)[500]
    red, white, blue = (
        difference_picture((depth_mm.astype(int) + change_mm).astype(np.uint16), view)[tuple(on_table)]
        for change_mm in (30, 0, -30)
    )
    assert red[0] == blue[2] == 255
    assert max(*red[1:], *blue[:2]) < 120
    assert white.min() > 245
    assert tuple(difference_picture(np.zeros_like(depth_mm), view)[tuple(on_table)]) == (0, 0, 0)


def test_frames_are_combined_by_the_median_and_motion_is_refused() -> None:
    one = snapshot_from(NOMINAL)
    holes, far = one.depth_mm.copy(), one.depth_mm + np.uint16(900)
    holes[:50] = 0
    several = combined([one, replace(one, depth_mm=holes), replace(one, depth_mm=far), one])
    np.testing.assert_array_equal(several.depth_mm[50:], one.depth_mm[50:])
    np.testing.assert_array_equal(several.depth_mm[:50], one.depth_mm[:50])
    other = replace(one, joints=replace(one.joints, arm_rad=one.joints.arm_rad + 0.05))
    with pytest.raises(CalibrationError, match=r"moved by 0\.05"):
        combined([one, other])


def test_joints_from_lines_and_from_a_printed_message(tmp_path: Path) -> None:
    path = tmp_path / "joints.yaml"
    values = np.linspace(-0.3, 0.3, 7).tolist()
    path.write_text(yaml.safe_dump(dict(zip(reversed(ARM.joint_names), reversed(values), strict=True))))
    np.testing.assert_allclose(load_joints(path).arm_rad, values)
    names, positions = ["torso_lift_joint", *ARM.joint_names], [0.2, *values]
    path.write_text(yaml.safe_dump({"header": {}, "name": names, "position": positions}) + "---\n")
    assert load_joints(path).torso_height_m == 0.2
    path.write_text(yaml.safe_dump(dict(zip(ARM.joint_names[1:], values[1:], strict=True))))
    with pytest.raises(CalibrationError, match="shoulder_pan_joint"):
        load_joints(path)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_bundle(tmp_path_factory.mktemp("bundle") / "policy"))


def test_the_command_on_files_inside_the_range(tmp_path: Path, policy: str) -> None:
    true = moved(0.008, 1.0, 5)
    files = write_files(snapshot_from(true), tmp_path)
    picture, file = tmp_path / "a.png", tmp_path / "c.yaml"
    arguments = ["--policy", policy, *files, "--picture", str(picture), "--write", str(file)]
    result = CliRunner().invoke(align_camera.app, arguments)
    assert result.exit_code == 0, result.output
    assert "inside the trained range" in result.output
    drawn = cv2.imread(str(picture))
    assert drawn is not None
    assert drawn.shape[0] > 2 * 240
    written = load_calibration(file)
    assert written.method == "depth_alignment"
    np.testing.assert_allclose(written.base_T_camera.position_m, true.position, atol=0.001)


def test_the_command_on_a_bag_outside_the_range(tmp_path: Path, policy: str) -> None:
    bag = write_bag([snapshot_from(moved(0.035, 1.0, 6))] * 3, tmp_path / "bag")
    arguments = ["--policy", policy, "--bag", str(bag), "--frames", "3", "--picture", str(tmp_path / "a.png")]
    result = CliRunner().invoke(align_camera.app, arguments)
    assert result.exit_code == 1, result.output
    assert "OUTSIDE the trained range" in result.output
    assert "move the camera" in result.output


def shows(true: Pose, settings: tuple[Setting, ...]) -> list[Snapshot]:
    """Six frames at each pose, and between them some of an arm that moves, which see something else."""
    frames: list[Snapshot] = []
    for setting in settings:
        look = snapshot_from(true, setting)
        blur = replace(look, depth_mm=np.full_like(look.depth_mm, 700))
        arms = [look.joints.arm_rad - 0.4 + 0.05 * step for step in range(8)]
        frames += [replace(blur, joints=replace(look.joints, arm_rad=arm)) for arm in arms] + [look] * 6
    return frames


def test_the_command_on_poses_of_a_bag(tmp_path: Path, policy: str) -> None:
    true = moved(0.008, 1.0, 5)
    bag = write_bag(shows(true, POSES[:3]), tmp_path / "bag")
    file, picture = tmp_path / "c.yaml", tmp_path / "a.png"
    arguments = ["--policy", policy, "--bag", str(bag), "--picture", str(picture), "--write", str(file), "--poses"]
    result = CliRunner().invoke(align_camera.app, [*arguments, "3"])
    assert result.exit_code == 0, result.output
    assert "pixels of 3 poses" in result.output
    np.testing.assert_allclose(load_calibration(file).base_T_camera.position_m, true.position, atol=0.001)
    drawn = cv2.imread(str(picture))
    assert drawn is not None
    assert drawn.shape[0] > 6 * 240, "each pose is drawn"
    result = CliRunner().invoke(align_camera.app, [*arguments, "4"])
    assert isinstance(result.exception, CalibrationError)
    assert "shows 3 poses of the arm at rest" in str(result.exception)


def test_the_command_on_files_of_several_poses(tmp_path: Path, policy: str) -> None:
    true, options = moved(0.008, 1.0, 5), []
    for number, setting in enumerate(POSES[:2]):
        (tmp_path / str(number)).mkdir()
        options.append(write_files(snapshot_from(true, setting), tmp_path / str(number)))
    both = [*options[0][:6], *options[1]]
    arguments = ["--policy", policy, "--picture", str(tmp_path / "a.png")]
    result = CliRunner().invoke(align_camera.app, [*arguments, *both])
    assert result.exit_code == 0, result.output
    assert "pixels of 2 poses" in result.output
    for wrong, words in ((both[2:], "--color was given 1 times, --depth 2"), (options[0][:6] * 2, "seen before")):
        result = CliRunner().invoke(align_camera.app, [*arguments, *wrong, *options[0][6:]])
        assert isinstance(result.exception, CalibrationError)
        assert words in str(result.exception)


def test_the_command_asks_for_each_pose_of_a_running_arm(
    tmp_path: Path, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = moved(0.008, 1.0, 5)
    looks = [snapshot_from(true, setting) for setting in POSES[:2]]
    monkeypatch.setattr("fetch_sim2real.ros.snapshot_sources.live", lambda frames: [looks.pop(0)] * frames)
    arguments = ["--policy", policy, "--picture", str(tmp_path / "a.png"), "--poses", "2"]
    result = CliRunner().invoke(align_camera.app, arguments, input="\n")
    assert result.exit_code == 0, result.output
    assert "Pose 2 of 2: move the arm" in result.output and "pixels of 2 poses" in result.output


def test_sources_that_do_not_go_together_are_refused(tmp_path: Path, policy: str) -> None:
    files = write_files(snapshot_from(NOMINAL), tmp_path)
    for arguments, kind, message in (
        (files[:4], CalibrationError, "--joints, --intrinsics missing"),
        ([*files, "--bag", str(tmp_path)], CalibrationError, "give one of them"),
        (["--bag", str(tmp_path / "none")], SetupError, "holds no bag"),
    ):
        result = CliRunner().invoke(align_camera.app, ["--policy", policy, *arguments])
        assert isinstance(result.exception, kind)
        assert message in str(result.exception)
    (tmp_path / "lens.yaml").write_text(
        "{width: 640, height: 480, fx: 600.0, fy: 600.0, cx: 320.0, cy: 240.0, distortion: [0.0, 0.0, 0.0, 0.0, 0.0]}"
    )
    result = CliRunner().invoke(align_camera.app, ["--policy", policy, *files])
    assert isinstance(result.exception, CalibrationError | ObservationError)
    assert "640x480" in str(result.exception)
