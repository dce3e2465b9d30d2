"""Contacts that decide what a push does: boxes that barely touch must not be taken for deep in each other."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

# A finger of the gripper, pointing down, beside a slab on a table. Found at random; in each of them MuJoCo 3.10 sees,
# beside the true gap of less than a millimetre, a penetration of more than six centimetres, which throws the slab away.
_NEARLY_TOUCHING = (
    ((-0.014089, 0.052559, 0.008344), (2.724268, -0.001578), (-0.679363, -0.000843)),
    ((-0.053369, 0.008995, 0.009482), (-2.333328, -0.002496), (0.438543, -0.000917)),
    ((0.048291, -0.023511, 0.011026), (-1.471429, -0.001222), (-1.038139, 0.000725)),
)
_MODEL = """
<mujoco><worldbody>
  <body><freejoint/><geom type="box" size="0.0385 0.007 0.0135" margin="0.001"/></body>
  <body><freejoint/><geom type="box" size="0.0287 0.0287 0.0155"/></body>
</worldbody></mujoco>
"""


def _turned(first: tuple[tuple[float, ...], float], second: tuple[tuple[float, ...], float]) -> np.ndarray:
    quaternions = []
    for axis, angle in (first, second):
        quaternion = np.zeros(4)
        mujoco.mju_axisAngle2Quat(quaternion, np.array(axis), angle)
        quaternions.append(quaternion)
    result = np.zeros(4)
    mujoco.mju_mulQuat(result, *quaternions)
    return result


@pytest.mark.parametrize(("finger_m", "finger_rad", "slab_rad"), _NEARLY_TOUCHING)
def test_boxes_that_barely_touch_have_no_phantom_contact(
    finger_m: tuple[float, ...], finger_rad: tuple[float, float], slab_rad: tuple[float, float]
) -> None:
    model = mujoco.MjModel.from_xml_string(_MODEL)
    data = mujoco.MjData(model)
    up, forward, sideways = (0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    data.qpos[:3] = finger_m
    data.qpos[3:7] = _turned((up, finger_rad[0]), (sideways, np.pi / 2 + finger_rad[1]))
    data.qpos[7:10] = 0.0
    data.qpos[10:14] = _turned((up, slab_rad[0]), (forward, slab_rad[1]))
    mujoco.mj_kinematics(model, data)
    mujoco.mj_collision(model, data)
    # What is within the margin may be reported or not; nothing is inside the other.
    assert np.all(data.contact.dist[: data.ncon] > 0.0)
