"""``scene_publisher``: the robot and its surroundings for tools that draw."""

from __future__ import annotations

from typing import NoReturn

from fetch_sim2real import graph
from fetch_sim2real.ros.main_loop import StackNode, run_node
from fetch_sim2real.ros.scene_publisher.settings import TABLE

_DESCRIPTION = "Publishes the robot's description, frames and markers, for RViz and Foxglove."


def _make() -> StackNode:
    # Imported when the process has joined the graph already: it brings the simulation's model reader.
    from fetch_sim2real.ros.scene_publisher.node import ScenePublisherNode

    return ScenePublisherNode()


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node; the process ends with it."""
    run_node(_make, graph.SCENE_PUBLISHER, _DESCRIPTION, TABLE, args)


if __name__ == "__main__":
    main()
