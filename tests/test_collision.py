"""The sphere model of the arm against the meshes it stands for, and what it lets pass."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest
from arm_geometry import OPEN_SCENE, TABLE_SCENE, euclidean_clearance, radii, sphere_centers

from fetch_sim2real.arm.collision import CollisionModel, Scene
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.fetch.spheres import (
    FINGER_SPHERES,
    FOREARM_SPHERES,
    HAND_SPHERE,
    SHOULDER_SPHERES,
    UPPERARM_SPHERES,
    WRIST_SPHERES,
)
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.arm.kinematics import forward_kinematics, kinematics_of
from fetch_sim2real.arm.limits import PROFILES
from fetch_sim2real.arm.mjcf import arm_model
from fetch_sim2real.arm.spec import Box
from fetch_sim2real.control.limiter import REQUIRED_CLEARANCE_M
from fetch_sim2real.errors import FetchSim2RealError, RobotModelError
from fetch_sim2real.types import FloatArray

TORSO_M = 0.3
LINK_SPHERES = (*SHOULDER_SPHERES, *UPPERARM_SPHERES, *FOREARM_SPHERES, *WRIST_SPHERES)
MODEL = CollisionModel(TABLE_SCENE)
LOWER = np.maximum(PROFILES["default"].position_lower, -3.2)
UPPER = np.minimum(PROFILES["default"].position_upper, 3.2)


@pytest.fixture(scope="module")
def robot() -> mujoco.MjModel:
    """The meshes, as the simulation uses them, with a table to measure distances to."""
    spec = arm_model(TORSO_M)
    spec.worldbody.add_geom(name="table", type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.35, 0.6, 0.36], pos=[0.80, 0.0, 0.36])
    return spec.compile()


def vertices(robot: mujoco.MjModel, geom: str) -> FloatArray:
    """Mesh vertices (V, 3) [m] in the frame of the geom's body."""
    g = robot.geom(geom).id
    mesh = robot.geom_dataid[g]
    first, count = robot.mesh_vertadr[mesh], robot.mesh_vertnum[mesh]
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, robot.geom_quat[g])
    return robot.mesh_vert[first : first + count] @ rotation.reshape(3, 3).T + robot.geom_pos[g]


@pytest.mark.parametrize("link", ARM.links)
def test_spheres_cover_each_link(robot: mujoco.MjModel, link: str) -> None:
    points = vertices(robot, link)
    spheres = [sphere for sphere in LINK_SPHERES if sphere.link == link]
    outside = [np.linalg.norm(points - sphere.center_m, axis=1) - sphere.radius_m for sphere in spheres]
    assert np.min(outside, axis=0).max() < 0.002
    # Not at the price of balloons: no sphere reaches more than 6 cm beyond the mesh's extent.
    for sphere in spheres:
        center = np.array(sphere.center_m)
        assert np.all(center - sphere.radius_m > points.min(axis=0) - 0.06)
        assert np.all(center + sphere.radius_m < points.max(axis=0) + 0.06)


@pytest.mark.parametrize("opening_m", [0.0, 0.02, ARM.finger_max_m])
def test_spheres_cover_the_fingers_at_any_opening(robot: mujoco.MjModel, opening_m: float) -> None:
    corners = []
    for name, side in (("r_gripper_finger_link", 1), ("l_gripper_finger_link", -1)):
        geom, body = robot.geom(name), robot.body(name)
        box = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T * geom.size
        corners.append(box + geom.pos + body.pos + [0.0, side * opening_m, 0.0])
    points = np.concatenate(corners)
    fine = [np.linalg.norm(points - sphere.center_m, axis=1) - sphere.radius_m for sphere in FINGER_SPHERES]
    assert np.min(fine, axis=0).max() < 0.015
    assert np.max(np.linalg.norm(points - HAND_SPHERE.center_m, axis=1)) - HAND_SPHERE.radius_m < 0.015
    # Over a plane, at any attitude, no corner is lower than the lowest sphere by more than a rounded edge.
    towards = np.random.default_rng(4).normal(size=(1000, 3))
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    towards[0] = [1.0, 0.0, 0.0]
    whole = [*FINGER_SPHERES, *(sphere for sphere in WRIST_SPHERES if sphere.link == "gripper_link")]
    reach = np.max([towards @ sphere.center_m + sphere.radius_m for sphere in whole], axis=0)
    corner = np.max(towards @ points.T, axis=1)
    assert np.max(corner - reach) < 0.003
    # Straight down it is exact, so that the gripper may work close above a table.
    assert reach[0] == pytest.approx(corner[0], abs=5e-4)


