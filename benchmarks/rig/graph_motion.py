"""What it means in tests that the arm moves, brakes and rests, in a simulated graph in real time."""

from __future__ import annotations

import numpy as np

from benchmarks.rig.graph_harness import SimulatedGraph
from fetch_sim2real import graph
from fetch_sim2real.errors import GraphError
from fetch_sim2real.messages.stamps import decode_stamp
from fetch_sim2real.types import FloatArray

MOVING_RAD_S, AT_REST_RAD_S = 0.15, 0.01
COMMAND_TIMEOUT_S = 0.1
# Command latency of the nominal world, and how far the servos are behind what they are told.
LAG_S = 0.06
# From full speed, at the slowest joint's acceleration.
STOPPED_AFTER_S = 1.0
# What is tested are times of the simulated clock; a slow one leaves a busy machine time to keep up with it.
REALTIME_FACTOR = 0.3
# Of the wall clock: joint states of a moment that has passed have arrived.
SETTLED_AFTER_S = 0.05


def motion(simulated: SimulatedGraph, since_ns: int = 0) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Stamps [s] (n,), the fastest joint's speed (n,) and positions (n, 7), of joint states from ``since_ns`` on."""
    states = {decode_stamp(m.header.stamp): m for m in simulated.taps[graph.JOINT_STATES].messages}
    chosen = sorted(stamp for stamp in states if stamp >= since_ns)
    velocity = np.array([states[stamp].velocity[:7] for stamp in chosen]).reshape(-1, 7)
    position = np.array([states[stamp].position[:7] for stamp in chosen]).reshape(-1, 7)
    return np.array(chosen) * 1e-9, np.abs(velocity).max(axis=1), position


def newest_ns(simulated: SimulatedGraph) -> int:
    return decode_stamp(simulated.taps[graph.JOINT_STATES].messages[-1].header.stamp)


def wait_until_moving(simulated: SimulatedGraph) -> None:
    def moving() -> bool:
        states, setpoints = simulated.taps[graph.JOINT_STATES].messages, simulated.taps[graph.SETPOINT].messages
        commanded = bool(setpoints) and setpoints[-1].header.frame_id in ("command", "limited")
        return commanded and bool(states) and np.abs(states[-1].velocity[:7]).max() > MOVING_RAD_S

    simulated.session.wait_until(moving, 20.0, lambda: "motion")


def start_moving(simulated: SimulatedGraph) -> None:
    """Begin an episode; once more where a busy machine was late with the first frames, so that the driver holds."""
    for attempts_left in (2, 1, 0):
        start = simulated.operator.reset(0, False)
        simulated.operator.state_goal(start)
        simulated.operator.enable_driver()
        simulated.operator.stack.demand(graph.SIM_RESUME)
        try:
            return wait_until_moving(simulated)
        except GraphError:
            if not attempts_left:
                raise


def run_on(simulated: SimulatedGraph, since_ns: int, duration_s: float) -> None:
    end_ns = since_ns + duration_s * 1e9
    simulated.session.wait_until(lambda: newest_ns(simulated) > end_ns, 60.0, lambda: "simulated time")


def assert_brakes_to_rest(simulated: SimulatedGraph, last_ns: int, begins_within_s: float) -> None:
    """After the last command, at ``last_ns`` of simulated time, braking begins within ``begins_within_s``."""
    run_on(simulated, last_ns, STOPPED_AFTER_S + 0.5)
    stamps_s, speed, position = motion(simulated, last_ns)
    elapsed_s = stamps_s - last_ns * 1e-9
    braking = speed[elapsed_s >= begins_within_s + LAG_S]
    # Servos settle with a ripple.
    assert np.all(np.diff(braking) < 0.05), "faster again after braking had begun"
    assert np.all(speed[elapsed_s >= STOPPED_AFTER_S] < AT_REST_RAD_S)
    rest = position[elapsed_s >= STOPPED_AFTER_S]
    assert np.abs(rest - rest[0]).max() < 1e-3
