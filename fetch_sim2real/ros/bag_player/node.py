"""The bag player as a ROS node: a recording in the place of camera, robot, operator and driver."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock as RclClock
from rclpy.clock import ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.task import Future
from rclpy.topic_endpoint_info import TopicEndpointInfo
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from fetch_sim2real import graph
from fetch_sim2real.bags.playing import PLAYED, Playback, survey
from fetch_sim2real.bags.raw_message import LOSSES_IN_LOG, RawMessage
from fetch_sim2real.bags.reading import open_bag, renames_of
from fetch_sim2real.errors import GraphError
from fetch_sim2real.graph import Topic
from fetch_sim2real.messages.stamps import decode_stamp, encode_stamp
from fetch_sim2real.ros.bag_player.settings import TABLE
from fetch_sim2real.ros.diagnostics import Diagnostics, Level, Report
from fetch_sim2real.ros.main_loop import IDLE_S, StackNode
from fetch_sim2real.ros.topics import local_name, publish_to, resolved_name, subscribe_to

# What the policy subscribes to.
_HEARD: Final = tuple(topic for topic in PLAYED if graph.POLICY_NODE in topic.subscribers)
_LISTENERS: Final = "listeners"


class Surroundings:
    """Looks at the graph on behalf of ``node``, which publishes the topics ``PLAYED``."""

    def __init__(self, node: Node, await_recorder: bool) -> None:
        self._node, self._await_recorder = node, await_recorder
        self._listeners: dict[str, int] = {}
        subscribe_to(node, graph.DIAGNOSTICS, self._on_diagnostics)

    def refuse_strangers(self) -> None:
        """Raise ``GraphError`` if somebody else publishes what is played, or commands an arm."""
        for topic in (*PLAYED, graph.ARM_TRAJECTORY, graph.GRIPPER_TRAJECTORY):
            strangers = [name for name in self._publishers(topic) if name != self._node.get_fully_qualified_name()]
            if topic == graph.GOAL:
                continue  # a person may state another one
            if strangers:
                raise GraphError(
                    f"{', '.join(strangers)} publishes {self._name(topic)} in ROS domain "
                    f"{os.environ.get('ROS_DOMAIN_ID', '0')}: a recording must meet no robot, driver, camera or "
                    "simulation; end that, or play in another domain (ROS_DOMAIN_ID) or namespace"
                )

    def missing(self) -> str:
        """Return what a beginning still waits for, in words; empty if nothing."""
        policies = self._publishers(graph.JOINT_COMMAND)
        if not policies:
            return f"policy, which publishes {resolved_name(self._node, graph.JOINT_COMMAND.name)}"
        recorder = [] if not self._await_recorder else [self._node.get_namespace().rstrip("/") + f"/{graph.RECORDER}"]
        for topic in _HEARD:
            there = _names(self._node.get_subscriptions_info_by_topic(self._name(topic)))
            for expected in (policies[0], *recorder):
                if expected not in there:
                    return f"subscription of {expected} to {self._name(topic)}"
        # Our end of a connection may be there before the other one is: what the policy said then would be lost.
        wanted, found = 1 + self._await_recorder, self._listeners.get(policies[0], 0)
        return "" if found >= wanted else f"word from {policies[0]} that its commands are heard"

    def require_one_policy(self) -> None:
        """Raise ``GraphError`` unless exactly one node answers."""
        policies = self._publishers(graph.JOINT_COMMAND)
        if len(policies) != 1:
            raise GraphError(
                f"{len(policies)} nodes publish {self._name(graph.JOINT_COMMAND)} ({', '.join(policies) or 'none'}), "
                "expected the one policy that is played to"
            )

    def _name(self, topic: Topic) -> str:
        return resolved_name(self._node, topic.name)

    def _publishers(self, topic: Topic) -> list[str]:
        return _names(self._node.get_publishers_info_by_topic(self._name(topic)))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values: Mapping[str, str] = {value.key: value.value for value in status.values}
            if _LISTENERS in values:
                self._listeners[f"/{status.name}"] = int(values[_LISTENERS])


def _names(ends: Sequence[TopicEndpointInfo]) -> list[str]:
    return [f"{end.node_namespace.rstrip('/')}/{end.node_name}" for end in ends]


EVERY_S: Final = 1.0
_TOLD_EVERY_S: Final = 5.0
_CLOCK_STEP_NS: Final = 5_000_000
# Answers have to be heard in between.
_AT_ONCE: Final = 8
_DELIVERY_LIMIT_S: Final = 2.0


class BagPlayerNode(StackNode):
    """Waits for a policy, lets it forget, plays the bag to it, and ends."""

    def __init__(self) -> None:
        super().__init__(graph.BAG_PLAYER, TABLE)
        path = self.parameters.text("bag")
        if not path:
            raise GraphError("parameter 'bag' is empty, expected a bag: -p bag:=runs/20260101-120000")
        self._bag = open_bag(Path(path), renames_of(self.parameters.text("rename").split()))
        self._survey = survey(self._bag)
        for loss in self._survey.losses:
            self.get_logger().warning(f"{LOSSES_IN_LOG}{loss}")
        if graph.GOAL.name not in self._survey.messages:
            self.get_logger().warning(f"the bag has no goal: the policy holds until one comes on {graph.GOAL.name}")
        self._play = self._new_pass()
        self._outputs: dict[str, Publisher] = {topic.name: publish_to(self, topic) for topic in PLAYED}
        subscribe_to(self, replace(graph.JOINT_COMMAND, subscribe=graph.RELIABLE_100), self._on_command)
        subscribe_to(self, graph.GOAL_STATUS, self._on_goal_status)
        self._reset = self.create_client(Trigger, local_name(self, graph.POLICY_RESET))
        self._forgetting: Future | None = None
        self._is_playing = False
        self._passes = 0
        self._since_s = self._told_s = time.monotonic()
        self._clock_ns = -1
        self._surroundings = Surroundings(self, self.parameters.flag("await_recorder"))
        self.create_timer(EVERY_S, self._every_second, clock=RclClock(clock_type=ClockType.STEADY_TIME))
        self._diagnostics = Diagnostics(self, self._report)
        self.get_logger().info(f"{path}: {self._survey.duration_s:.1f} s of recording; waiting for the policy")

    def work(self) -> float:
        """Publish what is due."""
        now_s = time.monotonic()
        if not self._is_playing:
            self._begin(now_s)
            return IDLE_S
        for _ in range(_AT_ONCE):
            message = self._play.take(now_s)
            if message is None:
                break
            self._publish(message)
        else:
            return 0.0
        if self._play.is_over:
            self._end(now_s)
            return 0.0
        return self._play.wait_s(now_s) or IDLE_S

    def close(self) -> None:
        """Let what was published arrive, and say how it went."""
        if self._is_playing:
            self.get_logger().warning(f"interrupted at {self._at()}: {self._play.tally.text()}")
        for publisher in self._outputs.values():
            publisher.wait_for_all_acked(Duration(seconds=_DELIVERY_LIMIT_S))

    # -- a pass --------------------------------------------------------------------------------------------------

    def _new_pass(self) -> Playback:
        rate, start_s = self.parameters.number("rate"), self.parameters.number("start_s")
        return Playback(self._bag, self._survey, rate, start_s, self.parameters.number("patience_s"))

    def _begin(self, now_s: float) -> None:
        """Once the policy is connected, let it forget; once it has, play."""
        if self._forgetting is None:
            missing = self._surroundings.missing() or ("" if self._reset.service_is_ready() else "reset of the policy")
            if missing:
                self._require_time_left(now_s, missing)
                return
            self._surroundings.refuse_strangers()
            self._surroundings.require_one_policy()
            self._forgetting = self._reset.call_async(Trigger.Request())
        elif not self._forgetting.done():
            self._require_time_left(now_s, "answer of the policy to a reset")
        else:
            self._forgetting, self._is_playing = None, True
            self._since_s = self._told_s = time.monotonic()
            self._clock_ns = -1
            self.get_logger().info(f"playing from {self.parameters.number('start_s'):.1f} s on")

    def _require_time_left(self, now_s: float, missing: str) -> None:
        limit_s = self.parameters.number("start_limit_s")
        if now_s - self._since_s > limit_s:
            raise GraphError(f"after {limit_s:.0f} s there is still no {missing}: does policy_node run in this domain?")

    def _end(self, now_s: float) -> None:
        self._passes += 1
        self.get_logger().info(f"played {self._play.tally.text()}; it took {now_s - self._since_s:.1f} s")
        self._is_playing = False
        if self.parameters.flag("loop"):
            self._play, self._since_s = self._new_pass(), now_s
        else:
            self._diagnostics.publish()
            self.is_over = True

    def _publish(self, message: RawMessage) -> None:
        if not self._survey.has_clock:
            now_ns = message.received_ns + self._survey.clock_offset_ns
            if now_ns >= self._clock_ns + _CLOCK_STEP_NS:
                self._clock_ns = now_ns
                self._outputs[graph.CLOCK.name].publish(Clock(clock=encode_stamp(now_ns)))
        self._outputs[message.topic].publish(message.data)

    # -- what the policy says ------------------------------------------------------------------------------------

    def _on_command(self, message: JointTrajectory) -> None:
        if self._is_playing:
            self._play.answered(decode_stamp(message.header.stamp), hold=not message.points)

    def _on_goal_status(self, _: String) -> None:
        self._play.goal_answered()

    # -- what it says --------------------------------------------------------------------------------------------

    def _every_second(self) -> None:
        self._surroundings.refuse_strangers()
        if not self._is_playing:
            return
        self._surroundings.require_one_policy()
        now_s = time.monotonic()
        if now_s - self._told_s >= _TOLD_EVERY_S:
            self._told_s = now_s
            self.get_logger().info(f"at {self._at()}: {self._play.tally.text()}")

    def _at(self) -> str:
        return f"{self._at_s():.1f} of {self._survey.duration_s:.1f} s"

    def _at_s(self) -> float:
        return (self._play.at_ns - self._survey.first_ns) * 1e-9

    def _report(self) -> Report:
        tally = self._play.tally
        values: dict[str, object] = {
            "bag": self._bag.path,
            "at_s": self._at_s(),
            "duration_s": self._survey.duration_s,
            "rate": self.parameters.number("rate"),
            "passes": self._passes,
            "messages": sum(tally.messages.values()),
            "frames": tally.frames,
            "commands": tally.commands,
            "holds": tally.holds,
            "unanswered": tally.unanswered,
            "unanswered_goals": tally.unanswered_goals,
            "delayed_s": tally.delayed_s,
            "losses": "; ".join(self._survey.losses) or "none",
        }
        if not (self._is_playing or self._passes):
            return Report(Level.WARN, "waiting for the policy", values)
        level = Level.WARN if tally.unanswered or tally.unanswered_goals else Level.OK
        return Report(level, "playing" if self._is_playing else "played", values)
