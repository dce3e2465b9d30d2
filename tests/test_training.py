"""Training in miniature: the stages fit together and give a bundle that loads."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fetch_sim2real.common.ranges import Range
from fetch_sim2real.common.workers import LocalProcesses, OwnProcess
from fetch_sim2real.episode import make_loop
from fetch_sim2real.evaluation.measure import Case, goals_in_air, measure
from fetch_sim2real.paths import find_policy, worlds_dir
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.policy.network import MemorySpec
from fetch_sim2real.sim.disturbances.conditions import NO_CONDITIONS, Conditions, Faults
from fetch_sim2real.sim.world_file import World, load_world
from fetch_sim2real.tasks.registry import built_in_names, find_task
from fetch_sim2real.training.actor_critic import AsymmetricActorCritic, LearnerSettings
from fetch_sim2real.training.curve import plot_learning_curve
from fetch_sim2real.training.encoder import AugmentSettings, PretrainSettings, augment, pretrain_encoder
from fetch_sim2real.training.encoder_dataset import scattered_pictures
from fetch_sim2real.training.export import export_bundle
from fetch_sim2real.training.latency_randomization import NO_ADDED_LATENCY, LatencyRandomization
from fetch_sim2real.training.learn import LoopSettings
from fetch_sim2real.training.replay import HindsightReplay, ReplaySettings
from fetch_sim2real.training.rollout import Collector, RolloutRequest, RolloutWorker, weights_of
from fetch_sim2real.training.run_directory import RunDirectory
from fetch_sim2real.training.setup import Setting
from fetch_sim2real.training.state_estimator import (
    NO_ERRORS,
    EncoderEstimator,
    EstimationErrors,
    TrueStateEstimator,
    perfect_bottleneck,
)
from fetch_sim2real.training.state_stage import StageSettings, make_learner, measure_best, train_with_her

VISION = Setting("push", "nominal", True, None)
BLIND = Setting("push", "nominal", True, NO_ERRORS)
FIRST_SEED = 2_000_000_000
RED = [Range(low=-10.0, high=10.0)]


@pytest.fixture(scope="module")
def world() -> World:
    return load_world("nominal", worlds_dir()).with_episode_s(0.8)


def _collector(world: World, learner: AsymmetricActorCritic, sees: bool) -> Collector:
    policy = learner.policy
    estimator = EncoderEstimator(policy.actor) if sees else TrueStateEstimator(policy.actor, NO_ERRORS)
    loop = make_loop(world, find_task("push"), int(sees))
    return Collector(loop, policy.actor, policy.sample, estimator)


def _learner(seed: int = 0) -> AsymmetricActorCritic:
    return make_learner(BLIND, LearnerSettings(), seed)


@pytest.mark.parametrize("task", [name for name in built_in_names() if find_task(name).scripted is not None])
def test_scripted_baselines_solve_their_tasks_on_true_positions(task: str) -> None:
    collector, _ = Setting(task, "nominal", True, NO_ERRORS).collector()()
    requests = [RolloutRequest(FIRST_SEED + i, "scripted") for i in range(6)]
    assert np.mean([collector.collect(request).success for request in requests]) >= 0.8


def test_pictures_repeat_and_are_labelled_where_things_appear() -> None:
    first, second = (scattered_pictures(find_task("reach_block"), "nominal", 16, 0, "test") for _ in range(2))
    np.testing.assert_array_equal(first.rgb, second.rgb)
    np.testing.assert_array_equal(first.depth_mm, second.depth_mm)
    assert len({tuple(position) for position in first.objects_m[:, 0].tolist()}) == 16
    columns, rows = np.clip(np.rint(first.objects_uv[:, 0]).astype(int), 0, 83).T
    red, green, blue = first.rgb[np.arange(16), rows, columns].astype(int).T
    # The gripper hides the object now and then.
    assert np.mean(red > 1.3 * np.maximum(green, blue)) > 0.5


def test_the_encoder_learns_where_things_are() -> None:
    images = scattered_pictures(find_task("reach_block"), "nominal", 64, 0, "overfit")
    actor = VISION.build_actor(0)
    before = pretrain_encoder(actor, images, images, PretrainSettings(epochs=1, batch=64, learning_rate=1e-9), RED, 0)
    after = pretrain_encoder(actor, images, images, PretrainSettings(epochs=40, batch=32), RED, 0)
    assert after.object_median_m < 0.6 * before.object_median_m


def test_pictures_of_two_objects_tell_of_both_and_the_encoder_learns_them() -> None:
    images = scattered_pictures(find_task("stack"), "nominal", 48, 0, "two")
    assert images.objects_m.shape == (48, 2, 3) and images.objects_seen.shape == (48, 2)
    columns, rows = np.clip(np.rint(images.objects_uv[:, 1]).astype(int), 0, 83).T
    red, _, blue = images.rgb[np.arange(48), rows, columns].astype(int).T
    assert np.mean((blue > 1.3 * red) == images.objects_seen[:, 1]) > 0.8
    setting = Setting("stack", "nominal", True, None, memory=MemorySpec(kind="gru", size=4))
    actor = setting.build_actor(0)
    before = pretrain_encoder(
        actor, images, images, PretrainSettings(epochs=1, batch=48, learning_rate=1e-9), setting.hues_deg, 0
    )
    after = pretrain_encoder(actor, images, images, PretrainSettings(epochs=40, batch=24), setting.hues_deg, 0)
    assert after.object_median_m < 0.85 * before.object_median_m


def test_pictures_say_whether_the_object_is_seen() -> None:
    images = scattered_pictures(find_task("reach_block"), "nominal", 48, 0, "seen")
    columns, rows = np.clip(np.rint(images.objects_uv[:, 0]).astype(int), 0, 83).T
    red, green, blue = images.rgb[np.arange(48), rows, columns].astype(int).T
    shows_red = red > 1.5 * np.maximum(green, blue)
    assert 0.3 < images.objects_seen.mean() < 1.0
    assert np.mean(shows_red == images.objects_seen[:, 0]) > 0.8


def test_an_encoder_learns_whether_it_sees_the_object_and_how_far_off_it_is() -> None:
    images = scattered_pictures(find_task("reach_block"), "nominal", 64, 0, "overfit")
    actor = replace(VISION, memory=MemorySpec(kind="gru", size=4)).build_actor(0)
    # One that finds things already.
    actor.encoder.load_state_dict(load_bundle(find_policy("push")).actor.encoder.state_dict(), strict=False)
    settings = PretrainSettings(epochs=30, batch=32, learning_rate=1e-3, augment=AugmentSettings(hide_share=0.5))
    pretrain_encoder(actor, images, images, settings, RED, 0)
    index = np.arange(64)
    clear, hiding = (AugmentSettings(patches=0, ghost_share=0.0, hide_share=share) for share in (0.0, 1.0))
    told = []
    for settings_of_view in (clear, hiding):
        rgb, depth_mm, _ = augment(images, index, settings_of_view, RED, np.random.default_rng(1))
        with torch.inference_mode():
            told.append(actor.encode(torch.from_numpy(rgb), torch.from_numpy(depth_mm))[:, 6:8].numpy())
    seen = images.objects_seen[:, 0]
    (clear_spread, clear_seen), (hidden_spread, hidden_seen) = (each[seen].T for each in told)
    assert np.median(clear_seen) > np.median(hidden_seen) + 0.4
    assert np.median(hidden_spread) > np.median(clear_spread)


def test_pretended_errors_vary_and_hide_the_object() -> None:
    sizes = EstimationErrors(vary=3.0, hides_per_s=2.0, hidden_m=0.2)
    actor = replace(BLIND, memory=MemorySpec(kind="gru", size=4)).build_actor(0)
    far, spread = [], []
    loop = make_loop(load_world("nominal", worlds_dir()), find_task("push"), 0)
    loop.reset(FIRST_SEED)
    captured = loop.next_frame()
    assert captured is not None
    estimator = TrueStateEstimator(actor, sizes)
    for episode in range(20):
        estimator.start(np.random.default_rng(episode))
        for _ in range(30):
            told = estimator.estimate(captured, loop.sim)
            away = actor.auxiliary(told)[0, :3].numpy() - captured.truth.objects_m["block"]
            far.append(float(np.linalg.norm(away)))
            spread.append((float(told[0, 6]), float(told[0, 7])))
    loop.sim.close()
    hidden = np.array([seen < 0.0 for _, seen in spread])
    assert 0.3 < hidden.mean() < 0.8, "about a second of each two"
    assert np.median(np.array(far)[hidden]) > 5 * np.median(np.array(far)[~hidden])
    told_spread = np.array([value for value, _ in spread])
    assert np.median(told_spread[hidden]) > np.median(told_spread[~hidden]) + 0.5


def test_errors_are_made_as_large_as_an_encoders_and_what_is_shared_is_the_cameras() -> None:
    rng = np.random.default_rng(0)
    camera, own, of_grip = (rng.normal(0.0, size, (4_000, 3)) for size in (0.015, 0.008, 0.004))
    found = EstimationErrors(hides_per_s=0.1).as_large_as(camera + own, camera + of_grip)
    assert found.hides_per_s == 0.1
    assert found.camera_m == pytest.approx(0.015, rel=0.15), "less, for want of the worst tenth"
    assert np.hypot(found.object_m, np.hypot(found.lasting_m, found.frame_m)) == pytest.approx(0.008, rel=0.15)


def test_the_same_weights_and_request_give_the_same_episode(world: World) -> None:
    collector = _collector(world, _learner(), sees=False)
    request = RolloutRequest(FIRST_SEED, "exploring", random_share=0.2)
    first, second = (collector.collect(request) for _ in range(2))
    np.testing.assert_array_equal(first.action, second.action)
    np.testing.assert_array_equal(first.state, second.state)
    assert len(first.state) == len(first) + 1
    other = collector.collect(RolloutRequest(FIRST_SEED + 1, "exploring", random_share=0.2))
    assert not np.array_equal(first.state[0], other.state[0])


def test_latency_randomization_makes_its_share_of_episodes_late_and_moves_objects_in_others() -> None:
    rng = np.random.default_rng(0)
    latency = LatencyRandomization(moved_share=0.2, late_share=0.5, camera_late_ms=90.0, command_late_ms=40.0)
    drawn = [latency.draw(rng) for _ in range(4000)]
    late = np.array([each.faults.extra_latency_ms for each in drawn])
    assert np.mean(late > 0.0) == pytest.approx(0.5, abs=0.03) and 85.0 < late.max() <= 90.0
    assert np.mean(late[late > 0.0]) == pytest.approx(45.0, abs=3.0)
    assert 38.0 < max(each.faults.command_latency_ms for each in drawn) <= 40.0
    moved = [each.perturb == ("move_block",) for each in drawn]
    assert np.mean(moved) == pytest.approx(0.2, abs=0.03)
    assert {NO_ADDED_LATENCY.draw(rng) for _ in range(20)} == {NO_CONDITIONS}


def test_late_episodes_are_late() -> None:
    collector = _collector(load_world("nominal", worlds_dir()).with_episode_s(1.0), _learner(), sees=False)
    late = Conditions(faults=Faults(extra_latency_ms=80.0, command_latency_ms=30.0))
    plain, delayed = (
        collector.collect(RolloutRequest(FIRST_SEED, "scripted", each)) for each in (NO_CONDITIONS, late)
    )
    assert len(plain) - len(delayed) in (2, 3)
    # The full state tells critics both delays, in units of 0.1 s.
    np.testing.assert_allclose(delayed.state[0, -5:-3] - plain.state[0, -5:-3], [0.8, 0.3], atol=1e-6)


@pytest.mark.parametrize(
    ("errors", "kept"), [(EstimationErrors(0.0, 0.0, 0.01, 0.0), True), (EstimationErrors(0.0, 0.0, 0.0, 0.01), False)]
)
def test_estimation_errors_last_or_not(errors: EstimationErrors, kept: bool) -> None:
    loop = make_loop(load_world("nominal", worlds_dir()), find_task("push"), 0)
    loop.reset(FIRST_SEED)
    actor, captured = BLIND.build_actor(0), loop.next_frame()
    assert captured is not None
    estimator, wrong_m = TrueStateEstimator(actor, errors), []
    for episode in range(150):
        estimator.start(np.random.default_rng(episode))
        seen = [estimator.estimate(captured, loop.sim) - perfect_bottleneck(actor, captured) for _ in range(50)]
        wrong_m.append(torch.cat(seen).numpy() * 0.1)
    wrong = np.array(wrong_m)
    assert np.std(wrong) == pytest.approx(0.01, rel=0.15)
    again = [np.corrcoef(wrong[:, :-lag].ravel(), wrong[:, lag:].ravel())[0, 1] for lag in (1, 10, 40)]
    expected = [0.93, 0.5, 0.06] if kept else [0.0, 0.0, 0.0]
    np.testing.assert_allclose(again, expected, atol=0.1)


def test_a_worker_process_collects_the_same_episode() -> None:
    learner, request = _learner(), RolloutRequest(FIRST_SEED, "deterministic")
    make = partial(RolloutWorker, BLIND.collector())
    with closing(OwnProcess(make)) as here, closing(LocalProcesses(make, 1)) as pool:
        elsewhere = pool.submit(weights_of(learner.policy), request)
        own = here.submit(weights_of(learner.policy), request).result()
        np.testing.assert_array_equal(own.action, elsewhere.result(timeout=120).action)


def test_a_run_learns_stops_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where its curve cannot be drawn: the checkpoint is there before."""
    plots = iter((OSError(28, "No space left on device"),))

    def plot(*arguments: Any) -> None:
        if (error := next(plots, None)) is not None:
            assert run.last.exists() and run.log.exists()
            raise error
        plot_learning_curve(*arguments)

    monkeypatch.setattr("fetch_sim2real.training.curve.plot_learning_curve", plot)
    loop = LoopSettings(steps=400, warm_up_steps=150, batch=32, updates_per_step=0.1, evaluate_every=150,
                        evaluation_episodes=1)  # fmt: skip
    run = RunDirectory(tmp_path / "run")
    train_with_her(BLIND, run, StageSettings(loop=loop), 0)
    first = run.read_log()
    assert run.best.exists() and run.curve.exists() and first[-1]["steps"] >= 300
    assert "learning_curve.png could not be made: [Errno 28] No space left on device" in caplog.text
    longer = StageSettings(loop=LoopSettings(**{**loop.__dict__, "steps": 700}))
    train_with_her(BLIND, run, longer, 0)
    rows = run.read_log()
    # Before the critics judge there is no value to log, and NaN equals nothing: steps and time tell rows apart.
    kept, now = ([(row["steps"], row["wall_s"]) for row in part] for part in (first, rows))
    assert now[: len(kept)] == kept and now[-1][0] > kept[-1][0]


