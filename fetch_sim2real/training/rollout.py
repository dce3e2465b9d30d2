"""Collecting episodes: a pure function of weights, request and world, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from fetch_sim2real.episode import Arrival, ClosedLoop, EpisodeRunner, EpisodeStart, PolicyAgent
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.perception.observe import ACTION_SIZE, ActionHistory, Observation, observe_vector
from fetch_sim2real.policy.network import Actor
from fetch_sim2real.policy.runtime import ActorPolicy, PolicyRuntime
from fetch_sim2real.policy.step_actor import StepActor
from fetch_sim2real.sim.disturbances.conditions import NO_CONDITIONS, Conditions
from fetch_sim2real.sim.full_state import full_state
from fetch_sim2real.sim.sensors.camera_timing import Captured
from fetch_sim2real.training.actor_critic import Sampled
from fetch_sim2real.training.episode import Episode, Float32, TruthLayout, truth_now
from fetch_sim2real.training.estimated_state import estimated_state
from fetch_sim2real.training.state_estimator import StateEstimator, perfect_bottleneck
from fetch_sim2real.types import FloatArray

Behaviour = Literal["random", "exploring", "deterministic", "scripted"]
Weights = dict[str, NDArray[np.float32]]
Sampler = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], Sampled]
"""``StochasticActor.sample``."""

# A random direction kept for a while explores further than white noise.
_NEW_DIRECTION_SHARE: Final = 0.1


@dataclass(frozen=True)
class RolloutRequest:
    """One episode to collect. ``random_share`` of the exploring behaviour's actions is uniformly random."""

    seed: int
    behaviour: Behaviour
    conditions: Conditions = NO_CONDITIONS
    random_share: float = 0.0


class Collector:
    """Collects episodes in one world with one actor, whose weights may change from episode to episode."""

    def __init__(self, loop: ClosedLoop, actor: Actor, sample: Sampler, estimator: StateEstimator) -> None:
        self.loop = loop
        self._runner = EpisodeRunner([loop])
        self.actor = actor
        self._sample = sample
        self._estimator = estimator
        self._task = loop.sim.task
        self._truth = TruthLayout(self._task)
        # Called with every frame, to collect pictures for the encoder's dataset.
        self.watch: Callable[[Captured], None] | None = None

    def collect(self, request: RolloutRequest) -> Episode:
        """Run one episode; observations are those of the delayed frames."""
        self._request, self._rng = request, np.random.default_rng([request.seed, 7])
        (outcome,) = self._runner.run(self, [EpisodeStart(request.seed, request.conditions)])
        return Episode(
            seed=request.seed,
            state=np.array(self._states, np.float32),
            bottleneck=np.array(self._bottlenecks, np.float32),
            shown=np.array(self._shown, np.float32),
            vector=np.array(self._vectors, np.float32),
            truth=np.array(self._truths, np.float32),
            goal=self.loop.sim.episode.goal_m.astype(np.float32),
            action=np.array(self._actions, np.float32),
            success=outcome.success,
        )

    def reset(self, environments: Sequence[int]) -> None:
        """See ``episode.Agent``."""
        self._estimator.start(self._rng)
        self._history = ActionHistory(self.actor.observation.last_actions)
        self._held = self._rng.uniform(-1.0, 1.0, ACTION_SIZE)
        self._state = self.actor.initial_state()
        self._states: list[FloatArray] = []
        self._bottlenecks: list[Float32] = []
        self._shown: list[Float32] = []
        self._vectors: list[Float32] = []
        self._truths: list[FloatArray] = []
        self._actions: list[FloatArray] = []

    def act(self, arrivals: Sequence[Arrival]) -> FloatArray:
        """See ``episode.Agent``: acts as the request says, and keeps what is learned from."""
        (arrival,) = arrivals  # one episode at a time
        loop, captured = self.loop, arrival.captured
        if self.watch is not None:
            self.watch(captured)
        bottleneck = self._estimator.estimate(captured, loop.sim)
        vector = self._vector(arrival)
        truth = truth_now(loop)
        action = self._choose(self._request, self._rng, bottleneck, vector, truth, loop.sim.episode.goal_m)
        self._states.append(full_state(loop.sim, loop.setpoint, self._history.recent()))
        self._truths.append(truth)
        self._bottlenecks.append(bottleneck[0].numpy())
        self._shown.append(perfect_bottleneck(self.actor, captured)[0].numpy())
        self._vectors.append(vector)
        self._actions.append(action)
        self._history.push(action)
        return action[None]

    def _vector(self, arrival: Arrival) -> Float32:
        loop = self.loop
        return observe_vector(
            self.actor.observation, arrival.captured.stamp_ns, arrival.joints, loop.setpoint.position,
            loop.sim.episode.goal_m, self._history.recent(), loop.grip_position_m,
        )  # fmt: skip

    def _choose(
        self, request: RolloutRequest, rng: np.random.Generator, bottleneck: torch.Tensor, vector: Float32,
        truth: FloatArray, goal_m: FloatArray,
    ) -> FloatArray:  # fmt: skip
        told, before = torch.from_numpy(vector)[None], self._state
        if self.actor.spec.memory is not None:
            with torch.inference_mode():
                # The memory follows the observations, whoever chooses the action.
                _, self._state = self.actor.act(bottleneck, told, before)
        if request.behaviour == "random":
            if rng.random() < _NEW_DIRECTION_SHARE:
                self._held = rng.uniform(-1.0, 1.0, ACTION_SIZE)
            return self._held
        if request.behaviour != "deterministic" and rng.random() < request.random_share:
            return rng.uniform(-1.0, 1.0, ACTION_SIZE)
        with torch.inference_mode():
            if request.behaviour == "scripted":
                action = self._scripted(bottleneck, vector, truth, goal_m)
            else:
                noise = torch.from_numpy(rng.standard_normal((1, ACTION_SIZE)).astype(np.float32))
                sampled = self._sample(bottleneck, told, before, noise)
                action = sampled.action if request.behaviour == "exploring" else sampled.mean
        chosen: FloatArray = action[0].numpy().astype(np.float64)
        return chosen

    def _scripted(
        self, bottleneck: torch.Tensor, vector: Float32, truth: FloatArray, goal_m: FloatArray
    ) -> torch.Tensor:
        if self._task.scripted is None:
            raise FetchSim2RealError(
                f"the task '{self._task.name}' has no scripted baseline, expected one for the behaviour 'scripted'"
            )
        goal, now = (torch.from_numpy(values.astype(np.float32))[None] for values in (goal_m, truth))
        told, finger_m = torch.from_numpy(vector)[None], self._truth.finger_m(now)
        return self._task.scripted(estimated_state(self._task, self.actor, bottleneck, told, goal, finger_m))


