"""What an actor for a task is given and how it is built: normalization, estimated positions, relative features."""

from __future__ import annotations

from typing import Final

from fetch_sim2real.common.layout import Layout
from fetch_sim2real.graph import BASE_FRAME
from fetch_sim2real.perception.observe import ObservationSpec, ScaledValue
from fetch_sim2real.perception.preprocess import Channels
from fetch_sim2real.policy.default_observation import IMAGE, observation_spec
from fetch_sim2real.policy.network import ActorSpec, MemorySpec, RelativeFeature, default_actor_spec
from fetch_sim2real.tasks.base import GRIPPER, Task

# The bottleneck is where objects and gripper are seen: positions in base_link, learned from pictures.
# One encoder serves all tasks with one object, whatever it is called. The names are those of bundle files.
ESTIMATED_OBJECT, ESTIMATED_GRIP = "seen_object", "seen_grip"
_OBJECT_CENTRE_M, _GRIP_CENTRE_M = (0.63, 0.0, 0.745), (0.63, 0.0, 0.82)
_ESTIMATE_SCALE_M: Final = 0.1
_Difference = tuple[tuple[str, ...], tuple[str, ...]]


def estimate_name(task: Task, name: str) -> str:
    """Return what the estimated position of the body ``name`` is called in actors for ``task``."""
    return ESTIMATED_OBJECT if len(task.bodies) == 1 else f"seen_{name}"


def estimate_layout(task: Task) -> Layout:
    """Return where the estimated positions stand in the bottleneck of an actor for ``task``: objects, then gripper."""
    return Layout({estimate_name(task, name): 3 for name in task.bodies} | {ESTIMATED_GRIP: 3})


def estimate_columns(spec: ActorSpec, stem: str) -> slice:
    """Return where the estimated position called ``stem`` stands in the auxiliary outputs of an actor."""
    first = [value.name for value in spec.auxiliary].index(f"{stem}_x")
    return slice(first, first + 3)


def task_observation_spec(task: Task, proprioception: bool, channels: Channels = "rgbd") -> ObservationSpec:
    """Return ``observation_spec`` with the normalization of the task's goals."""
    image = IMAGE.model_copy(update={"channels": channels})
    return observation_spec(proprioception, task.goal_centre_m, task.learning.goal_scale_m, image)


def task_actor_spec(task: Task, proprioception: bool, memory: MemorySpec | None = None) -> ActorSpec:
    """Return the architecture, with the differences of positions that decide the task."""
    grips = ("grip", "commanded", ESTIMATED_GRIP) if proprioception else (ESTIMATED_GRIP,)
    objects = {name: estimate_name(task, name) for name in task.objects}
    to_objects: list[_Difference] = [((seen,), (grip,)) for seen in objects.values() for grip in grips]
    wanted = ("goal",) if task.goal_frame == BASE_FRAME else ("goal", objects[task.goal_frame])
    if task.target == GRIPPER and task.goal_frame != BASE_FRAME:
        # Where the gripper is from the object is part of these.
        pairs: list[_Difference] = [(wanted, (grip,)) for grip in grips]
    else:
        target = grips[0] if task.target == GRIPPER else objects[task.target]
        pairs = [(wanted, (target,)), *to_objects]
    if proprioception:
        # Motion on its way.
        pairs.append((("commanded",), ("grip",)))
    scale_m = task.learning.difference_scale_m
    features = tuple(RelativeFeature(plus=plus, minus=minus, scale_m=scale_m) for plus, minus in pairs)
    # One with memory can make use of it: what was seen before is worth more than what is hidden now.
    sure_of = tuple(objects.values()) if memory else ()
    return default_actor_spec(_auxiliary(task), relative_features=features, memory=memory, sure_of=sure_of)


def _auxiliary(task: Task) -> tuple[ScaledValue, ...]:
    return tuple(
        ScaledValue(name=f"{stem}_{axis}", centre=centre, scale=_ESTIMATE_SCALE_M)
        for stem in estimate_layout(task).names
        for axis, centre in zip("xyz", _GRIP_CENTRE_M if stem == ESTIMATED_GRIP else _OBJECT_CENTRE_M, strict=True)
    )
