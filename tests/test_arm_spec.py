"""An arm as data: kinematics of any chain, and a whole filter for an arm of six joints without gripper and torso."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from joint_messages import Header, JointMessage, Stamp
from six_joint_arm import SCENE, SIX, write_model

from fetch_sim2real.arm.collision import CollisionModel
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.arm.kinematics import ChainKinematics, Kinematics, forward_kinematics, kinematics_of
from fetch_sim2real.arm.limits import limit_profile
from fetch_sim2real.arm.mjcf import arm_model
from fetch_sim2real.common.physics import mujoco
from fetch_sim2real.control.action import action_to_command
from fetch_sim2real.control.filter import SafetyFilter
from fetch_sim2real.control.limiter import MotionLimiter
from fetch_sim2real.errors import CommandError, FetchSim2RealError, RobotModelError
from fetch_sim2real.messages.joint_states import JointStateMerger
from fetch_sim2real.messages.motion import decode_command
from fetch_sim2real.timing import CONTROL_PERIOD_NS
from fetch_sim2real.types import JointSample, JointSetpoint

HEADER = Header(Stamp(0, 5))
PROFILE = limit_profile("default", SIX)


@pytest.fixture
def ik(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DifferentialIk:
    """Inverse kinematics of the six-joint arm, whose model comes from a package of its own."""
    write_model(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return DifferentialIk(0.0, SIX)


def test_the_fetchs_own_algebra_is_that_of_its_chain() -> None:
    of_any_chain, own = Kinematics(ARM, ChainKinematics(ARM)), kinematics_of(ARM)
    positions = np.random.default_rng(0).uniform(ARM.position_lower_rad, ARM.position_upper_rad, (200, 7))
    general, fast = of_any_chain.forward(positions, 0.35), own.forward(positions, 0.35)
    for name in ("rotation", "position", "grip"):
        np.testing.assert_allclose(getattr(general, name), getattr(fast, name), atol=1e-12)
    np.testing.assert_allclose(of_any_chain.grip_jacobian(positions), own.grip_jacobian(positions), atol=1e-12)


def test_a_clearance_does_not_depend_on_the_algebra() -> None:
    general = replace(SCENE, arm=replace(ARM, algebra=None), torso_height_m=0.3)
    own = replace(general, arm=ARM)
    positions = np.random.default_rng(1).uniform(-2.0, 2.0, (50, 7))
    for name, values in vars(CollisionModel(own).clearance(positions)).items():
        np.testing.assert_allclose(getattr(CollisionModel(general).clearance(positions), name), values, atol=1e-12)


@pytest.mark.usefixtures("ik")
def test_a_chain_with_turned_frames_is_mujocos() -> None:
    model = arm_model(0.0, SIX).compile()
    data = mujoco.MjData(model)
    positions = np.random.default_rng(2).uniform(-2.5, 2.5, (50, 6))
    pose = forward_kinematics(positions, 0.0, SIX)
    jacobian = kinematics_of(SIX).grip_jacobian(positions)
    for i, position in enumerate(positions):
        data.qpos[:] = position
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        for k, link in enumerate(SIX.links):
            np.testing.assert_allclose(pose.position[i, k], data.body(link).xpos, atol=1e-12)
            np.testing.assert_allclose(pose.rotation[i, k], data.body(link).xmat.reshape(3, 3), atol=1e-12)
        np.testing.assert_allclose(pose.grip[i], data.site("grip").xpos, atol=1e-12)
        moves, turns = np.zeros((3, 6)), np.zeros((3, 6))
        mujoco.mj_jacSite(model, data, moves, turns, data.site("grip").id)
        np.testing.assert_allclose(jacobian[i], np.vstack([moves, turns]), atol=1e-12)


def test_inverse_kinematics_of_six_joints(ik: DifferentialIk) -> None:
    start = forward_kinematics(SIX.home_rad, 0.0, SIX)
    target_m = start.grip + np.array([0.05, -0.04, 0.03])
    reached = ik.reach(SIX.home_rad, target_m)
    assert reached is not None
    there = forward_kinematics(reached, 0.0, SIX)
    np.testing.assert_allclose(there.grip, target_m, atol=2e-3)
    np.testing.assert_allclose(there.rotation[-1], start.rotation[-1], atol=0.03)


def test_the_limiter_keeps_six_joints_inside_all_limits() -> None:
    limiter, model = MotionLimiter(PROFILE, CollisionModel(SCENE)), CollisionModel(SCENE)
    rng = np.random.default_rng(5)
    position, velocity = np.tile(SIX.home_rad, (20, 1)), np.zeros((20, 6))
    wanted, rules = np.zeros((20, 6)), 0
    for step in range(200):
        if step % 25 == 0:
            wanted = rng.uniform(-1.5, 1.5, (20, 6)) * PROFILE.velocity
        result = limiter.limit(position, velocity, wanted)
        assert result.viable.all()
        assert np.all(np.abs(result.velocity - velocity) * 30 <= PROFILE.acceleration * (1 + 1e-9))
        position, velocity, rules = result.position, result.velocity, rules | int(np.bitwise_or.reduce(result.rules))
        assert np.all(position >= PROFILE.position_lower - 1e-9) and np.all(position <= PROFILE.position_upper + 1e-9)
        assert model.clearance(position).least.min() > 0.0
    # Speed, acceleration, stops, workspace, table, body and itself: all were run into.
    assert rules == 0b1111111


def test_a_filter_without_gripper_and_torso_follows(ik: DifferentialIk) -> None:
    safety = SafetyFilter(PROFILE, SCENE)
    now_ns, started_m = 10**9, ik.grip_position_m(SIX.home_rad)
    decision = safety.activate(now_ns, JointSample(now_ns, SIX.home_rad, np.zeros(6), float("nan")))
    box = started_m - 0.2, started_m + 0.2
    for _ in range(60):
        now_ns += CONTROL_PERIOD_NS
        now = decision.setpoint
        safety.on_joint_sample(JointSample(now_ns, now.position, now.velocity, float("nan")))
        command = action_to_command(np.array([0.0, 0.0, 0.5, -1.0]), now, ik, 0.02, True, box, now_ns, SIX)
        decision = safety.on_command(now_ns, command)
        assert decision.outcome in ("command", "limited"), decision.detail
        assert decision.finger_position_m is None
        assert decision.trajectory is None or decision.trajectory.joint_names == SIX.joint_names
    grip_m = ik.grip_position_m(decision.setpoint.position)
    assert grip_m[2] == pytest.approx(box[1][2], abs=0.01) and np.abs(grip_m - started_m)[:2].max() < 0.04
    wrong = replace(command, stamp_ns=now_ns + 1, position=np.zeros(7))
    assert safety.on_command(now_ns + 1, wrong).outcome == "refused:wrong_joints"


def test_joint_states_and_commands_are_those_of_the_arm() -> None:
    merger = JointStateMerger(arm=SIX)
    names = [*reversed(SIX.joint_names), "conveyor"]
    sample = merger.merge(JointMessage(HEADER, names, [*range(6), 9.0], [0.1] * 7))
    assert sample is not None and sample.position.tolist() == [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]
    assert np.isnan(sample.finger_position_m) and merger.torso_height_m is None and merger.missing() == ""
    assert JointStateMerger(arm=SIX).merge(JointMessage(HEADER, list(ARM.joint_names), [0.0] * 7, [0.0] * 7)) is None
    message = SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=1, nanosec=0), frame_id=""),
        joint_names=list(SIX.joint_names),
        points=[SimpleNamespace(positions=[0.1] * 6, velocities=[0.2] * 6)],
    )
    command = decode_command(message, SIX)
    assert command.position.tolist() == [0.1] * 6 and command.finger_position_m is None
    with pytest.raises(CommandError, match="joint_1"):
        decode_command(message)


def test_what_does_not_fit_an_arm_is_named() -> None:
    with pytest.raises(FetchSim2RealError, match=r"torso_height_m is 0\.1, expected 0\.0 to 0\.0.*'six'"):
        replace(SCENE, torso_height_m=0.1)
    with pytest.raises(RobotModelError, match="home_rad has 7 values, expected 6"):
        replace(SIX, home_rad=np.zeros(7))
    with pytest.raises(RobotModelError, match="default profile 'fast' is unknown"):
        replace(SIX, default_profile="fast")
    with pytest.raises(RobotModelError, match="link 'hand' is unknown"):
        replace(SIX, tool=replace(SIX.tool, link="hand"))
    with pytest.raises(RobotModelError, match="'six' has no MuJoCo model"):
        arm_model(0.0, replace(SIX, mjcf=None))
    assert JointSetpoint.at_rest(SIX.home_rad).velocity.shape == (SIX.joint_count,)
