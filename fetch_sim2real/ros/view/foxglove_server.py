"""A running graph in the Foxglove application, live: what its nodes tell, as it is, and the scene, over a websocket.

Needs the extra ``foxglove``. Names, types and bytes are ROS's, so one layout fits this, a bag and ``foxglove_bridge``.
Clients can only look: the server advertises no capability, so it takes neither messages nor calls nor parameters.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Final

from fetch_sim2real import graph
from fetch_sim2real.arm.urdf import mesh_at, package_uri, urdf
from fetch_sim2real.errors import SetupError
from fetch_sim2real.graph import BEST_EFFORT_1, Qos, Topic
from fetch_sim2real.messages.ros_types import definition_of
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.ros.topics import local_name, message_class, qos_profile
from fetch_sim2real.ros.view.address import FOXGLOVE_PORT, LOOPBACK
from fetch_sim2real.ros.view.scene import SceneState
from fetch_sim2real.ros.view.scene_feed import SceneFeed
from fetch_sim2real.workcell import load_workcell

if TYPE_CHECKING:
    from rclpy.node import Node

    from fetch_sim2real.perception.camera import Pose

_NAME: Final = "fetch_sim2real"
_ENCODING, _SCHEMA_ENCODING = "cdr", "ros2msg"
# Messages that wait for a slow client, the oldest are dropped: of pictures that is a few seconds.
_BACKLOG: Final = 256
_SELDOM: Final = Qos("best_effort", 10)
# What is passed on as it comes. Goals, commands and trajectories are not among it: who sends those waits until somebody
# listens, and must not take a tool that looks for that one. The scene and the answers show them.
FORWARDED: Final = (
    graph.COLOR, graph.COLOR_INFO, graph.DEPTH, graph.DEPTH_INFO, graph.JOINT_STATES, graph.SETPOINT,
    graph.GOAL_STATUS, graph.MOVE_STATUS, graph.DIAGNOSTICS, graph.SIM_BLOCK_POSE, graph.SIM_GOAL, graph.SIM_OUTCOME,
)  # fmt: skip


class FoxgloveServer:
    """Serves while entered; a ``SceneSink``."""

    def __init__(self, host: str = LOOPBACK, port: int = FOXGLOVE_PORT) -> None:
        """``port`` 0 takes a free one. SetupError where it cannot listen, or without the extra ``foxglove``."""
        foxglove = _foxglove()
        # Nothing of it is global: two servers of one process know nothing of each other.
        context = self._context = foxglove.Context()
        self._channels = {
            topic.name: foxglove.Channel(
                topic.name,
                schema=foxglove.Schema(
                    # As ROS and MCAP write the name of a type: package/msg/Name.
                    name=topic.type, encoding=_SCHEMA_ENCODING, data=definition_of(topic.type).encode()
                ),
                message_encoding=_ENCODING,
                context=context,
            )
            for topic in (*FORWARDED, *graph.SCENE)
        }  # fmt: skip
        self._newcomers = threading.Event()
        try:
            self._server = foxglove.start_server(
                name=_NAME,
                host=host,
                port=port,
                context=context,
                capabilities=[],
                server_listener=_Subscriptions(self._newcomers),
                # Foxglove asks the server for meshes that the robot's description names by package.
                asset_handler=mesh_at,
                message_backlog_size=_BACKLOG,
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise SetupError(
                f"Foxglove's server cannot listen on {host}:{port}: {error}; choose another --foxglove-port"
            ) from None

    @property
    def port(self) -> int:
        """Port that is listened on."""
        return int(self._server.port)

    def __enter__(self) -> FoxgloveServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        for channel in self._channels.values():
            channel.close()

    def has_newcomers(self) -> bool:
        """Return whether somebody has subscribed since this was last asked: they lack what is sent only once."""
        new = self._newcomers.is_set()
        if new:
            self._newcomers.clear()
        return new

    def send(self, topic: Topic, data: bytes) -> None:
        """Send a serialized message to those who have subscribed to ``topic``."""
        channel = self._channels[topic.name]
        if channel.has_sinks():
            channel.log(data, log_time=time.time_ns())

    def restart(self) -> None:
        """Have all clients forget what they were sent: stamps begin anew."""
        self._server.clear_session()

    def forward(self, node: Node) -> None:
        """Send on what ``node`` hears on the graph's topics, as it comes; it asks for best effort and short queues."""
        for topic in FORWARDED:
            qos = BEST_EFFORT_1 if topic.type.endswith("/Image") else _SELDOM
            name, kind = local_name(node, topic.name), message_class(topic.type)
            node.create_subscription(kind, name, self._sender(topic), qos_profile(qos), raw=True)

    def _sender(self, topic: Topic) -> Callable[[bytes], None]:
        return lambda data: self.send(topic, data)


class FoxgloveView:
    """All that Foxglove is shown of one graph: what ``node`` hears, and the scene that follows from it."""

    def __init__(self, node: Node, server: FoxgloveServer, namespace: str = "") -> None:
        """``node`` is in the graph's ``namespace``."""
        self._server = server
        self._scene = SceneState()
        self._world: str | None = None
        server.forward(node)
        # The page's listener hears the same topics, and says what of it cannot be understood.
        self._feed = SceneFeed(node, self._scene, server, urdf(mesh_uri=package_uri), _nothing, namespace)

    def update(self, base_T_camera: Pose | None, world: str | None) -> None:
        """Take in where the policy takes the camera to be, and its world; serve those who came meanwhile.

        None: not known yet; an empty ``world``: none. FetchSim2RealError for a world that cannot be read here, once.
        """
        if self._server.has_newcomers():
            self._feed.send_again()
        self._scene.on_trained_pose(base_T_camera)
        if world is not None and world != self._world:
            self._world = world
            self._scene.on_surroundings(None)
            if world:
                self._scene.on_surroundings(load_workcell(world, worlds_dir()).scene())


class _Subscriptions:
    """The SDK's listener, of which one event is of interest. It is called in the server's own threads."""

    def __init__(self, newcomers: threading.Event) -> None:
        self._newcomers = newcomers

    def on_subscribe(self, client: Any, channel: Any) -> None:
        self._newcomers.set()

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("on_"):
            return _nothing
        raise AttributeError(name)


def _nothing(*_: Any) -> None:
    """What is done about all other events."""


def _foxglove() -> ModuleType:
    try:
        import foxglove
    except ModuleNotFoundError as error:
        raise SetupError(
            f"the Python package '{error.name}' is not installed, which --foxglove needs: "
            "pip install 'fetch-sim2real[foxglove]', or in a clone EXTRAS=foxglove make venv"
        ) from None
    return foxglove
