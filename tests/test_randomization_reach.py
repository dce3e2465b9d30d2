"""Each parameter of dynamics and timing that a world can state reaches the simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mujoco_simulation import mujoco_of

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.mujoco.scene import object_body
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.steps import steps_of
from fetch_sim2real.sim.world_file import World, load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.timing import CONTROL_PERIOD_S, PHYSICS_STEPS_PER_PERIOD
from fetch_sim2real.types import JointTrajectory, TrajectoryPoint


def _world(folder: Path, change: Mapping[str, Any]) -> World:
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({"extends": "nominal", "name": "own", **change}))
    return load_world(str(path), worlds_dir())


def _simulation(folder: Path, change: Mapping[str, Any], task: str = "push") -> Simulation:
    return Simulation(_world(folder, change), find_task(task), None)


def _link(sim: Simulation, field: str) -> Any:
    model = mujoco_of(sim).model
    return getattr(model, field)[model.body("elbow_flex_link").id]


def _joint(sim: Simulation, field: str) -> Any:
    model = mujoco_of(sim).model
    return getattr(model, field)[model.joint("elbow_flex_joint").dofadr[0]]


def _servo(sim: Simulation, joint: str) -> tuple[float, float, float]:
    model = mujoco_of(sim).model
    servo = model.actuator(joint).id
    return model.actuator_gainprm[servo, 0], model.actuator_biasprm[servo, 1], model.actuator_biasprm[servo, 2]


def _finger(sim: Simulation, field: str) -> Any:
    model = mujoco_of(sim).model
    return getattr(model, field)[model.geom("r_gripper_finger_link").id]


def _block(sim: Simulation, field: str) -> Any:
    model = mujoco_of(sim).model
    kind = {"geom": model.geom, "body": model.body}[field.split("_")[0]]
    return getattr(model, field)[kind(object_body("block")).id]


_REACHES: dict[str, tuple[Mapping[str, Any], Callable[[Simulation], Any], Callable[[Any], Any]]] = {
    "link mass": ({"robot": {"link_mass_factor": 1.5}}, lambda s: _link(s, "body_mass"), lambda a: 1.5 * a),
    "gravity compensation": (
        {"robot": {"link_mass_factor": 2.0}}, lambda s: _link(s, "body_gravcomp"), lambda a: 0.5 * a
    ),
    "link inertia": ({"robot": {"link_inertia_factor": 2.0}}, lambda s: _link(s, "body_inertia"), lambda a: 2.0 * a),
    "inertia goes with mass": (
        {"robot": {"link_mass_factor": 2.0}}, lambda s: _link(s, "body_inertia"), lambda a: 2.0 * a
    ),
    "link centre": ({"robot": {"link_center_shift_m": 0.01}}, lambda s: _link(s, "body_ipos"), lambda a: a + 0.01),
    "joint friction": (
        {"robot": {"joint_friction_share": 0.1}},
        lambda s: _joint(s, "dof_frictionloss"),
        lambda a: a + 0.1 * ARM.effort_nm[ARM.joint_names.index("elbow_flex_joint")],
    ),
    "servo damping": (
        {"robot": {"servo_damping_factor": 2.0}},
        lambda s: _servo(s, "elbow_flex_joint")[2],
        lambda a: 2.0 * a,
    ),
    "finger gain": (
        {"robot": {"finger_gain_factor": 0.5}},
        lambda s: np.array(_servo(s, ARM.gripper_joints[0])),
        lambda a: a * [0.5, 0.5, 1.0],
    ),
    "finger friction": (
        {"robot": {"finger_friction": 0.4, "finger_torsional_friction_m": 0.002}},
        lambda s: _finger(s, "geom_friction"),
        lambda a: np.array([0.4, 0.002, a[2]]),
    ),
    "fingers decide": ({"robot": {"finger_friction": 0.4}}, lambda s: _finger(s, "geom_priority"), lambda a: a + 2),
    "torsional friction": (
        {"objects": {"block": {"torsional_friction_m": 0.02}}},
        lambda s: _block(s, "geom_friction")[1],
        lambda a: 0.02,
    ),
    "object's centre": (
        {"objects": {"block": {"center_shift": [0.2, 0.0, -0.4]}}},
        lambda s: _block(s, "body_ipos"),
        lambda a: a + np.array([0.005, 0.0, -0.01]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", _REACHES)
def test_a_parameter_reaches_the_model_and_leaves_it_with_the_episode(name: str, tmp_path: Path) -> None:
    change, read, expected = _REACHES[name]
    plain, changed = _simulation(tmp_path, {}), _simulation(tmp_path, change)
    plain.reset(1)
    for seed in (1, 2):  # factors act on the robot's description, not on the episode before
        changed.reset(seed)
        np.testing.assert_allclose(read(changed), expected(np.array(read(plain))), rtol=1e-12)


def _moved(sim: Simulation, joint: int, change_rad: float, seconds: float) -> np.ndarray:
    target = sim.measured().position
    target[joint] += change_rad
    sim.send_arm(JointTrajectory(ARM.joint_names, (TrajectoryPoint(0.5, target, np.zeros(7)),)))
    sim.advance_to(sim.step + steps_of(seconds))
    return sim.true_arm_position() - (target - sim.episode.dynamics.joint_offset_rad)


def test_links_heavier_than_the_robot_believes_make_the_arm_sag(tmp_path: Path) -> None:
    lift = ARM.joint_names.index("shoulder_lift_joint")
    errors = []
    for factor in (1.0, 1.3):
        sim = _simulation(tmp_path, {"robot": {"link_mass_factor": factor}})
        sim.reset(1)
        errors.append(_moved(sim, 6, 0.0, 1.0)[lift])
    assert abs(errors[0]) < 2e-4
    assert errors[1] > 1e-3, "down is positive"


def test_backlash_leaves_a_joint_behind_on_the_side_that_it_came_from(tmp_path: Path) -> None:
    sim = _simulation(tmp_path, {"robot": {"joint_backlash_deg": 1.0}})
    for change_rad in (0.2, -0.2):
        sim.reset(1)
        behind_deg = np.rad2deg(_moved(sim, 6, change_rad, 1.5)[6])
        # At most half of the play: the servo's reference ran ahead while the joint moved.
        assert 0.2 < -behind_deg * np.sign(change_rad) <= 0.5 + 1e-3


def test_dry_friction_holds_a_joint_that_is_pushed(tmp_path: Path) -> None:
    yields_rad = []
    for share in (0.0, 0.2):
        sim = _simulation(tmp_path, {"robot": {"joint_friction_share": share}})
        sim.reset(1)
        before = sim.true_arm_position()
        sim.engine.push_link("wrist_flex_link", np.array([0.0, 8.0, 0.0]))
        sim.advance_to(sim.step + 240)
        yields_rad.append(abs(sim.true_arm_position()[0] - before[0]))
    assert yields_rad[1] < 0.3 * yields_rad[0]


def test_fingers_act_after_their_latency(tmp_path: Path) -> None:
    sim = _simulation(tmp_path, {"robot": {"finger_latency_s": 0.1}})
    sim.reset(1)
    sim.send_fingers(0.05)
    sim.send_fingers(0.04)
    sim.advance_to(sim.step + steps_of(0.1))
    assert sim.measured().finger_position_m < 1e-4
    sim.advance_to(sim.step + 240)
    assert sim.measured().finger_position_m == pytest.approx(0.04, abs=2e-3)


def test_slippery_fingers_do_not_hold_what_lies_firmly_on_the_table(tmp_path: Path) -> None:
    """What fingers touch has their friction, what the table touches the object's own."""
    sim = _simulation(tmp_path, {"robot": {"finger_friction": 0.1}, "objects": {"block": {"friction": 0.9}}})
    sim.reset(1)
    engine = mujoco_of(sim)
    grip_m = sim.grip_position_m
    engine.place_arm(sim.true_arm_position(), 0.022)
    engine.place_object("block", grip_m, 0.0)
    sim.send_fingers(0.0)
    sim.advance_to(sim.step + 16)
    data, model = engine.data, engine.model
    block = model.geom(object_body("block")).id
    fingers = {model.geom(name).id for name in ("r_gripper_finger_link", "l_gripper_finger_link")}
    frictions = {
        contact.friction[0]
        for contact in (data.contact[i] for i in range(data.ncon))
        if block in contact.geom and fingers & set(contact.geom.tolist())
    }
    assert frictions == {0.1}
    engine.place_object("block", np.array([0.6, -0.2, 0.745]), 0.0)
    sim.advance_to(sim.step + 32)
    on_table = {data.contact[i].friction[0] for i in range(data.ncon) if block in data.contact[i].geom}
    assert on_table == {0.9}


