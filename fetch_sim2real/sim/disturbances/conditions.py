"""What may happen to an episode beyond its world: unplanned changes, and imperfections that are injected on purpose.

Both follow from the episode's seed and from generators of their own, so that an episode with a change is otherwise the
same episode as without. They happen in simulated time, inside the simulated world: the nodes do not know.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Final, Literal, get_args

import numpy as np
from pydantic import Field, ValidationError, field_validator

from fetch_sim2real.common.schema import Record
from fetch_sim2real.common.validation import complaint_of, field_of
from fetch_sim2real.errors import FetchSim2RealError

Perturbation = Literal[
    "move_block", "shove", "move_goal", "push_arm", "bump_camera", "switch_light", "occlude", "keep_shoving", "hide"
]
PERTURBATIONS: Final[tuple[Perturbation, ...]] = get_args(Perturbation)
# Keys of generators, far from those that `draw_episode` takes: its sections are numbered from 0.
_FIRST_KEY: Final = 1000


class ConditionsError(FetchSim2RealError):
    """Conditions that do not exist or cannot be."""


class Faults(Record):
    """Imperfections of camera, robot and calibration, on top of the world's own. Zero is none.

    ``extra_latency_ms`` and ``jitter_ms`` (uniform from 0, drawn per frame) come on top of the camera's latency, and
    ``command_latency_ms`` on top of the time that a command takes;
    ``drop_share`` of the frames is lost; in ``freeze_share`` of them the camera repeats an old picture under a new
    stamp, a few frames in a row; ``depth_noise_px`` is disparity noise (``sim.sensors.depth_camera``);
    ``joint_bias_deg`` an error of each arm joint's zero, its sign drawn; ``calibration_mm`` and ``calibration_deg`` a
    shift and a turn of the true camera in a drawn direction, which the stack is not told.
    """

    extra_latency_ms: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.0
    jitter_ms: Annotated[float, Field(ge=0.0, le=500.0)] = 0.0
    drop_share: Annotated[float, Field(ge=0.0, le=0.95)] = 0.0
    freeze_share: Annotated[float, Field(ge=0.0, le=0.95)] = 0.0
    depth_noise_px: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    joint_bias_deg: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    calibration_mm: Annotated[float, Field(ge=0.0, le=200.0)] = 0.0
    calibration_deg: Annotated[float, Field(ge=0.0, le=20.0)] = 0.0
    command_latency_ms: Annotated[float, Field(ge=0.0, le=500.0)] = 0.0

    def stated(self) -> dict[str, float]:
        """Return those that are not zero."""
        return {name: value for name, value in self.model_dump().items() if value}


NO_FAULTS: Final = Faults()
FAULTS: Final = tuple(Faults.model_fields)
# What draws has a generator by its place in here. New uses come last: episodes of earlier versions stay the same.
_USES: Final = (*PERTURBATIONS[:7], *FAULTS, *PERTURBATIONS[7:])


class Conditions(Record):
    """The unplanned changes (each at most once in an episode) and the imperfections of an episode."""

    perturb: tuple[Perturbation, ...] = ()
    faults: Faults = NO_FAULTS

    @field_validator("perturb")
    @classmethod
    def _each_once(cls, value: tuple[Perturbation, ...]) -> tuple[Perturbation, ...]:
        if len(set(value)) != len(value):
            raise ValueError(f"got {list(value)}, expected each change once")
        return value

    def and_moved_block(self) -> Conditions:
        """Return the same with the object moved on the way."""
        if "move_block" in self.perturb:
            return self
        return self.model_copy(update={"perturb": (*self.perturb, "move_block")})

    def to_text(self) -> str:
        """Return JSON, empty for no conditions: what a parameter of the bridge holds."""
        return "" if self == NO_CONDITIONS else self.model_dump_json()

    @staticmethod
    def from_text(text: str) -> Conditions:
        """Invert ``to_text``; ConditionsError for a text that says something else."""
        if not text.strip():
            return NO_CONDITIONS
        try:
            return conditions_of(json.loads(text))
        except ValueError as error:
            raise ConditionsError(f"conditions are not JSON ({error}): {text[:80]!r}") from None

    def summary(self) -> str:
        """Return the conditions for a person, empty for none."""
        return ", ".join([*self.perturb, *(f"{name} {value:g}" for name, value in self.faults.stated().items())])


NO_CONDITIONS: Final = Conditions()


def conditions_of(values: object) -> Conditions:
    """Check plain values and return their conditions. ConditionsError names the field that is wrong."""
    try:
        return Conditions.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConditionsError(
            f"{field_of(first, 'conditions')}: {complaint_of(first)}; changes are "
            f"{', '.join(PERTURBATIONS)}, faults {', '.join(FAULTS)}"
        ) from None


def faults_of(texts: Sequence[str]) -> dict[str, float]:
    """Return the faults that a command line states, ``name=size`` each. ConditionsError if one is not of that form."""
    faults: dict[str, float] = {}
    for text in texts:
        name, _, size = text.partition("=")
        try:
            faults[name] = float(size)
        except ValueError:
            raise ConditionsError(
                f"a fault is '{text}', expected name=size with a name of {', '.join(FAULTS)}"
            ) from None
    return faults


def generator(seed: int, use: str) -> np.random.Generator:
    """Return the generator of one use (a perturbation or a fault) in the episode of ``seed``."""
    key = _USES.index(use)  # a name that is not in it raises
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_FIRST_KEY + key,)))
