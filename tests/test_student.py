"""Distillation: a teacher's actions on the true state, and a student with memory that learns them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fetch_sim2real.episode import EpisodeStart
from fetch_sim2real.errors import SetupError
from fetch_sim2real.policy.network import Actor, MemorySpec
from fetch_sim2real.sim.full_state import layout_of
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.training.relay_config import RelayConfig
from fetch_sim2real.training.relay_her import RelayLearner
from fetch_sim2real.training.relay_rollout import LAST_ACTIONS, DecisionCollector, Request
from fetch_sim2real.training.run_directory import RunDirectory
from fetch_sim2real.training.seeds import training_seeds
from fetch_sim2real.training.setup import Setting
from fetch_sim2real.training.state_estimator import EstimationErrors
from fetch_sim2real.training.student import FitSettings, Lesson, LessonCollector, LessonRequest, fit_head
from fetch_sim2real.training.teacher import Expert

TASK = "reach_block"
SEEDS = training_seeds(0, "tests of students")
FIRST, SECOND = next(SEEDS), next(SEEDS)
MEMORY = MemorySpec(kind="gru", size=16)
CONFIG = RelayConfig(hidden=16, layers=1)


def setting(memory: MemorySpec | None = MEMORY) -> Setting:
    return Setting(TASK, "nominal", True, EstimationErrors(), memory=memory)


@pytest.fixture(scope="module")
def expert() -> Expert:
    """One that has learned nothing: what it does is still a function of the state."""
    size = layout_of(find_task(TASK), LAST_ACTIONS).size
    actor = RelayLearner(size, find_task(TASK).skills, CONFIG, 0).actor
    return Expert(TASK, CONFIG, {name: value.numpy() for name, value in actor.state_dict().items()})


def collect(expert: Expert, taught: float, kicks: float = 0.0) -> list[Lesson]:
    collector = LessonCollector(setting(), expert, 2, keeps_pictures=False)
    weights = {name: value.numpy() for name, value in setting().build_actor(0).state_dict().items()}
    starts = (EpisodeStart(FIRST), EpisodeStart(SECOND))
    lessons, pictures = collector.answer(weights, LessonRequest(starts, taught, kicks))
    collector.close()
    assert pictures is None
    return lessons


def test_a_teacher_that_acts_does_what_the_expert_does_alone(expert: Expert) -> None:
    size = layout_of(find_task(TASK), LAST_ACTIONS).size
    alone = DecisionCollector(TASK, "nominal", 2, CONFIG, size)
    episodes = alone.answer(expert.weights, Request((FIRST, SECOND), "deterministic", 1)).episodes
    alone.close()
    for lesson, episode in zip(collect(expert, taught=1.0), episodes, strict=True):
        assert (lesson.wanted[:-1] == episode.action).all()
        assert lesson.vector.shape == (len(lesson), setting().build_actor(0).observation.vector_size)


def test_the_student_acts_after_the_taught_part_and_is_told_what_the_teacher_would_have_done(expert: Expert) -> None:
    taught, mixed, own = (collect(expert, share)[0] for share in (1.0, 0.5, 0.0))
    half = len(taught) // 2
    assert (mixed.bottleneck[:half] == taught.bottleneck[:half]).all()
    assert not np.allclose(mixed.bottleneck[-1], taught.bottleneck[-1], atol=1e-3)
    # The same student from the first frame on is elsewhere, and the teacher answers to that.
    assert not np.allclose(own.wanted[half], taught.wanted[half], atol=1e-3)


def test_kicks_lead_off_the_beaten_track_and_are_not_taught(expert: Expert) -> None:
    straight, kicked = (collect(expert, 1.0, kicks)[0] for kicks in (0.0, 0.2))
    assert (straight.wanted[0] == kicked.wanted[0]).all()
    assert not np.allclose(straight.bottleneck[-1], kicked.bottleneck[-1], atol=1e-3)
    assert (collect(expert, 1.0, 0.2)[0].wanted == kicked.wanted).all(), "the same request, the same episodes"


def remembered(actor: Actor, count: int, length: int) -> list[Lesson]:
    """Episodes of two lengths in which the action is what was seen at the beginning, and not since."""
    rng = np.random.default_rng(0)
    lessons = []
    for number in range(count):
        frames = length - 7 * (number % 2)
        bottleneck = np.zeros((frames, actor.spec.bottleneck_size), np.float32)
        bottleneck[:3, 0] = rng.choice([-1.0, 1.0])
        vector = np.zeros((frames, actor.observation.vector_size), np.float32)
        wanted = np.repeat(0.7 * bottleneck[:1, :1], frames, axis=0).repeat(4, axis=1)
        lessons.append(Lesson(number, bottleneck, vector, wanted, True))
    return lessons


@pytest.mark.parametrize(("memory", "learns"), [(MEMORY, True), (None, False)])
def test_memory_learns_what_was_seen_before_the_present_piece(memory: MemorySpec | None, learns: bool) -> None:
    actor = setting(memory).build_actor(0)
    encoder = {name: value.clone() for name, value in actor.encoder.state_dict().items()}
    # Pieces shorter than the episode: what is remembered goes on from piece to piece.
    settings = FitSettings(updates=120, batch=12, piece=15, learning_rate=3e-3)
    error = fit_head(actor, remembered(actor, 24, 40), settings, 0)
    assert (error < 0.02) if learns else (error > 0.2)
    assert all(torch.equal(value, encoder[name]) for name, value in actor.encoder.state_dict().items())


def test_a_folder_without_an_expert_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"holds no best\.pt, expected a run of train --stage expert"):
        Expert.of_run(RunDirectory(tmp_path))
