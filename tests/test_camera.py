"""The camera model agrees with geometry and with a renderer; poses obey the group's laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetch_sim2real.errors import ObservationError
from fetch_sim2real.perception.camera import CameraModel, Pose

CAMERA = CameraModel(424, 240, 307.0, 305.5, 214.2, 118.7)

coordinate = st.floats(-2.0, 2.0)
vector3 = st.tuples(coordinate, coordinate, coordinate).map(np.array)
quaternion = (
    st.tuples(coordinate, coordinate, coordinate, coordinate)
    .map(np.array)
    .filter(lambda q: np.linalg.norm(q) > 0.1)
    .map(lambda q: q / np.linalg.norm(q))
)
pose = st.builds(Pose.from_quaternion, vector3, quaternion)


def rotate_by_quaternion(q: np.ndarray, p: np.ndarray) -> np.ndarray:
    """q p q* written out, independent of any matrix."""
    axis, w = q[:3], q[3]
    return p + 2 * w * np.cross(axis, p) + 2 * np.cross(axis, np.cross(axis, p))


def test_points_come_back_from_their_pixels() -> None:
    points = np.random.default_rng(1).uniform([-0.5, -0.4, 0.3], [0.5, 0.4, 2.0], (50, 3))
    np.testing.assert_allclose(CAMERA.deproject(CAMERA.project(points), points[:, 2]), points, atol=1e-12)


def test_optical_axes_are_right_down_forward() -> None:
    u, v = CAMERA.project([0.1, 0.2, 1.0])
    assert (u, v) == (pytest.approx(214.2 + 30.7), pytest.approx(118.7 + 61.1))


def test_points_behind_the_camera_have_no_pixel() -> None:
    assert np.isnan(CAMERA.project([[0.1, 0.1, -1.0], [0.1, 0.1, 0.0]])).all()


def test_field_of_view_reaches_from_edge_to_edge() -> None:
    camera = CameraModel.from_fovy(320, 240, np.deg2rad(50))
    top = camera.project([0.0, -np.tan(np.deg2rad(25)), 1.0])
    bottom = camera.project([0.0, np.tan(np.deg2rad(25)), 1.0])
    # Pixel centres are at integers: the upper edge of the first row is at -0.5.
    np.testing.assert_allclose([top, bottom], [[159.5, -0.5], [159.5, 239.5]], atol=1e-9)
    assert camera.fovy_rad == pytest.approx(np.deg2rad(50))


@pytest.mark.parametrize("bad", [{"fx": 0.0}, {"fy": -1.0}, {"cx": float("nan")}, {"width": 0}])
def test_impossible_cameras_are_refused(bad: dict[str, float]) -> None:
    values = {"width": 4, "height": 4, "fx": 1.0, "fy": 1.0, "cx": 2.0, "cy": 2.0}
    with pytest.raises(ObservationError):
        CameraModel(**{**values, **bad})  # type: ignore[arg-type]


@given(quaternion, vector3)
def test_rotation_is_the_quaternions(q: np.ndarray, p: np.ndarray) -> None:
    np.testing.assert_allclose(Pose.from_quaternion(np.zeros(3), q).apply(p), rotate_by_quaternion(q, p), atol=1e-12)


@given(quaternion)
def test_quaternion_comes_back_with_w_positive(q: np.ndarray) -> None:
    back = Pose.from_quaternion(np.zeros(3), q).quaternion_xyzw
    assert back[3] >= 0
    # q and -q are the same rotation.
    assert min(np.abs(back - q).max(), np.abs(back + q).max()) < 1e-9


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_half_turns_have_exact_quaternions(axis: int) -> None:
    q = np.zeros(4)
    q[axis] = 1.0
    np.testing.assert_allclose(np.abs(Pose.from_quaternion(np.zeros(3), q).quaternion_xyzw), q, atol=1e-12)


@given(pose, pose, vector3)
def test_composition_applies_one_after_the_other(a_T_b: Pose, b_T_c: Pose, p: np.ndarray) -> None:
    np.testing.assert_allclose((a_T_b @ b_T_c).apply(p), a_T_b.apply(b_T_c.apply(p)), atol=1e-9)


@given(pose, vector3)
def test_inverse_undoes(a_T_b: Pose, p: np.ndarray) -> None:
    np.testing.assert_allclose(a_T_b.inverse().apply(a_T_b.apply(p)), p, atol=1e-9)


@pytest.mark.parametrize("rotation", [np.diag([1.0, 1.0, -1.0]), np.eye(3) * 1.01, np.full((3, 3), np.nan), np.eye(2)])
def test_matrices_that_are_no_rotations_are_refused(rotation: np.ndarray) -> None:
    with pytest.raises(ObservationError, match="rotation"):
        Pose(np.zeros(3), rotation)


def test_quaternions_that_are_not_unit_are_refused() -> None:
    with pytest.raises(ObservationError, match="norm 1"):
        Pose.from_quaternion((0, 0, 0), (0, 0, 0, 0))


def test_a_pose_cannot_be_changed_through_its_arrays() -> None:
    position = np.zeros(3)
    pose = Pose(position, np.eye(3))
    position[0] = 1.0
    assert pose.position[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        pose.position[0] = 1.0


def test_looking_at_puts_the_target_on_the_axis_and_up_upwards() -> None:
    base_T_camera = Pose.looking_at((0.2, 0.7, 1.4), (0.8, 0.0, 0.7))
    camera_T_base = base_T_camera.inverse()
    distance = float(np.linalg.norm([0.6, -0.7, -0.7]))
    np.testing.assert_allclose(camera_T_base.apply((0.8, 0.0, 0.7)), [0, 0, distance], atol=1e-12)
    above = camera_T_base.apply((0.8, 0.0, 0.8))
    assert above[1] < 0
    assert above[0] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.gl
def test_renderer_sees_points_where_the_model_projects_them() -> None:
    """The whole chain: pose in the world, REP 103 axes, intrinsics, depth along z."""
    mujoco = pytest.importorskip("mujoco")
    base_T_camera = Pose.looking_at((0.1, 0.8, 1.5), (0.8, 0.1, 0.7))
    camera = CameraModel.from_fovy(424, 240, np.deg2rad(42.5))
    points = np.array([[0.8, 0.1, 0.7], [0.7, -0.05, 0.65], [0.95, 0.2, 0.8]])
    # MuJoCo's cameras look along -z with y up: the optical frame turned by half a turn about x.
    mujoco_camera = base_T_camera @ Pose(np.zeros(3), np.diag([1.0, -1.0, -1.0]))
    x, y, z, w = mujoco_camera.quaternion_xyzw
    spheres = "".join(f'<geom type="sphere" size="0.03" pos="{p[0]} {p[1]} {p[2]}" rgba="1 0 0 1"/>' for p in points)
    position = " ".join(str(value) for value in mujoco_camera.position)
    model = mujoco.MjModel.from_xml_string(
        f"""<mujoco><visual><global offwidth="424" offheight="240"/></visual><worldbody>
        <camera name="c" pos="{position}" quat="{w} {x} {y} {z}" fovy="42.5"/>{spheres}</worldbody></mujoco>"""
    )
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    try:
        renderer = mujoco.Renderer(model, camera.height, camera.width)
    except Exception as error:
        pytest.skip(f"no OpenGL here: {error}")
    with renderer:
        renderer.update_scene(data, "c")
        renderer.enable_segmentation_rendering()
        geoms = renderer.render()[..., 0]
        renderer.disable_segmentation_rendering()
        renderer.enable_depth_rendering()
        depth = renderer.render()
    for index, point in enumerate(points):
        rows, columns = np.nonzero(geoms == index)
        centroid = np.array([columns.mean(), rows.mean()])
        in_camera = base_T_camera.inverse().apply(point)
        np.testing.assert_allclose(centroid, camera.project(in_camera), atol=0.3)
        nearest = depth[geoms == index].min()
        # The sphere's front is one radius nearer along the ray, nearly along z.
        seen = camera.deproject(centroid, nearest + 0.03)
        np.testing.assert_allclose(base_T_camera.apply(seen), point, atol=4e-3)
