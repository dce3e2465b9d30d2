"""``bag_player``: play a bag's observations to a policy."""

from __future__ import annotations

from typing import NoReturn

from fetch_sim2real import graph
from fetch_sim2real.ros.bag_player.node import BagPlayerNode
from fetch_sim2real.ros.bag_player.settings import TABLE
from fetch_sim2real.ros.main_loop import run_node


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node; the process ends with it."""
    run_node(BagPlayerNode, graph.BAG_PLAYER, "Plays a bag's observations to a policy.", TABLE, args)


if __name__ == "__main__":
    main()
