"""``bag_player``: play a bag's observations to a policy."""

from __future__ import annotations

from typing import NoReturn

from bag_player.node import BagPlayerNode
from bag_player.settings import TABLE
from fetch_sim2real import graph
from node_support.main_loop import run_node


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node; the process ends with it."""
    run_node(BagPlayerNode, graph.BAG_PLAYER, "Plays a bag's observations to a policy.", TABLE, args)


if __name__ == "__main__":
    main()
