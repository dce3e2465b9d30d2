"""Relay HER: hindsight in both modes, the hand-over while exploring, and learning from binary rewards alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fetch_sim2real.errors import SetupError
from fetch_sim2real.perception.observe import ACTION_SIZE
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.relay_her import (
    GRIPPER,
    OBJECT,
    DecisionEpisode,
    Explorer,
    RelayLearner,
    RelayReplay,
    RelaySettings,
    SkillActor,
    way_to,
)
from fetch_sim2real.training.relay_stage import RelayRun, measure_best, require_relay, train_with_relay
from fetch_sim2real.training.run_directory import RunDirectory

STATE_SIZE = 6
PLANAR = (slice(0, 2), slice(3, 5))
UNIT_M = 0.2
SMALL = RelaySettings(hidden=32, layers=2, batch=64)


def episode(seed: int, steps: int = 6, *, moves: bool = True) -> DecisionEpisode:
    rng = np.random.default_rng(seed)
    grip = np.cumsum(rng.normal(0.0, 0.05, (steps + 1, 3)), axis=0).astype(np.float32)
    thing = np.cumsum(rng.normal(0.0, 0.05, (steps + 1, 3)), axis=0).astype(np.float32)
    if not moves:
        thing[:] = thing[0]
    state = np.concatenate([grip, thing], axis=1) / UNIT_M
    goal = np.tile(rng.normal(0.0, 0.2, 3), (steps + 1, 1)).astype(np.float32)
    action = rng.uniform(-1.0, 1.0, (steps, ACTION_SIZE)).astype(np.float32)
    return DecisionEpisode(seed, state.astype(np.float32), grip, thing, goal, action, False)


def test_goals_in_hindsight_are_what_was_reached_later_and_true_goals_are_what_each_mode_is_for() -> None:
    settings = RelaySettings(shift_share=0.0)
    replay, one = RelayReplay(settings, PLANAR, UNIT_M), episode(0)
    replay.add(one)
    batch = replay.sample(4_000, np.random.default_rng(1))
    step = (batch.action.numpy()[:, None] == one.action[None]).all(-1).argmax(1)
    mode = batch.way[:, 3:].argmax(1).numpy()
    achieved = np.where(mode[:, None] == OBJECT, one.object_m[step], one.grip_m[step])
    goal = achieved + 0.1 * batch.way[:, :3].numpy()
    later = np.stack([one.grip_m, one.object_m])[mode]
    distance = np.linalg.norm(later - goal[:, None], axis=-1)
    is_later = (distance < 1e-5) & (np.arange(len(one) + 1)[None] > step[:, None])
    asked = np.where(mode[:, None] == OBJECT, one.goal_m[0], one.object_m[step + 1])
    is_asked = np.linalg.norm(asked - goal, axis=1) < 1e-5
    assert (is_later.any(1) | is_asked).all()
    assert 0.75 < is_later.any(1).mean() < 0.85
    assert 0.25 < (mode == GRIPPER).mean() < 0.35
    reached = np.linalg.norm(later[np.arange(len(step)), step + 1] - goal, axis=1) <= settings.tolerance_m
    assert (batch.reward.numpy() == np.where(reached, 0.0, -1.0)).all()
    assert 0.1 < reached.mean() < 0.9


def test_a_shift_moves_positions_in_the_plane_alone() -> None:
    replay = RelayReplay(RelaySettings(shift_share=1.0), PLANAR, UNIT_M)
    one = episode(0)
    replay.add(one)
    batch = replay.sample(100, np.random.default_rng(2))
    step = (batch.action.numpy()[:, None] == one.action[None]).all(-1).argmax(1)
    moved = (batch.state.numpy() - one.state[step]) * UNIT_M
    assert np.abs(moved[:, [2, 5]]).max() == 0.0
    assert np.abs(moved[:, :2] - moved[:, 3:5]).max() < 1e-6
    assert 0.05 < np.abs(moved[:, :2]).max() <= 0.1 + 1e-6
    assert np.allclose((batch.next_state.numpy() - one.state[step + 1]) * UNIT_M, moved, atol=1e-6)


def test_episodes_in_which_nothing_moved_are_drawn_less_often() -> None:
    replay = RelayReplay(RelaySettings(shift_share=0.0), PLANAR, UNIT_M)
    moving, still = episode(0), episode(1, moves=False)
    assert replay.add(moving) and not replay.add(still)
    drawn = replay.sample(6_000, np.random.default_rng(3)).action.numpy()
    of_still = (drawn[:, None] == still.action[None]).all(-1).any(1).mean()
    assert 0.14 < of_still < 0.20  # 0.2 of 1.2


class _Telling(SkillActor):
    """Acts by its mode: 0.5 in every coordinate for the gripper, -0.5 for the object."""

    def forward(
        self, state: torch.Tensor, way: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        action = (way[:, 3 + GRIPPER] - 0.5)[:, None].expand(-1, ACTION_SIZE)
        return action, torch.zeros(len(state)), action


def test_away_from_the_object_half_of_the_decisions_are_the_gripper_modes() -> None:
    count = 4_000
    explorer = Explorer(_Telling(STATE_SIZE, SMALL), SMALL, np.random.default_rng(4), count)
    state, zero = np.zeros((count, STATE_SIZE), np.float32), np.zeros((count, 3), np.float32)
    for away_m, share in ((0.2, 0.5), (0.01, 0.0)):
        thing = zero + np.array([away_m, 0.0, 0.0], np.float32)
        chosen = explorer.decide(state, zero, thing, zero, range(count))
        by_gripper, by_object = (chosen == 0.5).all(1).mean(), (chosen == -0.5).all(1).mean()
        assert by_gripper == pytest.approx(share, abs=0.03)
        # A fifth of the object's decisions is random.
        assert by_object == pytest.approx(0.8 * (1.0 - share), abs=0.03)


def toy_episodes(actor: SkillActor, rng: np.random.Generator, count: int) -> list[DecisionEpisode]:
    """A point for a gripper, and an object that sticks to it within 4 cm while the fingers are closed."""
    grip, thing, goal = (rng.uniform(-0.2, 0.2, (count, 3)).astype(np.float32) for _ in range(3))
    explorer = Explorer(actor, SMALL, rng, count)
    columns: list[list[np.ndarray]] = [[], [], [], []]
    for _ in range(21):
        state = np.concatenate([grip, thing], axis=1) / UNIT_M
        action = explorer.decide(state, grip, thing, goal, range(count))
        for column, value in zip(columns, (state, grip, thing, action), strict=True):
            column.append(value.astype(np.float32))
        held = (np.linalg.norm(grip - thing, axis=1) < 0.04) & (action[:, 3] < 0.0)
        motion = (0.05 * action[:, :3]).astype(np.float32)
        grip, thing = grip + motion, thing + motion * held[:, None]
    states, grips, things, actions = (np.stack(column, axis=1) for column in columns)
    return [
        DecisionEpisode(
            row, states[row], grips[row], things[row], np.tile(goal[row], (21, 1)), actions[row, :-1],
            bool(np.linalg.norm(things[row, -1] - goal[row]) < 0.05),
        )
        for row in range(count)
    ]  # fmt: skip


def test_within_seconds_the_gripper_learns_to_reach_from_binary_rewards_alone() -> None:
    learner = RelayLearner(STATE_SIZE, SMALL, seed=0)
    replay, rng = RelayReplay(SMALL, PLANAR, UNIT_M), np.random.default_rng(5)

    def reached() -> float:
        trial = np.random.default_rng(6)
        grip, thing, goal = (trial.uniform(-0.2, 0.2, (100, 3)).astype(np.float32) for _ in range(3))
        for _ in range(20):
            state, mode = np.concatenate([grip, thing], axis=1) / UNIT_M, np.full(100, GRIPPER)
            with torch.inference_mode():
                told = [torch.from_numpy(array.astype(np.float32)) for array in (state, way_to(goal, grip, mode))]
                _, _, action = learner.actor(*told, torch.zeros(100, ACTION_SIZE))
            grip = grip + 0.05 * action.numpy()[:, :3]
        return float(np.mean(np.linalg.norm(grip - goal, axis=1) < 0.05))

    before = reached()
    for _ in range(30):
        for one in toy_episodes(learner.actor, rng, 16):
            replay.add(one)
        for _ in range(45):
            learner.update(replay.sample(SMALL.batch, rng))
    assert before < 0.2
    after = reached()
    assert after > 0.8, after


def test_an_interrupted_learner_goes_on_as_if_nothing_had_been() -> None:
    replay = RelayReplay(SMALL, PLANAR, UNIT_M)
    replay.add(episode(0))
    whole, first = RelayLearner(STATE_SIZE, SMALL, seed=1), RelayLearner(STATE_SIZE, SMALL, seed=1)
    batches = [replay.sample(64, np.random.default_rng(i)) for i in range(6)]
    for batch in batches:
        whole.update(batch)
    for batch in batches[:3]:
        first.update(batch)
    second = RelayLearner(STATE_SIZE, SMALL, seed=2)
    second.load_state_dict(first.state_dict())
    for batch in batches[3:]:
        second.update(batch)
    for name, value in whole.actor.state_dict().items():
        assert torch.equal(value, second.actor.state_dict()[name]), name


def test_the_way_is_in_units_of_a_decimetre_with_the_mode_beside_it() -> None:
    way = way_to(np.array([[0.3, 0.0, 0.1]], np.float32), np.array([[0.1, 0.0, 0.0]], np.float32), np.array([OBJECT]))
    assert way[0] == pytest.approx([2.0, 0.0, 1.0, 0.0, 1.0])


def test_tasks_of_the_gripper_have_nothing_to_hand_over() -> None:
    require_relay(find_task("slide"))
    with pytest.raises(SetupError, match="'reach_block' has 'gripper' at goals in 'block'"):
        require_relay(find_task("reach_block"))


@pytest.mark.slow
def test_a_run_is_the_same_again_and_is_gone_on_with_only_as_what_it_is(tmp_path: Path) -> None:
    def asked(seed: int, steps: int) -> RelayRun:
        learning = RelaySettings(hidden=16, layers=1, batch=32, updates_per_decision=0.1)
        return RelayRun("slide", "nominal", seed, steps, environments=1, evaluation_episodes=1, learning=learning)

    runs = [RunDirectory(tmp_path / name) for name in ("one", "again")]
    for run in runs:
        train_with_relay(asked(0, 480), run)
    states = [run.load(run.last)["learner"]["actor"] for run in runs]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert runs[0].read_log()[-1]["updates"] > 0
    assert len(list(measure_best(asked(0, 480), runs[0], [10_000, 10_001]))) == 2
    with pytest.raises(SetupError, match="take another --run"):
        train_with_relay(asked(1, 1_200), runs[0])