@pytest.mark.parametrize("torso_height_m", [0.0, TORSO_M])
def test_boxes_hold_the_body(torso_height_m: float) -> None:
    model = arm_model(torso_height_m).compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    boxes = ARM.body_boxes(torso_height_m)
    names = ("base_link", "torso_lift_link", "torso_fixed_link", "head_pan_link", "head_tilt_link", "estop_link")
    for name in names:
        body = data.body(name)
        points = vertices(model, name) @ body.xmat.reshape(3, 3).T + body.xpos
        beyond = [np.maximum(np.asarray(b.lower_m) - points, points - np.asarray(b.upper_m)).max(axis=1) for b in boxes]
        outside = np.min(beyond, axis=0)
        # The lowest 5 cm of the lifted column are inside the fixed one.
        assert outside.max() < 0.005, f"{name}: {outside.max()} m outside"


def place(robot: mujoco.MjModel, data: mujoco.MjData, position: FloatArray) -> None:
    for name, angle in zip(ARM.joint_names, position, strict=True):
        data.joint(name).qpos[0] = angle
    for name in ARM.gripper_joints:
        data.joint(name).qpos[0] = ARM.finger_max_m
    mujoco.mj_forward(robot, data)


def mesh_distance(robot: mujoco.MjModel, data: mujoco.MjData, ones: list[str], others: list[str]) -> float:
    """Least distance [m] between convex hulls, at most 0.3.

    MuJoCo 3.10 answers exactly 0 for some pairs that are far apart: no answer, left out.
    """
    pairs = [(robot.geom(a).id, robot.geom(b).id) for a in ones for b in others]
    found = [mujoco.mj_geomDistance(robot, data, a, b, 0.3, None) for a, b in pairs]
    return min(distance for distance in found if distance != 0.0)


HAND = ["wrist_flex_link", "wrist_roll_link", "gripper_link", "r_gripper_finger_link", "l_gripper_finger_link"]
MOVING = ["upperarm_roll_link", "elbow_flex_link", "forearm_roll_link", *HAND]
INNER = ["shoulder_pan_link", "shoulder_lift_link", "upperarm_roll_link"]
# Without the lifted torso: MuJoCo takes its convex hull, which fills the room below the shoulder.
BODY = ["base_link", "torso_fixed_link", "head_pan_link", "head_tilt_link"]


def test_never_says_clear_where_meshes_touch(robot: mujoco.MjModel) -> None:
    """Random configurations: what the model lets pass is clear by the meshes too, and it is not far too careful."""
    rng = np.random.default_rng(1)
    positions = rng.uniform(LOWER, UPPER, (400, 7))
    scene = replace(OPEN_SCENE, torso_height_m=TORSO_M, tables=(Box("table", (0.45, -0.6, 0.0), (1.15, 0.6, 0.72)),))
    clearance = CollisionModel(scene).clearance(positions)
    data = mujoco.MjData(robot)
    caution: dict[str, list[float]] = {"table": [], "body": [], "itself": []}
    for i, position in enumerate(positions):
        place(robot, data, position)
        true = {
            "table": mesh_distance(robot, data, ["shoulder_lift_link", *MOVING], ["table"]),
            "body": mesh_distance(robot, data, MOVING, BODY),
            "itself": mesh_distance(robot, data, HAND, INNER),
        }
        for name, distance in true.items():
            claimed = float(getattr(clearance, name)[i])
            if claimed >= REQUIRED_CLEARANCE_M:
                assert distance > 0.0, f"{name}: {claimed} m claimed at {position}"
            if 0.0 < distance < 0.1:
                caution[name].append(distance - claimed)
    for name, excess in caution.items():
        assert len(excess) > 5, name
        assert np.median(excess) < 0.07, name  # the head's box is 6 cm wider than the head, for its turning


@pytest.mark.parametrize("scene", [TABLE_SCENE, OPEN_SCENE], ids=["table", "open"])
def test_equals_the_euclidean_clearance(scene: Scene) -> None:
    positions = np.random.default_rng(2).uniform(LOWER, UPPER, (3000, 7))
    model, plain = CollisionModel(scene).clearance(positions), euclidean_clearance(positions, scene)
    np.testing.assert_allclose(model.workspace, plain.workspace, atol=1e-12)
    np.testing.assert_allclose(model.itself, plain.itself, atol=1e-12)
    # Centres inside a box count as minus the radius, and the body is understated beyond 1 cm.
    for name, trusted_m in (("table", np.inf), ("body", 0.01)):
        found, true = getattr(model, name), getattr(plain, name)
        near = (true > -0.002) & (found < trusted_m)
        assert near.sum() > 10
        np.testing.assert_allclose(found[near], true[near], atol=1e-12)
        assert np.all(found[true <= -0.002] < -0.0019)
        assert np.all(found[~near & (true > 0)] <= true[~near & (true > 0)] + 1e-12)
        assert np.all(found[true > 0.01] >= 0.0099)


