"""Settings of a relay run: defaults, and what a file and ``NAME=VALUE`` state instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, get_type_hints

import yaml
from pydantic import ValidationError, create_model

from fetch_sim2real.common.schema import Count, PositiveFloat, Record
from fetch_sim2real.common.validation import complaint_of, one_line, shortened
from fetch_sim2real.common.yaml_files import YamlFileError, read_yaml
from fetch_sim2real.errors import SetupError
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.training.defaults import ENOUGH, RELAY_STEPS
from fetch_sim2real.training.relay_her import RelaySettings

# These say for how long a run goes on, not what it is: they may change from call to call.
BUDGET: Final = ("steps", "until")
_REWARDED_SHARE: Final = 0.6
# Of a timed task there is one try, and nothing to decide after it. A tenth of a second is too long for one decision of
# how it is struck; the discount is the same in a second.
_TIMED: Final[Mapping[str, Any]] = {"rest_weight": 0.2, "periods_per_decision": 2, "gamma": 0.976}


@dataclass(frozen=True)
class RelayConfig(RelaySettings):
    """Everything that may be chosen about a relay run: what shapes learning, and how much of it there is.

    ``steps`` and ``evaluate_every`` are control periods, all environments together. Every so many the actor is judged
    by ``evaluation_episodes`` episodes on held-out training seeds. The run ends after ``steps``, or at a success of
    ``until`` in two judgements in a row.
    """

    steps: Count = RELAY_STEPS
    until: PositiveFloat = ENOUGH
    environments: Count = 16
    # Requests of as many episodes that are asked for ahead of learning: the actor that collects is as many rounds old.
    in_flight: Count = 1
    evaluation_episodes: Count = 48
    evaluate_every: Count = 60_000


def usual_settings(task: Task) -> dict[str, Any]:
    """Return what a run of ``task`` takes where nobody states it: the task's own budget, rewards by six tenths of the
    distance that is a success, and, where there is one try, shorter decisions and little of what comes after it."""
    usual = {
        "steps": task.learning.relay_steps or RELAY_STEPS,
        "tolerance_m": round(_REWARDED_SHARE * task.episode.tolerance_m, 4),
    }
    return usual | (dict(_TIMED) if task.timed else {})


def relay_config(stated: Mapping[str, Any], origin: str = "settings") -> RelayConfig:
    """Return the defaults with what is ``stated`` instead.

    Raises SetupError that names a setting that is unknown or impossible; ``origin`` is where it was stated.
    """
    try:
        return RelayConfig(**_SCHEMA.model_validate(dict(stated)).model_dump())
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        if problem["type"] == "extra_forbidden":
            near = get_close_matches(name, _SCHEMA.model_fields, n=1)
            meant = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(_SCHEMA.model_fields)}"
            raise SetupError(f"{origin}: there is no setting {shortened(repr(name))}, {meant}") from None
        raise SetupError(f"{origin}: '{name}': {complaint_of(problem)}") from None


def read_settings(path: Path | None, assignments: Sequence[str]) -> dict[str, Any]:
    """Return what the YAML file ``path`` and ``assignments`` of the form NAME=VALUE state; the latter come last.

    Raises SetupError for what cannot be read, and for settings as ``relay_config`` does.
    """
    stated: dict[str, Any] = {}
    if path is not None:
        origin = f"--config {path}"
        try:
            documents = read_yaml(path)
        except YamlFileError as error:
            raise SetupError(f"{origin} {error}") from None
        if len(documents) != 1 or not isinstance(documents[0], dict):
            raise SetupError(f"{origin} holds {len(documents)} document(s), expected one with lines 'setting: value'")
        stated = {str(name): value for name, value in documents[0].items()}
        relay_config(stated, origin)
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        origin = f"--set {assignment}"
        if not equals:
            raise SetupError(f"{origin}: expected NAME=VALUE, for example --set learning_rate=3e-4")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise SetupError(f"{origin} is not YAML: {one_line(error)}") from None
        relay_config({name: value}, origin)
        stated[name] = value
    return stated


def changed_settings(config: RelayConfig) -> dict[str, Any]:
    """Return the settings that are not the defaults."""
    return {name: value for name, value in asdict(config).items() if value != getattr(RelayConfig, name)}


def _schema() -> type[Record]:
    hints = get_type_hints(RelayConfig, include_extras=True)
    made: dict[str, Any] = {field.name: (hints[field.name], field.default) for field in fields(RelayConfig)}
    assert MISSING not in (default for _, default in made.values()), "settings all have defaults"
    return create_model("RelayConfig", __base__=Record, **made)


_SCHEMA: Final = _schema()
