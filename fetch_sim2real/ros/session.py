"""A node inside a command-line program: started and ended with a ``with`` block, spun by the program itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.experimental import EventsExecutor
from rclpy.node import Node

from fetch_sim2real.errors import GraphError
from fetch_sim2real.ros.entering import enter_ros
from fetch_sim2real.ros.namespaces import hint_of_namespaces
from fetch_sim2real.stack.ros_arguments import NO_LOG_FILES, START

_SLICE_S = 0.05


class RosSession:
    """Enters ROS with one node. Signals are left to the program.

    ``watch`` is called several times a second in every wait; what it raises ends the wait.
    """

    def __init__(
        self,
        node_name: str,
        watch: Callable[[], None] = lambda: None,
        *,
        namespace: str = "",
        message_info: bool = False,
    ) -> None:
        """``namespace`` is that of the graph to talk to, as ``namespaces.checked_namespace`` gives it.

        ``message_info`` for subscriptions whose callbacks take it, which costs some processor time.
        """
        self._node_name = node_name
        self.namespace = namespace
        self._watch = watch
        # rclpy 7.1's EventsExecutor ends with a SystemError at the first callback that takes message info.
        self._executor_class = SingleThreadedExecutor if message_info else EventsExecutor

    def __enter__(self) -> RosSession:
        self._context = rclpy.Context()
        # A command says what it has to say on the terminal; ROS would write it into ~/.ros/log too.
        enter_ros((START, NO_LOG_FILES), self._context)
        with ExitStack() as undo:
            undo.callback(rclpy.try_shutdown, context=self._context)
            # Relative names are the graph's then: what is asked for by fetch_sim2real.ros.topics is found where it is.
            self.node = Node(
                self._node_name,
                context=self._context,
                namespace=self.namespace or None,
                start_parameter_services=False,
            )
            undo.callback(self.node.destroy_node)
            self._executor = self._executor_class(context=self._context)
            undo.callback(self._executor.shutdown)
            self._executor.add_node(self.node)
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    @contextmanager
    def unwatched(self) -> Iterator[None]:
        """Leave ``watch`` uncalled inside: for what has to be done although the user wants to stop."""
        watch, self._watch = self._watch, lambda: None
        try:
            yield
        finally:
            self._watch = watch

    def spin(self, duration_s: float) -> None:
        """Serve callbacks for ``duration_s``."""
        end = time.monotonic() + duration_s
        while (left := end - time.monotonic()) > 0:
            self._watch()
            self._executor.spin_once(timeout_sec=min(left, _SLICE_S))

    def wait_until(self, ready: Callable[[], bool], limit_s: float, expected: Callable[[], str]) -> None:
        """Serve callbacks until ``ready()``; GraphError with ``expected()`` in it after ``limit_s``.

        It also says in which other namespace there is a stack.
        """
        deadline = time.monotonic() + limit_s
        while not ready():
            self._watch()
            if time.monotonic() > deadline:
                elsewhere = hint_of_namespaces(self.node, self.namespace)
                raise GraphError(f"after {limit_s:.0f} s there is still no {expected()}{elsewhere}")
            self._executor.spin_once(timeout_sec=_SLICE_S)
