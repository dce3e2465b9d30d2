"""The processes that play a bag to a policy, as data. No driver is among them: nothing can move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from fetch_sim2real import graph, paths
from fetch_sim2real.errors import GraphError
from fetch_sim2real.policy.look_rate import EVERY_FRAME, LookRate
from fetch_sim2real.stack.launch_arguments import BOOLEANS, Meaning, require_choices
from fetch_sim2real.stack.processes import MEANINGS, NodeProcess, absolute_file, absolute_world, recorder_process


@dataclass(frozen=True)
class ReplayOptions:
    """What ``launch/replay.launch.py`` takes: a bag is played to a policy. The defaults here are the only ones."""

    bag: str = "bag"
    policy: str = "reach_block"
    look: LookRate = EVERY_FRAME
    rate: float = 1.0
    start_s: float = 0.0
    loop: bool = False
    rename: str = ""
    calibration: str = ""
    world: str = ""
    record: str = ""


REPLAY_MEANINGS: Final[Mapping[str, Meaning]] = {
    "bag": Meaning("Bag to play: a folder, the folder of a run, or one .mcap or .db3 file."),
    "policy": MEANINGS["policy"],
    "look": MEANINGS["look"],
    "rate": Meaning("How fast, as a multiple of the recorder's pace."),
    "start_s": Meaning("Leave out what was recorded before this [s]."),
    "loop": Meaning("true: begin again at the end; false: end the graph then.", BOOLEANS),
    "rename": Meaning("Topics with another name in the bag: /joint_states:=/fetch/joint_states; spaces between."),
    "calibration": MEANINGS["calibration"],
    "world": Meaning("World file that the driver had when it was recorded; empty: the policy's own bounds alone."),
    "record": MEANINGS["record"],
}


def replay_graph(options: ReplayOptions) -> tuple[NodeProcess, ...]:
    """Policy, player and, if asked for, recorder; the end of the player is the end of the graph.

    Raises ``SetupError`` for an unknown policy, ``GraphError`` for an impossible choice.
    """
    require_choices(options, REPLAY_MEANINGS)
    if options.rate <= 0.0 or options.start_s < 0.0:
        raise GraphError(
            f"rate is {options.rate:g} and start_s {options.start_s:g}, expected a rate above 0 and no start before 0"
        )
    policy = NodeProcess(
        executable="policy_node",
        node_name=graph.POLICY_NODE,
        parameters={
            # The recording's time, which the player publishes.
            "use_sim_time": True,
            "policy": str(paths.find_policy(options.policy).resolve()),
            "look": options.look,
            "calibration": absolute_file(options.calibration),
            "world": absolute_world(options.world) if options.world else "",
            "await_start": False,
        },
        stop_rank=0,
    )
    player = NodeProcess(
        executable="bag_player",
        node_name=graph.BAG_PLAYER,
        parameters={
            "bag": str(paths.expanded(options.bag).absolute()),
            "rate": options.rate,
            "start_s": options.start_s,
            "loop": options.loop,
            "rename": options.rename,
            "await_recorder": bool(options.record),
        },
        stop_rank=1,
    )
    if not options.record:
        return policy, player
    # Last, so that it hears what the others say at their end.
    return policy, player, replace(recorder_process(options.record), stop_rank=2)
