"""What the environments show, by observation mode. The goal is in ``desired_goal`` alone, so that hindsight can
replace it."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from fetch_sim2real.episode import ClosedLoop
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.perception.observe import observation_vector, observe
from fetch_sim2real.sim.full_state import full_state, full_state_size
from fetch_sim2real.sim.sensors.camera_timing import Captured
from fetch_sim2real.sim.training_setup import IMAGE, observation_spec
from fetch_sim2real.types import FloatArray

ObservationMode = Literal["state", "robot", "rgbd", "asymmetric"]
PICTURE_MODES: Final = ("rgbd", "asymmetric")
Observation = dict[str, Any]
"""Arrays by name."""

# Goals stay in metres here: only the part of the vector behind the goal is shown.
_SPEC: Final = observation_spec(True, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_GOAL_SIZE: Final = 3
_WAY_UNIT_M: Final = 0.1
STATE_SIZE: Final = full_state_size(_SPEC) + 3
# Nothing physical comes near these bounds; checkers want finite ones.
_NUMBERS: Final = 1e3
_PLACES_M: Final = 10.0


def require_mode(mode: str) -> ObservationMode:
    """``mode`` if it is one; FetchSim2RealError names the available ones."""
    for known in get_args(ObservationMode):
        if mode == known:
            return known  # type: ignore[no-any-return]
    raise FetchSim2RealError(f"observation_mode is '{mode}', expected one of: {', '.join(get_args(ObservationMode))}")


def observation_space(mode: ObservationMode) -> spaces.Dict:
    """The space of ``make_observation``'s result."""
    state = spaces.Box(-_NUMBERS, _NUMBERS, (STATE_SIZE,), np.float32)
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
    mode: ObservationMode, loop: ClosedLoop, captured: Captured, last_actions: FloatArray, achieved_goal: FloatArray
) -> Observation:
    """The observation when ``captured`` has come; ``achieved_goal`` (3,) is the present one.

    What a camera and a robot give is of the frame's own time, true states and the achieved goal are of now. In mode
    ``robot`` nothing is true: the achieved goal too is what a robot knows of its gripper.
    """
    goal_m = loop.sim.episode.goal_m
    known: Observation = {"desired_goal": goal_m.astype(np.float32)}
    if mode == "state":
        return known | {"observation": _state(loop, last_actions), "achieved_goal": achieved_goal.astype(np.float32)}
    joints = loop.joints_at(captured)
    if mode == "robot":
        grip_m, commanded_m = (loop.grip_position_m(q) for q in (joints.position, loop.setpoint.position))
        vector = observation_vector(_SPEC, goal_m, grip_m, joints.finger_position_m, commanded_m, last_actions)
        return known | {"observation": vector[_GOAL_SIZE:], "achieved_goal": grip_m.astype(np.float32)}
    assert captured.frame is not None, "the world was made without a camera"
    camera = loop.sim.camera_model
    seen = observe(
        _SPEC, captured.frame, camera, joints, loop.setpoint.position, goal_m, last_actions, loop.grip_position_m
    )
    image = seen.image
    shown = known | {"observation": seen.vector[_GOAL_SIZE:], "rgb": image.rgb, "depth_mm": image.depth_mm}
    if mode == "rgbd":
        return shown
    return shown | {"state": _state(loop, last_actions), "achieved_goal": achieved_goal.astype(np.float32)}


def _state(loop: ClosedLoop, last_actions: FloatArray) -> NDArray[np.float32]:
    """``full_state``, and the way from the object to the gripper in units of 0.1 m."""
    way = (loop.sim.grip_position_m - loop.sim.block_position_m) / _WAY_UNIT_M
    state: NDArray[np.float32] = np.concatenate([full_state(loop, last_actions), way], dtype=np.float32)
    return state
