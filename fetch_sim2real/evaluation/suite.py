"""A suite: named cases to evaluate, as a YAML file says it.

At the top stand ``description`` and ``cases``, and beside them values that hold for every case that does not state its
own. ``sweep: {extra_latency_ms: [0, 40, 80]}`` in a case makes one case of each value, which are drawn as a curve.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError, model_validator

from fetch_sim2real.common.schema import Record
from fetch_sim2real.common.validation import complaint_of, field_of, shortened
from fetch_sim2real.common.yaml_files import YamlFileError, is_file, read_yaml
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.paths import expanded
from fetch_sim2real.policy.look_rate import EVERY_FRAME, LookRate
from fetch_sim2real.sim.disturbances.conditions import FAULTS, Conditions, Faults, Perturbation
from fetch_sim2real.sim.engine import DEFAULT_ENGINE
from fetch_sim2real.sim.seeds import FIRST_TRAINING_SEED

SUITES: Final = Path(__file__).resolve().parents[1] / "suites"
_SUFFIXES: Final = (".yaml", ".yml")
# The bridge's seeds are 32 bit, and training's are never evaluated.
_MAX_SEED: Final = min(FIRST_TRAINING_SEED, 2**31) - 1


class SuiteError(FetchSim2RealError):
    """A suite that does not exist or says something impossible."""


class Case(Record):
    """Episodes of one policy in one world, simulated by ``engine``, under the same conditions, one for each seed from
    ``seed`` on.

    ``policy`` is a shipped policy's name or a bundle's folder, ``task`` empty for the one it was trained for.
    ``swept`` names the fault of a case that belongs to the curve ``curve``. ``against`` is the name of another case,
    of the same seeds, that this one is compared with episode by episode.
    """

    name: Annotated[str, Field(min_length=1, max_length=80)]
    policy: str
    task: str = ""
    world: str = "randomized"
    engine: str = DEFAULT_ENGINE
    episodes: Annotated[int, Field(ge=1, le=10_000)] = 10
    seed: Annotated[int, Field(ge=0)] = 10_000
    look: LookRate = EVERY_FRAME
    blank_image: bool = False
    perturb: tuple[Perturbation, ...] = ()
    faults: Faults = Faults()
    curve: str = ""
    swept: str = ""
    against: str = ""

    @model_validator(mode="after")
    def _sound(self) -> Case:
        if self.seed + self.episodes - 1 > _MAX_SEED:
            raise ValueError(f"seeds go up to {self.seed + self.episodes - 1}, the last for evaluation is {_MAX_SEED}")
        return self

    @property
    def conditions(self) -> Conditions:
        return Conditions(perturb=self.perturb, faults=self.faults)

    @property
    def seeds(self) -> range:
        return range(self.seed, self.seed + self.episodes)

    @property
    def amount(self) -> float:
        """The size of the fault that the case's curve is about."""
        return float(getattr(self.faults, self.swept)) if self.swept else 0.0

    def summary(self) -> str:
        """Return what distinguishes the case, for a person; empty for a plain one."""
        parts = [f"in {self.engine}"] if self.engine != DEFAULT_ENGINE else []
        parts += [f"looks {self.look}"] if self.look != EVERY_FRAME else []
        parts += ["black images"] if self.blank_image else []
        return ", ".join(filter(None, [*parts, self.conditions.summary()]))


