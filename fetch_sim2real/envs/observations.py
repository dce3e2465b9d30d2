"""What the environments show, by observation mode. The goal is in ``desired_goal`` alone, so that hindsight can
replace it."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from fetch_sim2real.episode import Arrival, ClosedLoop
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.perception.observe import observe, observe_vector
from fetch_sim2real.policy.default_observation import IMAGE, LAST_ACTIONS, observation_spec
from fetch_sim2real.sim.full_state import full_state, layout_of
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.types import FloatArray

ObservationMode = Literal["state", "robot", "rgbd", "asymmetric"]
PICTURE_MODES: Final = ("rgbd", "asymmetric")
Observation = dict[str, Any]
"""Arrays by name."""

# Goals stay in metres here: only the part of the vector behind the goal is shown.
_SPEC: Final = observation_spec(True, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_GOAL_SIZE: Final = 3
_WAY_UNIT_M, _WAY_SIZE = 0.1, 3
# Nothing physical comes near these bounds; checkers want finite ones.
_NUMBERS: Final = 1e3
_PLACES_M: Final = 10.0


def require_mode(mode: str) -> ObservationMode:
    """Return ``mode`` if it is one; FetchSim2RealError names the available ones."""
    for known in get_args(ObservationMode):
        if mode == known:
            return known  # type: ignore[no-any-return]
    raise FetchSim2RealError(f"observation_mode is '{mode}', expected one of: {', '.join(get_args(ObservationMode))}")


def observation_space(mode: ObservationMode, task: Task) -> spaces.Dict:
    """Return the space of ``make_observation``'s result in ``task``."""
    state_size = layout_of(task, LAST_ACTIONS).size + _WAY_SIZE
    state = spaces.Box(-_NUMBERS, _NUMBERS, (state_size,), np.float32)
    place = spaces.Box(-_PLACES_M, _PLACES_M, (_GOAL_SIZE,), np.float32)
    if mode == "state":
        return spaces.Dict({"observation": state, "achieved_goal": place, "desired_goal": place})
    known = spaces.Box(-_NUMBERS, _NUMBERS, (_SPEC.vector_size - _GOAL_SIZE,), np.float32)
    if mode == "robot":
        return spaces.Dict({"observation": known, "achieved_goal": place, "desired_goal": place})
    seen: dict[str, spaces.Space[Any]] = {
        "observation": known,
        "desired_goal": place,
        "rgb": spaces.Box(0, 255, (IMAGE.size, IMAGE.size, 3), np.uint8),
        "depth_mm": spaces.Box(0, 65535, (IMAGE.size, IMAGE.size), np.uint16),
    }
    return spaces.Dict(seen if mode == "rgbd" else seen | {"state": state, "achieved_goal": place})


def make_observation(
    mode: ObservationMode, arrival: Arrival, last_actions: FloatArray, achieved_goal: FloatArray
) -> Observation:
    """Return the observation when a frame has come; ``achieved_goal`` (3,) is the present one.

    What a camera and a robot give is of the frame's own time, true states and the achieved goal are of now. In mode
    ``robot`` nothing is true: the achieved goal too is what a robot knows of its gripper.
    """
    loop, joints, commanded_rad = arrival.loop, arrival.joints, arrival.loop.setpoint.position
    goal_m = loop.sim.episode.goal_m
    known: Observation = {"desired_goal": goal_m.astype(np.float32)}
    if mode == "state":
        return known | {"observation": _state(loop, last_actions), "achieved_goal": achieved_goal.astype(np.float32)}
    if mode == "robot":
        stamp_ns, grip_position_m = arrival.captured.stamp_ns, loop.grip_position_m
        vector = observe_vector(_SPEC, stamp_ns, joints, commanded_rad, goal_m, last_actions, grip_position_m)
        grip_m = loop.grip_position_m(joints.position)
        return known | {"observation": vector[_GOAL_SIZE:], "achieved_goal": grip_m.astype(np.float32)}
    now = arrival.sensed()
    seen = observe(_SPEC, now.frame, now.camera, joints, commanded_rad, goal_m, last_actions, loop.grip_position_m)
    image = seen.image
    shown = known | {"observation": seen.vector[_GOAL_SIZE:], "rgb": image.rgb, "depth_mm": image.depth_mm}
    if mode == "rgbd":
        return shown
    return shown | {"state": _state(loop, last_actions), "achieved_goal": achieved_goal.astype(np.float32)}


def _state(loop: ClosedLoop, last_actions: FloatArray) -> NDArray[np.float32]:
    """Return ``full_state``, and the way from the main object to the gripper in units of 0.1 m."""
    sim = loop.sim
    way = (sim.grip_position_m - sim.main_object().position_m) / _WAY_UNIT_M
    state: NDArray[np.float32] = np.concatenate([full_state(sim, loop.setpoint, last_actions), way], dtype=np.float32)
    return state
