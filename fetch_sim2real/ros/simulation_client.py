"""What only an operator of the simulated graph does: reset the world, run episodes, wait for their outcomes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.srv import SetParameters
from std_msgs.msg import String

from fetch_sim2real import graph
from fetch_sim2real.errors import GraphError
from fetch_sim2real.graph import JOINT_TRAJECTORY
from fetch_sim2real.messages.motion import COMMAND, LIMITED, SetpointReport
from fetch_sim2real.messages.poses import decode_goal
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.messages.statuses import ResetAnswer, decode_object, decode_status
from fetch_sim2real.ros.client import ANSWER_LIMIT_S, StackClient
from fetch_sim2real.ros.node_parameters import set_parameters
from fetch_sim2real.ros.session import RosSession
from fetch_sim2real.ros.topics import resolved_name, subscribe_to
from fetch_sim2real.sim.disturbances.conditions import NO_CONDITIONS, Conditions
from fetch_sim2real.stack.options import CAMERA_SIM, CAMERA_SOFTWARE
from fetch_sim2real.types import Goal

_LAST_ANSWER_LIMIT_S: Final = 0.5
# The middleware takes up to 20 s to notice that a node was killed, and until then a driver in its place sees two.
_ENABLE_LIMIT_S: Final = 30.0
_MAX_NAMED: Final = 3
_CAMERA_NODES: Final = {CAMERA_SIM: graph.SIM_BRIDGE, CAMERA_SOFTWARE: graph.CAMERA_NODE}


@dataclass(frozen=True)
class Start:
    """A reset world: its clock, and the goal that goes with its seed."""

    seed: int
    now_ns: int
    goal: Goal


class SimulationClient:
    """Runs episodes in a simulated graph. ``stack`` talks to its policy and driver.

    ``first_command_s``: when the policy first commanded the arm (monotonic clock), None before.
    """

    def __init__(self, session: RosSession, backend: str = JOINT_TRAJECTORY) -> None:
        """``backend``: the driver's way to the robot, which decides who publishes joint states."""
        self._session = session
        self.set_backend(backend)
        node = session.node
        self.stack = StackClient(session, (graph.SIM_RESET, graph.SIM_PAUSE, graph.SIM_RESUME), self._on_report)
        self._subscriptions = [
            subscribe_to(node, graph.SIM_OUTCOME, self._on_outcome),
            subscribe_to(node, graph.SIM_GOAL, self._on_new_goal),
        ]
        # Kept, for each episode needs it.
        self._parameters = node.create_client(SetParameters, f"{graph.SIM_BRIDGE}/set_parameters")
        self._outcomes: list[dict[str, Any]] = []
        self._new_goals: list[PoseStamped] = []
        self.first_command_s: float | None = None
        self._answered_ns: set[int] = set()

    def set_backend(self, backend: str) -> None:
        """Expect the topics of a driver with this back end."""
        self._contract = graph.contract_with(backend)

    # -- the graph -----------------------------------------------------------------------------------------------

    def wait_for_graph(self, limit_s: float, recording: bool, camera_source: str = CAMERA_SIM) -> None:
        """Wait until all nodes, with ``recording`` the recorder too, are there and subscribed to their topics.

        ``camera_source`` is one of ``SIM_CAMERA_SOURCES``. GraphError names what is missing after ``limit_s``.
        """

        def missing() -> list[str]:
            return self._missing_here() or self._missing_between(recording, camera_source)

        self._session.wait_until(lambda: not missing(), limit_s, lambda: _shortened(missing()))

    def refuse_strangers(self, camera_source: str = CAMERA_SIM) -> None:
        """Raise ``GraphError`` if nodes that are not of this graph share its topics: a second graph, or a real robot.

        Simulated commands must reach nothing but the simulation.
        """
        node = self._session.node
        for topic in self._contract:
            if topic.publisher == "*":
                continue
            expected = _node_of(topic.publisher, camera_source)
            name_here = resolved_name(node, topic.name)
            publishers = [info.node_name for info in node.get_publishers_info_by_topic(name_here)]
            strangers = [name for name in publishers if expected not in (None, name)] or publishers[1:]
            if topic in (graph.ARM_TRAJECTORY, graph.GRIPPER_TRAJECTORY):
                subscribers = [info.node_name for info in node.get_subscriptions_info_by_topic(name_here)]
                moved = [name for name in subscribers if not graph.only_listens(name)]
                strangers += [name for name in moved if name not in (graph.SIM_BRIDGE, graph.UNKNOWN_NODE)]
                strangers += [graph.SIM_BRIDGE] * (subscribers.count(graph.SIM_BRIDGE) > 1)
            if strangers:
                raise GraphError(
                    f"{name_here} is shared with another graph in ROS domain {os.environ.get('ROS_DOMAIN_ID', '0')} "
                    f"({', '.join(sorted(set(strangers)))}): end that one, or use another domain, for example "
                    "ROS_DOMAIN_ID=42 fetch-sim2real sim"
                )

    def _missing_between(self, recording: bool, camera_source: str) -> list[str]:
        missing = []
        node = self._session.node
        private = graph.SIM_CAMERA if camera_source == CAMERA_SOFTWARE else ()
        for topic in (*self._contract, *private):
            name_here = resolved_name(node, topic.name)
            expected = {_node_of(role, camera_source) for role in topic.subscribers} - {graph.OPERATOR, None}
            if topic.publisher == graph.CAMERA and not node.get_publishers_info_by_topic(name_here):
                missing.append(f"publisher of {name_here}")
            if recording and topic not in private:
                expected.add(graph.RECORDER)
            there = {info.node_name for info in node.get_subscriptions_info_by_topic(name_here)}
            missing += [f"subscription of {name} to {name_here}" for name in expected if name not in there]
        return missing

    def _missing_here(self) -> list[str]:
        missing = self.stack.missing()
        if not self._parameters.service_is_ready():
            missing.append(f"service {self._parameters.service_name}")
        return missing + [f"publisher of {s.topic_name}" for s in self._subscriptions if s.get_publisher_count() == 0]

    # -- an episode ----------------------------------------------------------------------------------------------

    def reset(self, seed: int, move_block: bool, conditions: Conditions = NO_CONDITIONS) -> Start:
        """Put the world at the start of ``seed``'s episode; policy and goal are forgotten."""
        text = conditions.to_text()
        values: dict[str, bool | int | float | str] = {"seed": seed, "move_block": move_block, "conditions": text}
        set_parameters(self._session, graph.SIM_BRIDGE, values, self._parameters)
        self.disarm()
        answer = self._reset_world()
        self.stack.demand(graph.POLICY_RESET)
        return Start(answer.seed, answer.now_ns, Goal(answer.goal.frame_id, np.array(answer.goal.position_m)))

    def _reset_world(self) -> ResetAnswer:
        # In lockstep the driver must have seen the new time; one that was not connected yet gets another chance.
        deadline = time.monotonic() + ANSWER_LIMIT_S
        while True:
            text = self.stack.demand(graph.SIM_RESET)
            answer = decode_status(ResetAnswer, text, f"the answer of {graph.SIM_RESET}")
            if answer.driver_is_ready is not False:
                return answer
            if time.monotonic() > deadline:
                raise GraphError(
                    f"{graph.ARM_DRIVER} has not followed the simulated clock for {ANSWER_LIMIT_S:.0f} s: does it run "
                    "with lockstep:=true and use_sim_time:=true?"
                )

    def state_goal(self, start: Start) -> None:
        """State the goal, and start the policy once it accepts it; GraphError with its reason if it does not."""
        self._state(start.goal, start.now_ns, f"seed {start.seed}")
        # The driver is not enabled yet: nothing moves by this.
        self.stack.demand(graph.POLICY_START)

    def _state(self, goal: Goal, now_ns: int, whose: str) -> None:
        answer = self.stack.state_goal(goal, now_ns)
        if not answer.accepted:
            goal_m = tuple(goal.position_m.tolist())
            raise GraphError(
                f"the policy refused the goal {goal_m} m in frame '{goal.frame_id}' of {whose}: {answer.reason}"
            )

    def enable_driver(self) -> None:
        """Let commands through. Retried while the driver has no joint states of the new episode or sees another."""
        self.stack.heartbeat.start()
        succeeded, message = self.stack.enable(_ENABLE_LIMIT_S)
        if not succeeded:
            raise GraphError(f"{graph.ARM_DRIVER} does not enable: {message}")

    def disarm(self) -> None:
        """Let no commands through any more, also where the driver has stopped by itself because the arm did not follow.

        Only for a simulated arm: the reset that this takes is a person's decision on a robot.
        """
        succeeded, _ = self.stack.call(graph.DRIVER_DISABLE)
        if not succeeded:
            self.stack.demand(graph.DRIVER_RESET)
        self.stack.heartbeat.stop()

    def run_to_outcome(self, limit_s: float) -> dict[str, Any]:
        """Let time run until the world says how the episode ended; "answered" frames are added to what it says.

        Goals that change on the way are stated as the world asks for it. GraphError after ``limit_s``.
        """
        self._outcomes.clear()
        self._new_goals.clear()
        self._answered_ns.clear()
        deadline = time.monotonic() + limit_s
        self.stack.demand(graph.SIM_RESUME)
        while not self._outcomes:
            left_s = max(0.0, deadline - time.monotonic())
            self._session.wait_until(
                lambda: bool(self._outcomes or self._new_goals), left_s, lambda: f"end of the episode ({limit_s:.0f} s)"
            )
            self._follow_new_goal()
        outcome = self._outcomes[-1]
        # In real time the answer to the last frame may still be on its way.
        deadline = time.monotonic() + _LAST_ANSWER_LIMIT_S
        while len(self._answered_ns) < outcome["steps"] and time.monotonic() < deadline:
            self._session.spin(0.02)
        return {**outcome, "answered": len(self._answered_ns)}

    def _follow_new_goal(self) -> None:
        if not self._new_goals:
            return
        wanted = self._new_goals[-1]
        self._new_goals.clear()
        self._state(decode_goal(wanted), decode_stamp(wanted.header.stamp), "the change")
        self._new_goals.clear()  # repeated while the policy was asked
        self.stack.demand(graph.SIM_RESUME)

    # -- messages ------------------------------------------------------------------------------------------------

    def _on_new_goal(self, message: PoseStamped) -> None:
        self._new_goals.append(message)

    def _on_outcome(self, message: String) -> None:
        self._outcomes.append(decode_object(message.data, graph.SIM_OUTCOME.name))

    def _on_report(self, report: SetpointReport) -> None:
        if not report.is_activation:
            self._answered_ns.add(report.stamp_ns)
        if self.first_command_s is None and report.outcome in (COMMAND, LIMITED):
            self.first_command_s = time.monotonic()


def _node_of(role: str, camera_source: str) -> str | None:
    """The node that plays a role in the simulated graph; None for a camera that is none of the project's."""
    if role == graph.CAMERA:
        return _CAMERA_NODES.get(camera_source)
    return graph.SIM_BRIDGE if role == graph.ROBOT else role


def _shortened(missing: list[str]) -> str:
    more = f" (and {len(missing) - _MAX_NAMED} other things)" if len(missing) > _MAX_NAMED else ""
    return " and no ".join(missing[:_MAX_NAMED]) + more
