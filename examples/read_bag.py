"""Read a recorded run without ROS: frames, commands and goals of a bag, e.g. of `fetch-sim2real sim`."""

import sys
from pathlib import Path

import numpy as np

from fetch_sim2real import graph
from fetch_sim2real.bags.reading import open_bag
from fetch_sim2real.bags.run import read_run
from fetch_sim2real.messages.images import decode_depth


def main(path: str) -> None:
    bag = open_bag(Path(path))
    run = read_run(bag)
    print(f"{path}: {len(run.answers)} commands and holds, {len(run.goals)} goals; lost: {bag.losses or 'nothing'}")
    for message, content in bag.decoded_messages([graph.DEPTH.name]):
        depth_mm = decode_depth(content)
        print(f"first picture: {message.topic}, {depth_mm.shape}, {np.median(depth_mm[depth_mm > 0]):.0f} mm away")
        break


if __name__ == "__main__":
    main(sys.argv[1])
