"""A node's state on /diagnostics, once a second by the wall clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from fetch_sim2real import graph
from fetch_sim2real.ros.topics import publish_to

PERIOD_S: Final = 1.0


class Level(Enum):
    """DiagnosticStatus' levels."""

    OK = DiagnosticStatus.OK
    WARN = DiagnosticStatus.WARN
    ERROR = DiagnosticStatus.ERROR


@dataclass(frozen=True)
class Report:
    """What a node says of itself: a level, a sentence, and named values."""

    level: Level
    message: str
    values: Mapping[str, object] = field(default_factory=dict)


class Diagnostics:
    """Publishes ``report()`` each second; simulated time may stand still meanwhile."""

    def __init__(self, node: Node, report: Callable[[], Report]) -> None:
        self._node = node
        self._report = report
        self._publisher = publish_to(node, graph.DIAGNOSTICS)
        self._timer = node.create_timer(PERIOD_S, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def publish(self) -> None:
        """Publish now."""
        report = self._report()
        status = DiagnosticStatus(
            level=report.level.value,
            # With its namespace: all robots of a network report on the same topic.
            name=self._node.get_fully_qualified_name().lstrip("/"),
            message=report.message,
            hardware_id="fetch",
            values=[KeyValue(key=key, value=_text(value)) for key, value in report.values.items()],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
