"""The bridge's parameters."""

from __future__ import annotations

from typing import Final

from fetch_sim2real.ros.parameters import Parameter
from fetch_sim2real.rosbridge.topics import DEFAULT_PORT
from fetch_sim2real.stack.processes import CAMERA_SIM, SIM_BACKENDS, SIM_CAMERA_SOURCES
from fetch_sim2real.tasks.registry import TASKS

CAMERA_PROFILES: Final = {"424x240@30": (424, 240), "640x480@30": (640, 480)}
_MAX_SEED: Final = 2**31 - 1


def _read_conditions(text: str) -> object:
    # Imported when the node is there already: it takes a while.
    from fetch_sim2real.sim.disturbances.conditions import Conditions

    return Conditions.from_text(text)


TABLE: Final = (
    Parameter("world", "nominal", "name of a shipped world, or path of a YAML file"),
    Parameter("task", "reach_block", "what to do: decides starts, goals and success", choices=tuple(TASKS)),
    Parameter("lockstep", False, "true: wait for the driver's answer to each frame; false: run against the wall clock"),
    Parameter(
        "realtime_factor",
        1.0,
        "without lockstep: pace as a multiple of the wall clock's; below 1 for a machine that cannot follow",
        low=0.05,
        high=1.0,
    ),
    Parameter("camera", "424x240@30", "size and rate of the camera", choices=tuple(CAMERA_PROFILES)),
    Parameter(
        "camera_source",
        CAMERA_SIM,
        "who publishes the camera's topics: sim: the bridge; otherwise a node that takes what is under /sim/camera",
        choices=SIM_CAMERA_SOURCES,
    ),
    Parameter("seed", 0, "seed of the next episode", low=0, high=_MAX_SEED, changeable=True),
    Parameter("move_block", False, "put the block elsewhere during the next episode", changeable=True),
    Parameter(
        "conditions",
        "",
        "unplanned changes and faults of the next episode, as JSON",
        changeable=True,
        read=_read_conditions,
    ),
    Parameter("blank_image", False, "control experiment: black images without depth, next episode on", changeable=True),
    Parameter("episode_s", 0.0, "length of an episode; 0 takes the world's own", "s", low=0.0, high=86400.0),
    Parameter("backend", SIM_BACKENDS[0], "how the robot is reached: as the driver's parameter", choices=SIM_BACKENDS),
    Parameter("rosbridge_port", DEFAULT_PORT, "rosbridge: port on the loopback interface; 0: any", low=0, high=65535),
    Parameter("rosbridge_latency_s", 0.0, "rosbridge: simulated delay of each way", "s", low=0.0, high=1.0),
    Parameter("rosbridge_jitter_s", 0.0, "rosbridge: the delay varies by up to this", "s", low=0.0, high=1.0),
    Parameter("rosbridge_loss", 0.0, "rosbridge: share of messages that are lost", low=0.0, high=1.0),
    Parameter("ack_timeout_s", 10.0, "lockstep: the run fails if an answer takes longer", "s", low=0.1, high=600.0),
)
