"""The page and its data over HTTP, for reading only."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from types import TracebackType
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.errors import SetupError
from fetch_sim2real.reports.film_strip import depth_picture
from fetch_sim2real.ros.view.address import DEFAULT_PORT, LOOPBACK, is_loopback
from fetch_sim2real.ros.view.goal_mark import GoalMark
from fetch_sim2real.ros.view.live_state import COLOR, DEPTH, LiveState, Picture

_EVENT_PERIOD_S: Final = 0.1
_MAX_WATCHERS: Final = 8
# A browser that is stuck gives its place free after this time.
_SOCKET_TIMEOUT_S: Final = 10.0
_OWN_NAMES: Final = frozenset({"localhost", LOOPBACK})
# The page may load nothing from anywhere else, so it is the same on a machine without a network.
_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'"
)


class ViewServer:
    """Serves ``state`` while entered. ``port`` 0 takes a free one; SetupError where it cannot listen."""

    def __init__(self, state: LiveState, host: str = LOOPBACK, port: int = DEFAULT_PORT) -> None:
        self._stopping = threading.Event()
        handler = _handler(state, self._stopping, is_loopback(host))
        try:
            self._server = ThreadingHTTPServer((host, port), handler)
        except OSError as error:
            raise SetupError(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port") from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that are listened on."""
        return str(self._server.server_address[0]), int(self._server.server_address[1])

    def __enter__(self) -> ViewServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()



def _handler(state: LiveState, stopping: threading.Event, local_only: bool) -> type[BaseHTTPRequestHandler]:
    pictures = PictureMaker(state)
    page = files(__package__).joinpath("page.html").read_bytes()
    watchers = threading.BoundedSemaphore(_MAX_WATCHERS)

    class Handler(BaseHTTPRequestHandler):
        timeout = _SOCKET_TIMEOUT_S

        def do_GET(self) -> None:
            name = (self.headers.get("Host") or "").rpartition(":")[0] or self.headers.get("Host")
            if local_only and name not in _OWN_NAMES:
                # A page from elsewhere whose name was made to lead here must not read pictures of the room.
                self.send_error(403, "only for this machine's own names")
                return
            try:
                self._answer(self.path.partition("?")[0])
            except OSError:  # the browser has gone, or is stuck
                self.close_connection = True

        def _answer(self, path: str) -> None:
            if path == "/":
                self._send("text/html; charset=utf-8", page)
            elif path == "/state.json":
                self._send("application/json", _state_json(state).encode())
            elif path in (f"/{COLOR}.jpg", f"/{DEPTH}.jpg"):
                data = pictures.jpeg(path[1:].removesuffix(".jpg"))
                if data is None:
                    self.send_error(404, "no picture has come yet")
                else:
                    self._send("image/jpeg", data)
            elif path == "/events":
                self._send_events()
            else:
                self.send_error(404)

        def _send_events(self) -> None:
            if not watchers.acquire(blocking=False):
                self.send_error(503, f"{_MAX_WATCHERS} are watching already")
                return
            try:
                self._start("text/event-stream")
                while not stopping.wait(_EVENT_PERIOD_S):
                    self.wfile.write(f"data: {_state_json(state)}\n\n".encode())
            finally:
                watchers.release()
                self.close_connection = True

        def _send(self, kind: str, data: bytes) -> None:
            self._start(kind, len(data))
            self.wfile.write(data)

        def _start(self, kind: str, size: int | None = None) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Security-Policy", _POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            if size is not None:
                self.send_header("Content-Length", str(size))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _state_json(state: LiveState) -> str:
    return json.dumps(state.snapshot(), allow_nan=False)


_QUALITY: Final = 85
_GOAL_RGB: Final = (255, 220, 0)
_EDGE_RGB: Final = (0, 0, 0)


class PictureMaker:
    """Encodes each picture once, however many look."""

    def __init__(self, state: LiveState) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._made: dict[str, tuple[int, bytes]] = {}

    def jpeg(self, kind: str) -> bytes | None:
        """Return the newest picture of a kind; None before the first."""
        newest = self._state.picture(kind)
        if newest is None:
            return None
        picture, mark = newest
        with self._lock:
            number, data = self._made.get(kind, (0, b""))
            if number != picture.number:
                data = _encoded(kind, picture, mark)
                self._made[kind] = (picture.number, data)
            return data


def _encoded(kind: str, picture: Picture, mark: GoalMark) -> bytes:
    if kind == COLOR:
        rgb = np.array(picture.pixels, dtype=np.uint8)  # a copy: the message's own pixels are read-only
    else:
        rgb = depth_picture(picture.pixels.astype(np.uint16, copy=False))
    if mark.pixel is not None:
        draw_goal(rgb, mark.pixel)
    _, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return bytes(data)


def draw_goal(rgb: NDArray[np.uint8], pixel: tuple[float, float]) -> None:
    """Draw a cross with a dark edge around (u, v) into ``rgb`` (H, W, 3)."""
    at = (round(pixel[0]), round(pixel[1]))
    size = max(9, rgb.shape[1] // 24)
    for colour, thickness in ((_EDGE_RGB, 4), (_GOAL_RGB, 2)):
        cv2.drawMarker(rgb, at, colour, cv2.MARKER_CROSS, size, thickness)