MakeCollector = Callable[[], tuple[Collector, torch.nn.Module]]
"""Builds, in the process where it is called, a collector and the module that holds all weights it acts with."""


def weights_of(module: torch.nn.Module) -> Weights:
    """Return the weights as arrays, which follow the module until a pool has taken them."""
    return {name: value.detach().cpu().numpy() for name, value in module.state_dict().items()}


class RolloutWorker:
    """Answers requests with episodes, acted with the weights that they come with. See ``common.workers.Worker``."""

    def __init__(self, make: MakeCollector) -> None:
        self._collector, self._module = make()

    def answer(self, weights: Weights, request: RolloutRequest) -> Episode:
        """Collect the episode."""
        self._module.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
        return self._collector.collect(request)

    def close(self) -> None:
        """Free the environment."""
        self._collector.loop.sim.close()


def observations_of_episode(loop: ClosedLoop, actor: StepActor, seed: int, count: int) -> list[Observation]:
    """Return the first ``count`` observations of an episode run by the deterministic actor, made as the policy node
    does."""
    recorder = _Recorder(actor)
    runtime = PolicyRuntime(actor.observation, loop.sim.world.workcell.torso_height_m, recorder)
    EpisodeRunner([loop]).run(PolicyAgent(runtime), [EpisodeStart(seed)], most_steps=count)
    return recorder.observations


class _Recorder:
    """Runs an actor and keeps what it observes. See Policy."""

    def __init__(self, actor: StepActor) -> None:
        self.actor = actor
        self._policy = ActorPolicy(self)
        self.observations: list[Observation] = []

    def reset(self, environments: Sequence[int] | None = None) -> None:
        self._policy.reset(environments)

    def act(self, observations: Sequence[Observation], environments: Sequence[int] | None = None) -> FloatArray:
        self.observations += observations
        return self._policy.act(observations, environments)
