"""The re-fitted robot: it can do what its limits promise, with the effort that the real one has."""

from __future__ import annotations

import itertools

import mink
import mujoco
import numpy as np
import pytest

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.arm.kinematics import forward_kinematics
from fetch_sim2real.arm.limits import PROFILES
from fetch_sim2real.arm.mjcf import arm_model, source_of
from fetch_sim2real.errors import RobotModelError
from fetch_sim2real.timing import PHYSICS_STEP_S
from fetch_sim2real.types import FloatArray

TORSO_M = 0.35


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    spec = arm_model(TORSO_M)
    spec.option.timestep = PHYSICS_STEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    return spec.compile()


@pytest.fixture(scope="module")
def ik() -> DifferentialIk:
    return DifferentialIk(TORSO_M)


@pytest.fixture(scope="module")
def workspace_postures(ik: DifferentialIk) -> list[FloatArray]:
    rng = np.random.default_rng(0)
    targets = rng.uniform([0.48, -0.30, 0.75], [0.80, 0.30, 0.98], (60, 3))
    reached = [ik.reach(ARM.home_rad, target) for target in targets]
    return [posture for posture in reached if posture is not None]


def _addresses(model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    qpos = np.array([model.joint(name).qposadr[0] for name in ARM.joint_names])
    dof = np.array([model.joint(name).dofadr[0] for name in ARM.joint_names])
    return qpos, dof, np.array([model.actuator(name).id for name in ARM.joint_names])


@pytest.mark.parametrize("joint", range(7), ids=ARM.joint_names)
def test_each_joint_reaches_its_velocity_limit_within_its_effort_limit(model: mujoco.MjModel, joint: int) -> None:
    qpos, dof, servo = _addresses(model)
    data = mujoco.MjData(model)
    start = np.array(ARM.home_rad)
    # Away from the nearer stop, with room to get up to speed.
    middle = 0.5 * (ARM.position_lower_rad[joint] + ARM.position_upper_rad[joint])
    direction = 1.0 if start[joint] < middle else -1.0
    data.qpos[qpos] = start
    reference, speed, fastest, strongest, lag = start.copy(), 0.0, 0.0, 0.0, 0.0
    velocity = np.zeros(7)
    while abs(reference[joint] - start[joint]) < 0.9:
        speed = min(ARM.velocity_rad_s[joint], speed + PROFILES["default"].acceleration[joint] * PHYSICS_STEP_S)
        velocity[joint] = direction * speed
        reference += velocity * PHYSICS_STEP_S
        data.ctrl[servo] = reference + velocity * source_of(ARM).gains.kv / source_of(ARM).gains.kp
        mujoco.mj_step(model, data)
        fastest = max(fastest, abs(data.qvel[dof[joint]]))
        strongest = max(strongest, abs(data.qfrc_actuator[dof[joint]]))
        lag = max(lag, abs(data.qpos[qpos[joint]] - reference[joint]))
    assert fastest >= ARM.velocity_rad_s[joint] * 0.999
    assert strongest <= ARM.effort_nm[joint] * (1 + 1e-9)
    assert lag < 0.02


def test_gravity_is_held(model: mujoco.MjModel, workspace_postures: list[FloatArray]) -> None:
    qpos, _, servo = _addresses(model)
    data = mujoco.MjData(model)
    for posture in workspace_postures[:5]:
        mujoco.mj_resetData(model, data)
        data.qpos[qpos] = data.ctrl[servo] = posture
        for _ in range(480):
            mujoco.mj_step(model, data)
        assert np.abs(data.qpos[qpos] - posture).max() < 1e-3
        # The effort that holds the arm counts against the robot's rating.
        assert np.abs(data.qfrc_actuator[:7]).max() > 5.0


def test_default_profile_stays_within_rated_effort(model: mujoco.MjModel, workspace_postures: list[FloatArray]) -> None:
    """All joints at their speed and acceleration limits at once, over sign combinations and the workspace."""
    qpos, dof, _ = _addresses(model)
    profile = PROFILES["default"]
    data, rng = mujoco.MjData(model), np.random.default_rng(1)
    inertia = np.zeros((model.nv, model.nv))
    share = np.zeros(7)
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=7)))
    for posture in workspace_postures:
        data.qpos[qpos] = posture
        for velocity_sign in signs[rng.choice(len(signs), 4, replace=False)]:
            data.qvel[dof] = profile.velocity * velocity_sign
            mujoco.mj_fwdPosition(model, data)
            mujoco.mj_fwdVelocity(model, data)
            mujoco.mj_fullM(model, data, inertia)
            accelerations = profile.acceleration * signs
            needed = accelerations @ inertia[np.ix_(dof, dof)].T + data.qfrc_bias[dof] - data.qfrc_passive[dof]
            share = np.maximum(share, np.abs(needed).max(axis=0) / ARM.effort_nm)
    assert np.all(share <= 1.0), share
    # The figure quoted beside the profile.
    assert share.argmax() == 0
    assert np.all(share[1:] <= 0.75), share


def test_ik_moves_the_gripper_as_asked_and_keeps_it_down(
    ik: DifferentialIk, workspace_postures: list[FloatArray]
) -> None:
    rng = np.random.default_rng(2)
    for posture in workspace_postures:
        wanted = rng.uniform(-0.01, 0.01, 3)
        before = forward_kinematics(posture, TORSO_M)
        after = forward_kinematics(posture + ik.step(posture, wanted), TORSO_M)
        np.testing.assert_allclose(after.grip - before.grip, wanted, atol=1.5e-3)
        np.testing.assert_allclose(after.rotation[-1], np.array(ARM.tool.working_rotation), atol=0.03)


def test_ik_is_minks_bit_for_bit(ik: DifferentialIk, workspace_postures: list[FloatArray]) -> None:
    posture = mink.PostureTask(ik._model, cost=0.005)
    posture.set_target(np.array(ARM.home_rad))
    general = ([ik._grip, posture], [mink.ConfigurationLimit(ik._model)])
    at_a_stop = np.array(ARM.home_rad)
    at_a_stop[5] = ARM.position_upper_rad[5] - 0.035
    for start in (*workspace_postures, at_a_stop):
        step = ik.step(start, np.array([0.02, -0.02, 0.04]))
        expected = mink.solve_ik(ik._configuration, general[0], 1.0, "daqp", 1e-5, limits=general[1])
        np.testing.assert_array_equal(step, expected)


def test_ik_gives_the_same_step_for_the_same_question(ik: DifferentialIk) -> None:
    first = ik.step(np.array(ARM.home_rad), np.array([0.01, 0.0, 0.0]))
    ik.step(np.array(ARM.home_rad) + 0.2, np.array([0.0, 0.02, 0.0]))
    second = ik.step(np.array(ARM.home_rad), np.array([0.01, 0.0, 0.0]))
    np.testing.assert_array_equal(first, second)


def test_out_of_reach_is_said(ik: DifferentialIk) -> None:
    assert ik.reach(ARM.home_rad, np.array([1.5, 0.0, 0.8])) is None


def test_impossible_torso_height_is_refused() -> None:
    with pytest.raises(RobotModelError, match=r"0\.5 m, expected 0\.0\.\.0\.38615"):
        arm_model(0.5)