class Suite(Record):
    """Cases with different names, in the order in which they run."""

    name: str
    description: str
    cases: Annotated[tuple[Case, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _different_names(self) -> Suite:
        names = [case.name for case in self.cases]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"several cases are called {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _comparable(self) -> Suite:
        cases = {case.name: case for case in self.cases}
        for case in self.cases:
            if not case.against:
                continue
            other = cases.get(case.against)
            if other is None or other is case:
                raise ValueError(f"case {case.name} is against '{case.against}', expected the name of another case")
            if other.seeds != case.seeds:
                raise ValueError(
                    f"case {case.name} has the seeds {case.seeds[0]} to {case.seeds[-1]}, {other.name}, which it is "
                    f"against, {other.seeds[0]} to {other.seeds[-1]}; expected the same"
                )
        return self

    @property
    def total(self) -> int:
        """Episodes in all."""
        return sum(case.episodes for case in self.cases)

    def with_policy(self, policy: str, task_of: Callable[[str], str]) -> Suite:
        """Return the cases of the policy's task with that policy; ``task_of`` tells a policy's task.

        SuiteError if no case is of its task.
        """
        task = task_of(policy)
        kept = [case for case in self.cases if (case.task or task_of(case.policy)) == task]
        if not kept:
            tasks = sorted({case.task or task_of(case.policy) for case in self.cases})
            raise SuiteError(
                f"the policy {policy} is for the task '{task}', expected one of those of the suite {self.name}: "
                f"{', '.join(tasks)}. Choose another suite, or write one (docs/evaluation.md)"
            )
        names = {case.name for case in kept}
        cases = (
            case.model_copy(update={"policy": policy, "against": case.against if case.against in names else ""})
            for case in kept
        )
        return Suite(name=self.name, description=self.description, cases=tuple(cases))

    def items(self) -> Iterator[tuple[Case, int]]:
        """Yield every case with each of its seeds."""
        for case in self.cases:
            for seed in case.seeds:
                yield case, seed

    def sha256(self) -> str:
        """Return the hash that identifies what is asked for."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def suite_names() -> tuple[str, ...]:
    """Return the shipped suites."""
    return tuple(sorted(path.stem for path in SUITES.glob("*.yaml")))


def load_suite(name_or_path: str, overrides: dict[str, Any] | None = None, policy: str | None = None) -> Suite:
    """Return the shipped suite of that name, or the one at that path. ``overrides`` replace values of every case,
    ``policy`` is that of cases that state none.

    Raises:
        SuiteError: no such suite, not YAML, or a value that is missing, unknown or impossible (it is named).
    """
    path = _locate(name_or_path)
    try:
        documents = read_yaml(path)
    except YamlFileError as error:
        raise SuiteError(f"suite {path} {error}") from None
    content = documents[0] if len(documents) == 1 else documents
    if not isinstance(content, dict) or not isinstance(content.get("cases"), list):
        raise SuiteError(f"suite {path} must be a mapping with a list of 'cases'")
    if wrong := [case for case in content["cases"] if not isinstance(case, dict)]:
        raise SuiteError(f"suite {path}: a case is {shortened(repr(wrong[0]))}, expected a mapping")
    common = {} if policy is None else {"policy": policy}
    common |= {key: value for key, value in content.items() if key not in ("description", "cases")}
    cases = [each for case in content["cases"] for each in _swept(path, {**common, **case, **(overrides or {})})]
    try:
        return Suite(name=path.stem, description=str(content.get("description", "")), cases=tuple(cases))
    except ValidationError as error:
        raise SuiteError(_explained(path, error)) from None


def _locate(name_or_path: str) -> Path:
    path = expanded(name_or_path) if name_or_path.endswith(_SUFFIXES) else SUITES / f"{name_or_path}.yaml"
    if not is_file(path):
        raise SuiteError(
            f"there is no suite '{name_or_path}' (looked for {path}); shipped: {', '.join(suite_names())}, or a path "
            "ending in .yaml"
        )
    return path


def _swept(path: Path, values: dict[str, Any]) -> list[Case]:
    """One case, or one for each value of its sweep."""
    sweep = values.pop("sweep", None)
    try:
        if sweep is None:
            return [Case.model_validate(values)]
        faults = values.get("faults", {})
        if not (_is_sweep(sweep) and isinstance(faults, dict)):
            raise SuiteError(
                f"suite {path}: sweep is {shortened(repr(sweep))} beside faults {shortened(repr(faults))}, "
                "expected one fault and its values, for example "
                f"{{extra_latency_ms: [0, 60]}}; faults are {', '.join(FAULTS)}"
            )
        ((fault, sizes),) = sweep.items()
        return [
            Case.model_validate(
                {
                    **values,
                    "name": f"{values.get('name', '')} {fault}={size:g}",
                    "faults": {**faults, fault: size},
                    "curve": str(values.get("name", "")),
                    "swept": fault,
                }
            )
            for size in sizes
        ]
    except ValidationError as error:
        raise SuiteError(_explained(path, error)) from None


def _is_sweep(sweep: object) -> bool:
    """Whether it is one fault with a list of numbers."""
    if not isinstance(sweep, dict) or len(sweep) != 1:
        return False
    ((fault, sizes),) = sweep.items()
    return fault in FAULTS and isinstance(sizes, list) and all(type(size) in (int, float) for size in sizes)


def _explained(path: Path, error: ValidationError) -> str:
    first = error.errors()[0]
    return (
        f"suite {path}: {field_of(first, 'the suite')}: {complaint_of(first)} ({error.error_count()} problem(s) in all)"
    )