def test_the_best_actor_is_measured_by_seeds_alone(tmp_path: Path) -> None:
    reach = Setting("reach", "nominal", True, NO_ERRORS)
    run, learner = RunDirectory(tmp_path), make_learner(reach, LearnerSettings(), 0)
    run.save(run.best, {"learner": learner.state_dict(), "steps": 0})
    untrained = list(measure_best(reach, run, LearnerSettings(), range(5)))
    assert untrained == [False] * 5, "starts are far from goals"
    loop = LoopSettings(steps=1_000, warm_up_steps=500, evaluate_every=1_000, evaluation_episodes=2)
    stage = StageSettings(loop=loop)
    train_with_her(reach, RunDirectory(tmp_path / "trained"), stage, 0)
    trained = list(measure_best(reach, RunDirectory(tmp_path / "trained"), LearnerSettings(), range(5)))
    assert sum(trained) >= 3


def test_critics_learn_from_hindsight(world: World) -> None:
    learner = _learner()
    collector = _collector(world, learner, sees=False)
    replay = HindsightReplay(find_task("push"), ReplaySettings(capacity=10))
    for seed in range(FIRST_SEED, FIRST_SEED + 3):
        replay.add(collector.collect(RolloutRequest(seed, "random")))
    rng = np.random.default_rng(0)
    losses = [learner.update(replay.sample(64, rng))["critic_loss"] for _ in range(50)]
    assert np.all(np.isfinite(losses))
    assert np.mean(losses[-10:]) < np.mean(losses[:10])


