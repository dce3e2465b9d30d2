"""What learning needs to know of a task beyond its definition: normalization, relations, a demonstrator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fetch_sim2real.graph import BLOCK_FRAME
from fetch_sim2real.perception.observe import ObservationSpec, ScaledValue
from fetch_sim2real.perception.preprocess import Channels
from fetch_sim2real.policy.default_observation import IMAGE, observation_spec
from fetch_sim2real.policy.network import ActorSpec, default_actor_spec
from fetch_sim2real.policy.relations import Relation
from fetch_sim2real.tasks.registry import Task, find_task
from fetch_sim2real.training import demonstrators
from fetch_sim2real.training.demonstrators import Demonstrator

# The bottleneck is where object and gripper are seen: positions in base_link, learned from pictures.
SEEN: Final = {"seen_object": (0.63, 0.0, 0.745), "seen_grip": (0.63, 0.0, 0.82)}
# Where the two stand in the bottleneck.
SEEN_OBJECT: Final = slice(0, 3)
SEEN_GRIP: Final = slice(3, 6)
_SEEN_SCALE_M: Final = 0.1
_RELATION_SCALE_M: Final = 0.05


@dataclass(frozen=True)
class LearningTask:
    """A task with the normalization of its goals (3,) [m] and a demonstrator on true positions."""

    task: Task
    goal_centre_m: tuple[float, float, float]
    goal_scale_m: tuple[float, float, float]
    demonstrate: Demonstrator

    def observation_spec(self, proprioception: bool, channels: Channels = "rgbd") -> ObservationSpec:
        """As ``sim.cell.observation_spec``, with the normalization of the task's goals."""
        image = IMAGE.model_copy(update={"channels": channels})
        return observation_spec(proprioception, self.goal_centre_m, self.goal_scale_m, image)

    def actor_spec(self, proprioception: bool) -> ActorSpec:
        """The architecture, with the differences of positions that decide the task."""
        grips = ("grip", "commanded", "seen_grip") if proprioception else ("seen_grip",)
        pairs: list[tuple[tuple[str, ...], tuple[str, ...]]]
        if self.task.goal_frame == BLOCK_FRAME:
            pairs = [(("goal", "seen_object"), (grip,)) for grip in grips]
        else:
            target = "seen_object" if self.task.target == "object" else grips[0]
            pairs = [(("goal",), (target,))]
            if self.task.object is not None:
                pairs += [(("seen_object",), (grip,)) for grip in grips]
        if proprioception:
            # Motion on its way.
            pairs.append((("commanded",), ("grip",)))
        relations = tuple(Relation(plus=plus, minus=minus, scale_m=_RELATION_SCALE_M) for plus, minus in pairs)
        return default_actor_spec(_auxiliary(), relations=relations)


def _auxiliary() -> tuple[ScaledValue, ...]:
    return tuple(
        ScaledValue(name=f"{stem}_{axis}", centre=centre[i], scale=_SEEN_SCALE_M)
        for stem, centre in SEEN.items()
        for i, axis in enumerate("xyz")
    )


_TABLE_GOAL: Final = ((0.63, 0.0, 0.78), (0.1, 0.1, 0.1))
LEARNING_TASKS: Final[dict[str, LearningTask]] = {
    "reach": LearningTask(find_task("reach"), (0.63, 0.0, 0.85), (0.1, 0.1, 0.1), demonstrators.reach),
    "reach_block": LearningTask(
        find_task("reach_block"), (0.0, 0.0, 0.12), (0.1, 0.1, 0.1), demonstrators.reach_block
    ),
    "push": LearningTask(find_task("push"), *_TABLE_GOAL, demonstrators.push),
    "pick_and_place": LearningTask(find_task("pick_and_place"), *_TABLE_GOAL, demonstrators.pick_and_place),
}
