"""Blinded trials of two policies on a robot: the plan, what the operator's log says of it, and the verdict so far.

Trials come in pairs: both policies get the same start of the object and the same goal, in an order that is drawn. They
go by the names X and Y, which are drawn too, so that whoever judges success does not know which is which.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from pydantic import ValidationError

from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.common.outputs import write_text
from fetch_sim2real.common.schema import Record, Vector3
from fetch_sim2real.common.validation import complaint_of, field_of
from fetch_sim2real.errors import SetupError
from fetch_sim2real.evaluation.sequential import Comparison, compare_pairs
from fetch_sim2real.operation.log import OperationLog
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.sim.randomization.sample import draw_episode
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task

Code = Literal["X", "Y"]
CODES: Final[tuple[Code, Code]] = ("X", "Y")
_SCORES: Final = {"success": 1.0, "unclear": 0.5, "failure": 0.0}
_PLAN, _KEY, _SCHEDULE, _LOG = "plan.json", "key.json", "schedule.csv", "log.jsonl"
_SAME_GOAL_M: Final = 0.002


class Pair(Record):
    """Two trials of the same situation: which policy first, where the object is put, and the goal."""

    order: tuple[Code, Code]
    object_m: Vector3
    object_yaw_deg: float
    goal_m: Vector3


class Plan(Record):
    """What is to be done: ``bundles`` has the hash of what X is and of what Y is."""

    task: str
    goal_frame: str
    bundles: dict[Code, str]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Trial:
    """The next trial: its number from 1 on, the policy's code, and the pair that it belongs to."""

    number: int
    code: Code
    pair: Pair


@dataclass(frozen=True)
class Progress:
    """How far trials are: the ``scores`` of complete pairs, X's and Y's, what they say, and the trial that is next."""

    scores: tuple[tuple[float, float], ...]
    comparison: Comparison
    next: Trial | None


