"""Says that this process is there, as the driver wants to know of whoever enabled it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from types import TracebackType

from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from std_msgs.msg import String

from fetch_sim2real import graph
from fetch_sim2real.ros.topics import publish_to
from fetch_sim2real.stack.heartbeat import BEAT_PERIOD_S


class Heartbeat:
    """Beats from ``start`` to ``stop``, in a thread of its own: what the program does meanwhile may take long.

    It ends with its node or its process, however that ends.
    """

    def __init__(self, node: Node, is_due: Callable[[], bool] = lambda: True) -> None:
        """``is_due`` is asked before each beat."""
        self._publisher = publish_to(node, graph.HEARTBEAT)
        # The same name must not be two processes, nor two lives of one.
        self._message = String(data=f"{node.get_name()} (process {os.getpid()} on {socket.gethostname()})")
        self._is_due = is_due
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Heartbeat:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Beat from now on."""
        if self._thread is None:
            self._ended.clear()
            self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Beat no more."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._ended.set()
            thread.join()

    def _beat(self) -> None:
        while True:
            if self._is_due():
                try:
                    self._publisher.publish(self._message)
                except InvalidHandle:
                    return  # the node has been destroyed
            if self._ended.wait(BEAT_PERIOD_S):
                return
