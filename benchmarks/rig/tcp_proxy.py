"""A TCP connection that can be cut or frozen: between a client and a server, bytes pass, or do not, on command."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

LOOPBACK = "127.0.0.1"


class TcpProxy:
    """Forwards to ``target_port``. Frozen, it reads and writes nothing and keeps every connection open."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._passes = threading.Event()
        self._passes.set()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """From now on nothing passes, although connections stay open."""
        self._passes.clear()

    def thaw(self) -> None:
        """Let pass again."""
        self._passes.set()

    def cut(self) -> None:
        """End all connections."""
        sockets, self._sockets = self._sockets, []
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def close(self) -> None:
        """End everything."""
        self._listener.close()
        self.thaw()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection((LOOPBACK, self._target_port))
            self._sockets += [client, server]
            for one, other in ((client, server), (server, client)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._forward, args=(one, other), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while self._passes.wait():
                source.settimeout(0.02)
                try:
                    source.recv(1, socket.MSG_PEEK)
                except TimeoutError:
                    continue
                if not self._passes.is_set():
                    continue  # leave it where it is: its sender may still take it back
                data = source.recv(65536)
                if not data:
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
