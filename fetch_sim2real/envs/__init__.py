"""Gymnasium environments of the tasks, with the control path that is deployed: see docs/environments.md.

Importing this package registers ``FetchSim2Real/Reach-v0``, ``ReachBlock-v0``, ``Push-v0``, ``Slide-v0`` and
``PickAndPlace-v0``, and an environment for each task that another installed package adds (docs/tasks.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import gymnasium

from fetch_sim2real.tasks.registry import require_task_name, task_names

if TYPE_CHECKING:
    from fetch_sim2real.envs.environment import FetchEnvironment
    from fetch_sim2real.envs.vector import FetchVectorEnvironment


def environment_id(task: str) -> str:
    """Return the id under which the environment of ``task`` is registered: reach_block's is
    FetchSim2Real/ReachBlock-v0.
    """
    return f"FetchSim2Real/{''.join(word.capitalize() for word in task.split('_'))}-v0"


for _task in task_names():
    gymnasium.register(
        environment_id(_task),
        entry_point="fetch_sim2real.envs.environment:FetchEnvironment",
        vector_entry_point="fetch_sim2real.envs.vector:FetchVectorEnvironment",
        kwargs={"task": _task},
    )


@overload
def make_env(
    task: str = "push",
    *,
    num_envs: None = None,
    world: str = "randomized",
    observation_mode: str = "state",
    render_mode: str | None = None,
    reward_tolerance_m: float | None = None,
    reward_type: str = "sparse",
) -> FetchEnvironment: ...


@overload
def make_env(
    task: str = "push",
    *,
    num_envs: int,
    world: str = "randomized",
    observation_mode: str = "state",
    render_mode: str | None = None,
    reward_tolerance_m: float | None = None,
    reward_type: str = "sparse",
) -> FetchVectorEnvironment: ...


def make_env(task: str = "push", *, num_envs: int | None = None, **arguments: Any) -> Any:
    """Return the environment of ``task``, or ``num_envs`` of them that are stepped together: docs/environments.md says
    what the arguments mean. FetchSim2RealError for names that do not exist.

    It is what ``gymnasium.make`` and ``make_vec`` make, without their wrappers.
    """
    made = environment_id(require_task_name(task))
    if num_envs is None:
        return gymnasium.make(made, disable_env_checker=True, **arguments).unwrapped
    return gymnasium.make_vec(made, num_envs=num_envs, vectorization_mode="vector_entry_point", **arguments)
