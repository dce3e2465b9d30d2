"""An arm that stands still because of a limit is not left unexplained."""

from __future__ import annotations

import numpy as np
import pytest

from arm_driver.commands import TOLD_AFTER_S, LimitMonitor
from fetch_sim2real.control.filter import Decision
from fetch_sim2real.control.limiter import Rule
from fetch_sim2real.timing import CONTROL_PERIOD_NS
from fetch_sim2real.types import JointSetpoint


def decision(rules: Rule, speed_rad_s: float = 0.0, outcome: str = "limited") -> Decision:
    return Decision(outcome, JointSetpoint(np.zeros(7), np.full(7, speed_rad_s)), rules=rules)


def after(monitor: LimitMonitor, duration_s: float, what: Decision, start_ns: int = 0) -> int:
    now_ns = start_ns
    while (now_ns - start_ns) * 1e-9 < duration_s:
        now_ns += CONTROL_PERIOD_NS
        monitor.note(now_ns, what)
    return now_ns


def test_an_arm_held_at_the_table_is_told_after_a_second_and_no_longer_once_it_moves() -> None:
    monitor = LimitMonitor()
    now_ns = after(monitor, 0.8 * TOLD_AFTER_S, decision(Rule.TABLE | Rule.ACCELERATION))
    assert monitor.complaint() == ""
    now_ns = after(monitor, 0.5 * TOLD_AFTER_S, decision(Rule.TABLE), now_ns)
    assert "limit of table" in monitor.complaint() and "table.height_m" in monitor.complaint()
    monitor.note(now_ns, decision(Rule.TABLE, speed_rad_s=0.1))
    assert monitor.complaint() == ""
    report = monitor.report()
    assert report["limited_by_table"] == now_ns // CONTROL_PERIOD_NS + 1
    assert 0 < int(str(report["limited_by_acceleration"])) < int(str(report["limited_by_table"]))


@pytest.mark.parametrize(
    "harmless",
    [
        decision(Rule.VELOCITY | Rule.ACCELERATION),
        decision(Rule.WORKSPACE, speed_rad_s=0.2),
        decision(Rule.NONE, outcome="command"),
        decision(Rule.NONE, outcome="hold"),
    ],
)
def test_an_arm_that_moves_or_is_not_asked_to_is_not_complained_of(harmless: Decision) -> None:
    monitor = LimitMonitor()
    after(monitor, 3.0 * TOLD_AFTER_S, harmless)
    assert monitor.complaint() == ""


def test_between_two_trajectories_nothing_new_is_known() -> None:
    monitor = LimitMonitor()
    now_ns = 0
    for _ in range(30):
        now_ns = after(monitor, 0.03, decision(Rule.SELF_COLLISION), now_ns)
        now_ns = after(monitor, 0.03, decision(Rule.NONE, outcome="paced"), now_ns)
    assert "self collision" in monitor.complaint()
