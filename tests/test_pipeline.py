"""The stages of a training run, without their hours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fetch_sim2real.policy.bundle import load_bundle
from fetch_sim2real.training import pipeline
from fetch_sim2real.training.run_directory import RunDirectory
from fetch_sim2real.training.setup import Setting
from fetch_sim2real.training.state_stage import make_learner


def test_without_fine_tuning_the_bundle_is_what_dagger_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = pipeline.TrainingRun(
        task="reach_block", run=tmp_path / "run", encoder_run=tmp_path / "run", output=tmp_path / "bundle", seed=0,
        world="nominal", proprioception=True, command="a test",
    )  # fmt: skip
    request = replace(request, tuning=replace(request.tuning, loop=replace(request.tuning.loop, steps=0)))
    learner = make_learner(Setting("reach_block", "nominal", True, None), request.tuning.learner, 3)
    for stage in ("expert", "dagger"):
        run = RunDirectory(request.run / stage)
        run.save(run.best, {"learner": learner.state_dict(), "steps": 0})
    RunDirectory(request.run / "expert").finished.touch()
    monkeypatch.setattr(pipeline, "fit_encoder", lambda request: ({}, None))
    pipeline.train(request)
    exported = load_bundle(request.output).actor.state_dict()
    for name, weights in learner.policy.actor.state_dict().items():
        torch.testing.assert_close(exported[name], weights, rtol=0, atol=0)
    assert not (request.run / "tuned").exists()
