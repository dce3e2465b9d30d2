"""The URDF of the arm: as a tool reads it, it is the robot of the project's own kinematics."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from six_joint_arm import SIX, write_model

from fetch_sim2real.arm.bodies import arm_bodies
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.kinematics import forward_kinematics
from fetch_sim2real.arm.mjcf import GRIP_SITE
from fetch_sim2real.arm.robot_tree import LinkFrame, robot_tree
from fetch_sim2real.arm.spec import ArmSpec
from fetch_sim2real.arm.urdf import mesh_at, package_uri, urdf
from fetch_sim2real.cli import urdf as command

TORSO_M = 0.21


@pytest.fixture(params=["fetch", "six"])
def arm(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArmSpec:
    """The Fetch, and an arm whose frames are turned against each other, without torso and gripper."""
    if request.param == "fetch":
        return ARM
    write_model(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return SIX


def read_by_mujoco(text: str) -> mujoco.MjModel:
    """The model that MuJoCo's own reader makes of a URDF, every link a body."""
    robot = ElementTree.fromstring(text)
    extension = ElementTree.SubElement(robot, "mujoco")
    ElementTree.SubElement(extension, "compiler", fusestatic="false", discardvisual="true")
    for link in robot.iter("link"):
        if link.find("inertial") is None:
            inertial = ElementTree.SubElement(link, "inertial")
            ElementTree.SubElement(inertial, "mass", value="1")
            ElementTree.SubElement(inertial, "inertia", ixx="1", iyy="1", izz="1", ixy="0", ixz="0", iyz="0")
    return mujoco.MjModel.from_xml_string(ElementTree.tostring(robot, encoding="unicode"))


def random_positions(arm: ArmSpec, count: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    return rng.uniform(arm.position_lower_rad, arm.position_upper_rad, (count, arm.joint_count))


def test_another_programs_kinematics_of_it_are_the_projects(arm: ArmSpec) -> None:
    model = read_by_mujoco(urdf(arm))
    data = mujoco.MjData(model)
    positions = random_positions(arm, 100)
    torso_m = TORSO_M if arm.torso else 0.0
    own = forward_kinematics(positions, torso_m, arm)
    worst = 0.0
    for i, position in enumerate(positions):
        for name, angle in zip(arm.joint_names, position, strict=True):
            data.joint(name).qpos[0] = angle
        if arm.torso:
            data.joint(arm.torso_joint).qpos[0] = torso_m
        mujoco.mj_kinematics(model, data)
        for k, link in enumerate(arm.links):
            body = data.body(link)
            worst = max(worst, np.abs(body.xpos - own.position[i, k]).max())
            worst = max(worst, np.abs(body.xmat.reshape(3, 3) - own.rotation[i, k]).max())
        worst = max(worst, np.abs(data.body(GRIP_SITE).xpos - own.grip[i]).max())
    assert worst < 1e-6


def test_the_frames_for_tf_are_those_of_the_kinematics(arm: ArmSpec) -> None:
    tree, torso_m = robot_tree(arm), TORSO_M if arm.torso else 0.0
    for position in random_positions(arm, 20):
        named = dict(zip(arm.joint_names, position.tolist(), strict=True)) | {arm.torso_joint: torso_m}
        frames = {frame.child: frame for frame in (*tree.fixed_frames(), *tree.moving_frames(named))}
        own = forward_kinematics(position, torso_m, arm)
        for k, link in enumerate(arm.links):
            rotation, place_m = in_base(link, frames)
            np.testing.assert_allclose(place_m, own.position[k], atol=1e-9)
            np.testing.assert_allclose(rotation.as_matrix(), own.rotation[k], atol=1e-9)
        np.testing.assert_allclose(in_base(GRIP_SITE, frames)[1], own.grip, atol=1e-9)


def in_base(link: str, frames: dict[str, LinkFrame]) -> tuple[Rotation, np.ndarray]:
    rotation, place_m = Rotation.identity(), np.zeros(3)
    while link in frames:
        frame = frames[link]
        mount = Rotation.from_quat(frame.quaternion_xyzw)
        rotation, place_m = mount * rotation, frame.position_m + mount.apply(place_m)
        link = frame.parent
    return rotation, place_m


def test_limits_masses_and_inertias_are_those_of_the_arm() -> None:
    robot = ElementTree.fromstring(urdf())
    joints = {joint.get("name"): joint for joint in robot.iter("joint")}
    for joint in ARM.joints:
        found = joints[joint.name].find("limit")
        assert found is not None
        assert float(found.get("velocity", "nan")) == pytest.approx(joint.velocity_rad_s)
        assert float(found.get("effort", "nan")) == pytest.approx(joint.effort_nm)
        assert joints[joint.name].get("type") == ("continuous" if joint.is_continuous else "revolute")
        if not joint.is_continuous:
            bounds = [float(found.get(name, "nan")) for name in ("lower", "upper")]
            assert bounds == pytest.approx([joint.lower_rad, joint.upper_rad])
    model = read_by_mujoco(urdf())
    for body in arm_bodies(ARM, 0.0)[1:]:
        if body.inertia_kg_m2.any():
            assert model.body(body.name).mass[0] == pytest.approx(body.mass_kg)
            expected = np.sort(np.linalg.eigvalsh(body.inertia_kg_m2))
            np.testing.assert_allclose(np.sort(model.body(body.name).inertia), expected, rtol=1e-6, atol=1e-9)


def test_every_mesh_is_a_file_where_the_text_says() -> None:
    meshes = [mesh.get("filename", "") for mesh in ElementTree.fromstring(urdf()).iter("mesh")]
    assert len(meshes) > 10
    for uri in meshes:
        assert Path(url2pathname(urlparse(uri).path)).is_file(), uri


def test_meshes_by_package_are_found_and_nothing_else_is_read() -> None:
    text = urdf(mesh_uri=package_uri)
    for mesh in ElementTree.fromstring(text).iter("mesh"):
        data = mesh_at(mesh.get("filename", ""))
        assert data is not None and len(data) > 100
    for other in (
        "package://gymnasium_robotics/__init__.py",
        "package://gymnasium_robotics/../x.stl",
        "file:///etc/fstab",
    ):
        assert mesh_at(other) is None


def test_the_command_writes_it_or_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "robot.urdf"
    command.app(["--output", str(path), "--mesh-base", "package://mine/meshes/"], standalone_mode=False)
    written = path.read_text(encoding="utf-8")
    meshes = [mesh.get("filename", "") for mesh in ElementTree.fromstring(written).iter("mesh")]
    assert all(mesh.startswith("package://mine/meshes/") and mesh.count("/") == 4 for mesh in meshes)
    capsys.readouterr()
    command.app([], standalone_mode=False)
    assert capsys.readouterr().out == urdf()
