"""What carries objects: belts and curves as they are drawn, and objects on them in the simulation."""

from __future__ import annotations

import numpy as np
import pytest

from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.sim.simulation import Simulation
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.base import RED_BLOCK, Task
from fetch_sim2real.tasks.carrying import LissajousConfig
from fetch_sim2real.tasks.intercept import BELT
from fetch_sim2real.tasks.registry import built_in_names, find_task
from fetch_sim2real.tasks.track import CURVES
from fetch_sim2real.timing import PHYSICS_STEP_S


def simulation(task: str, world: str = "randomized") -> Simulation:
    return Simulation(load_world(world, worlds_dir()), find_task(task), None)


def test_a_belt_turns_at_times_of_its_own_and_carries_nothing_off_its_ends() -> None:
    turns = []
    for seed in range(40):
        belt = BELT.draw(np.array([0.6, 0.1]), 8.0, np.random.default_rng(seed))
        speeds = np.abs(belt.velocities_m_s)
        assert np.all((speeds >= 0.05) & (speeds <= 0.10))
        assert np.all(np.diff(np.sign(belt.velocities_m_s)) != 0.0), "each turn is one"
        lasts_s = np.diff(np.concatenate([[0.0], belt.turns_s, [8.0]]).clip(max=8.0))
        y = 0.1 + np.cumsum(lasts_s * belt.velocities_m_s)
        assert np.all(np.abs(y) <= 0.28 - BELT.margin_m + 1e-9)
        turns.append(belt.turns_s[0])
    assert np.std(turns) > 0.3


def test_a_curve_keeps_its_speeds_and_its_room() -> None:
    for seed in range(40):
        start_m = np.array([0.56 + 0.004 * seed, -0.18 + 0.009 * seed])
        curve = CURVES.draw(start_m, 8.0, np.random.default_rng(seed))
        np.testing.assert_allclose(curve.place_m(0.0), start_m, atol=1e-9)
        times = np.linspace(0.0, 2.0 * np.pi / curve.rad_s, 500, endpoint=False)
        places = np.array([curve.place_m(now) for now in times])
        speeds = [np.linalg.norm(curve.velocity_m_s(now, place)) for now, place in zip(times, places, strict=True)]
        assert np.mean(speeds) == pytest.approx(0.05, rel=0.02) and np.max(speeds) <= 0.101
        assert np.all(places >= [0.54, -0.22]) and np.all(places <= [0.74, 0.22])
    narrow = CURVES.model_copy(update={"x_m": (0.60, 0.61)})
    with pytest.raises(FetchSim2RealError, match="no curve from"):
        narrow.draw(np.array([0.6, 0.0]), 8.0, np.random.default_rng(0))
    assert isinstance(narrow, LissajousConfig)


@pytest.mark.parametrize("task", ["intercept", "track"])
def test_a_carried_block_goes_as_it_is_carried_and_an_idle_robot_fails(task: str) -> None:
    sim = simulation(task)
    for seed in range(2):
        carrier, begun, off = sim.reset(seed).carriers["block"], sim.step, []
        while not sim.done:
            sim.advance_to(sim.step + 64)
            wanted = carrier.velocity_m_s((sim.step - begun) * PHYSICS_STEP_S, sim.objects_m["block"][:2])
            assert wanted is not None, "nobody takes it off"
            off.append(np.linalg.norm(sim.engine.object_velocity("block")[:2] - wanted))
        assert np.median(off) < 0.03
        outcome = sim.outcome()
        assert not outcome.success
        assert (outcome.rms_m is not None) == (task == "track")
        assert outcome.rms_m is None or outcome.rms_m > 0.03


def test_what_is_beside_the_belt_or_lifted_is_free() -> None:
    sim = simulation("intercept", "nominal")
    start_m = sim.reset(0).objects["block"].position_m
    for place_m in (np.array([0.70, 0.0, start_m[2]]), start_m + np.array([0.0, 0.0, 0.05])):
        sim.engine.place_object("block", place_m, 0.0)
        sim.advance_to(sim.step + 16)
        now_m = sim.objects_m["block"]
        np.testing.assert_allclose(now_m[:2], place_m[:2], atol=1.5e-3)


def test_only_tasks_that_say_so_carry_anything() -> None:
    carry = {name for name in built_in_names() if find_task(name).carried}
    assert carry == {"intercept", "track"}
    with pytest.raises(FetchSim2RealError, match="carried are puck, expected block"):
        Task(name="own", description="", objects={"block": RED_BLOCK}, carried={"puck": BELT})
