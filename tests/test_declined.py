"""Every field of an episode's draw is honoured by Drake, made by the simulation, or declined with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Final, get_args, get_type_hints

from typer.testing import CliRunner

from fetch_sim2real.cli.main import app
from fetch_sim2real.sim.drake.declined import DECLINED, HONOURED, SHARED, UNUSED
from fetch_sim2real.sim.engine import declined_by
from fetch_sim2real.sim.randomization.sample import EpisodeSample

KNOWN: Final = (*HONOURED, *SHARED, *UNUSED, *(each.part for each in DECLINED))


def unaccounted(kind: Any, prefix: str = "") -> Iterator[str]:
    """Fields of a dataclass, those of dataclasses in it as ``outer.inner``, that nothing is said of."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        name = f"{prefix}{field.name}"
        if name in KNOWN:
            continue
        inner = next(filter(is_dataclass, (hints[field.name], *get_args(hints[field.name]))), None)
        if inner is None:
            yield name
        else:
            yield from unaccounted(inner, f"{name}.")


def has(kind: Any, name: str) -> bool:
    """Whether a dataclass has the field ``outer.inner``."""
    first, _, rest = name.partition(".")
    if first not in {field.name for field in fields(kind)}:
        return False
    hint = get_type_hints(kind)[first]
    return not rest or has(next(filter(is_dataclass, (hint, *get_args(hint)))), rest)


def test_each_field_of_a_draw_is_accounted_for_once() -> None:
    missing = list(unaccounted(EpisodeSample))
    assert not missing, f"{missing}: have sim/drake honour them, or say in sim/drake/declined.py what it does instead"
    assert len(KNOWN) == len(set(KNOWN))
    assert [name for name in KNOWN if not has(EpisodeSample, name)] == []


def test_the_engine_of_the_draws_declines_nothing() -> None:
    assert declined_by("mujoco") == ()
    assert declined_by("drake:hydroelastic") == DECLINED


def test_explaining_an_engine_names_what_it_declines_and_runs_nothing() -> None:
    result = CliRunner().invoke(app, ["sim", "--engine", "drake", "--explain"])
    assert result.exit_code == 0, result.output
    for each in DECLINED:
        assert each.part in result.output