def test_critics_of_a_symmetric_learner_judge_by_what_the_actor_sees(world: World) -> None:
    learner = make_learner(BLIND, LearnerSettings(critic_sees="observation"), 0)
    replay = HindsightReplay(find_task("push"), ReplaySettings(capacity=10))
    replay.add(_collector(world, learner, sees=False).collect(RolloutRequest(FIRST_SEED, "random")))
    batch = replay.sample(32, np.random.default_rng(0))
    blinded = batch._replace(state=batch.state * 0, next_state=batch.next_state * 0, truth=batch.truth * 0)
    blinded = blinded._replace(next_truth=batch.next_truth * 0)
    other = make_learner(BLIND, LearnerSettings(critic_sees="observation"), 0)
    assert learner.update_critic(batch) == other.update_critic(blinded)
    assert _learner().update_critic(batch) != _learner().update_critic(blinded)


def test_a_robot_without_limits_moves_faster() -> None:
    lengths = []
    for limited in (True, False):
        collector, _ = Setting("push", "nominal", True, NO_ERRORS, limited=limited).collector()()
        start = collector.loop.reset(FIRST_SEED)
        assert start is not None
        before = None
        for _ in range(4):
            captured = collector.loop.next_frame()
            assert captured is not None
            before = captured.truth.grip_m if before is None else before
            collector.loop.act(np.array([0.0, 0.0, 1.0, -1.0]), captured)
        lengths.append(float(np.linalg.norm(collector.loop.sim.truth().grip_m - before)))
    assert lengths[1] > 1.3 * lengths[0]


