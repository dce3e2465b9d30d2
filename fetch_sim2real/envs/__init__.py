"""Gymnasium environments of the tasks, with the control path that is deployed: see docs/environments.md.

Importing this package registers ``FetchSim2Real/Reach-v0``, ``ReachBlock-v0``, ``Push-v0``, ``Slide-v0`` and
``PickAndPlace-v0``, and an environment for each task that another installed package adds (docs/tasks.md).
"""

from __future__ import annotations

import gymnasium

from fetch_sim2real.tasks.registry import task_names


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
