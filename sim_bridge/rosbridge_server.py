"""A websocket server that speaks the rosbridge v2 protocol, on the loopback interface alone.

Each connection is read by a thread of its own; what it asks for is put into an inbox, and ``wake`` says that there is
something. Everything else happens in the caller's thread.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_core import from_json
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from fetch_sim2real.rosbridge.topics import Json

LOOPBACK: Final = "127.0.0.1"
_KNOWN: Final = ("advertise", "unadvertise", "publish", "subscribe", "unsubscribe", "call_service", "set_level")


@dataclass
class _Subscription:
    throttle_s: float
    sent_s: float = -1e9


@dataclass(eq=False)
class Client:
    """One connection."""

    connection: ServerConnection
    subscriptions: dict[str, _Subscription] = field(default_factory=dict)
    advertised: set[str] = field(default_factory=set)

    def send(self, message: Json) -> None:
        """Send it, if the connection still stands."""
        with suppress(ConnectionClosed):
            self.connection.send(json.dumps(message))

    def complain(self, text: str) -> None:
        """Say what was wrong with something that it sent."""
        self.send({"op": "status", "level": "error", "msg": text})


class RosbridgeServer:
    """Accepts clients, keeps their subscriptions, and hands over what they publish and call."""

    def __init__(self, port: int, wake: Callable[[], None]) -> None:
        """``port`` 0 takes a free one; ``wake`` is called in other threads."""
        self._wake = wake
        self._clients: list[Client] = []
        self._lock = threading.Lock()
        self._inbox: deque[tuple[Client, Json]] = deque()
        # A connection that ends is nothing to report here: who has lost it will say so.
        logger = logging.getLogger("fetch_sim2real.rosbridge_server")
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
        # A Fetch's joint states are small and many: compressing them costs more than it saves.
        self._server = serve(self._serve, LOOPBACK, port, compression=None, logger=logger)
        self.port = int(self._server.socket.getsockname()[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="rosbridge_server", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{LOOPBACK}:{self.port}"

    def take(self) -> list[tuple[Client, Json]]:
        """Return what clients have published (op ``publish``) and called (``call_service``) since the last call."""
        taken = []
        while self._inbox:
            taken.append(self._inbox.popleft())
        return taken

    def publish(self, topic: str, message: Json) -> None:
        """Send ``message`` to whoever has subscribed to ``topic``."""
        now_s = time.monotonic()
        for client in self.clients:
            subscription = client.subscriptions.get(topic)
            if subscription is not None and now_s - subscription.sent_s >= subscription.throttle_s:
                subscription.sent_s = now_s
                client.send({"op": "publish", "topic": topic, "msg": message})

    @property
    def clients(self) -> tuple[Client, ...]:
        """Who is connected."""
        with self._lock:
            return tuple(self._clients)

    def disconnect(self) -> None:
        """Cut all connections, as a network that fails does."""
        for client in self.clients:
            with suppress(OSError):
                client.connection.socket.shutdown(2)

    def close(self) -> None:
        """End the server and all its connections."""
        self._server.shutdown()
        self.disconnect()
        self._thread.join(timeout=2.0)

    def _serve(self, connection: ServerConnection) -> None:
        client = Client(connection)
        with self._lock:
            self._clients.append(client)
        try:
            for text in connection:
                self._on_message(client, text)
        except ConnectionClosed:
            pass
        finally:
            with self._lock:
                self._clients.remove(client)

    def _on_message(self, client: Client, text: str | bytes) -> None:
        try:
            message: dict[str, Any] = from_json(text)
            op = message["op"]
            if op == "subscribe":
                throttle_s = float(message.get("throttle_rate", 0)) * 1e-3
                client.subscriptions[message["topic"]] = _Subscription(throttle_s)
            elif op == "unsubscribe":
                client.subscriptions.pop(message["topic"], None)
            elif op == "advertise":
                client.advertised.add(message["topic"])
            elif op == "unadvertise":
                client.advertised.discard(message["topic"])
            elif op == "publish" and message["topic"] not in client.advertised:
                client.complain(f"publish to {message['topic']}, which has not been advertised")
            elif op in ("publish", "call_service"):
                self._inbox.append((client, message))
                self._wake()
            elif op not in _KNOWN:
                client.complain(f"Unknown operation: {op}.  Allowed operations: {list(_KNOWN)}")
        except (ValueError, KeyError, TypeError) as error:
            client.complain(f"malformed message: {error!r}")