def test_an_interrupted_learner_goes_on_exactly(world: World, tmp_path: Path) -> None:
    learner = _learner()
    replay = HindsightReplay(find_task("push"), ReplaySettings(capacity=10))
    replay.add(_collector(world, learner, sees=False).collect(RolloutRequest(FIRST_SEED, "random")))
    learner.update(replay.sample(32, np.random.default_rng(0)))
    copy, run = _learner(9), RunDirectory(tmp_path)
    run.save(run.last, learner.state_dict())
    copy.load_state_dict(run.load(run.last))
    results = [part.update(replay.sample(32, np.random.default_rng(1))) for part in (learner, copy)]
    assert results[0] == results[1]


def test_a_bundle_says_what_an_actor_was_trained_for_and_reproduces_it(world: World, tmp_path: Path) -> None:
    actor = VISION.build_actor(3).eval()
    latency_randomization = LatencyRandomization(camera_late_ms=80.0, command_late_ms=30.0)
    loop = make_loop(world, find_task("push"), 1)
    export_bundle(tmp_path / "bundle", actor, world, loop, 0, "test", 60, latency_randomization)
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.manifest.task == "push" and bundle.manifest.goal.frame == "base_link"
    latency, timing = bundle.manifest.latency, world.timing
    assert latency.camera_s == pytest.approx((timing.camera_latency_s.low, timing.camera_latency_s.high + 0.080))
    assert latency.command_s == pytest.approx((timing.command_latency_s.low, timing.command_latency_s.high + 0.030))
    for name, tensor in bundle.actor.state_dict().items():
        torch.testing.assert_close(tensor, actor.state_dict()[name], rtol=0, atol=0)
    outcomes = list(measure(bundle, Case(world, "do-nothing"), [5, 6]))
    assert [outcome.success for outcome in outcomes] == [False, False]
    assert len(list(measure(bundle, Case(world, "foreign-pictures"), [5, 6]))) == 2


def test_goals_in_the_air_are_those_off_the_table() -> None:
    world = load_world("randomized", worlds_dir())
    seeds = range(10_000, 10_040)
    in_air = goals_in_air(world, find_task("pick_and_place"), seeds)
    assert 0 < len(in_air) < len(seeds)
    assert goals_in_air(world, find_task("push"), seeds) == set()
    loop = make_loop(world, find_task("pick_and_place"), 0)
    part = world.episode_of(find_task("pick_and_place"))
    for seed in seeds[:10]:
        height_m = loop.reset(seed).goal_m[2]
        assert (part.air_z_m.low <= height_m <= part.air_z_m.high) == (seed in in_air)
    loop.sim.close()
