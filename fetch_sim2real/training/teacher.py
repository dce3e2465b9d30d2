"""The expert of a relay run as a teacher: asked, in every control period, what it would do in the true state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray

from fetch_sim2real.episode import Arrival
from fetch_sim2real.errors import SetupError
from fetch_sim2real.perception.observe import ActionHistory
from fetch_sim2real.sim.full_state import layout_of
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.relay_config import RelayConfig
from fetch_sim2real.training.relay_her import SkillActor, SteadyActor
from fetch_sim2real.training.relay_rollout import LAST_ACTIONS, Weights, true_state
from fetch_sim2real.training.run_directory import RunDirectory


@dataclass(frozen=True)
class Expert:
    """A finished actor of relay HER: its task, the settings of its run, its weights. Picklable."""

    task: str
    config: RelayConfig
    weights: Weights

    @staticmethod
    def of_run(run: RunDirectory) -> Expert:
        """Return the best actor of a run of ``--stage expert``. SetupError if the folder holds none."""
        if not run.best.exists():
            raise SetupError(f"{run.path} holds no {run.best.name}, expected a run of train --stage expert")
        stored = run.load(run.last)["run"]
        settings = {field.name: stored[field.name] for field in fields(RelayConfig) if field.name in stored}
        average = run.load(run.best)["learner"]["average"]
        weights = {name: value.numpy() for name, value in average.items()}
        return Expert(stored["task"], RelayConfig(**settings), weights)


class Teacher:
    """Asks an expert in N environments; see ``SteadyActor`` for how its answers become actions."""

    def __init__(self, expert: Expert, count: int) -> None:
        task = find_task(expert.task)
        size = layout_of(task, LAST_ACTIONS).size
        # Asked as it was measured.
        self._actor = SkillActor(size, task.skills, replace(expert.config, precision="float32"))
        self._actor.load_state_dict({name: torch.from_numpy(value) for name, value in expert.weights.items()})
        self._periods, self._count = expert.config.periods_per_decision, count

    def reset(self) -> None:
        """Begin new episodes everywhere."""
        self._steady = SteadyActor(self._actor, self._periods, self._count)

    def actions(self, arrivals: Sequence[Arrival], histories: Sequence[ActionHistory]) -> NDArray[np.float64]:
        """Return the actions (N, 4) that the expert would do; ``histories`` are of all environments."""
        now = true_state(arrivals, histories)
        rows = [arrival.environment for arrival in arrivals]
        return self._steady.act(now.state, now.achieved_m, now.asked_m, rows)
