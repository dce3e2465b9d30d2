"""The operator's knowledge without ROS: preflight checks, the start region, slow moves, the log."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest

from fetch_sim2real import graph, paths
from fetch_sim2real.arm.collision import CollisionModel
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.arm.limits import PROFILES
from fetch_sim2real.calibration.camera_file import CameraCalibration, IntrinsicsRecord, ResidualRecord
from fetch_sim2real.calibration.in_force import CalibrationInForce
from fetch_sim2real.control.checks import FilterSettings
from fetch_sim2real.control.filter import SafetyFilter
from fetch_sim2real.control.homing import ARRIVED_RAD, SLOW_SPEED_RAD_S, SlowMoveError, SlowMoveFollower, plan_slow_move
from fetch_sim2real.control.limiter import REQUIRED_CLEARANCE_M
from fetch_sim2real.control.states import State
from fetch_sim2real.errors import SetupError
from fetch_sim2real.operation import preflight_checks as checks
from fetch_sim2real.operation.log import OperationLog, refusals_between, run_summary
from fetch_sim2real.operation.start_region import StartRegion, departure_from, start_position
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.policy.manifest import CameraRecord, PoseRecord
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.timing import CONTROL_PERIOD_NS
from fetch_sim2real.types import FloatArray, JointSample, JointSetpoint

WORLD = load_world("nominal", paths.worlds_dir())
SCENE = WORLD.workcell.scene()
REGION = StartRegion(np.array([0.54, -0.2, 0.84]), np.array([0.70, 0.2, 0.93]))


@pytest.fixture(scope="module")
def ik() -> DifferentialIk:
    return DifferentialIk(WORLD.workcell.torso_height_m)


def at(ik: DifferentialIk, *grip_m: float) -> FloatArray:
    position = ik.reach(ARM.home_rad, np.array(grip_m))
    assert position is not None
    return position


# -- checks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "state", "word"),
    [
        (checks.check_mode("live", "shadow", False), "fail", "mode:=live"),
        (checks.check_mode("shadow", "shadow", False), "ok", "nothing is sent"),
        (checks.check_run_stop(None, "joint_trajectory"), "unknown", "cannot see"),
        (checks.check_run_stop("runstop: the run-stop is pressed", "rosbridge"), "fail", "pressed"),
        (checks.check_run_stop("unknown", "rosbridge"), "fail", "not reported"),
        (checks.check_run_stop("ready", "rosbridge"), "ok", "released"),
        (checks.check_controller("desired", "joint_trajectory", False), "ok", "desired state"),
        (
            checks.check_controller("measured", "joint_trajectory", False),
            "fail", "interpolate_from_desired_state: true",
        ),
        (checks.check_controller("measured", "joint_trajectory", True), "fail", "the simulated one"),
        (checks.check_controller("unknown", "joint_trajectory", False), "unknown", "cannot be seen"),
        (checks.check_controller(None, "line", False), "unknown", "cannot be seen"),
        (checks.check_controller(None, "rosbridge", False), "ok", "a Fetch's own"),
        (checks.check_driver("fault", "the robot faulted"), "fail", "operate reset"),
        (checks.check_driver("active", "enabled"), "fail", "operate stop"),
        (checks.check_driver("hold", "no valid command"), "ok", "hold"),
        (checks.check_joint_states(None, None), "fail", "none has come"),
        (checks.check_joint_states(0.9, 120.0), "fail", "stale"),
        (checks.check_joint_states(0.01, 50.0), "fail", "50 Hz"),
        (checks.check_joint_states(0.01, 100.0), "ok", "100 Hz"),
        (checks.check_torso(0.30, 0.35, 0.35), "fail", "the bundle needs 0.350 m"),
        (checks.check_torso(0.35, 0.35, 0.30), "fail", "the driver's world needs 0.300 m"),
        (checks.check_torso(0.355, 0.35, 0.35), "ok", "0.355 m"),
        (checks.check_torso(0.355, None, 0.35), "unknown", "not known"),
        (checks.check_profile("default", "gentle", 1.0), "fail", "faster than"),
        (checks.check_profile("gentle", "default", 1.0), "ok", "gentle"),
        (checks.check_profile("default", "default", 0.25), "warn", "25%"),
        (checks.check_camera_latency([], (0.03, 0.09)), "fail", "no frame"),
        (checks.check_camera_latency([0.06, 0.07], (0.03, 0.09)), "ok", "65 ms"),
        (checks.check_camera_latency([0.12, 0.13], (0.03, 0.09)), "fail", "30 ms to 90 ms"),
        (checks.check_camera_latency([0.001], (0.03, 0.09)), "warn", "less than"),
        (checks.check_command_latency([0.002], (0.005, 0.02)), "ok", "2 ms"),
        (checks.check_command_latency([0.05], (0.005, 0.02)), "fail", "50 ms"),
        (checks.check_command_latency([0.5], None), "fail", "500 ms"),
        (checks.check_command_latency([-0.5], (0.005, 0.02)), "fail", "clocks"),
        (checks.check_start(None, "live"), "unknown", "not known"),
        (checks.check_start("12 cm outside", "live"), "fail", "12 cm"),
        (checks.check_start("12 cm outside", "shadow"), "warn", "yourself"),
        (checks.check_start("", "live"), "ok", "began"),
    ],
)  # fmt: skip
def test_checks(check: checks.Check, state: str, word: str) -> None:
    assert check.state == state
    assert word in f"{check.reason} {check.next_step}"
    assert check.next_step or check.state in ("ok", "unknown")


PROPER = {
    graph.JOINT_COMMAND.name: [graph.POLICY_NODE],
    graph.ARM_TRAJECTORY.name: [graph.ARM_DRIVER],
    graph.GRIPPER_TRAJECTORY.name: [graph.ARM_DRIVER],
}


def test_one_commander() -> None:
    assert checks.check_commanders(PROPER, "joint_trajectory", "live").reason.endswith("arm_driver alone sends")
    assert checks.check_commanders(PROPER, "joint_trajectory", "shadow").reason.endswith("nobody sends")
    by_rosbridge = checks.check_commanders({graph.JOINT_COMMAND.name: [graph.POLICY_NODE]}, "rosbridge", "live")
    assert by_rosbridge.state == "ok" and "ROS 1 cannot be seen" in by_rosbridge.reason


@pytest.mark.parametrize(
    ("change", "backend", "mode", "word"),
    [
        ({graph.JOINT_COMMAND.name: [graph.POLICY_NODE, "teleop"]}, "joint_trajectory", "live", "end teleop"),
        ({graph.JOINT_COMMAND.name: [graph.POLICY_NODE] * 2}, "joint_trajectory", "live", "end policy_node"),
        ({graph.ARM_TRAJECTORY.name: [graph.ARM_DRIVER, "move_group"]}, "joint_trajectory", "live", "end move_group"),
        ({graph.ROBOT_ACTIONS[0]: ["move_group"]}, "joint_trajectory", "live", "end move_group"),
        ({graph.JOINT_COMMAND.name: []}, "joint_trajectory", "live", "start policy_node"),
        # Somebody sends although this driver has another way to the robot.
        ({}, "rosbridge", "live", "end arm_driver"),
    ],
)
def test_other_commanders_are_named(change: dict[str, list[str]], backend: str, mode: str, word: str) -> None:
    item = checks.check_commanders({**PROPER, **change}, backend, mode)
    assert item.state == "fail"
    assert word in item.next_step


NOMINAL_CAMERA = CameraRecord(
    base_T_camera=PoseRecord.of(Pose.looking_at((1.0, 0.64, 1.5), (0.63, 0.0, 0.77))),
    position_range_m=(0.01, 0.01, 0.01),
    rotation_range_rad=0.03,
)


def calibrated(x_m: float) -> CameraCalibration:
    quaternion = NOMINAL_CAMERA.base_T_camera.quaternion_xyzw
    return CameraCalibration(
        format_version=1,
        base_T_camera=PoseRecord(position_m=(x_m, 0.64, 1.5), quaternion_xyzw=quaternion),
        intrinsics=IntrinsicsRecord.of(CameraModel.from_fovy(424, 240, 0.7)),
        date=datetime.date(2026, 1, 2),
        method="measured",
        residual=ResidualRecord(rms=0.0, unit="m", points=1),
    )


@pytest.mark.parametrize(
    ("in_force", "given", "error", "state", "word"),
    [
        (None, None, "", "unknown", "none in force"),
        (None, None, "it is no calibration", "fail", "it is no calibration"),
        (None, calibrated(1.005), "", "warn", "none in force, given is one of 2026-01-02: 5 mm and 0.0 deg"),
        (None, calibrated(1.05), "", "fail", "-50 mm along x"),
        (calibrated(1.005), None, "", "ok", "in force: lab.yaml of 2026-01-02: 5 mm and 0.0 deg"),
        (calibrated(1.005), calibrated(1.005), "", "ok", "in force: lab.yaml"),
        (calibrated(1.005), calibrated(1.004), "", "fail", "given is another"),
        (calibrated(1.05), None, "", "fail", "-50 mm along x"),
    ],
)
def test_the_camera_is_where_it_was_trained(
    in_force: CameraCalibration | None, given: CameraCalibration | None, error: str, state: str, word: str
) -> None:
    told = None if in_force is None else CalibrationInForce("lab.yaml", in_force)
    item = checks.check_calibration(NOMINAL_CAMERA, told, given, error)
    assert item.state == state
    assert word in f"{item.reason} {item.next_step}"


# -- where the arm is -------------------------------------------------------------------------------------------------


def test_starts_of_training_are_in_the_region(ik: DifferentialIk) -> None:
    for grip_m in (REGION.lower_m, REGION.centre_m, REGION.upper_m):
        assert departure_from(REGION, ik, at(ik, *grip_m)) == ""
    middle = start_position(REGION, ik)
    assert middle is not None
    np.testing.assert_allclose(ik.grip_position_m(middle), REGION.centre_m, atol=2e-3)


def test_a_gripper_elsewhere_or_turned_is_not(ik: DifferentialIk) -> None:
    assert "6 cm outside" in departure_from(REGION, ik, at(ik, 0.76, 0.0, 0.9))
    turned = at(ik, 0.62, 0.0, 0.9)
    turned[6] += 1.0
    assert "wrist_roll_joint" in departure_from(REGION, ik, turned)


# -- slow moves -------------------------------------------------------------------------------------------------------


def test_a_plan_is_clear_between_its_waypoints(ik: DifferentialIk) -> None:
    model = CollisionModel(SCENE)
    move = plan_slow_move(model, ik, at(ik, 0.76, -0.25, 0.78), at(ik, *REGION.centre_m))
    for begin, end in zip(move.waypoints[:-1], move.waypoints[1:], strict=True):
        line = begin + np.linspace(0.0, 1.0, 500)[:, None] * (end - begin)
        assert float(model.clearance(line).least.min()) >= REQUIRED_CLEARANCE_M
    assert move.least_duration_s * SLOW_SPEED_RAD_S >= np.abs(move.waypoints[-1] - move.waypoints[0]).max() - 1e-9


def test_a_move_that_leaves_the_workspace_is_not_planned(ik: DifferentialIk) -> None:
    folded = ARM.home_rad.copy()
    folded[0] = 1.5
    with pytest.raises(SlowMoveError, match=r"workspace.*by hand"):
        plan_slow_move(CollisionModel(SCENE), ik, folded, at(ik, *REGION.centre_m))


def follow(waypoints: FloatArray, speed_scale: float = 1.0) -> tuple[SafetyFilter, float, int]:
    """Follow a move through the safety filter; the filter, the highest joint speed and the number of periods."""
    safety = SafetyFilter(PROFILES["default"], SCENE, FilterSettings(speed_scale=speed_scale))
    now_ns, setpoint, most, steps = 10**9, JointSetpoint.at_rest(waypoints[0]), 0.0, 0
    follower = SlowMoveFollower(list(waypoints))
    safety.activate(now_ns, JointSample(now_ns, waypoints[0], np.zeros(7), 0.0))
    while (command := follower.step(setpoint, now_ns)) is not None:
        decision = safety.on_command(now_ns, command)
        assert decision.outcome in ("command", "limited"), decision.detail
        setpoint, now_ns, steps = decision.setpoint, now_ns + CONTROL_PERIOD_NS, steps + 1
        safety.on_joint_sample(JointSample(now_ns, setpoint.position, setpoint.velocity, 0.0))
        most = max(most, float(np.abs(setpoint.velocity).max()))
        assert steps < 5000
    assert np.abs(setpoint.position - waypoints[-1]).max() < ARRIVED_RAD
    return safety, most, steps


def test_a_followed_move_passes_the_filter_slowly_and_arrives(ik: DifferentialIk) -> None:
    move = plan_slow_move(CollisionModel(SCENE), ik, at(ik, 0.76, -0.25, 0.78), at(ik, *REGION.centre_m))
    safety, most, _ = follow(move.waypoints)
    assert most <= SLOW_SPEED_RAD_S + 1e-9
    assert safety.state is State.ACTIVE and not safety.refusals


def test_the_speed_cap_slows_a_move_further(ik: DifferentialIk) -> None:
    waypoints = np.array([at(ik, 0.62, 0.0, 0.9), at(ik, 0.62, 0.1, 0.9)])
    _, _, free = follow(waypoints)
    _, most, capped = follow(waypoints, 0.05)
    assert capped > free
    assert most <= 0.05 * PROFILES["default"].velocity.max()


def test_a_move_from_elsewhere_and_one_that_is_stuck_end(ik: DifferentialIk) -> None:
    waypoints = [at(ik, 0.62, 0.0, 0.9), at(ik, 0.62, 0.1, 0.9)]
    with pytest.raises(SlowMoveError, match="plan it anew"):
        SlowMoveFollower(waypoints).step(JointSetpoint.at_rest(waypoints[1]), 1)
    follower = SlowMoveFollower(waypoints)
    with pytest.raises(SlowMoveError, match="no progress"):
        for step in range(1000):
            follower.step(JointSetpoint.at_rest(waypoints[0]), step)


# -- the log ----------------------------------------------------------------------------------------------------------


def test_a_label_tells_of_the_last_run(tmp_path: Path) -> None:
    log = OperationLog(tmp_path / "new" / "log.jsonl")
    with pytest.raises(SetupError, match="no run without a label"):
        run_summary(log.events())
    log.append("start", goal="there", policy_sha256="ab", decisions={"decisions_refused_stale": "2"})
    with pytest.raises(SetupError, match="not been stopped"):
        run_summary(log.events())
    counts = {"decisions_refused_stale": "5", "decisions_refused_jump": "1", "decisions_refused_not_active": "9"}
    log.append("stop", reason="a key was pressed", decisions=counts)
    summary = run_summary(log.events())
    assert summary["refusals"] == {"stale": 3, "jump": 1}
    assert (summary["goal"], summary["policy_sha256"], summary["end"]) == ("there", "ab", "a key was pressed")
    log.append("label", outcome="failure", note="", **summary)
    with pytest.raises(SetupError, match="no run without a label"):
        run_summary(log.events())


def test_a_file_that_is_no_log_is_named(tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text('{"something": "else"}\n')
    with pytest.raises(SetupError, match="line 1"):
        OperationLog(path).events()
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SetupError, match="cannot be read"):
        OperationLog(path).events()


def test_counts_that_did_not_grow_are_left_out() -> None:
    assert refusals_between({"decisions_refused_stale": "2"}, {"decisions_refused_stale": "2"}) == {}


def test_a_log_that_cannot_be_is_found_when_it_is_written_and_not_before(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (Path("~nobody-of-this-name/log.jsonl"), tmp_path / "file" / "log.jsonl"):
        log = OperationLog(path)  # an arm that is to be stopped comes first
        with pytest.raises(SetupError, match=path.parent.name):
            log.append("stop", reason="a key was pressed")
