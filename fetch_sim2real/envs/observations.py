"""What the environments show, by observation mode. The goal is in ``desired_goal`` alone, so that hindsight can
replace it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from fetch_sim2real.episode import Arrival, ClosedLoop
from fetch_sim2real.errors import FetchSim2RealError, ObservationError
from fetch_sim2real.perception.observe import Observation as ActorObservation
from fetch_sim2real.perception.observe import ObservationSpec, observe, observe_vector, with_goal
from fetch_sim2real.perception.preprocess import Image
from fetch_sim2real.policy.default_observation import IMAGE, LAST_ACTIONS, observation_spec
from fetch_sim2real.sim.full_state import full_states, layout_of
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.types import FloatArray

ObservationMode = Literal["state", "robot", "rgbd", "asymmetric"]
PICTURE_MODES: Final = ("rgbd", "asymmetric")
Observation = dict[str, Any]
"""Arrays by name."""



class PictureObservation(dict[str, Any]):
    """What the mode ``rgbd`` shows: who looks for the achieved goal there is told where it is."""

    def __missing__(self, name: str) -> Any:
        if name != "achieved_goal":
            raise KeyError(name)
        raise FetchSim2RealError(
            "observation_mode 'rgbd' has no 'achieved_goal', because no policy is to get by accident what only a "
            "simulator knows: for hindsight (HER) use observation_mode='asymmetric' and leave 'achieved_goal' and "
            "'state' out of the policy's inputs, or take info['achieved_goal']"
        )


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
    """Return the space of a row of ``make_observations``'s result in ``task``."""
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


def make_observations(
    mode: ObservationMode, arrivals: Sequence[Arrival], last_actions: FloatArray, achieved_m: FloatArray
) -> Observation:
    """Return the observations, in arrays of N rows, when a frame has come in each of N environments of one task.

    ``last_actions`` (N, n, 4); ``achieved_m`` (N, 3) are the present achieved goals. What a camera and a robot give is
    of the frame's own time, true states and achieved goals are of now. In mode ``robot`` nothing is true: the achieved
    goal too is what a robot knows of its gripper.
    """
    loops = [arrival.loop for arrival in arrivals]
    goal_m = np.array([loop.sim.episode.goal_m for loop in loops])
    shown: Observation = {"desired_goal": goal_m.astype(np.float32)}
    if mode == "state":
        return shown | {"observation": _states(loops, last_actions), "achieved_goal": achieved_m.astype(np.float32)}
    if mode == "robot":
        known = [_known(*of_row) for of_row in zip(arrivals, goal_m, last_actions, strict=True)]
        grip_m = [arrival.loop.grip_position_m(arrival.joints.position) for arrival in arrivals]
        return shown | {"observation": np.array(known), "achieved_goal": np.array(grip_m, np.float32)}
    seen = [_seen(*of_row) for of_row in zip(arrivals, goal_m, last_actions, strict=True)]
    shown |= {name: np.array([each[name] for each in seen]) for name in seen[0]}
    if mode == "rgbd":
        return PictureObservation(shown)
    return shown | {"state": _states(loops, last_actions), "achieved_goal": achieved_m.astype(np.float32)}


def _known(arrival: Arrival, goal_m: FloatArray, last_actions: FloatArray) -> NDArray[np.float32]:
    loop, stamp_ns, commanded_rad = arrival.loop, arrival.captured.stamp_ns, arrival.loop.setpoint.position
    grip_position_m = loop.grip_position_m
    vector = observe_vector(_SPEC, stamp_ns, arrival.joints, commanded_rad, goal_m, last_actions, grip_position_m)
    return vector[_GOAL_SIZE:]


def _seen(arrival: Arrival, goal_m: FloatArray, last_actions: FloatArray) -> Observation:
    now, loop = arrival.sensed(), arrival.loop
    commanded_rad, grip_position_m = loop.setpoint.position, loop.grip_position_m
    seen = observe(_SPEC, now.frame, now.camera, arrival.joints, commanded_rad, goal_m, last_actions, grip_position_m)
    return {"observation": seen.vector[_GOAL_SIZE:], "rgb": seen.image.rgb, "depth_mm": seen.image.depth_mm}


def _states(loops: Sequence[ClosedLoop], last_actions: FloatArray) -> NDArray[np.float32]:
    """Return ``full_states``, and the way from the main object to the gripper in units of 0.1 m."""
    sims = [loop.sim for loop in loops]
    full = full_states(sims, [loop.setpoint for loop in loops], last_actions)
    way_m = np.array([sim.grip_position_m - sim.main_object().position_m for sim in sims])
    return np.concatenate([full, way_m / _WAY_UNIT_M], axis=1, dtype=np.float32)


def actor_observations(shown: Observation, spec: ObservationSpec) -> list[ActorObservation]:
    """Return what an actor gets of N rows that a picture mode shows: the same pictures and numbers, and the goal.

    ``desired_goal`` is rounded to float32 here, so the actions may differ in their last bits from those on frames.
    ObservationError if the actor sees other pictures or numbers than environments show.
    """
    if spec.image != IMAGE:
        raise ObservationError(f"the policy's image is {spec.image}, environments show {IMAGE}: give it camera frames")
    places = {value: place for place, value in enumerate(_SPEC.vector[_GOAL_SIZE:])}
    wanted = spec.vector[_GOAL_SIZE:]
    if others := [value for value in wanted if value not in places]:
        raise ObservationError(
            f"the policy is told {', '.join(map(str, others))}, environments do not show it so: give it camera frames"
        )
    columns, size = [places[value] for value in wanted], len(places)
    known = np.asarray(shown["observation"])
    if known.ndim != 2 or known.shape[1] != size or known.dtype != np.float32 or not np.all(np.isfinite(known)):
        raise ObservationError(
            f"observation is {known.shape} {known.dtype}, expected rows of {size} finite numbers, float32: give what "
            "the environment gave, without a wrapper that normalizes"
        )
    goals_m = np.asarray(shown["desired_goal"], np.float64)
    return [
        ActorObservation(Image(rgb, depth_mm), with_goal(spec, goal_m, row[columns]))
        for rgb, depth_mm, goal_m, row in zip(shown["rgb"], shown["depth_mm"], goals_m, known, strict=True)
    ]
