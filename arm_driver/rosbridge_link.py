"""The connection to rosbridge_server: kept up, watched, and closed when nothing comes although it is open."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import roslibpy
from roslibpy.comm.comm_autobahn import AutobahnRosBridgeProtocol
from roslibpy.core import RosTimeoutError

from fetch_sim2real.common.validation import shortened
from fetch_sim2real.errors import MessageError
from fetch_sim2real.rosbridge.messages import Published, ServiceResponse, Status, read_frame
from fetch_sim2real.rosbridge.topics import Json, Ros1Topic

# A Fetch's joint states come every 10 ms: after this long without anything the connection only looks alive.
SILENCE_S: Final = 0.3
_PING_S: Final = 0.5
_PING_TIMEOUT_S: Final = 1.0
_RETRY_S: Final = 0.5
_MAX_RETRY_S: Final = 2.0
_START_S: Final = 0.02
_QUEUE: Final = 10

Work = Callable[[], None]
OnFrame = Callable[[Any, bytes, bool], None]


class LinkListener(Protocol):
    """Who has the link. Everything is called by way of ``post``."""

    def on_connection(self, is_open: bool, reason: str) -> None:
        """Note that the connection has begun or ended."""

    def on_message(self, topic: str, message: Any) -> None:
        """Note that a message has come on a topic, as JSON decodes it."""

    def on_unreadable(self, error: MessageError) -> None:
        """Note that something has come that cannot be read; it may have been a message on any topic."""

    def on_complaint(self, text: str) -> None:
        """Note that rosbridge reports an error: usually something that it was asked for and cannot do."""


class _RawProtocol(AutobahnRosBridgeProtocol):  # type: ignore[misc]
    """roslibpy's connection without its decoding, which raises in its own thread at what it does not know."""

    def __init__(self, on_frame: OnFrame) -> None:
        super().__init__()
        self._on_frame = on_frame

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802  # autobahn's name
        self._on_frame(self, payload, isBinary)


class RosbridgeLink:
    """roslibpy's connection, with subscriptions and advertisements made anew each time that it opens.

    roslibpy calls from a thread of its own. Everything is handed to ``post``, which is to have it run in the caller's;
    only there is anything that came looked into.
    """

    def __init__(
        self,
        host: str,
        port: int,
        topics: tuple[Sequence[Ros1Topic], Sequence[Ros1Topic]],
        post: Callable[[Work], None],
        listener: LinkListener,
    ) -> None:
        """``topics`` to subscribe to, and to publish."""
        self._subscribed, self._advertised = topics
        self._post, self._listener = post, listener
        self._protocol: Any = None
        self._received_s = 0.0
        self._calls: dict[str, tuple[str, Callable[[Any], None]]] = {}
        self.complaint = ""
        self._closed = False
        # Their tracebacks about a peer that went away say nothing that is not said here.
        for name in ("roslibpy", "twisted"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._ros = roslibpy.Ros(host, port, transport="twisted")
        factory = self._ros.factory
        factory.protocol = lambda: _RawProtocol(self._on_frame)
        factory.setProtocolOptions(
            autoPingInterval=_PING_S, autoPingTimeout=_PING_TIMEOUT_S, openHandshakeTimeout=_MAX_RETRY_S
        )
        factory.initialDelay = factory.delay = _RETRY_S
        factory.maxDelay = _MAX_RETRY_S
        # It writes about every attempt.
        factory.noisy = False
        self._ros.on("ready", lambda protocol: post(lambda: self._opened(protocol)))
        self._ros.on("close", lambda protocol: post(lambda: self._ended(protocol, "the connection was closed")))
        with suppress(RosTimeoutError):  # whether it opens at once or later is all the same
            self._ros.run(timeout=_START_S)

    @property
    def is_open(self) -> bool:
        """Whether something can be sent."""
        return self._protocol is not None

    @property
    def silent_s(self) -> float:
        """How long nothing has come [s], by the wall clock."""
        return time.monotonic() - self._received_s

    def publish(self, topic: Ros1Topic, message: Json) -> None:
        """Publish, or lose it if there is no connection: what is late must not be sent later."""
        self._send({"op": "publish", "topic": topic.name, "msg": message})

    def call(self, service: str, on_answer: Callable[[Any], None]) -> None:
        """Call a service without arguments; there may be no answer. ``complaint`` says so if it is refused."""
        call_id = f"call:{service}:{time.monotonic_ns()}"
        # Whoever calls twice a second has no use for answers of long ago.
        while len(self._calls) >= _QUEUE:
            self._calls.pop(next(iter(self._calls)))
        self._calls[call_id] = (service, on_answer)
        self._send({"op": "call_service", "id": call_id, "service": service, "args": {}})

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

    def _on_frame(self, protocol: Any, payload: bytes, is_binary: bool) -> None:
        self._post(lambda: self._arrived(protocol, payload, is_binary))

    def _arrived(self, protocol: Any, payload: bytes, is_binary: bool) -> None:
        if self._protocol is not protocol:
            return
        self._received_s = time.monotonic()
        try:
            frame = read_frame(payload, is_binary)
        except MessageError as error:
            self._listener.on_unreadable(error)
            return
        if isinstance(frame, Published):
            self._listener.on_message(frame.topic, frame.message)
        elif isinstance(frame, ServiceResponse):
            self._answered(frame)
        elif isinstance(frame, Status):
            self._complained(frame.text)

    def _answered(self, response: ServiceResponse) -> None:
        service, on_answer = self._calls.pop(response.id, ("", None))
        if on_answer is None:
            return
        if response.succeeded:
            if self.complaint.startswith(f"{service}: "):
                self.complaint = ""
            on_answer(response.values)
        else:
            self._complained(f"{service}: {shortened(response.values)}")

    def _complained(self, text: str) -> None:
        self.complaint = text
        self._listener.on_complaint(text)

    def _opened(self, protocol: Any) -> None:
        if self._closed:
            return
        self._protocol = protocol
        self._received_s = time.monotonic()
        self._calls.clear()
        self.complaint = ""
        for topic in self._advertised:
            self._send({"op": "advertise", "topic": topic.name, "type": topic.type, "queue_size": 1})
        for topic in self._subscribed:
            # A queue of 1 would drop the arm's joint states in favour of the gripper's. What is throttled has none: the
            # newest is wanted, not all of them later.
            request = {"op": "subscribe", "topic": topic.name, "type": topic.type}
            queue = 0 if topic.throttle_ms else _QUEUE
            self._send({**request, "throttle_rate": topic.throttle_ms, "queue_length": queue})
        self._listener.on_connection(True, "the connection is open")

    def _ended(self, protocol: Any, reason: str) -> None:
        if self._closed or self._protocol is not protocol or protocol is None:
            return
        self._protocol = None
        self._listener.on_connection(False, reason)

    def _send(self, message: Json) -> None:
        if self._protocol is not None:
            self._protocol.send_ros_message(roslibpy.Message(message))
