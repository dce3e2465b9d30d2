"""All stages of a training run, without their hours."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fetch_sim2real.errors import SetupError
from fetch_sim2real.evaluation.measure import Case, measure
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.training import pipeline
from fetch_sim2real.training.encoder import PretrainSettings
from fetch_sim2real.training.relay_config import RelayConfig
from fetch_sim2real.training.run_directory import RunDirectory
from fetch_sim2real.training.student import FitSettings
from fetch_sim2real.training.student_stage import StudentSettings
from fetch_sim2real.training.teacher import Expert

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module", params=["reach_block", "stack"])
def request_of_all(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> pipeline.TrainingRun:
    """A run of all stages, in seconds, of a task with one object and of one with two: nothing is learned."""
    folder = tmp_path_factory.mktemp("all")
    asked = pipeline.TrainingRun(
        task=request.param, run=folder / "run", expert_run=folder / "expert", encoder_run=folder / "encoder",
        output=folder / "bundle", seed=0, world="nominal", proprioception=True, command="a test", pictures=32,
        expert=RelayConfig(
            hidden=16, layers=1, batch=16, updates_per_decision=0.05, environments=2, evaluation_episodes=2, steps=240,
        ),
        pretrain=PretrainSettings(epochs=1, batch=16),
        student=StudentSettings(
            memory=8, rehearsals=2, rounds=1, rehearsed_episodes=2, episodes=2, environments=2,
            fit=FitSettings(updates=2, batch=2), refit=PretrainSettings(epochs=1, batch=16), keep_every=12,
        ),
    )  # fmt: skip
    pipeline.train(asked)
    return asked


def test_all_stages_end_in_a_bundle_with_memory(request_of_all: pipeline.TrainingRun) -> None:
    request = request_of_all
    bundle = load_bundle(request.output)
    assert bundle.actor.spec.state_size == 8 and bundle.manifest.task == request.task
    kept = RunDirectory(request.run / "student").load(request.run / "student" / "last.pt")
    assert kept["rounds"] == 3
    for name, weights in bundle.actor.state_dict().items():
        torch.testing.assert_close(kept["actor"][name], weights, rtol=0, atol=0)
    world = load_world("nominal", worlds_dir()).with_episode_s(0.6)
    assert len(list(measure(bundle, Case(world), [5, 6], environments=2))) == 2


def test_an_expert_of_another_task_teaches_nobody(request_of_all: pipeline.TrainingRun) -> None:
    with pytest.raises(SetupError, match=f"holds an expert for '{request_of_all.task}', expected one for 'push'"):
        pipeline.train_expert(replace(request_of_all, task="push"), print)


def test_pictures_and_encoders_of_another_actor_are_refused_by_name(
    request_of_all: pipeline.TrainingRun, tmp_path: Path
) -> None:
    expert = Expert.of_run(RunDirectory(request_of_all.expert_run))
    objects = {"reach_block": 1, "stack": 2}
    mine = objects.pop(request_of_all.task)
    ((other, theirs),) = objects.items()
    with pytest.raises(SetupError, match=f"pictures in .* objects is {mine}, expected {theirs}. Name another"):
        pipeline.fit_encoder(replace(request_of_all, task=other), expert)
    shutil.copytree(request_of_all.encoder_run, tmp_path / "encoder")
    run = RunDirectory(tmp_path / "encoder")
    run.save(run.encoder("rgbd"), run.load(run.encoder("rgbd")) | {"out.bias": torch.zeros(3)})
    with pytest.raises(SetupError, match=r"weights in .*rgbd.pt are of another actor: out.bias is \(3,\), expected"):
        pipeline.fit_encoder(replace(request_of_all, encoder_run=run.path), expert)


def test_what_a_folder_holds_is_not_done_again(
    request_of_all: pipeline.TrainingRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in ("train_with_relay", "pretrain_encoder"):
        monkeypatch.setattr(pipeline, stage, None)
    kept = RunDirectory(request_of_all.run / "student").load(request_of_all.run / "student" / "last.pt")["actor"]
    # One more rehearsal would be another student; one more round goes on from the last whole one.
    longer = replace(request_of_all.student, rounds=2)
    pipeline.train(replace(request_of_all, student=longer, output=tmp_path / "bundle"))
    actor = load_bundle(tmp_path / "bundle").actor.state_dict()
    assert any(not torch.equal(actor[name], weights) for name, weights in kept.items())
    log = np.genfromtxt(request_of_all.run / "student" / "progress.csv", delimiter=",", names=True)
    assert log["round"].tolist() == [1.0, 2.0, 3.0, 4.0], "earlier rounds were not gone through again"
