"""The connection to rosbridge_server: kept up, watched, and taken for dead when nothing comes although it is open."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import roslibpy
from roslibpy.core import RosTimeoutError

from fetch_sim2real.robot.ros1 import Json, Ros1Topic

# A Fetch's joint states come every 10 ms: after this long without anything the connection only looks alive.
SILENCE_S: Final = 0.3
_PING_S: Final = 0.5
_PING_TIMEOUT_S: Final = 1.0
_RETRY_S: Final = 0.5
_MAX_RETRY_S: Final = 2.0
_START_S: Final = 0.02
_QUEUE: Final = 10

Work = Callable[[], None]


class RosbridgeLink:
    """roslibpy's connection, with subscriptions and advertisements made anew each time that it opens.

    roslibpy calls from a thread of its own. Everything is handed to ``post``, which is to have it run in the caller's.
    """

    def __init__(
        self,
        host: str,
        port: int,
        topics: tuple[Sequence[Ros1Topic], Sequence[Ros1Topic]],
        post: Callable[[Work], None],
        on_message: Callable[[str, Json], None],
        on_change: Callable[[bool, str], None],
    ) -> None:
        """``topics`` to subscribe to, and to publish. ``on_change`` is told of the connection's start and end."""
        self._subscribed, self._advertised = topics
        self._post, self._on_message, self._on_change = post, on_message, on_change
        self._protocol: Any = None
        self._received_s = 0.0
        self._complaints: deque[str] = deque(maxlen=1)
        self._closed = False
        # Their tracebacks about a peer that went away say nothing that is not said here.
        for name in ("roslibpy", "twisted"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._ros = roslibpy.Ros(host, port, transport="twisted")
        factory = self._ros.factory
        factory.setProtocolOptions(
            autoPingInterval=_PING_S, autoPingTimeout=_PING_TIMEOUT_S, openHandshakeTimeout=_MAX_RETRY_S
        )
        factory.initialDelay = factory.delay = _RETRY_S
        factory.maxDelay = _MAX_RETRY_S
        # It writes about every attempt.
        factory.noisy = False
        self._ros.on("ready", lambda protocol: post(lambda: self._opened(protocol)))
        self._ros.on("close", lambda protocol: post(lambda: self._ended(protocol, "the connection was closed")))
        for topic in self._subscribed:
            self._ros.on(topic.name, self._forward(topic.name))
        with suppress(RosTimeoutError):  # whether it opens at once or later is all the same
            self._ros.run(timeout=_START_S)

    @property
    def is_open(self) -> bool:
        """Whether something can be sent."""
        return self._protocol is not None

    @property
    def complaint(self) -> str:
        """The last error that rosbridge_server reported, empty without one."""
        return self._complaints[-1] if self._complaints else ""

    @property
    def silent_s(self) -> float:
        """How long nothing has come [s], by the wall clock."""
        return time.monotonic() - self._received_s

    def publish(self, topic: Ros1Topic, message: Json) -> None:
        """Publish, or lose it if there is no connection: what is late must not be sent later."""
        self._send({"op": "publish", "topic": topic.name, "msg": message})

    def call(self, service: str, on_answer: Callable[[Json], None]) -> None:
        """Call a service without arguments; there may be no answer."""
        protocol = self._protocol
        if protocol is None:
            return
        request = roslibpy.Message(
            {"op": "call_service", "id": f"call:{service}:{time.monotonic_ns()}", "service": service, "args": {}}
        )

        def answered(values: Any) -> None:
            self._post(lambda: on_answer(dict(values)))

        def refused(values: Any) -> None:
            self._complaints.append(f"{service}: {values}")

        protocol.send_ros_service_request(request, answered, refused)

    def abandon(self, reason: str) -> None:
        """Cut the connection without a word, so that nothing that is still buffered arrives later; then try anew."""
        protocol = self._protocol
        if protocol is not None:
            self._ended(protocol, reason)
            self._ros.call_later(0, lambda: protocol.transport.abortConnection())

    def close(self) -> None:
        """End for good."""
        self._closed = True
        self._protocol = None
        self._ros.factory.stopTrying()
        with suppress(Exception):
            self._ros.terminate()

    def _forward(self, name: str) -> Callable[[Json], None]:
        def forward(message: Json) -> None:
            self._post(lambda: self._arrived(name, message))

        return forward

    def _arrived(self, name: str, message: Json) -> None:
        self._received_s = time.monotonic()
        if self._protocol is not None:
            self._on_message(name, message)

    def _opened(self, protocol: Any) -> None:
        if self._closed:
            return
        self._protocol = protocol
        self._received_s = time.monotonic()
        # rosbridge says so what was wrong with a message. roslibpy knows the operation and has no handler for it.
        protocol._message_handlers["status"] = lambda message: self._complaints.append(str(message.get("msg", "")))
        for topic in self._advertised:
            self._send({"op": "advertise", "topic": topic.name, "type": topic.type, "queue_size": 1})
        for topic in self._subscribed:
            # A queue of 1 would drop the arm's joint states in favour of the gripper's.
            request = {"op": "subscribe", "topic": topic.name, "type": topic.type}
            self._send({**request, "throttle_rate": 0, "queue_length": _QUEUE})
        self._on_change(True, "the connection is open")

    def _ended(self, protocol: Any, reason: str) -> None:
        if self._closed or self._protocol is not protocol or protocol is None:
            return
        self._protocol = None
        self._on_change(False, reason)

    def _send(self, message: Json) -> None:
        if self._protocol is not None:
            self._protocol.send_ros_message(roslibpy.Message(message))
