"""A client of Foxglove's websocket protocol, as the application is one: for tests."""

from __future__ import annotations

import json
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from fetch_sim2real.messages.ros_types import ros_types

PROTOCOL = "foxglove.sdk.v1"
_MESSAGE, _ASSET = 1, 4
# op, subscription, log time
_HEADER = struct.Struct("<BIQ")
# op, request, status, length of the error
_ASSET_HEADER = struct.Struct("<BIBI")


class FoxgloveClient:
    """Connected while entered. ``messages`` holds what came, decoded, by topic; all of it is read as it comes."""

    def __init__(self, port: int, limit_s: float = 30.0) -> None:
        self._limit_s = limit_s
        url = f"ws://127.0.0.1:{port}"
        self._socket = connect(url, subprotocols=[PROTOCOL], open_timeout=limit_s, max_size=None)
        self.info: dict[str, Any] = {}
        self.channels: dict[str, dict[str, Any]] = {}
        self.messages: defaultdict[str, list[Any]] = defaultdict(list)
        self._assets: dict[int, bytes | None] = {}
        self._topics: dict[int, str] = {}
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, name="foxglove_client", daemon=True)

    def __enter__(self) -> FoxgloveClient:
        self._reader.start()
        self.receive_until(lambda: self.info and self.channels, "server's greeting")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._reader.join()

    def subscribe(self, topics: Iterable[str]) -> None:
        for topic in topics:
            identity = len(self._topics) + 1
            self._topics[identity] = topic
            asked = [{"id": identity, "channelId": self.channels[topic]["id"]}]
            self._socket.send(json.dumps({"op": "subscribe", "subscriptions": asked}))

    def asset(self, uri: str) -> bytes | None:
        """The content that the server has for ``uri``; None where it refuses."""
        request = len(self._assets) + 1
        self._socket.send(json.dumps({"op": "fetchAsset", "uri": uri, "requestId": request}))
        self.receive_until(lambda: request in self._assets, uri)
        return self._assets[request]

    def receive_until(self, done: Callable[[], object], what: str) -> None:
        with self._changed:
            assert self._changed.wait_for(done, self._limit_s), f"still no {what}"

    def _read(self) -> None:
        with suppress(ConnectionClosed):
            for data in self._socket:
                with self._changed:
                    self._take(data)
                    self._changed.notify_all()

    def _take(self, data: str | bytes) -> None:
        if isinstance(data, str):
            said = json.loads(data)
            if said["op"] == "serverInfo":
                self.info = said
            elif said["op"] == "advertise":
                self.channels |= {channel["topic"]: channel for channel in said["channels"]}
        elif data[0] == _MESSAGE:
            _, identity, _ = _HEADER.unpack_from(data)
            topic = self._topics[identity]
            kind = self.channels[topic]["schemaName"]
            self.messages[topic].append(ros_types().deserialize_cdr(data[_HEADER.size :], kind))
        elif data[0] == _ASSET:
            _, request, status, length = _ASSET_HEADER.unpack_from(data)
            self._assets[request] = None if status else data[_ASSET_HEADER.size + length :]
