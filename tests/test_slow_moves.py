"""The driver's side of a slow move: steps in the place of the policy's holds, and what ends it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

import arm_driver.slow_moves as module
from arm_driver.node import ArmDriver
from arm_driver.slow_moves import SlowMoves
from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.control.checks import Refusal
from fetch_sim2real.control.homing import SLOW_SPEED_RAD_S
from fetch_sim2real.types import JointCommand, JointSetpoint

HERE = np.zeros(len(ARM.joint_names))
THERE = HERE + np.eye(len(HERE))[0] * 0.1
HOLD = JointCommand(5, hold=True)
COMMAND = JointCommand(5, position=HERE, velocity=HERE)
AT_REST = JointSetpoint.at_rest(HERE)


class SlowMovesRig:
    """A driver without ROS: ``say`` is the operator's message, ``told`` what became of the move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_active, self.operators = True, 1
        self.told: list[tuple[str, str]] = []
        monkeypatch.setattr(module, "publish_to", lambda node, topic: SimpleNamespace(publish=self._publish))
        monkeypatch.setattr(module, "subscribe_to", self._subscribe)
        node: Any = SimpleNamespace(get_logger=lambda: logging.getLogger("test"))
        self.moves = SlowMoves(node, lambda: self.is_active)

    def _publish(self, message: Any) -> None:
        status = json.loads(message.data)
        self.told.append((status["state"], status["reason"]))

    def _subscribe(self, node: Any, topic: graph.Topic, callback: Callable[[Any], None]) -> Any:
        self._on_move = callback
        return SimpleNamespace(get_publisher_count=lambda: self.operators)

    def say(self, *waypoints: Any) -> None:
        points = [SimpleNamespace(positions=list(waypoint)) for waypoint in waypoints or (HERE, THERE)]
        self._on_move(SimpleNamespace(joint_names=list(ARM.joint_names), points=points))


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> SlowMovesRig:
    return SlowMovesRig(monkeypatch)


def test_each_hold_becomes_a_step_until_the_arm_is_there(rig: SlowMovesRig) -> None:
    assert rig.moves.in_place_of(HOLD, AT_REST) is HOLD, "nothing is asked for"
    rig.say()
    setpoint, steps = AT_REST, 0
    while (command := rig.moves.in_place_of(HOLD, setpoint)) is not HOLD:
        assert command.velocity is not None and np.abs(command.velocity).max() <= SLOW_SPEED_RAD_S
        assert command.stamp_ns == HOLD.stamp_ns and command.finger_position_m is None
        setpoint, steps = JointSetpoint(command.position, command.velocity), steps + 1
        assert steps < 200
    assert np.abs(setpoint.position - THERE).max() < 0.01
    assert rig.told == [("moving", ""), ("done", "")]
    assert rig.moves.in_place_of(HOLD, setpoint) is HOLD


def test_a_policy_that_acts_ends_the_move_and_is_obeyed(rig: SlowMovesRig) -> None:
    rig.say()
    assert rig.moves.in_place_of(COMMAND, AT_REST) is COMMAND
    assert rig.told[-1] == ("ended", "the policy acts")
    rig.say()
    assert rig.told[-1] == ("refused", "the policy acts: hold it first")
    rig.moves.in_place_of(HOLD, AT_REST)
    rig.say()
    assert rig.told[-1] == ("moving", "")


def test_a_driver_that_is_not_active_refuses_and_ends(rig: SlowMovesRig) -> None:
    rig.say()
    rig.is_active = False
    rig.moves.watch()
    assert rig.told[-1] == ("ended", "the driver is not active")
    rig.say()
    assert rig.told[-1][0] == "refused" and "enable it first" in rig.told[-1][1]
    assert rig.moves.in_place_of(HOLD, AT_REST) is HOLD


def test_a_move_of_before_a_stop_does_not_go_on_once_the_driver_is_enabled_again(rig: SlowMovesRig) -> None:
    """In lockstep the driver may be stopped, reset and enabled without a tick or a command in between."""
    rig.say()
    rig.is_active = False
    driver: Any = SimpleNamespace(
        _slow_moves=rig.moves,
        _clock_source=SimpleNamespace(now_ns=lambda: 0),
        _heed_clocks=lambda now_ns: None,
        _objection=lambda now_ns: "no joint states",
        _readings=SimpleNamespace(sample=None),
    )
    assert ArmDriver._enable(driver) == (False, "no joint states")
    rig.is_active = True
    assert rig.told[-1] == ("ended", "the driver is not active")
    assert rig.moves.in_place_of(HOLD, AT_REST) is HOLD


def test_a_move_ends_with_its_operator(rig: SlowMovesRig) -> None:
    rig.say()
    rig.operators = 0
    assert rig.moves.in_place_of(HOLD, AT_REST) is HOLD
    assert rig.told[-1] == ("ended", "the operator is gone")


def test_a_move_from_elsewhere_or_of_other_joints_goes_nowhere(rig: SlowMovesRig) -> None:
    rig.say(THERE, HERE)
    assert rig.moves.in_place_of(HOLD, AT_REST) is HOLD
    assert rig.told[-1][0] == "ended" and "plan it anew" in rig.told[-1][1]
    for wrong in ((HERE,), (HERE[:-1], THERE[:-1]), (HERE, THERE * np.nan)):
        rig.say(*wrong)
        assert rig.told[-1][0] == "refused"


def test_another_move_replaces_the_first(rig: SlowMovesRig) -> None:
    rig.say()
    rig.say()
    assert rig.told == [("moving", ""), ("ended", "replaced by another move"), ("moving", "")]


def test_a_command_that_is_refused_for_what_it_is_ends_the_move(rig: SlowMovesRig) -> None:
    rig.say()
    rig.moves.on_refusal(Refusal("second_commander", "two publishers of /joint_command"))
    assert rig.told[-1] == ("ended", "a command was refused: two publishers of /joint_command")
    assert rig.moves.in_place_of(HOLD, AT_REST) is HOLD
