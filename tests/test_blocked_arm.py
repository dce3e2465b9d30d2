"""An arm that is blocked: the setpoint does not run away from it, and the stop says which joint it was."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from mujoco_simulation import mujoco_of

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.limits import limit_profile
from fetch_sim2real.control.checks import FilterSettings
from fetch_sim2real.control.states import State
from fetch_sim2real.episode import ActionSettings, ClosedLoop
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task

BOUND_RAD = np.array(FilterSettings().tracking_error_rad)
SPEED_RAD_S = 0.4
# What the commanded speed adds to the bound: joint states may be 0.1 s old before the driver brakes for that, and a
# trajectory moves on for two or three control periods and a ramp.
NOTICED_S = 0.3


def test_blocked_in_the_simulated_world() -> None:
    world = load_world("nominal", worlds_dir())
    box_m = (np.array([0.47, -0.31, 0.755]), np.array([0.81, 0.31, 0.99]))
    settings = ActionSettings(0.02, False, box_m, limit_profile("default"))
    sim = Simulation(world, find_task("reach_block"), None)
    loop = ClosedLoop(sim, settings)
    loop.reset(3)
    arm_dof = [mujoco_of(sim).model.joint(name).dofadr[0] for name in ARM.joint_names]
    furthest = np.zeros(7)
    for step in range(90):
        captured = loop.next_frame()
        assert captured is not None
        decision = loop.act(np.array([-1.0, 1.0, 0.5, 0.0]), captured)
        if step == 15:
            mujoco_of(sim).model.dof_damping[arm_dof] = 1e5  # as in concrete
        if decision.setpoint.position.size:
            furthest = np.maximum(furthest, np.abs(decision.setpoint.position - sim.measured().position))
    assert loop._filter.state is State.STOPPED
    assert any(name in loop._filter.state_reason for name in ARM.joint_names)
    assert np.all(furthest < BOUND_RAD + NOTICED_S * limit_profile("default").velocity)
    assert furthest.max() > 0.1, "it was blocked"


@pytest.mark.ros
@pytest.mark.parametrize("backend", ["joint_trajectory", "rosbridge"])
def test_blocked_behind_the_driver(backend: str, tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    if backend == "rosbridge":
        pytest.importorskip("roslibpy")
    pytest.importorskip("websockets")
    from benchmarks.rig.driver_rig import PAN, DriverRig, rosbridge_rig, topic_rig

    make: dict[str, Callable[[Path], AbstractContextManager[DriverRig]]] = {
        "joint_trajectory": topic_rig,
        "rosbridge": rosbridge_rig,
    }
    with make[backend](tmp_path) as rig:
        rig.enable_and_drive(SPEED_RAD_S * PAN, 0.3)
        rig.arm.block(True)
        at = rig.arm.measured()
        for _ in range(8):  # a busy machine may let commands come too late before the arm is far enough behind
            rig.drive(SPEED_RAD_S * PAN, 0.8)
            if rig.state()["state"] == "stopped":
                break
            rig.enable()
        commanded = [np.abs(np.array(m.position) - at)[0] for m in rig.setpoints.messages if m.position]
        desired = [np.abs(position - at)[0] for _, position, _ in rig.arm.trace]
        most = BOUND_RAD[0] + NOTICED_S * SPEED_RAD_S
        assert max(commanded) < most and max(desired) < most
        reason = rig.wait_for_state("stopped")["reason"]
        assert ARM.joint_names[0] in reason and "allowed difference" in reason
        assert rig.refusal() and rig.state()["state"] == "stopped", "latched until reset"
