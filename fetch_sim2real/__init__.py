"""Policies for a Fetch arm from RGB-D pictures, in Python: load one, run an episode, make an environment.

    import fetch_sim2real as fs

    result = fs.run_episode("push", world="randomized", seed=3)

docs/python_api.md says what there is. What ``__all__`` names stays as it is within a minor version. Plain Python
(numpy, torch, mujoco), importable without ROS; a name is imported when it is first used, so this package is at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fetch_sim2real.api.episode import EpisodeRecord, run_episode
    from fetch_sim2real.api.policy import LoadedPolicy, load_policy
    from fetch_sim2real.envs import make_env
    from fetch_sim2real.errors import FetchSim2RealError
    from fetch_sim2real.evaluation.recorded_episode import Moment
    from fetch_sim2real.paths import policy_names, world_names
    from fetch_sim2real.perception.camera import CameraModel
    from fetch_sim2real.policy.runtime import Sensed
    from fetch_sim2real.types import JointSample

__all__ = (
    "CameraModel",
    "EpisodeRecord",
    "FetchSim2RealError",
    "JointSample",
    "LoadedPolicy",
    "Moment",
    "Sensed",
    "__version__",
    "load_policy",
    "make_env",
    "policy_names",
    "run_episode",
    "world_names",
)

if not TYPE_CHECKING:
    # Type checkers take the imports above; to them a function that answers any name would hide misspelt ones.
    _HOMES = {
        "CameraModel": "fetch_sim2real.perception.camera",
        "EpisodeRecord": "fetch_sim2real.api.episode",
        "FetchSim2RealError": "fetch_sim2real.errors",
        "JointSample": "fetch_sim2real.types",
        "LoadedPolicy": "fetch_sim2real.api.policy",
        "Moment": "fetch_sim2real.evaluation.recorded_episode",
        "Sensed": "fetch_sim2real.policy.runtime",
        "load_policy": "fetch_sim2real.api.policy",
        "make_env": "fetch_sim2real.envs",
        "policy_names": "fetch_sim2real.paths",
        "run_episode": "fetch_sim2real.api.episode",
        "world_names": "fetch_sim2real.paths",
    }

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module '{__name__}' has no '{name}', available: {', '.join(__all__)}")
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