class TrialFolder:
    """A folder with the plan, both bundles under their codes, the key, and the operator's log."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def log(self) -> OperationLog:
        """The log that ``operate --log`` writes."""
        return OperationLog(self.path / _LOG)

    def bundle(self, code: Code) -> Path:
        """Return the bundle's folder."""
        return self.path / code

    def begin(self, policies: Sequence[tuple[str, Path, PolicyBundle]], pairs: int, seed: int) -> Plan:
        """Write a plan for two policies, (name, folder, bundle) each.

        Raises SetupError for policies that cannot be compared, and for a folder that holds something already.
        """
        if self.path.exists() and any(self.path.iterdir()):
            raise SetupError(f"{self.path} is not empty, expected a new folder: a plan is made once")
        (_, _, first), (_, _, second) = policies
        if first.sha256 == second.sha256:
            raise SetupError(f"both policies are the bundle {first.sha256[:12]}, expected two different ones")
        if first.manifest.task != second.manifest.task:
            tasks = f"'{first.manifest.task}' and '{second.manifest.task}'"
            raise SetupError(f"the policies are for the tasks {tasks}, expected the same one")
        rng = np.random.default_rng([seed, 31])
        assigned = dict(zip(CODES, (policies[index] for index in rng.permutation(2)), strict=True))
        plan = Plan(
            task=first.manifest.task,
            goal_frame=first.manifest.goal.frame,
            bundles={code: bundle.sha256 for code, (_, _, bundle) in assigned.items()},
            pairs=tuple(_draw_pair(first, seed + index, rng) for index in range(pairs)),
        )
        self.path.mkdir(parents=True, exist_ok=True)
        for code, (_, folder, _) in assigned.items():
            shutil.copytree(folder, self.bundle(code))
        write_text(json.dumps({code: name for code, (name, _, _) in assigned.items()}), self.path / _KEY)
        write_text(_schedule(plan), self.path / _SCHEDULE)
        write_text(plan.model_dump_json(indent=1), self.path / _PLAN)
        return plan

    def plan(self) -> Plan:
        """Return the plan. SetupError where there is none."""
        path = self.path / _PLAN
        if not path.is_file():
            raise SetupError(f"{self.path} holds no {_PLAN}: make one with `fetch-sim2real trials plan`")
        try:
            return Plan.model_validate_json(path.read_text(encoding="utf-8"))
        except (ValidationError, UnicodeDecodeError) as error:
            told = "not UTF-8"
            if isinstance(error, ValidationError):
                first = error.errors()[0]
                told = f"{field_of(first, 'plan')}: {complaint_of(first)}"
            raise SetupError(f"{path}: {told}") from None

    def names(self) -> dict[str, str]:
        """Return which policy X is and which Y: ends the blinding."""
        names: dict[str, str] = json.loads((self.path / _KEY).read_text(encoding="utf-8"))
        return names

    def progress(self) -> Progress:
        """Return how far the log is through the plan.

        Raises SetupError for a run that is not the one whose turn it was, with its number.
        """
        plan = self.plan()
        trials = [(code, pair) for pair in plan.pairs for code in pair.order]
        codes = {sha256: code for code, sha256 in plan.bundles.items()}
        labels = [event.detail for event in self.log.events() if event.event == "label"]
        done: list[float] = []
        for number, label in enumerate(labels, start=1):
            if number > len(trials):
                break
            code, pair = trials[number - 1]
            ran = codes.get(str(label.get("policy_sha256")))
            if ran != code:
                raise SetupError(f"trial {number} was of {ran or 'a policy that is not in the plan'}, expected {code}")
            goal = label.get("goal")
            goal_m: Any = goal.get("position_m") if isinstance(goal, dict) else None
            if goal_m is None or float(np.abs(np.subtract(goal_m, pair.goal_m)).max()) > _SAME_GOAL_M:
                raise SetupError(f"trial {number} had the goal {goal_m}, expected {list(pair.goal_m)}")
            done.append(_SCORES[str(label["outcome"])])
        scores = []
        for (one, other), pair in zip(zip(done[::2], done[1::2], strict=False), plan.pairs, strict=False):
            scores.append((one, other) if pair.order == CODES else (other, one))
        following = Trial(len(done) + 1, *trials[len(done)]) if len(done) < len(trials) else None
        return Progress(tuple(scores), compare_pairs([x - y for x, y in scores]), following)


def _draw_pair(bundle: PolicyBundle, seed: int, rng: np.random.Generator) -> Pair:
    """Draw a start and a goal as the nominal world does."""
    world, task = load_world("nominal", worlds_dir()), find_task(bundle.manifest.task)
    drawn = draw_episode(world, task, seed, DifferentialIk(world.workcell.torso_height_m))
    x, y, z = (round(float(value), 3) for value in drawn.main_object.position_m)
    goal = tuple(round(float(value), 3) for value in drawn.goal_m)
    order: tuple[Code, Code] = ("X", "Y") if rng.random() < 0.5 else ("Y", "X")
    yaw_deg = round(float(np.rad2deg(drawn.main_object.yaw_rad)), 0)
    return Pair(order=order, object_m=(x, y, z), object_yaw_deg=yaw_deg, goal_m=goal)  # type: ignore[arg-type]  # three


def _schedule(plan: Plan) -> str:
    """Return the trials as a table to print and write on."""
    text = io.StringIO()
    table = csv.writer(text)
    where = ("object x [m]", "object y [m]", "object yaw [deg]", f"goal in {plan.goal_frame} [m]")
    table.writerow(["trial", "pair", "policy", *where, "outcome", "note"])
    for index, pair in enumerate(plan.pairs):
        x, y, _ = pair.object_m
        goal = " ".join(f"{value:g}" for value in pair.goal_m)
        for place, code in enumerate(pair.order):
            number = 2 * index + place + 1
            table.writerow([number, index + 1, code, x, y, pair.object_yaw_deg, goal, "", ""])
    return text.getvalue()
