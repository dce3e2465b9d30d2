"""The bridge's parameters."""

from __future__ import annotations

from typing import Final

from fetch_sim2real.stack.options import (
    ACK_TIMEOUT_S,
    BLANK_IMAGE,
    BRIDGES_TASK,
    CAMERA_PROFILE,
    CAMERA_SOURCE,
    CONDITIONS,
    ENGINE,
    EPISODE_S,
    MOVE_BLOCK,
    NODES_LOCKSTEP,
    REALTIME_FACTOR,
    ROSBRIDGE_JITTER_S,
    ROSBRIDGE_LATENCY_S,
    ROSBRIDGE_LOSS,
    SEED,
    SIM_BACKEND,
    SIM_ROSBRIDGE_PORT,
    WORLD,
)


def _read_conditions(text: str) -> object:
    # Imported when the node is there already: it takes a while.
    from fetch_sim2real.sim.disturbances.conditions import Conditions

    return Conditions.from_text(text)


TABLE: Final = (
    WORLD,
    BRIDGES_TASK,
    ENGINE,
    NODES_LOCKSTEP,
    REALTIME_FACTOR,
    CAMERA_PROFILE.but(name="camera"),
    CAMERA_SOURCE,
    SEED,
    MOVE_BLOCK,
    CONDITIONS.but(read=_read_conditions),
    BLANK_IMAGE,
    EPISODE_S,
    SIM_BACKEND,
    SIM_ROSBRIDGE_PORT,
    ROSBRIDGE_LATENCY_S,
    ROSBRIDGE_JITTER_S,
    ROSBRIDGE_LOSS,
    ACK_TIMEOUT_S,
)
