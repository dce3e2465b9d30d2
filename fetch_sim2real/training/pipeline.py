"""One actor from nothing to a bundle, in stages whose results the run's folder keeps."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch

from fetch_sim2real.episode import make_loop
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.perception.preprocess import Channels
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.actor_critic import StochasticActor
from fetch_sim2real.training.defaults import PICTURES, TUNING_STEPS
from fetch_sim2real.training.encoder import PretrainSettings, pretrain_encoder
from fetch_sim2real.training.encoder_dataset import take_pictures
from fetch_sim2real.training.export import export_bundle
from fetch_sim2real.training.labelled_images import PoseImages
from fetch_sim2real.training.latency_randomization import LatencyRandomization
from fetch_sim2real.training.learn import LoopSettings
from fetch_sim2real.training.run_directory import RunDirectory
from fetch_sim2real.training.setup import Setting
from fetch_sim2real.training.state_estimator import EstimationErrors
from fetch_sim2real.training.state_stage import StageSettings, make_learner, train_with_her, without_imitation
from fetch_sim2real.training.vision_stage import (
    DaggerSettings,
    FilmedRolloutWorker,
    fine_tune,
    learner_from,
    run_dagger,
)

_log = logging.getLogger(__name__)

HELD_OUT_SHARE: Final = 0.05
# The encoder's estimates are better in its own world than they will be in others.
_ADDED: Final = EstimationErrors(camera_m=0.003, object_m=0.003, lasting_m=0.003, frame_m=0.0)


@dataclass(frozen=True)
class TrainingRun:
    """What to train and where; ``command`` is written into the bundle's provenance.

    ``encoder_run`` is the folder of pictures and encoder, which tasks with the same object can share. ``processes``
    take the pictures.
    """

    task: str
    run: Path
    encoder_run: Path
    output: Path
    seed: int
    world: str
    proprioception: bool
    command: str
    channels: Channels = "rgbd"
    pictures: int = PICTURES
    processes: int = 1
    expert: StageSettings = field(
        default_factory=lambda: StageSettings(loop=LoopSettings(latency_randomization=LatencyRandomization()))
    )
    pretrain: PretrainSettings = field(default_factory=PretrainSettings)
    dagger: DaggerSettings = field(default_factory=DaggerSettings)
    tuning: StageSettings = field(
        default_factory=lambda: StageSettings(
            loop=LoopSettings(
                steps=TUNING_STEPS, warm_up_steps=0, evaluate_every=5_000, random_share=0.05,
                latency_randomization=LatencyRandomization(),
            ),
        )
    )


def train(request: TrainingRun) -> None:
    """Run the stages that the run's folder does not hold yet, then write the bundle.

    Where the task has no scripted baseline, nothing is imitated.
    """
    task = find_task(request.task)
    if len(task.objects) > 1:
        raise FetchSim2RealError(
            f"the task '{task.name}' has {len(task.objects)} objects, expected one at most: the encoder of pictures "
            "estimates one position beside the gripper's. Train it on true positions (--stage expert)"
        )
    if task.scripted is None:
        request = replace(
            request, expert=without_imitation(request.expert), tuning=without_imitation(request.tuning)
        )
    vision = _vision_setting(request)
    expert_run = RunDirectory(request.run / "expert")
    if not expert_run.finished.exists():
        train_with_her(replace(vision, errors=EstimationErrors()), expert_run, request.expert, request.seed)
        expert_run.finished.touch()
    expert = expert_run.load(expert_run.best)["learner"]
    encoder, images = fit_encoder(request)
    distilled = RunDirectory(request.run / "dagger")
    if not distilled.best.exists():
        _distil(request, vision, expert, encoder, images, distilled)
    if request.tuning.loop.steps == 0:
        export(request, vision, distilled)
        return
    tuned = RunDirectory(request.run / "tuned")
    start = distilled.load(distilled.best)["learner"]
    learner = learner_from(start, vision, request.tuning, request.seed)
    fine_tune(learner, vision, (), tuned, request.tuning, request.seed)
    export(request, vision, tuned)


def _vision_setting(request: TrainingRun) -> Setting:
    return Setting(
        request.task, request.world, request.proprioception, None, channels=request.channels, added_errors=_ADDED
    )


def fit_encoder(request: TrainingRun) -> tuple[dict[str, Any], PoseImages]:
    """Return the pretrained encoder's weights, and the pictures that it learned from."""
    run = RunDirectory(request.encoder_run)
    counts = {"held": round(request.pictures * HELD_OUT_SHARE), "train": request.pictures}
    task = find_task(request.task)
    held_out, images = take_pictures(run, task, request.world, request.seed, counts, request.processes)
    encoder = run.encoder(request.channels)
    if not encoder.exists():
        actor = _vision_setting(request).build_actor(request.seed)
        error = pretrain_encoder(actor, images, held_out, request.pretrain, request.seed)
        _log.info("encoder on held-out pictures: %s", error)
        run.save(encoder, actor.encoder.state_dict())
    return run.load(encoder), images


def _distil(
    request: TrainingRun,
    vision: Setting,
    expert: dict[str, Any],
    encoder: dict[str, Any],
    images: PoseImages,
    run: RunDirectory,
) -> None:
    policy = StochasticActor(vision.build_actor(0)).eval()
    learner = make_learner(vision, request.tuning.learner, request.seed)
    learner.load_state_dict(expert)
    policy.load_state_dict(learner.policy.state_dict())
    policy.actor.encoder.load_state_dict(encoder)
    with closing(request.tuning.workplace.pool(partial(FilmedRolloutWorker, vision.collector()))) as pool:
        run_dagger(policy, learner.policy.actor, pool, images, request.dagger, request.seed)
    learner.policy.load_state_dict(policy.state_dict())
    run.save(run.best, {"learner": learner.state_dict(), "steps": 0})


def export(request: TrainingRun, vision: Setting, run: RunDirectory) -> None:
    """Write the bundle of the best actor in ``run``."""
    stored = run.load(run.best)
    learner = make_learner(vision, request.tuning.learner, request.seed)
    learner.load_state_dict(stored["learner"])
    world = load_world(request.world, worlds_dir())
    loop = make_loop(world, vision.definition, 1)
    with torch.no_grad():
        export_bundle(
            request.output, learner.policy.actor, world, loop, request.seed, request.command, int(stored["steps"]),
            request.tuning.loop.latency_randomization,
        )  # fmt: skip
    loop.sim.close()
    _log.info("wrote %s", request.output)
