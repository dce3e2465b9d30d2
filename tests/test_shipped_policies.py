"""Each shipped policy solves its task: what the bundle carries, through observation, filter, delays and physics."""

from __future__ import annotations

import pytest

from fetch_sim2real.evaluation.measure import Case, measure
from fetch_sim2real.paths import find_policy, policy_names, worlds_dir
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.sim.world_file import load_world

_SEEDS = range(8)
_LEAST = 7


@pytest.mark.gl
@pytest.mark.slow
@pytest.mark.parametrize("name", policy_names())
def test_succeeds_in_the_nominal_world(name: str) -> None:
    case = Case(load_world("nominal", worlds_dir()))
    outcomes = list(measure(load_bundle(find_policy(name)), case, _SEEDS))
    solved = [outcome.seed for outcome in outcomes if outcome.success]
    assert len(solved) >= _LEAST, f"'{name}' solved seeds {solved} of {list(_SEEDS)}, expected at least {_LEAST}"
