"""From an expert on the true state to an actor on pictures: rehearsals without pictures, then rounds with them.

*Rehearsals* are rounds of DAgger in which a camera is only pretended: where things are, with errors like an encoder's.
They cost no pictures, and nearly everything a student's head has to learn it learns there. *Rounds* are the same on
real pictures, after each of which the encoder is refitted on what the student itself has seen.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from rich.progress import track

from fetch_sim2real.common.workers import HERE, Pool, Workplace, in_order
from fetch_sim2real.episode import EpisodeStart
from fetch_sim2real.policy.network import Actor
from fetch_sim2real.training.defaults import MEMORY, ROUNDS
from fetch_sim2real.training.encoder import PretrainSettings, encode_all, errors_m, pose_error, pretrain_encoder
from fetch_sim2real.training.labelled_images import PoseImages
from fetch_sim2real.training.latency_randomization import LatencyRandomization
from fetch_sim2real.training.relay_rollout import Weights
from fetch_sim2real.training.run_directory import RunDirectory
from fetch_sim2real.training.seeds import training_seeds
from fetch_sim2real.training.setup import Setting
from fetch_sim2real.training.state_estimator import EstimationErrors, seen_rarely
from fetch_sim2real.training.student import FitSettings, Lesson, LessonCollector, LessonRequest, fit_head
from fetch_sim2real.training.teacher import Expert

_log = logging.getLogger(__name__)
_Pool = Pool[Weights, LessonRequest, tuple[list[Lesson], PoseImages | None]]
_COLUMNS: Final = ("bottleneck", "vector", "wanted")
# Pictures that the encoder's errors are estimated from.
_LEAST_SHOWN, _MOST_SHOWN = 100, 4_000


@dataclass(frozen=True)
class StudentSettings:
    """How much there is of it, and how. In ``latency.moved_share`` of the episodes the object is moved on the way."""

    memory: int = MEMORY  # numbers that it remembers by; 0: none
    rehearsals: int = 10
    rounds: int = ROUNDS
    # Of a rehearsal, and of a round: a multiple of the environments is all used.
    rehearsed_episodes: int = 64
    episodes: int = 48
    environments: int = 16
    kicks: float = 0.01
    # Of what is pretended in rehearsals, where that is not known from an encoder.
    errors: EstimationErrors = field(default_factory=lambda: EstimationErrors(vary=2.0, hides_per_s=0.15))
    latency: LatencyRandomization = field(default_factory=lambda: LatencyRandomization(moved_share=0.3))
    fit: FitSettings = field(default_factory=FitSettings)
    # The learning rate of fits after the first picture: what was rehearsed is not to be lost.
    later_learning_rate: float = 5e-4
    # Refitting the encoder: one of so many pictures, and as many older ones as there are of these times this.
    keep_every: int = 4
    old_per_new: float = 2.0
    refit: PretrainSettings = field(default_factory=lambda: PretrainSettings(epochs=2, learning_rate=5e-4))


def distil(
    setting: Setting,
    expert: Expert,
    encoder: dict[str, Any],
    pictures: PoseImages,
    run: RunDirectory,
    settings: StudentSettings,
    seed: int,
    workplace: Workplace = HERE,
) -> Actor:
    """Return the student of ``expert`` in ``setting``, which looks at pictures by ``encoder`` (its weights).

    ``pictures`` are those that the encoder has learned from: rehearsals pretend to see as far off as it is on them.
    ``run`` keeps what every round has left: an interrupted call goes on after the last whole one.
    """
    return _Distillation(setting, expert, encoder, pictures, run, settings, seed, workplace).run()


class _Distillation:
    def __init__(
        self, setting: Setting, expert: Expert, encoder: dict[str, Any], pictures: PoseImages, run: RunDirectory,
        settings: StudentSettings, seed: int, workplace: Workplace,
    ) -> None:  # fmt: skip
        self._setting, self._expert, self._encoder, self._pictures = setting, expert, encoder, pictures
        self._run, self._settings, self._seed, self._workplace = run, settings, seed, workplace
        self._actor = setting.build_actor(seed).eval()
        self._lessons: list[Lesson] = []
        self._done, self._wall_s, self._cpu_s = 0, 0.0, 0.0
        if run.last.exists():
            stored = run.load(run.last)
            self._actor.load_state_dict(stored["actor"])
            self._done, self._wall_s, self._cpu_s = (stored[name] for name in ("rounds", "wall_s", "cpu_s"))
            self._lessons = [lesson for number in range(self._done) for lesson in self._stored_lessons(number)]
            _log.info("going on after round %d", self._done)

    def run(self) -> Actor:
        settings = self._settings
        self._began_wall_s, self._began_cpu_s = time.monotonic() - self._wall_s, time.process_time() - self._cpu_s
        if self._done < settings.rehearsals:
            pretended = replace(self._setting, errors=self._errors_of_encoder())
            with closing(self._pool(pretended, keeps_pictures=False)) as pool:
                for number in range(self._done, settings.rehearsals):
                    # The first ones are the teacher's own: what it does at all has to be learned first.
                    lessons, _ = self._collect(pool, number, settings.rehearsed_episodes, 1.0 if number == 0 else 0.0)
                    self._learn(number, lessons, settings.fit)
        if self._done == settings.rehearsals:
            self._actor.encoder.load_state_dict(self._encoder)
        if self._done < settings.rehearsals + settings.rounds:
            fit = replace(settings.fit, learning_rate=settings.later_learning_rate)
            with closing(self._pool(self._setting, keeps_pictures=True)) as pool:
                for number in range(self._done, settings.rehearsals + settings.rounds):
                    lessons, pictures = self._collect(pool, number, settings.episodes, 0.0)
                    assert pictures is not None
                    lessons = self._look_again(number, lessons, pictures)
                    self._learn(number, lessons, fit)
        return self._actor

    def _errors_of_encoder(self) -> EstimationErrors:
        """Errors as large as the encoder's, on some of its pictures that show all objects."""
        knowing = self._setting.build_actor(self._seed).eval()
        knowing.encoder.load_state_dict(self._encoder)
        shows = np.flatnonzero(self._pictures.objects_seen.all(axis=1))
        if len(shows) < _LEAST_SHOWN:
            return self._settings.errors
        off_m = errors_m(knowing, self._pictures.pick(shows[:: max(1, len(shows) // _MOST_SHOWN)])).astype(np.float64)
        objects_off_m, grip_off_m = off_m[:, :-1], np.repeat(off_m[:, -1:], off_m.shape[1] - 1, axis=1)
        errors = self._settings.errors.as_large_as(objects_off_m.reshape(-1, 3), grip_off_m.reshape(-1, 3))
        _log.info("rehearsals pretend errors of %s", errors)
        return errors

    def _pool(self, setting: Setting, *, keeps_pictures: bool) -> _Pool:
        make = partial(
            LessonCollector, setting, self._expert, self._settings.environments, keeps_pictures=keeps_pictures
        )
        return self._workplace.pool(make)

    def _collect(
        self, pool: _Pool, number: int, episodes: int, taught: float
    ) -> tuple[list[Lesson], PoseImages | None]:
        rng = np.random.default_rng([self._seed, 19, number])
        seeds = training_seeds(self._seed, f"student-{number}")
        requests = list(self._requests(seeds, rng, episodes, taught))
        # A copy: the weights must stay as they are while others read them.
        weights = {name: value.detach().numpy().copy() for name, value in self._actor.state_dict().items()}
        told = f"round {number + 1} of {self._settings.rehearsals + self._settings.rounds}"
        answers = list(track(in_order(pool, weights, requests), description=told, total=len(requests)))
        lessons = [lesson for group, _ in answers for lesson in group]
        albums = [pictures for _, pictures in answers if pictures is not None]
        return lessons, PoseImages.concatenate(albums) if albums else None

    def _requests(
        self, seeds: Iterator[int], rng: np.random.Generator, episodes: int, taught: float
    ) -> Iterator[LessonRequest]:
        settings = self._settings
        for first in range(0, episodes, settings.environments):
            count = min(settings.environments, episodes - first)
            starts = tuple(EpisodeStart(next(seeds), settings.latency.draw(rng)) for _ in range(count))
            yield LessonRequest(starts, taught, settings.kicks)

    def _look_again(self, number: int, lessons: Sequence[Lesson], pictures: PoseImages) -> list[Lesson]:
        """Refit the encoder on the student's own pictures; return the lessons as it sees them now."""
        settings, rng = self._settings, np.random.default_rng([self._seed, 23, number])
        new = pictures.every(settings.keep_every)
        count = min(len(self._pictures), round(len(new) * settings.old_per_new))
        old = self._pictures.pick(rng.choice(len(self._pictures), count, replace=False))
        before = pose_error(self._actor, new)
        pictures_to_learn = PoseImages.concatenate([new, old])
        hues_deg = self._setting.hues_deg
        pretrain_encoder(self._actor, pictures_to_learn, new, settings.refit, hues_deg, self._seed + number)
        self._actor.eval()
        after = pose_error(self._actor, new)
        _log.info("the encoder on the student's own pictures: before %s, after %s", before, after)
        self._pictures = PoseImages.concatenate([self._pictures, new])
        ends = np.cumsum([len(lesson) for lesson in lessons])[:-1]
        seen = np.split(encode_all(self._actor, pictures), ends)
        return [
            replace(lesson, bottleneck=seen_rarely(self._actor, torch.from_numpy(part), self._setting.look).numpy())
            for lesson, part in zip(lessons, seen, strict=True)
        ]

    def _learn(self, number: int, lessons: Sequence[Lesson], fit: FitSettings) -> None:
        """Fit the head to all lessons so far, and keep what the round has left."""
        self._lessons += lessons
        error = fit_head(self._actor, self._lessons, fit, self._seed + number)
        success = float(np.mean([lesson.success for lesson in lessons]))
        self._done = number + 1
        self._wall_s, self._cpu_s = time.monotonic() - self._began_wall_s, time.process_time() - self._began_cpu_s
        self._store_lessons(number, lessons)
        state = {
            "actor": self._actor.state_dict(), "rounds": self._done, "wall_s": self._wall_s, "cpu_s": self._cpu_s,
        }  # fmt: skip
        self._run.save(self._run.last, state)
        self._run.append_log({"round": float(self._done), "success": success, "error": error, "wall_s": self._wall_s})
        _log.info("round %d: %.2f of %d episodes succeed, error %.4f", self._done, success, len(lessons), error)

    def _store_lessons(self, number: int, lessons: Sequence[Lesson]) -> None:
        bottleneck, vector, wanted = (
            np.concatenate([getattr(lesson, name) for lesson in lessons]) for name in _COLUMNS
        )
        np.savez(
            self._run.path / f"lessons_{number}.npz", bottleneck=bottleneck, vector=vector, wanted=wanted,
            lengths=[len(lesson) for lesson in lessons], seeds=[lesson.seed for lesson in lessons],
            success=[lesson.success for lesson in lessons],
        )  # fmt: skip

    def _stored_lessons(self, number: int) -> Iterator[Lesson]:
        with np.load(self._run.path / f"lessons_{number}.npz", allow_pickle=False) as stored:
            ends = np.cumsum(stored["lengths"])[:-1]
            columns = [np.split(stored[name], ends) for name in _COLUMNS]
            for seed, success, (seen, told, wanted) in zip(
                stored["seeds"], stored["success"], zip(*columns, strict=True), strict=True
            ):
                yield Lesson(int(seed), seen, told, wanted, bool(success))
