"""The steps of an operation, each with its line in the log. The dialogue and the subcommands are made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from functools import cached_property
from typing import Final

import numpy as np

from fetch_sim2real import graph
from fetch_sim2real.control.homing import SlowMove, plan_slow_move
from fetch_sim2real.errors import GraphError
from fetch_sim2real.messages.statuses import decode_object
from fetch_sim2real.operation.log import OperationLog, run_summary
from fetch_sim2real.operation.start_region import start_position
from fetch_sim2real.ros.client import StackClient
from fetch_sim2real.ros.node_parameters import read_parameters, set_parameters
from fetch_sim2real.ros.operate.check_list import CheckList, run_preflight_checks
from fetch_sim2real.ros.operate.choices import Expected
from fetch_sim2real.ros.operate.stack_info import StackInfo, read_stack_info
from fetch_sim2real.ros.operate.topic_monitors import TopicMonitors
from fetch_sim2real.types import Goal

_DECISIONS: Final = "decisions_"
_SAFE_LIMIT_S: Final = 2.0
_MOVE_PATIENCE: Final = 4.0
_ENABLE_LIMIT_S: Final = 3.0


class Steps:
    """What an operator can do, in the order in which it is done."""

    def __init__(self, client: StackClient, monitors: TopicMonitors, log: OperationLog, expected: Expected) -> None:
        """A speed cap is expected from ``cap_speed`` on, whatever ``expected`` says."""
        self.client, self.monitors, self.log = client, monitors, log
        self.expected = replace(expected, speed=None)
        self.may_move = False

    @cached_property
    def stack_info(self) -> StackInfo:
        """What the nodes run with, loaded here when it is first asked for, which takes some seconds."""
        return read_stack_info(self.client.session)

    def hold(self) -> None:
        """Let the policy wait for ``start`` from now on; nothing else has been done yet."""
        self.client.demand(graph.POLICY_HOLD)

    def cap_speed(self, share: float) -> None:
        """Cap the driver's speed. GraphError if it refuses, as an active one does a higher cap."""
        set_parameters(self.client.session, graph.ARM_DRIVER, {"speed_scale": share})
        self.expected = replace(self.expected, speed=share)
        self.log.append("speed_cap", share=share)

    def check(self) -> CheckList:
        """Walk the check list."""
        check_list = run_preflight_checks(self.client, self.monitors, self.stack_info, self.expected)
        failed = {check.name: check.reason for check in check_list.failed}
        self.log.append("check", states=check_list.states(), failed=failed, accepted=sorted(check_list.accepted))
        return check_list

    def plan_to_start(self) -> SlowMove:
        """Return a clear move from where the arm is to where training began; SlowMoveError or GraphError if none."""
        info, newest = self.stack_info, self.monitors.joints.newest
        if info.model is None or info.ik is None or info.region is None or newest is None:
            raise GraphError("no move can be planned here: bundle, world or joint states are not known")
        target = start_position(info.region, info.ik)
        if target is None:
            raise GraphError(f"the middle of the start region, {info.region.centre_m.tolist()} m, is out of reach")
        return plan_slow_move(info.model, info.ik, newest.position, target)

    def move(self, move: SlowMove, aborted: Callable[[], bool]) -> tuple[bool, str]:
        """Enable the driver, follow ``move``, disable it again: whether the arm arrived, and why not."""
        share = self.expected.speed or float(self.monitors.diagnostics(graph.ARM_DRIVER).get("speed_scale", "1"))
        self.enable()
        arrived, reason = self.client.move(move, 10.0 + _MOVE_PATIENCE * move.least_duration_s / share, aborted)
        if arrived:
            # The arm is commanded to the end; its joints follow a little later.
            self.client.session.spin(0.5)
        else:
            self.monitors.wait_for_news()
            driver = self.monitors.diagnostics(graph.ARM_DRIVER)
            reason = f"{reason} (driver {driver.get('state')}: {driver.get('reason')})"
        self.client.demand(graph.POLICY_HOLD)
        self.client.call(graph.DRIVER_DISABLE)
        self._rest()
        self.log.append("move", arrived=arrived, reason=reason, waypoints=move.waypoints.tolist())
        return arrived, reason

    def goal(self, goal: Goal) -> tuple[bool, str]:
        """State the goal; return whether the policy accepts it, and the reason."""
        answer = self.client.state_goal(goal, self.monitors.now_ns())
        position_m = [float(x) if np.isfinite(x) else str(x) for x in goal.position_m]
        self.log.append(
            "goal", accepted=answer.accepted, reason=answer.reason, frame_id=goal.frame_id, position_m=position_m
        )
        return answer.accepted, answer.reason

    def enable(self, stays: bool = True) -> None:
        """Let commands through to the arm; the policy still holds. GraphError with the driver's reason if not.

        With ``stays`` this program is there until the arm is stopped, and the driver brakes if it is not.
        """
        if stays:
            self.client.heartbeat.start()
        self.may_move = True
        succeeded, message = self.client.enable(_ENABLE_LIMIT_S)
        self.log.append("enable", succeeded=succeeded, message=message)
        if not succeeded:
            self._rest()
            raise GraphError(f"the driver does not enable: {message}")

    def start(self) -> None:
        """Let the policy act on its goal. GraphError with its reason if it does not."""
        self.monitors.wait_for_news()
        driver, policy = self.monitors.diagnostics(graph.ARM_DRIVER), self.monitors.diagnostics(graph.POLICY_NODE)
        if driver.get("state") != "active":
            raise GraphError(
                f"the driver is {driver.get('state')} ({driver.get('reason')}): enable it first (operate enable)"
            )
        self.client.demand(graph.POLICY_START)
        self.log.append(
            "start",
            goal=None if policy.get("goal") in (None, "none") else decode_object(policy["goal"], "the policy's goal"),
            task=policy.get("task", ""),
            policy=read_parameters(self.client.session, graph.POLICY_NODE, ("policy",))["policy"],
            policy_sha256=policy.get("bundle_sha256", ""),
            mode=driver.get("mode", "live"),
            profile=driver.get("profile", ""),
            speed_scale=float(driver.get("speed_scale", "nan")),
            decisions=_decisions(driver),
        )

    def stop(self, reason: str) -> None:
        """Stop the arm: the driver brakes and latches, then the policy holds. GraphError if they do not answer."""
        self.client.call(graph.DRIVER_STOP)
        when = datetime.now(timezone.utc)
        self.client.call(graph.POLICY_HOLD)
        self._rest()
        self.monitors.wait_for_news()
        driver = self.monitors.diagnostics(graph.ARM_DRIVER)
        self.log.append("stop", when, reason=reason, driver=driver.get("state", ""), decisions=_decisions(driver))

    def label(self, outcome: str, note: str) -> None:
        """Write down what the human saw. SetupError if there is no stopped run without a label."""
        self.log.append("label", None, outcome=outcome, note=note, **run_summary(self.log.events()))

    def reset(self) -> None:
        """Leave STOPPED, forget the goal; the policy holds. GraphError if a node refuses."""
        self.client.demand(graph.DRIVER_RESET)
        self.client.demand(graph.POLICY_RESET)
        self.hold()
        self.log.append("reset")

    def make_safe(self) -> None:
        """Stop whatever this operator has set in motion, as far as the nodes still answer."""
        if not self.may_move:
            return
        with self.client.session.unwatched(), suppress(GraphError):
            self.client.call(graph.DRIVER_STOP, _SAFE_LIMIT_S)
            self.client.call(graph.POLICY_HOLD, _SAFE_LIMIT_S)
            self.log.append("stop", reason="the operator's program ended", driver="", decisions={})


    def _rest(self) -> None:
        """Nothing moves any more, and nobody has to be there for it."""
        self.may_move = False
        self.client.heartbeat.stop()


def _decisions(driver: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in driver.items() if name.startswith(_DECISIONS)}
