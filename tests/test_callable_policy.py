"""A callable acts where a policy does, or its action is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_bundle import make_content, make_observations

from fetch_sim2real.errors import ObservationError
from fetch_sim2real.perception.observe import Observation
from fetch_sim2real.policy.callable_policy import CallablePolicy

SEEN = make_observations(make_content(), 3)


class Counting:
    """Acts by how often it was asked since it was reset."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, observation: Observation) -> list[float]:
        self.asked += 1
        return [self.asked / 10, float(np.tanh(observation.vector[0])), 0.0, -1.0]

    def reset(self) -> None:
        self.asked = 0


def test_each_environment_has_its_own() -> None:
    policy = CallablePolicy(Counting(), Counting())
    assert not policy.is_verified
    assert policy.act(SEEN[:2])[:, 0].tolist() == [0.1, 0.1]
    assert policy.act(SEEN[:1], [1])[:, 0].tolist() == [0.2]
    policy.reset([1])
    actions = policy.act(SEEN[:2])
    assert actions[:, 0].tolist() == [0.2, 0.1] and actions.dtype == np.float64
    policy.reset()
    assert policy.act(SEEN[:2])[:, 0].tolist() == [0.1, 0.1]


def test_a_function_that_remembers_nothing_needs_no_reset() -> None:
    policy = CallablePolicy(*[lambda seen: np.zeros(4)] * 3)
    policy.reset()
    assert np.array_equal(policy.act(SEEN), np.zeros((3, 4)))


@pytest.mark.parametrize("given", [[0, 0, 0], np.zeros((1, 4)), [0, 0, 0, 1.5], [0, 0, np.nan, 0], None, "left"])
def test_what_is_no_action_is_refused(given: Any) -> None:
    with pytest.raises(ObservationError, match=r"the callable returned .*expected an action of 4 numbers in \[-1, 1\]"):
        CallablePolicy(lambda seen: given).act(SEEN[:1])


def test_as_many_observations_as_environments_are_expected() -> None:
    with pytest.raises(ObservationError, match="3 observations came for 1 environments"):
        CallablePolicy(Counting()).act(SEEN)
    with pytest.raises(ObservationError, match="expected one for each environment"):
        CallablePolicy()