def test_leading_dimensions_and_paths() -> None:
    positions = np.random.default_rng(3).uniform(LOWER, UPPER, (5, 4, 7))
    single = MODEL.clearance(positions)
    assert single.least.shape == (5, 4)
    path = MODEL.path_clearance(positions)
    assert path.least.shape == (5,)
    # A path is never clearer than its samples.
    for name in ("workspace", "table", "body", "itself"):
        assert np.all(getattr(path, name) <= getattr(single, name).min(axis=1) + 1e-12)
    assert float(MODEL.clearance(positions[0, 0]).table) == pytest.approx(float(single.table[0, 0]))


def test_an_obstacle_between_two_samples_is_seen() -> None:
    """The arm swings past a post: clear of it on both sides, not on the way."""
    ends = np.stack([ARM.home_rad, ARM.home_rad])
    ends[:, 0] = [-0.35, 0.35]
    x, _, z = forward_kinematics(ARM.home_rad, TABLE_SCENE.torso_height_m).position[ARM.links.index("wrist_flex_link")]
    post = Box("post", (x - 0.01, -0.01, 0.0), (x + 0.01, 0.01, z))
    model = CollisionModel(replace(TABLE_SCENE, tables=(post,)))
    assert np.all(model.clearance(ends).table > 0.03)
    assert model.path_clearance(ends).table < 0.0


@pytest.mark.parametrize("scene", [TABLE_SCENE, OPEN_SCENE], ids=["table", "open"])
def test_chords_are_never_judged_clearer_than_they_are(scene: Scene) -> None:
    """Short random paths: the path's clearance bounds that of fine samples but for how far these leave the chords."""
    rng = np.random.default_rng(5)
    starts = rng.uniform(LOWER, UPPER, (800, 7))
    ends = starts + rng.uniform(-0.08, 0.08, starts.shape)
    path = CollisionModel(scene).path_clearance(np.stack([starts, ends], axis=1))
    fine = [euclidean_clearance(starts + share * (ends - starts), scene) for share in np.linspace(0, 1, 9)]
    for name in ("workspace", "table", "body", "itself"):
        least = np.min([getattr(clearance, name) for clearance in fine], axis=0)
        claimed = getattr(path, name)
        outside = claimed > 0
        assert np.all(claimed[outside] <= least[outside] + 0.004), name
        assert outside.sum() > 10, name


@pytest.mark.parametrize("torso_height_m", [0.25, 0.30, 0.35])
def test_no_false_alarm_in_the_working_posture(torso_height_m: float) -> None:
    """Gripper straight down over the table, fingertips 5 mm above its top and higher."""
    ik = DifferentialIk(torso_height_m)
    scene = replace(TABLE_SCENE, torso_height_m=torso_height_m)
    model = CollisionModel(scene)
    tip_below_grip_m = 0.0385 - 0.02
    checked = 0
    for x in np.linspace(0.50, 0.85, 6):
        for y in np.linspace(-0.3, 0.3, 5):
            position: FloatArray | None = ARM.home_rad
            for height in (0.08, 0.005):
                position = ik.reach(np.asarray(position), np.array([x, y, 0.72 + tip_below_grip_m + height]))
                if position is None:
                    break
                clearance = model.clearance(position)
                checked += 1
                assert clearance.table >= REQUIRED_CLEARANCE_M
                assert clearance.table == pytest.approx(height, abs=0.003)
                assert clearance.body >= REQUIRED_CLEARANCE_M
                assert clearance.itself >= REQUIRED_CLEARANCE_M
    assert checked > 40


def test_only_tables_are_checked_with_the_fine_fingers() -> None:
    pose = forward_kinematics(np.zeros((1, 7)), 0.3)
    fine = sphere_centers(pose, FINGER_SPHERES)[0]
    hand = sphere_centers(pose, (HAND_SPHERE,))[0, 0]
    # The coarse hand stands for all of them.
    assert np.all(np.linalg.norm(fine - hand, axis=1) + radii(FINGER_SPHERES) < HAND_SPHERE.radius_m + 0.011)


def test_bad_scenes_are_named() -> None:
    with pytest.raises(FetchSim2RealError, match=r"torso_height_m is 0\.7"):
        replace(TABLE_SCENE, torso_height_m=0.7)
    with pytest.raises(FetchSim2RealError, match="'workspace'"):
        replace(TABLE_SCENE, workspace_lower_m=(0.9, -0.3, 0.7))
    with pytest.raises(FetchSim2RealError, match="'table'"):
        replace(TABLE_SCENE, tables=(Box("table", (0.0, 0.0, 0.0), (1.0, float("nan"), 1.0)),))


def test_a_sphere_that_the_coefficients_cannot_express_is_refused() -> None:
    with pytest.raises(RobotModelError, match="elbow_flex_link is off its xy plane"):
        kinematics_of(ARM).point("elbow_flex_link", (0.0, 0.0, 0.01))
