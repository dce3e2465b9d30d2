"""One actor from nothing to a bundle, in stages whose results the run's folder keeps."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from fetch_sim2real.common.workers import HERE, Workplace
from fetch_sim2real.episode import make_loop
from fetch_sim2real.errors import SetupError
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.perception.preprocess import Channels
from fetch_sim2real.policy.look_rate import EVERY_FRAME, LookRate
from fetch_sim2real.policy.network import Actor, MemorySpec
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.defaults import PICTURES
from fetch_sim2real.training.encoder import PretrainSettings, pretrain_encoder
from fetch_sim2real.training.encoder_dataset import take_pictures
from fetch_sim2real.training.export import export_bundle
from fetch_sim2real.training.labelled_images import PoseImages
from fetch_sim2real.training.relay_config import RelayConfig
from fetch_sim2real.training.relay_stage import RelayRun, train_with_relay
from fetch_sim2real.training.run_directory import RunDirectory
from fetch_sim2real.training.setup import Setting
from fetch_sim2real.training.student_stage import StudentSettings, distil
from fetch_sim2real.training.teacher import Expert

_log = logging.getLogger(__name__)

HELD_OUT_SHARE: Final = 0.05


@dataclass(frozen=True)
class TrainingRun:
    """What to train and where; ``command`` is written into the bundle's provenance.

    ``expert_run`` is the folder of the teacher, which several students can share, and ``encoder_run`` that of pictures
    and encoder, which tasks with the same object can share. The student looks as often as ``look`` says. ``workplace``
    is where episodes are collected, and as many processes as that has take the pictures.
    """

    task: str
    run: Path
    expert_run: Path
    encoder_run: Path
    output: Path
    seed: int
    world: str
    proprioception: bool
    command: str
    channels: Channels = "rgbd"
    look: LookRate = EVERY_FRAME
    pictures: int = PICTURES
    workplace: Workplace = HERE
    expert: RelayConfig = field(default_factory=RelayConfig)
    pretrain: PretrainSettings = field(default_factory=PretrainSettings)
    student: StudentSettings = field(default_factory=StudentSettings)

    def setting(self) -> Setting:
        """Return what the student is trained in."""
        memory = MemorySpec(kind="gru", size=self.student.memory) if self.student.memory else None
        return Setting(
            self.task, self.world, self.proprioception, None, channels=self.channels, memory=memory, look=self.look
        )


def train(request: TrainingRun, say: Callable[[str], None] = _log.info) -> None:
    """Run the stages that the run's folder does not hold yet, then write the bundle.

    Raises StopRequestedError after a signal to stop while the expert learns; the same call goes on.
    """
    expert = train_expert(request, say)
    say("encoder: pictures of the teacher's episodes and of scattered poses")
    encoder, pictures = fit_encoder(request, expert)
    say("student: rehearsals without pictures, then rounds with them")
    student = RunDirectory(request.run / "student")
    actor = distil(
        request.setting(), expert, encoder, pictures, student, request.student, request.seed, request.workplace
    )
    export(request, actor)


def train_expert(request: TrainingRun, say: Callable[[str], None]) -> Expert:
    """Return the expert on the true state."""
    run = RunDirectory(request.expert_run)
    if not run.finished.exists():
        asked = RelayRun(request.task, request.world, request.seed, request.expert)
        train_with_relay(asked, run, request.workplace, say)
        run.finished.touch()
    expert = Expert.of_run(run)
    if expert.task != request.task:
        raise SetupError(
            f"{run.path} holds an expert for '{expert.task}', expected one for '{request.task}': name another "
            "--expert-run, or leave it out to train one"
        )
    return expert


def fit_encoder(request: TrainingRun, expert: Expert) -> tuple[dict[str, Any], PoseImages]:
    """Return the pretrained encoder's weights, and the pictures that it learned from.

    Raises:
        SetupError: the folder's pictures or encoder are of another actor; the text says in what.
    """
    run, processes = RunDirectory(request.encoder_run), request.workplace.processes or 1
    counts = {"held": round(request.pictures * HELD_OUT_SHARE), "train": request.pictures}
    held_out, images = take_pictures(run, expert, request.world, request.seed, counts, processes)
    encoder, setting = run.encoder(request.channels), request.setting()
    actor = setting.build_actor(request.seed)
    found = {"objects": images.objects_m.shape[1], "pixels a side": images.rgb.shape[1]}
    wanted = {"objects": len(setting.definition.bodies), "pixels a side": actor.observation.image.size}
    _require_same(f"the pictures in {run.path}", found, wanted)
    if not encoder.exists():
        error = pretrain_encoder(actor, images, held_out, request.pretrain, setting.hues_deg, request.seed)
        _log.info("encoder on held-out pictures: %s", error)
        run.save(encoder, actor.encoder.state_dict())
    weights: dict[str, Any] = run.load(encoder)
    shapes, expected = (
        {name: tuple(value.shape) for name, value in state.items()} for state in (weights, actor.encoder.state_dict())
    )
    _require_same(f"the weights in {encoder}", shapes, expected)
    return weights, images


def _require_same(what: str, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    other = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
    if other:
        name = other[0]
        raise SetupError(
            f"{what} are of another actor: {name} is {found.get(name)}, expected {wanted.get(name)}. Name another "
            "--encoder-run, or leave it out to take pictures anew"
        )


def export(request: TrainingRun, actor: Actor) -> None:
    """Write the bundle of ``actor``."""
    world = load_world(request.world, worlds_dir())
    loop = make_loop(world, find_task(request.task), 1)
    steps = RunDirectory(request.expert_run).spent().env_steps
    with torch.no_grad():
        export_bundle(
            request.output, actor, world, loop, request.seed, request.command, steps, request.student.latency
        )
    loop.sim.close()
    _log.info("wrote %s", request.output)
