"""Training from end to end in miniature: the stages fit together and give a bundle that loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.policy.network import Actor, build_actor
from fetch_sim2real.sim.loop import ClosedLoop
from fetch_sim2real.sim.world_file import World, load_world
from fetch_training.actor_critic import AsymmetricActorCritic, LearnerSettings
from fetch_training.export import export_bundle
from fetch_training.images import collect_pose_images
from fetch_training.perception import PretrainSettings, pretrain_encoder
from fetch_training.reach_block import goal_scaling, make_loop
from fetch_training.reach_block_task import IMAGE, actor_spec, demonstrate, observation_spec
from fetch_training.replay import HindsightReplay
from fetch_training.rollout import collect_episode, deterministic, full_state_size
from fetch_training.run_directory import RunDirectory


@pytest.fixture(scope="module")
def world() -> World:
    return load_world("randomized", worlds_dir()).model_copy(update={"episode_s": 0.8})


@pytest.fixture(scope="module")
def loop(world: World) -> ClosedLoop:
    return make_loop(world)


@pytest.fixture
def actor() -> Actor:
    torch.manual_seed(0)
    return build_actor(actor_spec(), observation_spec(proprioception=True))


def test_pictures_repeat_and_are_labelled_where_things_appear(world: World) -> None:
    first, second = (collect_pose_images(world, IMAGE, 24, 0, "test") for _ in range(2))
    np.testing.assert_array_equal(first.rgb, second.rgb)
    np.testing.assert_array_equal(first.depth_mm, second.depth_mm)
    assert len({tuple(position) for position in first.block_m.tolist()}) == 24
    columns, rows = np.rint(first.block_uv).astype(int).T
    red, green, blue = first.rgb[np.arange(24), rows, columns].astype(int).T
    # The gripper hides the block now and then.
    assert np.mean(red > 1.3 * np.maximum(green, blue)) > 0.75


def test_the_encoder_learns_where_things_are(world: World, actor: Actor) -> None:
    images = collect_pose_images(world, IMAGE, 64, 0, "overfit")
    before = pretrain_encoder(actor, images, images, PretrainSettings(epochs=1, batch=64, learning_rate=1e-9), 0)
    after = pretrain_encoder(actor, images, images, PretrainSettings(epochs=60, batch=32), 0)
    assert after.block_median_m < 0.5 * before.block_median_m


def test_the_same_weights_and_seed_give_the_same_episode(loop: ClosedLoop, actor: Actor) -> None:
    first, second = (collect_episode(loop, actor, deterministic(actor), 5, move_block=False) for _ in range(2))
    np.testing.assert_array_equal(first.action, second.action)
    np.testing.assert_array_equal(first.state, second.state)
    assert len(first.state) == len(first.action) + 1
    other = collect_episode(loop, actor, deterministic(actor), 6, move_block=False)
    assert not np.array_equal(first.achieved[0], other.achieved[0])


def test_critics_learn_from_hindsight_and_the_bundle_reproduces_the_actor(
    loop: ClosedLoop, actor: Actor, world: World, tmp_path: Path
) -> None:
    learner = AsymmetricActorCritic(actor, full_state_size(actor.observation), demonstrate, LearnerSettings(), 0)
    replay = HindsightReplay(10, 0.03, goal_scaling(actor.observation), 0.8)
    for seed in range(3):
        replay.add(collect_episode(loop, actor, deterministic(actor), seed, move_block=False))
    rng = np.random.default_rng(0)
    losses = [learner.update(replay.sample(64, rng))["critic_loss"] for _ in range(60)]
    assert np.all(np.isfinite(losses))
    assert np.mean(losses[-10:]) < np.mean(losses[:10])

    export_bundle(tmp_path / "bundle", actor, world, loop, 0, "test", 60)
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.manifest.goal.frame == "block"
    for name, tensor in bundle.actor.state_dict().items():
        torch.testing.assert_close(tensor, actor.state_dict()[name], rtol=0, atol=0)


def test_an_interrupted_learner_goes_on_exactly(loop: ClosedLoop, actor: Actor, tmp_path: Path) -> None:
    learner = AsymmetricActorCritic(actor, full_state_size(actor.observation), demonstrate, LearnerSettings(), 0)
    replay = HindsightReplay(10, 0.03, goal_scaling(actor.observation), 0.8)
    replay.add(collect_episode(loop, actor, deterministic(actor), 1, move_block=False))
    learner.update(replay.sample(32, np.random.default_rng(0)))
    torch.manual_seed(9)
    copy_actor = build_actor(actor.spec, actor.observation)
    copy = AsymmetricActorCritic(copy_actor, full_state_size(actor.observation), demonstrate, LearnerSettings(), 123)
    run = RunDirectory(tmp_path)
    run.save(run.last, learner.state_dict())
    copy.load_state_dict(run.load(run.last))
    results = [part.update(replay.sample(32, np.random.default_rng(1))) for part in (learner, copy)]
    assert results[0] == results[1]
