"""A seeded share of ``benchmarks.mutations``: every input, broken, is taken or refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("roslibpy")

from benchmarks.mutations.campaign import Input, try_mutants
from benchmarks.mutations.inputs import all_inputs
from benchmarks.mutations.mutators import broken_bytes, broken_json
from fetch_sim2real.errors import ObservationError

pytestmark = pytest.mark.ros

SEED = 7
# Mutants of each input; those that take milliseconds each are fewer.
FAST, SLOW = 200, 12
SLOW_INPUTS = ("color", "depth", "camera_info", "world", "extending_world", "bundle", "bag_mcap", "bag_sqlite")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Input]]:
    with all_inputs(tmp_path_factory.mktemp("mutations")) as made:
        yield made


def test_every_input_survives_being_broken(inputs: list[Input]) -> None:
    for tried in inputs:
        tally = try_mutants(tried, range(SLOW if tried.name in SLOW_INPUTS else FAST), SEED)
        assert not tally.failures, tally.failures[0]
        assert tally.refused, f"no mutant of {tried.name} was refused"


def test_a_mutant_follows_from_its_number_and_the_seed(inputs: list[Input]) -> None:
    for tried in inputs:
        if tried.name not in SLOW_INPUTS:
            one, again, other = (tried.mutant(Random(text)) for text in ("a", "a", "b"))
            assert repr(one) == repr(again) != repr(other)


def input_that(consume: object) -> Input:
    return Input("made up", b"good", lambda rng: broken_bytes(b"good", rng), consume)  # type: ignore[arg-type]


def test_crashes_and_refusals_without_a_name_are_found() -> None:
    def crash(content: bytes) -> None:
        if content != b"good":
            raise KeyError("no")

    def refuse(content: bytes) -> None:
        if content != b"good":
            raise ObservationError("not as expected")

    def mumble(content: bytes) -> None:
        if content != b"good":
            raise ObservationError("one\ntwo")

    for consume, what in ((crash, "crash"), (refuse, "unnamed refusal"), (mumble, "refusal that is not one line")):
        failures = try_mutants(input_that(consume), range(20), SEED).failures
        assert failures and {failure.what for failure in failures} == {what}


def test_a_hang_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.mutations.campaign.HANG_S", 0.05)

    def hang(content: bytes) -> None:
        while content != b"good":
            pass

    assert {failure.what for failure in try_mutants(input_that(hang), range(2), SEED).failures} == {"hang"}


def test_json_mutants_reach_below_the_surface() -> None:
    tree = {"header": {"stamp": {"secs": 1, "nsecs": 2}}, "values": [0.0, 1.0]}
    texts = [broken_json(tree, Random(number)) for number in range(200)]
    assert len(set(texts)) > 150
    assert any(b'"secs": NaN' in text or b'"secs": null' in text for text in texts)
