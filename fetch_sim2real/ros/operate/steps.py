"""The steps of an operation, each with its line in the log. The dialogue and the subcommands are made of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from functools import cached_property
from typing import Final

import numpy as np

from fetch_sim2real import graph
from fetch_sim2real.errors import GraphError
from fetch_sim2real.messages.statuses import decode_object
from fetch_sim2real.operation.log import OperationLog, run_summary
from fetch_sim2real.operation.slow_move import SlowMove, plan_move
from fetch_sim2real.operation.start_region import start_position
from fetch_sim2real.ros.node_parameters import read_parameters, set_parameters
from fetch_sim2real.ros.operate.check_list import CheckList, walk_check_list
from fetch_sim2real.ros.operate.choices import Expected
from fetch_sim2real.ros.operate.link import RobotLink
from fetch_sim2real.ros.operate.stack_info import Known, learn
from fetch_sim2real.types import Goal

_DECISIONS: Final = "decisions_"
_SAFE_LIMIT_S: Final = 2.0
_MOVE_PATIENCE: Final = 4.0
_ENABLE_LIMIT_S: Final = 3.0


class Steps:
    """What an operator can do, in the order in which it is done."""

    def __init__(self, link: RobotLink, log: OperationLog, expected: Expected) -> None:
        """A speed cap is expected from ``cap_speed`` on, whatever ``expected`` says."""
        self.link, self.log = link, log
        self.expected = replace(expected, speed=None)
        self.may_move = False

    @cached_property
    def known(self) -> Known:
        """What the nodes run with, loaded here when it is first asked for, which takes some seconds."""
        return learn(self.link.session)

    def hold(self) -> None:
        """From now on the policy waits for ``start``; nothing else has been done yet."""
        self.link.demand(graph.POLICY_HOLD)

    def cap_speed(self, share: float) -> None:
        """Cap the driver's speed. GraphError if it refuses, as an active one does a higher cap."""
        set_parameters(self.link.session, graph.ARM_DRIVER, {"speed_scale": share})
        self.expected = replace(self.expected, speed=share)
        self.log.append("speed_cap", share=share)

    def check(self) -> CheckList:
        """Walk the check list."""
        check_list = walk_check_list(self.link, self.known, self.expected)
        failed = {item.name: item.reason for item in check_list.failed}
        self.log.append("check", states=check_list.states(), failed=failed, accepted=sorted(check_list.accepted))
        return check_list

    def plan_to_start(self) -> SlowMove:
        """A clear move from where the arm is to where training began; MoveError or GraphError if there is none."""
        known, newest = self.known, self.link.joints.newest
        if known.model is None or known.ik is None or known.region is None or newest is None:
            raise GraphError("no move can be planned here: bundle, world or joint states are not known")
        target = start_position(known.region, known.ik)
        if target is None:
            raise GraphError(f"the middle of the start region, {known.region.centre_m.tolist()} m, is out of reach")
        return plan_move(known.model, known.ik, newest.position, target)

    def move(self, move: SlowMove, aborted: Callable[[], bool]) -> tuple[bool, str]:
        """Enable the driver, follow ``move``, disable it again: whether the arm arrived, and why not."""
        share = self.expected.speed or float(self.link.diagnostics(graph.ARM_DRIVER).get("speed_scale", "1"))
        self.enable()
        arrived, reason = self.link.move(move, 10.0 + _MOVE_PATIENCE * move.least_duration_s / share, aborted)
        if arrived:
            # The arm is commanded to the end; its joints follow a little later.
            self.link.session.spin(0.5)
        else:
            self.link.wait_for_news()
            driver = self.link.diagnostics(graph.ARM_DRIVER)
            reason = f"{reason} (driver {driver.get('state')}: {driver.get('reason')})"
        self.link.demand(graph.POLICY_HOLD)
        self.link.call(graph.DRIVER_DISABLE)
        self._rest()
        self.log.append("move", arrived=arrived, reason=reason, waypoints=move.waypoints.tolist())
        return arrived, reason

    def goal(self, goal: Goal) -> tuple[bool, str]:
        """Whether the policy accepts the goal, and the reason."""
        accepted, reason = self.link.state_goal(goal)
        position_m = [float(x) if np.isfinite(x) else str(x) for x in goal.position_m]
        self.log.append("goal", accepted=accepted, reason=reason, frame_id=goal.frame_id, position_m=position_m)
        return accepted, reason

    def enable(self, stays: bool = True) -> None:
        """Let commands through to the arm; the policy still holds. GraphError with the driver's reason if not.

        With ``stays`` this program is there until the arm is stopped, and the driver brakes if it is not.
        """
        if stays:
            self.link.heartbeat.start()
        deadline = time.monotonic() + _ENABLE_LIMIT_S
        self.may_move = True
        self.link.last_decision = ""
        succeeded, message = self.link.call(graph.DRIVER_ENABLE)
        while not succeeded and time.monotonic() < deadline:
            # The driver may just be finding its listeners, or the arm be coming to rest.
            self.link.session.spin(0.2)
            succeeded, message = self.link.call(graph.DRIVER_ENABLE)
        self.log.append("enable", succeeded=succeeded, message=message)
        if not succeeded:
            self._rest()
            raise GraphError(f"the driver does not enable: {message}")

    def start(self) -> None:
        """Let the policy act on its goal. GraphError with its reason if it does not."""
        self.link.wait_for_news()
        driver, policy = self.link.diagnostics(graph.ARM_DRIVER), self.link.diagnostics(graph.POLICY_NODE)
        if driver.get("state") != "active":
            raise GraphError(
                f"the driver is {driver.get('state')} ({driver.get('reason')}): enable it first (operate enable)"
            )
        self.link.demand(graph.POLICY_START)
        self.log.append(
            "start",
            goal=None if policy.get("goal") in (None, "none") else decode_object(policy["goal"], "the policy's goal"),
            task=policy.get("task", ""),
            policy=read_parameters(self.link.session, graph.POLICY_NODE, ("policy",))["policy"],
            policy_sha256=policy.get("bundle_sha256", ""),
            mode=driver.get("mode", "live"),
            profile=driver.get("profile", ""),
            speed_scale=float(driver.get("speed_scale", "nan")),
            decisions=_decisions(driver),
        )

    def stop(self, reason: str) -> None:
        """Stop the arm: the driver brakes and latches, then the policy holds. GraphError if they do not answer."""
        self.link.call(graph.DRIVER_STOP)
        when = datetime.now(timezone.utc)
        self.link.call(graph.POLICY_HOLD)
        self._rest()
        self.link.wait_for_news()
        driver = self.link.diagnostics(graph.ARM_DRIVER)
        self.log.append("stop", when, reason=reason, driver=driver.get("state", ""), decisions=_decisions(driver))

    def label(self, outcome: str, note: str) -> None:
        """Write down what the human saw. SetupError if there is no stopped run without a label."""
        self.log.append("label", None, outcome=outcome, note=note, **run_summary(self.log.events()))

    def reset(self) -> None:
        """Leave STOPPED, forget the goal; the policy holds. GraphError if a node refuses."""
        self.link.demand(graph.DRIVER_RESET)
        self.link.demand(graph.POLICY_RESET)
        self.hold()
        self.log.append("reset")

    def make_safe(self) -> None:
        """Stop whatever this operator has set in motion, as far as the nodes still answer."""
        if not self.may_move:
            return
        with self.link.session.unwatched(), suppress(GraphError):
            self.link.call(graph.DRIVER_STOP, _SAFE_LIMIT_S)
            self.link.call(graph.POLICY_HOLD, _SAFE_LIMIT_S)
            self.log.append("stop", reason="the operator's program ended", driver="", decisions={})


    def _rest(self) -> None:
        """Nothing moves any more, and nobody has to be there for it."""
        self.may_move = False
        self.link.heartbeat.stop()


def _decisions(driver: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in driver.items() if name.startswith(_DECISIONS)}
