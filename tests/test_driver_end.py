"""A fault of the driver's own while the arm moves: it brakes, closes its back end, and ends with status 1."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parent.parent

FAILS_WHILE_MOVING = """
import time
import numpy as np
from arm_driver.backend import Backend
from arm_driver.node import ArmDriver
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.control.trajectory import position_after_step
from fetch_sim2real.timing import CONTROL_PERIOD_S
from fetch_sim2real.types import JointCommand, JointSample
from fetch_sim2real.ros.main_loop import run_node

class Recording(Backend):
    def send_arm(self, trajectory):
        print("arm", float(np.abs(trajectory.points[-1].velocity).max()), len(trajectory.points), flush=True)

    def send_gripper(self, opening_m):
        pass

    def close(self):
        print("closed", flush=True)

def fail():
    print("fails", flush=True)
    raise ValueError("a fault of ours")

def make():
    driver = ArmDriver()
    driver._backend = Recording()
    safety, clock = driver._filter, driver._clock_source
    sample = JointSample(clock.now_ns(), ARM.home_rad, np.zeros(7), 0.0)
    setpoint = safety.activate(clock.now_ns(), sample).setpoint
    wanted = np.array([0.3, 0, 0, 0, 0, 0, 0])
    for _ in range(8):
        time.sleep(CONTROL_PERIOD_S)
        now_ns = clock.now_ns()
        safety.on_joint_sample(JointSample(now_ns, setpoint.position, setpoint.velocity, 0.0))
        position = position_after_step(setpoint.position, setpoint.velocity, wanted)
        setpoint = safety.on_command(now_ns, JointCommand(now_ns, position, wanted)).setpoint
    assert np.any(setpoint.velocity) and driver.is_active
    driver.post(fail)
    return driver

run_node(make, "arm_driver", "A driver.", (), [])
"""


def test_a_fault_of_its_own_still_ends_with_a_brake() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FAILS_WHILE_MOVING], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60.0
    )
    said = ended.stdout.splitlines()
    assert said[0] == "fails" and said[-1] == "closed", ended.stderr
    assert len(said) == 3 and said[1].startswith("arm 0.0 "), "one braking trajectory, which ends at rest"
    assert ended.returncode == 1 and "a fault of ours" in ended.stderr
