"""Tells the graph what the operator does, so that a bag holds it: who, which goal, and how a run went."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from rclpy.duration import Duration
from std_msgs.msg import String

from fetch_sim2real import graph
from fetch_sim2real.errors import GraphError
from fetch_sim2real.ros.session import RosSession
from fetch_sim2real.ros.topics import publish_to, resolved_name

# A command of one step ends right after it: what it says has to have arrived by then.
_MEET_S: Final = 2.0
_ARRIVE_S: Final = 1.0


class EventPublisher:
    """Publishes events of the operator's log. A graph without a recorder costs no time and is no error."""

    def __init__(self, session: RosSession) -> None:
        self._session = session
        self._publisher = publish_to(session.node, graph.OPERATOR_EVENTS)

    def publish(self, line: str) -> None:
        """Publish an event's JSON, and wait a little until the recorders that are there have it."""
        with suppress(GraphError), self._session.unwatched():
            self._session.wait_until(self._has_met_all, _MEET_S, lambda: "recorder")
        self._publisher.publish(String(data=line))
        if self._publisher.get_subscription_count():
            self._publisher.wait_for_all_acked(Duration(seconds=_ARRIVE_S))

    def wait_for_recorder(self, limit_s: float) -> bool:
        """Wait up to ``limit_s`` for a recorder; return whether there is one."""
        with suppress(GraphError):
            self._session.wait_until(lambda: self._publisher.get_subscription_count() > 0, limit_s, lambda: "recorder")
        return bool(self._publisher.get_subscription_count())

    def _has_met_all(self) -> bool:
        """Whether all who are known to listen have found this publisher."""
        node = self._session.node
        known = node.count_subscribers(resolved_name(node, graph.OPERATOR_EVENTS.name))
        return self._publisher.get_subscription_count() >= known
