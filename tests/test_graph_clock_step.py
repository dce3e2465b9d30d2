"""The driver, when its machine's own clock is set while the arm moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from deadlines import BRAKES_IN_TIME

from benchmarks.rig.driver_rig import PAN, DriverRig, TopicRobot
from benchmarks.rig.graph_harness import RIG_NODE, running
from fetch_sim2real import graph
from fetch_sim2real.stack.processes import ENVIRONMENT, NodeProcess

pytestmark = pytest.mark.ros

SLOW = 0.1 * PAN
STEPPED_DRIVER = """
import time
from pathlib import Path
from arm_driver import clocks, main

class Time:
    monotonic_ns, time = staticmethod(time.monotonic_ns), staticmethod(time.time)
    time_ns = staticmethod(lambda: time.time_ns() + int(Path("{step}").read_text()))

clocks.time = Time
main.main()
"""


def set_clock(step: Path, step_s: int) -> None:
    """Set the driver's system clock, in one piece: it is read all the time."""
    written = step.with_suffix(".new")
    written.write_text(str(step_s * 10**9))
    written.replace(step)


@BRAKES_IN_TIME
def test_a_step_of_the_drivers_own_clock_brakes_by_the_old_time_and_then_disables(tmp_path: Path) -> None:
    package, step = tmp_path / "stepped_driver", tmp_path / "step"
    package.mkdir()
    package.joinpath("main.py").write_text(STEPPED_DRIVER.format(step=step))
    set_clock(step, 0)
    environment = {**ENVIRONMENT, "PYTHONPATH": str(tmp_path)}
    process = NodeProcess("stepped_driver", graph.ARM_DRIVER, {}, 0, environment=environment)
    with running([process], tmp_path / "log", RIG_NODE, stays=True) as (_, session):
        rig = DriverRig(session, TopicRobot(session))
        rig.enable_and_drive(SLOW, 0.3)
        rig.arm.trace.clear()
        set_clock(step, -60)
        rig.drive(SLOW, 0.5)
        assert "system clock was stepped" in rig.wait_for_state("disabled")["reason"]
        pan_rad = np.array([position[0] for _, position, _ in rig.arm.trace])
        # A trajectory that arrives late pulls the arm back by what it moved meanwhile, and by no more.
        assert pan_rad.max() - pan_rad[-1] < 0.005 and not np.any(rig.arm.desired()[1])
        assert "chrony" in rig.refusal(), "now the robot's stamps are of another time"
        set_clock(step, 0)
        rig.session.spin(0.1)
        started = rig.arm.started
        assert set(rig.drive(SLOW, 0.2)) == {"refused:not_active"} and rig.arm.started == started
        rig.enable_and_drive(SLOW, 0.2)
