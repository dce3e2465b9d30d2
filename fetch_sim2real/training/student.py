"""Distillation: an actor that sees what a robot has learns what an expert on the true state would do.

*DAgger* (Ross et al. 2011, https://arxiv.org/abs/1011.0686): the student acts, the teacher says for every frame what it
would have done there, and the student is fitted to all that was ever said. Memory is learned by backpropagation through
time: episodes are gone through in pieces, from the first frame on, so that each begins with the memory that the frames
before have left.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from fetch_sim2real.episode import Arrival, EpisodeRunner, EpisodeStart
from fetch_sim2real.perception.observe import ACTION_SIZE, ActionHistory, observe_vector
from fetch_sim2real.policy.default_observation import IMAGE
from fetch_sim2real.policy.network import Actor
from fetch_sim2real.timing import CONTROL_RATE_HZ
from fetch_sim2real.training.labelled_images import ImageAlbum, PoseImages
from fetch_sim2real.training.relay_rollout import LAST_ACTIONS, Weights
from fetch_sim2real.training.setup import Setting
from fetch_sim2real.training.teacher import Expert, Teacher

Float32 = NDArray[np.float32]
_log = logging.getLogger(__name__)

# A kick is a random action that is held for so many frames: what is seen afterwards is off the beaten track.
_KICK_FRAMES: Final = 6


@dataclass(frozen=True)
class Lesson:
    """T frames of one episode: bottleneck (T, b), vector (T, n), what the teacher would have done (T, 4)."""

    seed: int
    bottleneck: Float32
    vector: Float32
    wanted: Float32
    success: bool

    def __len__(self) -> int:
        return len(self.vector)


@dataclass(frozen=True)
class LessonRequest:
    """Episodes to run, one in each environment. The teacher acts in the first ``taught`` of each episode's frames (1:
    all), then the student; ``kicks`` of the frames begin a kick."""

    starts: tuple[EpisodeStart, ...]
    taught: float
    kicks: float


class LessonCollector:
    """Runs episodes of student and teacher. See ``common.workers.Worker``."""

    def __init__(self, setting: Setting, expert: Expert, environments: int, *, keeps_pictures: bool) -> None:
        loops, self._estimators, self._actor = setting.several(environments)
        self._runner, self._teacher = EpisodeRunner(loops), Teacher(expert, environments)
        self._frames = round(loops[0].sim.episode_config.episode_s * CONTROL_RATE_HZ)
        self._keeps_pictures = keeps_pictures

    def answer(self, weights: Weights, request: LessonRequest) -> tuple[list[Lesson], PoseImages | None]:
        """Run the episodes; return what was taught, and with ``keeps_pictures`` all pictures in order."""
        self._actor.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
        rng = np.random.default_rng([request.starts[0].seed, 13])
        runner, count = self._runner, len(request.starts)
        arrivals = runner.begin(request.starts)
        albums = [ImageAlbum(loop.sim, IMAGE) for loop in runner.loops[:count]]
        for estimator in self._estimators:
            estimator.start(rng)
        self._teacher.reset()
        histories = [ActionHistory(max(LAST_ACTIONS, self._actor.observation.last_actions)) for _ in range(count)]
        state = self._actor.initial_state(count)
        until = np.full(count, request.taught * self._frames)
        kicked, kicks = np.zeros(count, int), np.zeros((count, ACTION_SIZE))
        rows: list[list[tuple[Float32, Float32, Float32]]] = [[] for _ in range(count)]
        frame = 0
        while arrivals:
            where = [arrival.environment for arrival in arrivals]
            if self._keeps_pictures:
                for arrival in arrivals:
                    albums[arrival.environment].add(arrival.captured)
            bottleneck, vector = self._observe(arrivals, histories)
            with torch.inference_mode():
                own, state[where] = self._actor.act(bottleneck, vector, state[where])
            wanted = self._teacher.actions(arrivals, histories)
            kicked -= 1
            anew = (rng.random(count) < request.kicks) & (kicked <= 0)
            kicked[anew] = _KICK_FRAMES
            kicks[anew] = rng.uniform(-1.0, 1.0, (int(anew.sum()), ACTION_SIZE))
            taught = (frame < until)[where, None]
            actions = np.where(taught, wanted, own.numpy().astype(np.float64))
            actions = np.where((kicked > 0)[where, None], kicks[where], actions)
            for index, row in enumerate(where):
                rows[row].append((bottleneck[index].numpy(), vector[index].numpy(), wanted[index].astype(np.float32)))
                histories[row].push(actions[index])
            arrivals = runner.step(arrivals, actions)
            frame += 1
        lessons = []
        for row, start in enumerate(request.starts):
            seen, told, taught_actions = (np.array(column) for column in zip(*rows[row], strict=True))
            success = runner.loops[row].sim.outcome().success
            lessons.append(Lesson(start.seed, seen, told, taught_actions, success))
        pictures = PoseImages.concatenate([album.images() for album in albums]) if self._keeps_pictures else None
        return lessons, pictures

    def _observe(
        self, arrivals: Sequence[Arrival], histories: Sequence[ActionHistory]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        spec = self._actor.observation
        seen = [self._estimators[each.environment].estimate(each.captured, each.loop.sim) for each in arrivals]
        vectors = [
            observe_vector(
                spec, each.captured.stamp_ns, each.joints, each.loop.setpoint.position, each.loop.sim.goal_m,
                histories[each.environment].recent()[: spec.last_actions], each.loop.grip_position_m,
            )
            for each in arrivals
        ]  # fmt: skip
        return torch.cat(seen), torch.from_numpy(np.array(vectors))

    def close(self) -> None:
        """Free the environments."""
        self._runner.close()


@dataclass(frozen=True)
class FitSettings:
    """Updates of the head; each is of ``batch`` episodes, gone through in pieces of ``piece`` frames."""

    updates: int = 300
    batch: int = 16
    piece: int = 120
    learning_rate: float = 1e-3


def fit_head(actor: Actor, lessons: Sequence[Lesson], settings: FitSettings, run_seed: int) -> float:
    """Fit the head of ``actor`` to what was taught; return the last mean squared difference of actions.

    The learning rate rises and falls once. Only the head learns: bottlenecks are given.
    """
    rng = np.random.default_rng([run_seed, 17])
    longest = max(len(lesson) for lesson in lessons)
    # Pad to one length: what follows an episode's end has no weight.
    padded = [
        torch.from_numpy(np.stack([_padded(getattr(lesson, name), longest) for lesson in lessons]))
        for name in ("bottleneck", "vector", "wanted")
    ]
    weight = torch.from_numpy(np.stack([_padded(np.ones(len(lesson), np.float32), longest) for lesson in lessons]))
    parameters = list(actor.head.parameters())
    optimizer = torch.optim.Adam(parameters, settings.learning_rate, fused=True)
    pieces = math.ceil(longest / settings.piece)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.updates * pieces, pct_start=0.1
    )
    recent: list[float] = []
    for _ in range(settings.updates):
        chosen = torch.from_numpy(rng.choice(len(lessons), min(settings.batch, len(lessons)), replace=False))
        bottleneck, vector, wanted = (part[chosen] for part in padded)
        state = actor.initial_state(len(chosen))
        for first in range(0, longest, settings.piece):
            piece = slice(first, first + settings.piece)
            action, state = actor.act(bottleneck[:, piece], vector[:, piece], state)
            here = weight[chosen][:, piece]
            loss = ((action - wanted[:, piece]).square().mean(-1) * here).sum() / here.sum().clamp(min=1.0)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            state = state.detach()
            recent.append(loss.item())
    return float(np.mean(recent[-50:]))


def _padded(values: Float32, length: int) -> Float32:
    padded = np.zeros((length, *values.shape[1:]), np.float32)
    padded[: len(values)] = values
    return padded
