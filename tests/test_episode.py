"""The closed-loop runner: several environments together are what each is alone, and agents see what they should."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from fetch_sim2real.episode import (
    Arrival,
    ClosedLoop,
    EpisodeRunner,
    EpisodeStart,
    PolicyAgent,
    StandStill,
    Step,
    make_loop,
)
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.paths import find_policy, worlds_dir
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.policy.runtime import PolicyRuntime
from fetch_sim2real.sim.disturbances.conditions import Conditions
from fetch_sim2real.sim.engine import find_engine
from fetch_sim2real.sim.world_file import World, load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.types import FloatArray

STARTS = (EpisodeStart(3), EpisodeStart(5, Conditions(perturb=("move_goal",))), EpisodeStart(8))


class Shaken:
    """Acts at random, each environment by a generator of its own."""

    def reset(self, environments: Sequence[int]) -> None:
        """See Agent."""
        self._rngs = {environment: np.random.default_rng(environment) for environment in environments}

    def act(self, arrivals: Sequence[Arrival]) -> FloatArray:
        """See Agent."""
        return np.array([self._rngs[arrival.environment].uniform(-1.0, 1.0, 4) for arrival in arrivals])


def short(name: str, episode_s: float) -> World:
    return load_world(name, worlds_dir()).with_episode_s(episode_s)


def loops(world: World, count: int, picture_every: int = 0) -> list[ClosedLoop]:
    return [make_loop(world, find_task("push"), picture_every) for _ in range(count)]


def recorded(steps: Sequence[Step]) -> dict[int, list[bytes]]:
    """Stamp, joints, action and setpoint of each environment's steps."""
    found: dict[int, list[bytes]] = {}
    for step in steps:
        numbers = (step.arrival.joints.position, step.action, step.decision.setpoint.position)
        kept = np.int64(step.arrival.captured.stamp_ns).tobytes() + b"".join(n.tobytes() for n in numbers)
        found.setdefault(step.arrival.environment, []).append(kept)
    return found


def test_environments_that_are_stepped_together_are_those_that_run_alone() -> None:
    world = short("randomized", 1.5)
    together: list[Step] = []
    outcomes = EpisodeRunner(loops(world, 3)).run(Shaken(), STARTS, together.append)
    assert len({len(steps) for steps in recorded(together).values()}) > 1, "one ends later than the others"
    for environment, start in enumerate(STARTS):
        runner, agent, alone = EpisodeRunner(loops(world, 3)), Shaken(), []
        arrivals = runner.begin([start], [environment])
        agent.reset([environment])
        while arrivals:
            arrivals = runner.step(arrivals, agent.act(arrivals), alone.append)
        assert recorded(alone)[environment] == recorded(together)[environment]
        assert runner.loops[environment].sim.outcome() == outcomes[environment]


@pytest.mark.gl
def test_an_actor_sees_a_batch_and_acts_as_on_each_alone() -> None:
    bundle, world = load_bundle(find_policy("push")), short("randomized", 1.5)
    runner = EpisodeRunner(loops(world, 3, picture_every=1))
    together: list[Step] = []
    outcomes = runner.run(PolicyAgent(PolicyRuntime.of_bundle(bundle, environments=3)), STARTS, together.append)
    assert [step.arrival.environment for step in together[:3]] == [0, 1, 2]
    for environment, start in enumerate(STARTS):
        alone: list[Step] = []
        one = EpisodeRunner(runner.loops[environment : environment + 1])
        (outcome,) = one.run(PolicyAgent(PolicyRuntime.of_bundle(bundle)), [start], alone.append)
        same = [step for step in together if step.arrival.environment == environment]
        actions = [np.array([step.action for step in steps]) for steps in (same, alone)]
        # The first actions are on the same pictures: they differ by the rounding of a batch alone. Later a pixel at an
        # edge is another one now and then, and the actor makes more of it than a model would.
        np.testing.assert_allclose(actions[0][:5], actions[1][:5], atol=1e-5)
        assert outcome.steps == outcomes[environment].steps
        assert outcome.final_distance_m == pytest.approx(outcomes[environment].final_distance_m, abs=0.02)
    runner.close()


@pytest.fixture
def blind() -> Iterator[EpisodeRunner]:
    runner = EpisodeRunner(loops(short("nominal", 1.5), 1))
    yield runner
    runner.close()


def test_standing_still_is_an_episode_too(blind: EpisodeRunner) -> None:
    (outcome,) = blind.run(StandStill(), [EpisodeStart(1)])
    assert not outcome.success and outcome.steps > 30
    (again,) = blind.run(StandStill(), [EpisodeStart(1)], most_steps=10)
    assert again.steps == 11 and not blind.loops[0].sim.done
    assert blind.after_end(0).captured.stamp_ns > 0


def test_what_is_missing_is_named(blind: EpisodeRunner) -> None:
    (arrival,) = blind.begin([EpisodeStart(1)])
    with pytest.raises(FetchSim2RealError, match="camera_size"):
        arrival.sensed()
    with pytest.raises(FetchSim2RealError, match="engine 'bullet' is unknown, available: drake, mujoco"):
        find_engine("bullet")
