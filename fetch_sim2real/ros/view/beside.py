"""A view beside a program that runs a graph: a process of its own, whose death changes nothing."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console

from fetch_sim2real.common.supervision import Child, Patience, Supervisor
from fetch_sim2real.ros.view.address import DEFAULT_PORT, LOOPBACK
from fetch_sim2real.stack.ros_environment import free_port

_NAME: Final = "view"


@contextmanager
def view_beside(console: Console, command: Sequence[str]) -> Iterator[None]:
    """Show the graph of this ROS domain while entered, and say where to look. Enter it before other threads exist.

    ``command`` starts a view; it is given the port as ``--port``.
    """
    port = DEFAULT_PORT if _is_free(DEFAULT_PORT) else free_port()
    console.print(f"[bold]view    [/]http://{LOOPBACK}:{port}", soft_wrap=True, highlight=False)
    with tempfile.TemporaryDirectory(prefix="fetch_sim2real_view_") as folder:
        child = Child(_NAME, [*command, "--port", str(port)], {}, required=False)
        with Supervisor([child], Path(folder), Patience(interrupt_s=2.0, terminate_s=1.0)) as supervisor:
            yield
            if (ended := supervisor.ended(_NAME)) is not None:
                console.print(f"the view {ended}; the end of its log:\n{supervisor.log_tail(_NAME)}", style="yellow")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server does: a port that was just given up can be taken again.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