def test_a_block_heavy_on_one_side_tips_over_there(tmp_path: Path) -> None:
    """Half over the table's edge it stays only if its heavy side is on the table."""
    edge_x = 0.45
    for shift, stays in ((0.6, True), (-0.6, False)):
        sim = _simulation(tmp_path, {"objects": {"block": {"center_shift": [shift, 0.0, 0.0]}}})
        sim.reset(1)
        sim.engine.place_object("block", np.array([edge_x, -0.4, 0.745]), 0.0)
        sim.advance_to(sim.step + 480)
        assert (sim.main_object().position_m[2] > 0.70) == stays


def _frames(sim: Simulation, seed: int) -> tuple[list[int], list[int]]:
    sim.reset(seed)
    first, stamps, arrivals = sim.step, [], []
    while (captured := sim.advance_to_next_frame()) is not None:
        stamps.append(round((captured.stamp_ns * 1e-9) / CONTROL_PERIOD_S) - first // PHYSICS_STEPS_PER_PERIOD)
        arrivals.append(sim.step - first)
    return stamps, arrivals


def test_frames_are_dropped_late_and_in_order(tmp_path: Path) -> None:
    late = _simulation(tmp_path, {"timing": {"drop_share": 0.1, "late_share": 0.2, "late_s": 0.08}})
    for seed in range(3):
        stamps, arrivals = _frames(late, seed)
        assert stamps == sorted(stamps) and stamps[0] == 0
        lost = 1.0 - len(stamps) / (stamps[-1] + 1)
        assert 0.03 < lost < 0.2
        assert np.all(np.diff(arrivals) >= 4)
        latency = np.array(arrivals) - np.array(stamps) * PHYSICS_STEPS_PER_PERIOD
        usual = steps_of(late.episode.camera_latency_s)
        assert np.mean(latency > usual + 4) > 0.05 and latency.min() == usual and latency.max() <= usual + 40
        assert _frames(late, seed) == (stamps, arrivals)


def test_commands_are_late_by_a_jitter_that_keeps_their_order(tmp_path: Path) -> None:
    sim = _simulation(tmp_path, {"timing": {"command_jitter_s": 0.03}})
    delays = []
    for seed in range(8):
        sim.reset(seed)
        start, sent = sim.true_arm_position()[6], sim.step
        target = sim.measured().position + np.eye(7)[6] * 0.5
        sim.send_arm(JointTrajectory(ARM.joint_names, (TrajectoryPoint(0.3, target, np.zeros(7)),)))
        while abs(sim.true_arm_position()[6] - start) < 1e-5:
            sim.advance_to(sim.step + 1)
        delays.append(sim.step - sent)
    assert min(delays) >= steps_of(0.01) and max(delays) <= steps_of(0.04) + 4
    assert max(delays) - min(delays) >= 5


def test_the_arm_is_pushed_and_the_object_jolted_at_drawn_times(tmp_path: Path) -> None:
    pushes = {
        "arm_rate_hz": 0.5, "arm_force_n": 20.0, "arm_duration_s": 0.3, "object_rate_hz": 0.5, "object_jolt_m_s": 0.3
    }  # fmt: skip
    still, pushed = _simulation(tmp_path, {}), _simulation(tmp_path, {"pushes": pushes})
    sample = next(pushed.episode for seed in range(20) if pushed.reset(seed).unrest.arm_pushes)
    assert sample.main_object.position_m == pytest.approx(still.reset(sample.seed).main_object.position_m)
    begin = steps_of(sample.unrest.arm_pushes[0].begin_s + 0.2)
    for sim in (still, pushed):
        sim.reset(sample.seed)
        sim.advance_to(sim.step + begin)
    assert np.abs(still.true_arm_position() - pushed.true_arm_position()).max() > 1e-3
    jolted = next(seed for seed in range(20) if pushed.reset(seed).unrest.jolts)
    pushed.reset(jolted)
    before = pushed.main_object().position_m
    pushed.advance_to(pushed.next_publication_step() + steps_of(pushed.episode_config.episode_s))
    assert np.linalg.norm((pushed.main_object().position_m - before)[:2]) > 2e-3


def test_camera_and_joint_zeros_drift_over_an_episode(tmp_path: Path) -> None:
    drift = {"camera_position_m": [0.03, 0.0, 0.0], "camera_rotation_deg": [0.0, 2.0, 0.0], "joint_offset_deg": 1.0}
    sim = _simulation(tmp_path, {"drift": drift})
    sample = sim.reset(1)
    engine = mujoco_of(sim)
    camera = engine.model.camera("camera").id
    begin, half = engine.model.cam_pos[camera].copy(), steps_of(0.5 * sim.episode_config.episode_s)
    np.testing.assert_allclose(sim.measured().position - sim.true_arm_position(), 0.0, atol=1e-9)
    sim.advance_to(sim.step + half)
    np.testing.assert_allclose(engine.model.cam_pos[camera] - begin, [0.015, 0.0, 0.0], atol=1e-3)
    np.testing.assert_allclose(sim.measured().position - sim.true_arm_position(), np.deg2rad(0.5), atol=1e-6)
    # The servos have followed the zeros that they believe in.
    np.testing.assert_allclose(sim.true_arm_position() - sample.arm_start_rad, -np.deg2rad(0.5), atol=2e-3)


def test_obstacles_can_be_touched_and_leave_objects_and_goal_free(tmp_path: Path) -> None:
    sim = _simulation(tmp_path, {"obstacles": {"count": [1, 3]}})
    counts = []
    for seed in range(12):
        sample = sim.reset(seed)
        counts.append(len(sample.obstacles))
        for each in sample.obstacles:
            reach_m = min(each.object.physics.half_extents_m[:2]) + sample.main_object.physics.half_extents_m[0]
            for place_m in (sample.main_object.position_m, sample.goal_m):
                assert np.linalg.norm((each.object.position_m - place_m)[:2]) > reach_m
    assert max(counts) >= 2
    seed = counts.index(max(counts))
    sample = sim.reset(seed)
    engine = mujoco_of(sim)
    body = engine.model.body("obstacle_0").id
    sim.advance_to(sim.step + 120)
    np.testing.assert_allclose(engine.data.xpos[body], sample.obstacles[0].object.position_m, atol=2e-3)
    # A block dropped onto it lies on it, or beside it.
    sim.engine.place_object("block", engine.data.xpos[body] + [0.0, 0.0, 0.06], 0.0)
    sim.advance_to(sim.step + 60)
    block = engine.model.geom(object_body("block")).id
    touched = [engine.data.contact[i].geom.tolist() for i in range(engine.data.ncon)]
    assert any({block, engine.model.geom("obstacle_0").id} == set(pair) for pair in touched)


def test_the_hue_is_drawn_in_one_of_several_ranges_and_distractors_keep_off_all(tmp_path: Path) -> None:
    change = {
        "objects": {"block": {"color_hsv": [[-10, 10], 1.0, 1.0], "other_hues_deg": [[110, 120]]}},
        "distractors": {"count": [3, 3], "saturation": 1.0, "value": 1.0},
    }
    sim = _simulation(tmp_path, change)
    blocks = set()
    for seed in range(20):
        appearance = sim.reset(seed).appearance
        red, green, _ = appearance.object_rgb["block"]
        blocks.add("red" if red > green else "green")
        for item in appearance.distractors:
            r, g, b = item.rgb
            assert b > 0.5 * max(r, g) or min(r, g) > 0.4, "neither red nor green"
    assert blocks == {"red", "green"}
