"""What a policy remembers: per environment, over frames that are missed, and until an episode begins."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_bag import CAMERA
from test_bundle import GRU, make_content, make_observations, write_bundle

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.errors import ObservationError
from fetch_sim2real.perception.observe import Observation
from fetch_sim2real.policy.bundle import PolicyBundle, load_bundle
from fetch_sim2real.policy.runtime import HOLDS_TO_FORGET, ActorPolicy, CommandRuntime, PolicyRuntime, Sensed
from fetch_sim2real.types import JointCommand, JointSample, JointSetpoint, RgbdFrame


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> PolicyBundle:
    return load_bundle(write_bundle(tmp_path_factory.mktemp("policies") / "recurrent", make_content(GRU)))


@pytest.fixture(scope="module")
def seen(bundle: PolicyBundle) -> list[Observation]:
    return make_observations(make_content(GRU), 6)


def alone(bundle: PolicyBundle, observations: list[Observation]) -> np.ndarray:
    policy = ActorPolicy(bundle)
    return np.concatenate([policy.act([observation]) for observation in observations])


def test_environments_stepped_together_remember_their_own(bundle: PolicyBundle, seen: list[Observation]) -> None:
    policy = ActorPolicy(bundle, 2)
    together = np.stack([policy.act([seen[t], seen[3 + t]]) for t in range(3)])
    np.testing.assert_allclose(together[:, 0], alone(bundle, seen[:3]), atol=5e-6)
    np.testing.assert_allclose(together[:, 1], alone(bundle, seen[3:]), atol=5e-6)


def test_an_environment_that_is_left_out_keeps_its_memory_and_one_that_is_reset_alone_loses_it(
    bundle: PolicyBundle, seen: list[Observation]
) -> None:
    policy = ActorPolicy(bundle, 2)
    policy.act([seen[0], seen[0]])
    policy.act([seen[3]], [1])
    np.testing.assert_allclose(policy.act([seen[1]], [0])[0], alone(bundle, [seen[0], seen[1]])[-1], atol=5e-6)
    policy.reset([0])
    both = policy.act([seen[2], seen[2]])
    np.testing.assert_allclose(both[0], alone(bundle, [seen[2]])[-1], atol=5e-6)
    np.testing.assert_allclose(both[1], alone(bundle, [seen[0], seen[3], seen[2]])[-1], atol=5e-6)
    assert np.abs(both[0] - both[1]).max() > 1e-4, "memory matters"


def test_as_many_observations_as_environments_are_asked_for(bundle: PolicyBundle, seen: list[Observation]) -> None:
    with pytest.raises(ObservationError, match="1 observations came for 2 environments"):
        ActorPolicy(bundle, 2).act(seen[:1])


def sensed(index: int, size: tuple[int, int] = (CAMERA.height, CAMERA.width)) -> Sensed:
    rng = np.random.default_rng(index)
    rgb = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    frame = RgbdFrame(index, rgb, rng.integers(300, 2000, size).astype(np.uint16))
    joints = JointSample(index, ARM.home_rad, np.zeros(len(ARM.joint_names)), 0.0)
    return Sensed(frame, CAMERA, joints, np.array([0.05, 0.0, 0.0]), JointSetpoint.at_rest(joints.position))


def commands(bundle: PolicyBundle, script: str) -> list[JointCommand]:
    """Frame by frame: ``c`` a command, ``-`` a hold, ``x`` a broken frame, ``u`` an unknown action, ``r`` a reset."""
    runtime = CommandRuntime(bundle.manifest, ActorPolicy(bundle), bundle.manifest.action.target_box_m)
    made: list[JointCommand] = []
    frames = 0
    for letter in script:
        if letter == "c":
            made.append(runtime.command(sensed(frames)))
            frames += 1
        elif letter == "-":
            runtime.skip()
        elif letter == "x":
            with pytest.raises(ObservationError):
                runtime.command(sensed(frames, (CAMERA.height, CAMERA.width + 1)))
            runtime.skip()
        elif letter == "u":
            runtime.note_unknown_action()
        else:
            runtime.reset()
    return made


@pytest.mark.parametrize("missed", ["-", "x", "-" * (HOLDS_TO_FORGET - 1)])
def test_a_missed_frame_is_no_step_and_wipes_nothing(bundle: PolicyBundle, missed: str) -> None:
    whole, broken = commands(bundle, "ccc"), commands(bundle, f"cc{missed}c")
    for one, other in zip(whole, broken, strict=True):
        assert np.array_equal(one.position, other.position)


@pytest.mark.parametrize("wiped", ["r", "-" * HOLDS_TO_FORGET, "-" * (HOLDS_TO_FORGET + 3)])
def test_an_episodes_start_and_an_arm_at_rest_wipe_it(bundle: PolicyBundle, wiped: str) -> None:
    fresh = CommandRuntime(bundle.manifest, ActorPolicy(bundle), bundle.manifest.action.target_box_m)
    assert np.array_equal(commands(bundle, f"cc{wiped}c")[-1].position, fresh.command(sensed(2)).position)
    assert not np.array_equal(commands(bundle, "ccc")[-1].position, fresh.command(sensed(2)).position)


def test_holds_that_are_not_in_a_row_do_not_add_up(bundle: PolicyBundle) -> None:
    apart = "-" * (HOLDS_TO_FORGET - 1)
    assert np.array_equal(
        commands(bundle, f"c{apart}c{apart}c")[-1].position, commands(bundle, "ccc")[-1].position
    )
    assert np.array_equal(
        commands(bundle, f"cc{apart}u{apart}c")[-1].position, commands(bundle, "ccc")[-1].position
    )


def test_the_last_actions_are_kept_for_each_environment(bundle: PolicyBundle) -> None:
    runtime = PolicyRuntime.of_bundle(bundle, environments=2)
    runtime.act([sensed(0), sensed(1)])
    apart = PolicyRuntime.of_bundle(bundle)
    apart.act([sensed(1)])
    np.testing.assert_allclose(runtime.act([sensed(2)], [1]), apart.act([sensed(2)]), atol=5e-6)
