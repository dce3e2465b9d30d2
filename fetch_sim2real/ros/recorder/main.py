"""``recorder``: record the graph to an MCAP bag."""

from __future__ import annotations

from typing import NoReturn

from fetch_sim2real import graph
from fetch_sim2real.ros.main_loop import run_node
from fetch_sim2real.ros.recorder.node import RecorderNode
from fetch_sim2real.ros.recorder.settings import TABLE


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node; the process ends with it."""
    run_node(RecorderNode, graph.RECORDER, "Records every topic of the graph to an MCAP bag.", TABLE, args)


if __name__ == "__main__":
    main()
