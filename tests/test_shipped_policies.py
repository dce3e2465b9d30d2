"""Every policy that is shipped loads: its hashes match and it reproduces its golden actions."""

from __future__ import annotations

import pytest

from fetch_sim2real import paths
from fetch_sim2real.policy.bundle import load_bundle


@pytest.mark.parametrize("name", paths.policy_names())
def test_a_shipped_policy_loads(name: str) -> None:
    assert load_bundle(paths.find_policy(name)).manifest.task
