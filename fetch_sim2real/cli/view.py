"""``fetch-sim2real view``: a running graph, live, as a page in a browser."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fetch_sim2real import graph
from fetch_sim2real.cli.entry import declared_option
from fetch_sim2real.common.stop_request import StopRequest, StopRequestedError
from fetch_sim2real.ros.namespaces import checked_namespace, hint_of_namespaces, place_of
from fetch_sim2real.ros.view.address import DEFAULT_PORT, FOXGLOVE_PORT, LOOPBACK, is_loopback
from fetch_sim2real.stack.options import NAMESPACE

if TYPE_CHECKING:
    from rclpy.node import Node

    from fetch_sim2real.ros.view.listener import Listener
    from fetch_sim2real.ros.view.live_state import LiveState

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

NODE_NAME: Final = graph.VIEW
# What starts it in a process of its own.
COMMAND: Final = (sys.executable, "-m", "fetch_sim2real.cli.main", "view")
_NICENESS: Final = 10
_SLICE_S: Final = 0.5
# Nodes report once a second; until they are discovered some may pass.
_SILENCE_S: Final = 10.0
_HELP: Final = """Show a running graph, simulated or robot, as a live page in a browser.

Camera, depth, the goal in the picture, joints against their limits, latency, the driver's state and what it refused.
The page comes from this process and loads nothing else. It only listens: nothing can be commanded through it, and the
graph runs on when it ends. It goes on when the graph ends, and shows the next one in the same ROS domain.

\b
Examples:
  fetch-sim2real view                            then open http://127.0.0.1:8484
  ROS_DOMAIN_ID=42 fetch-sim2real view           look at a simulation in another terminal (it prints its domain)
  fetch-sim2real view --namespace left           a graph that runs with namespace:=left
  fetch-sim2real sim --view                      both at once
  fetch-sim2real view --foxglove                 for the Foxglove app too: open a connection to ws://localhost:8765
  ssh -L 8484:localhost:8484 robot               look at a robot's view from your desk
"""


@app.command(help=_HELP)
def view(
    host: Annotated[
        str, typer.Option(help="Address to listen on. 0.0.0.0 lets everybody in the network watch.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = DEFAULT_PORT,
    policy: Annotated[
        str | None,
        typer.Option(help="Bundle whose camera pose the goal is drawn by.", show_default="the policy node's"),
    ] = None,
    namespace: Annotated[str, declared_option(NAMESPACE)] = NAMESPACE.default,
    foxglove: Annotated[
        bool,
        typer.Option(
            "--foxglove",
            help="Serve the Foxglove app too: pictures, the robot, its frames, goal, table (extra 'foxglove').",
        ),
    ] = False,
    foxglove_port: Annotated[
        int, typer.Option(min=0, max=65535, help="With --foxglove: its port; 0 takes a free one.")
    ] = FOXGLOVE_PORT,
) -> None:
    place = checked_namespace(namespace)
    # Imported here, so that --help needs no ROS.
    from fetch_sim2real.ros.session import RosSession
    from fetch_sim2real.ros.view.listener import Listener
    from fetch_sim2real.ros.view.live_state import LiveState
    from fetch_sim2real.ros.view.server import ViewServer

    # Where processors are scarce the control loop goes first.
    os.nice(_NICENESS)
    state = LiveState()
    try:
        with (
            StopRequest() as stop,
            ViewServer(state, host, port) as server,
            RosSession(NODE_NAME, stop.check, namespace=place, message_info=True) as ros,
            ExitStack() as beside,
        ):
            shown_host, shown_port = server.address
            typer.echo(f"{place_of(place)}, on http://{shown_host}:{shown_port}")
            if not is_loopback(host):
                typer.echo("everybody who reaches this address can watch: there is no password", err=True)
            listener = Listener(ros.node, state, policy, place)
            update = _foxglove(beside, ros.node, host, foxglove_port, place) if foxglove else None
            said_s = time.monotonic()
            while True:
                listener.poll()
                if update is not None:
                    update(listener, state)
                ros.spin(_SLICE_S)
                if not listener.has_heard and time.monotonic() - said_s > _SILENCE_S:
                    said_s = math.inf
                    typer.echo(_silence(ros.node, place), err=True)
    except StopRequestedError as stopped:
        raise typer.Exit(128 + stopped.signal_number) from None


def _foxglove(beside: ExitStack, node: Node, host: str, port: int, place: str) -> Callable[[Listener, LiveState], None]:
    """Serve Foxglove until ``beside`` is left; what is returned is to be called now and then."""
    from fetch_sim2real.errors import FetchSim2RealError
    from fetch_sim2real.ros.view.foxglove_server import FoxgloveServer, FoxgloveView

    server = beside.enter_context(FoxgloveServer(host, port))
    shown = FoxgloveView(node, server, place)
    typer.echo(f"for the Foxglove app: open a connection to ws://{host}:{server.port}")

    def update(listener: Listener, state: LiveState) -> None:
        try:
            shown.update(state.camera_pose(), listener.world)
        except FetchSim2RealError as error:
            typer.echo(f"table and workspace are not drawn: {error}", err=True)

    return update


def _silence(node: Node, namespace: str) -> str:
    return (
        f"no node has said anything on {graph.DIAGNOSTICS.name} for {_SILENCE_S:.0f} s in {place_of(namespace)}: the "
        f"page stays empty until one does{hint_of_namespaces(node, namespace)}"
    )
