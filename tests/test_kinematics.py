"""Forward kinematics against MuJoCo's, on the unmodified joint tree of the Fetch MJCF."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from importlib.util import find_spec
from pathlib import Path

import mujoco
import numpy as np
import pytest

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.kinematics import forward_kinematics, grip_position, kinematics_of


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    """Bodies, joints and sites of the package's robot.xml alone: no meshes, no defaults, nothing of ours."""
    spec = find_spec("gymnasium_robotics")
    assert spec is not None and spec.origin is not None
    path = Path(spec.origin).parent / "envs" / "assets" / "fetch" / "robot.xml"
    base = next(b for b in ElementTree.parse(path).getroot() if b.get("name") == "robot0:base_link")
    for parent in list(base.iter()):
        for child in list(parent):
            if child.tag in ("geom", "camera", "inertial"):
                parent.remove(child)
        parent.attrib.pop("childclass", None)
        if parent.tag == "body":
            ElementTree.SubElement(parent, "inertial", pos="0 0 0", mass="1", diaginertia="1 1 1")
    root = ElementTree.Element("mujoco")
    ElementTree.SubElement(root, "worldbody").append(base)
    return mujoco.MjModel.from_xml_string(ElementTree.tostring(root, encoding="unicode"))


@pytest.mark.parametrize("torso_height_m", [0.0, 0.1, 0.35])
def test_matches_mujoco_on_random_configurations(model: mujoco.MjModel, torso_height_m: float) -> None:
    data = mujoco.MjData(model)
    rng = np.random.default_rng(1)
    positions = rng.uniform(ARM.position_lower_rad, ARM.position_upper_rad, (100, 7))
    pose = forward_kinematics(positions, torso_height_m)
    base_m = model.body("robot0:base_link").pos
    data.joint("robot0:torso_lift_joint").qpos[0] = torso_height_m
    for i, position in enumerate(positions):
        for name, angle in zip(ARM.joint_names, position, strict=True):
            data.joint(f"robot0:{name}").qpos[0] = angle
        mujoco.mj_kinematics(model, data)
        for k, link in enumerate(ARM.links):
            body = data.body(f"robot0:{link}")
            np.testing.assert_allclose(pose.position[i, k], body.xpos - base_m, atol=1e-12)
            np.testing.assert_allclose(pose.rotation[i, k], body.xmat.reshape(3, 3), atol=1e-12)
        np.testing.assert_allclose(pose.grip[i], data.site("robot0:grip").xpos - base_m, atol=1e-12)


def test_leading_dimensions_are_kept() -> None:
    positions = np.random.default_rng(2).uniform(-1.0, 1.0, (2, 3, 7))
    pose = forward_kinematics(positions, 0.2)
    assert pose.rotation.shape == (2, 3, 8, 3, 3)
    assert pose.position.shape == (2, 3, 8, 3)
    assert pose.grip.shape == (2, 3, 3)
    single = forward_kinematics(positions[1, 2], 0.2)
    np.testing.assert_allclose(pose.grip[1, 2], single.grip, atol=1e-14)
    np.testing.assert_allclose(pose.rotation[1, 2], single.rotation, atol=1e-14)
    np.testing.assert_allclose(grip_position(positions[1, 2], 0.2), single.grip, atol=1e-14)


def test_rotations_are_orthonormal() -> None:
    positions = np.random.default_rng(3).uniform(-6.0, 6.0, (50, 7))
    rotation = forward_kinematics(positions, 0.0).rotation
    np.testing.assert_allclose(
        rotation @ np.swapaxes(rotation, -1, -2), np.broadcast_to(np.eye(3), rotation.shape), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(rotation), 1.0, atol=1e-12)


def test_zero_angles_stretch_the_arm_forwards() -> None:
    grip = grip_position(np.zeros(7), 0.0)
    np.testing.assert_allclose(
        grip, [-0.0869 + 0.1195 + 0.117 + 0.9784 + 0.02, 0.0, 0.3774 + 0.3486 + 0.06], atol=1e-12
    )


def test_an_empty_batch_is_an_empty_result() -> None:
    assert kinematics_of(ARM).features(np.zeros((0, 7))).shape == (0, 3, 12)
    assert forward_kinematics(np.zeros((0, 7)), 0.0).position.shape == (0, 8, 3)
