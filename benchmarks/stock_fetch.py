"""Relay HER on other people's environments: steps to 95 % success on gymnasium-robotics' Fetch tasks.

The learner is ``training/relay_her.py``, unchanged; what is ours here is how an observation of theirs is scaled. Judged
by their own ``is_success`` at an episode's last step, with the deterministic actor, on seeds that training never uses.
``--method sb3`` trains Stable-Baselines3's SAC with HER instead, judged by the same code.

    python -m benchmarks.stock_fetch --env FetchPush-v4 --seed 0 --steps 60000 --out runs/push_0.csv
    python -m benchmarks.stock_fetch --env FetchPush-v4 --seed 0 --steps 1000000 --method sb3 --out runs/push_sb3_0.csv
    python -m benchmarks.stock_fetch --plot docs/data/stock_fetch/*.csv --out docs/images/stock_fetch.png

gymnasium-robotics 1.4.2 wants an older MuJoCo than this project: run it in a virtual environment of its own with
``gymnasium-robotics==1.4.2``, ``mujoco==3.10.*``, ``torch``, ``stable-baselines3``, ``matplotlib``, ``pydantic`` and
``opencv-python-headless``, from this folder.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.stock_fetch_plot import ENOUGH, plot_runs, read_run, table
from fetch_sim2real.errors import SetupError
from fetch_sim2real.tasks.base import GOAL, GRIPPER, Skill
from fetch_sim2real.training.relay_her import (
    DecisionEpisode,
    Explorer,
    Float32,
    RelayLearner,
    RelayReplay,
    RelaySettings,
    SteadyActor,
)

Float64 = NDArray[np.float64]
COLUMNS: Final = ("env", "method", "seed", "steps", "updates", "wall_s", "cpu_s", "success", "episodes", "moved")
_GRIP, _OBJECT = slice(0, 3), slice(3, 6)
_CENTRE_M: Final = np.array([1.34, 0.75, 0.45])
_UNIT_M: Final = 0.1
# Their velocities are per control step (40 ms): a fast gripper moves a centimetre or two in one.
_UNITS: Final = np.repeat([_UNIT_M, 0.02, 1.0, 0.01, 0.1, 0.01], [9, 2, 3, 3, 3, 5])
# A judgement ends after so many episodes where no larger share succeeded: it is of 100 only near the mark.
_ENDS_EARLY: Final = {20: 0.5, 50: 0.8}
_NEW_DIRECTION_SHARE: Final = 0.2


class Environment(Protocol):
    """What is used of a gymnasium environment with goals."""

    def reset(self, *, seed: int) -> tuple[dict[str, Any], dict[str, Any]]: ...
    def step(self, action: Float64) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]: ...


def training_seeds(seed: int) -> range:
    """Return the episode seeds of a run's training; no run's ``unseen_seeds`` are among them."""
    return range(1_000_000 * (seed + 1), 1_000_000 * (seed + 1) + 500_000)


def unseen_seeds(seed: int) -> range:
    """Return the episode seeds of a run's judgements: each judgement takes new ones."""
    return range(1_000_000 * (seed + 1) + 500_000, 1_000_000 * (seed + 2))


def scaled(observation: dict[str, Any]) -> Float32:
    """Return their observation (25,) with every part around 0 and about as large as 1."""
    state = np.array(observation["observation"], np.float64)
    state[_GRIP] -= _CENTRE_M
    state[_OBJECT] -= _CENTRE_M
    return (state / _UNITS).astype(np.float32)


def judge(
    make_action: Callable[[dict[str, Any]], Float64], env: Environment, seeds: Iterator[int], episodes: int
) -> tuple[float, int]:
    """Return success at the last step, and of how many episodes: fewer where many of the first ones failed."""
    successes: list[float] = []
    for seed in islice(seeds, episodes):
        observation, info = env.reset(seed=seed)
        ended = False
        while not ended:
            observation, _, terminated, truncated, info = env.step(make_action(observation))
            ended = terminated or truncated
        successes.append(float(info["is_success"]))
        if np.mean(successes) <= _ENDS_EARLY.get(len(successes), -1.0):
            break
    return float(np.mean(successes)), len(successes)


# -- what is written ---------------------------------------------------------------------------------------------------


class Log:
    """A run's CSV, a line a judgement. Time is of learning and simulation, without judging."""

    def __init__(self, path: Path, env: str, method: str, seed: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._stream)
        self._writer.writerow(COLUMNS)
        self._named = (env, method, seed)
        self._successes: list[float] = []
        self._wall_s = self._cpu_s = 0.0
        self.go_on()

    def go_on(self) -> None:
        """Start the clocks again."""
        self._wall_0, self._cpu_0 = time.monotonic(), time.process_time()

    def hold(self) -> None:
        """Stop the clocks."""
        self._wall_s += time.monotonic() - self._wall_0
        self._cpu_s += time.process_time() - self._cpu_0

    def add(self, steps: int, updates: int, success: float, episodes: int, moved: float | None = None) -> bool:
        """Write a line; return whether the last two judgements are enough to stop.

        ``moved`` is the share of episodes since the last one in which the object was moved while exploring.
        """
        told = "" if moved is None else round(moved, 2)
        row = (*self._named, steps, updates, round(self._wall_s, 1), round(self._cpu_s, 1), success, episodes, told)
        self._writer.writerow(row)
        self._stream.flush()
        print(*(f"{name} {value}" for name, value in zip(COLUMNS, row, strict=True)), flush=True)
        self._successes.append(success)
        return len(self._successes) > 1 and float(np.mean(self._successes[-2:])) >= ENOUGH


# -- relay HER ---------------------------------------------------------------------------------------------------------


def _names(settings: Task | RelaySettings) -> set[str]:
    return {field.name for field in fields(settings)}


# One precision, also where bfloat16 would be chosen by itself: figures should not hang on the processor.
_RELAY: Final = RelaySettings(periods_per_decision=2, gamma=0.965, learning_rate=1e-3, tau=0.02, precision="float32")


@dataclass(frozen=True)
class Task:
    """What is set per environment. A decision is held for ``relay.periods_per_decision`` of their steps."""

    hand_over_m: float
    every: int
    updates_per_step: float = 0.5
    environments: int = 4
    random_steps: int = 1_000
    relay: RelaySettings = _RELAY

    def with_set(self, pairs: Sequence[str]) -> Task:
        """Return it with ``NAME=VALUE`` set, here or in the learner's settings; raise SetupError for unknown names."""
        task = self
        for pair in pairs:
            name, _, text = pair.partition("=")
            if name in _names(task.relay):
                value = type(getattr(task.relay, name))(text)
                task = replace(task, relay=replace(task.relay, **{name: value}))
            elif name in _names(task) - {"relay"}:
                task = replace(task, **{name: type(getattr(task, name))(text)})
            else:
                raise SetupError(f"--set {pair}: no setting is called {name}; see Task here and RelaySettings")
        return task


TASKS: Final = {
    "FetchPush-v4": Task(hand_over_m=0.06, every=2_500),
    "FetchPickAndPlace-v4": Task(hand_over_m=0.03, every=10_000, updates_per_step=0.3),
    "FetchSlide-v4": Task(hand_over_m=0.06, every=10_000),
}


def train_relay(task: Task, make: Callable[[], Environment], seed: int, steps: int, log: Log, episodes: int) -> None:
    """Learn by relay HER until two judgements are enough or ``steps`` of theirs are over."""
    torch.set_num_threads(1)
    skills = (Skill("reach", GRIPPER, "object", task.hand_over_m), Skill("task", "object", GOAL, 0.0))
    settings, held_for = task.relay, task.relay.periods_per_decision
    learner = RelayLearner(len(_UNITS), skills, settings, seed)
    planar = [slice(place.start, place.start + 2) for place in (_GRIP, _OBJECT)]
    replay = RelayReplay(skills, settings, planar, _UNIT_M)
    rng = np.random.default_rng([seed, 3])
    explorer = Explorer(learner.actor, skills, settings, np.random.default_rng([seed, 7]), task.environments)
    collector = Collector([make() for _ in range(task.environments)], held_for)
    seeds, unseen, judged_in = iter(training_seeds(seed)), iter(unseen_seeds(seed)), make()

    def explore(now: Now) -> Float64:
        if not learner.updates:
            return collector.random(rng)
        return explorer.decide(now.state, now.achieved_m, now.asked_m, range(task.environments))

    def act(observation: dict[str, Any]) -> Float64:
        now = Now.of([observation])
        # Every decision is held: an answer of its own.
        return SteadyActor(learner.average, 1, 1).act(now.state, now.achieved_m, now.asked_m, (0,))[0]

    next_judgement, moved = task.every, list[bool]()
    while collector.steps < steps:
        moved += [replay.add(episode) for episode in collector.collect(explore, seeds)]
        while learner.updates < (collector.steps - task.random_steps) * task.updates_per_step:
            learner.update(replay.sample(settings.batch, rng))
        if collector.steps >= next_judgement or collector.steps >= steps:
            next_judgement += task.every
            log.hold()
            result = judge(Held(act, held_for), judged_in, unseen, episodes)
            if log.add(collector.steps, learner.updates, *result, float(np.mean(moved))):
                return
            moved.clear()
            log.go_on()


@dataclass(frozen=True)
class Now:
    """What is true in N environments: scaled observation (N, 25), and what both skills, gripper to object and object to
    goal, have achieved and are asked (N, 2, 3) [m]."""

    state: Float32
    achieved_m: Float32
    asked_m: Float32

    @classmethod
    def of(cls, observations: Sequence[dict[str, Any]]) -> Now:
        """Read it from their observations."""
        raw = np.array([observation["observation"] for observation in observations], np.float32)
        goal_m = np.array([observation["desired_goal"] for observation in observations], np.float32)
        state = np.array([scaled(observation) for observation in observations])
        grip_m, object_m = raw[:, _GRIP], raw[:, _OBJECT]
        return cls(state, np.stack([grip_m, object_m], 1), np.stack([object_m, goal_m], 1))


class Held:
    """Asks for an action at every ``steps``-th step and repeats it in between; an episode has a multiple of these."""

    def __init__(self, act: Callable[[dict[str, Any]], Float64], steps: int) -> None:
        self._act, self._steps, self._count = act, steps, 0

    def __call__(self, observation: dict[str, Any]) -> Float64:
        if self._count % self._steps == 0:
            self._action = self._act(observation)
        self._count += 1
        return self._action


class Collector:
    """Runs an episode in each environment, all together; their episodes are equally long."""

    def __init__(self, environments: Sequence[Environment], steps_per_decision: int) -> None:
        self._environments, self._steps_per_decision = environments, steps_per_decision
        self._held = np.zeros((len(environments), 4))
        self.steps = 0

    def random(self, rng: np.random.Generator) -> Float64:
        """Return random actions whose direction is kept for a while: they explore further than white noise."""
        anew = rng.random((len(self._held), 1)) < _NEW_DIRECTION_SHARE
        self._held = np.where(anew, rng.uniform(-1.0, 1.0, self._held.shape), self._held)
        return self._held

    def collect(self, decide: Callable[[Now], Float64], seeds: Iterator[int]) -> list[DecisionEpisode]:
        """Return an episode of each environment."""
        begun = list(islice(seeds, len(self._environments)))
        observations = [env.reset(seed=seed)[0] for env, seed in zip(self._environments, begun, strict=True)]
        nows, actions, ended = [Now.of(observations)], list[Float64](), False
        success = [False] * len(begun)
        while not ended:
            actions.append(decide(nows[-1]))
            for _ in range(self._steps_per_decision):
                for row, env in enumerate(self._environments):
                    observations[row], _, terminated, truncated, info = env.step(actions[-1][row])
                    ended |= terminated or truncated
                    success[row] = bool(info["is_success"])
                self.steps += len(self._environments)
                if ended:
                    break
            nows.append(Now.of(observations))
        return [
            DecisionEpisode(
                seed=seed,
                state=np.array([now.state[row] for now in nows]),
                achieved_m=np.array([now.achieved_m[row] for now in nows]),
                asked_m=np.array([now.asked_m[row] for now in nows]),
                allowed=np.ones((len(nows), 2), bool),
                action=np.array([action[row] for action in actions], np.float32),
                success=success[row],
            )
            for row, seed in enumerate(begun)
        ]


# -- Stable-Baselines3 -------------------------------------------------------------------------------------------------


def train_sb3(make: Callable[[], Environment], seed: int, steps: int, every: int, log: Log, episodes: int) -> None:
    """Learn by Stable-Baselines3's SAC with HER, with rl-baselines3-zoo's settings for FetchPush but for the networks'
    width and the batch, which are made for a GPU there."""
    from stable_baselines3 import SAC, HerReplayBuffer
    from stable_baselines3.common.callbacks import BaseCallback

    torch.set_num_threads(1)
    unseen, judged_in = iter(unseen_seeds(seed)), make()

    class Judging(BaseCallback):
        """Judges, writes, and stops."""

        def _on_step(self) -> bool:
            if self.num_timesteps % every and self.num_timesteps < steps:
                return True
            log.hold()
            result = judge(lambda seen: self.model.predict(seen, deterministic=True)[0], judged_in, unseen, episodes)
            enough = log.add(self.num_timesteps, self.model._n_updates, *result)
            log.go_on()
            return not enough

    # The seed goes to the first reset; later episodes are drawn by the environment's own generator.
    model = SAC(
        "MultiInputPolicy", make(), learning_rate=1e-3, buffer_size=steps, learning_starts=1_000, batch_size=512,
        tau=0.05, gamma=0.95, replay_buffer_class=HerReplayBuffer, seed=training_seeds(seed)[0], device="cpu",
        replay_buffer_kwargs={"n_sampled_goal": 4, "goal_selection_strategy": "future"},
        policy_kwargs={"net_arch": [256, 256, 256]},
    )  # fmt: skip
    model.learn(steps, callback=Judging())


# -- command -----------------------------------------------------------------------------------------------------------


def make_stock(name: str) -> Environment:
    """Return gymnasium-robotics' environment."""
    import gymnasium
    import gymnasium_robotics

    gymnasium.register_envs(gymnasium_robotics)
    env: Environment = gymnasium.make(name)
    return env


def main(arguments: list[str] | None = None) -> int:
    """Train one learner, or draw several runs."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--env", choices=tuple(TASKS), default="FetchPush-v4")
    made.add_argument("--method", choices=("relay", "sb3"), default="relay")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--steps", type=int, default=100_000, help="at most, of theirs; two good judgements end a run")
    made.add_argument("--episodes", type=int, default=100, help="of a judgement; fewer where many of the first fail")
    made.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="other settings of the relay than the task's"
    )
    made.add_argument("--plot", type=Path, nargs="+", metavar="CSV", help="runs to draw and to list")
    made.add_argument("--out", type=Path, required=True, help="CSV to write, or PNG with --plot")
    options = made.parse_args(arguments)
    if options.plot:
        runs = [read_run(path) for path in options.plot]
        plot_runs(runs, options.out)
        print("\n".join(table(runs)))
        return 0
    log = Log(options.out, options.env, options.method, options.seed)
    make = partial(make_stock, options.env)
    if options.method == "sb3":
        train_sb3(make, options.seed, options.steps, TASKS[options.env].every, log, options.episodes)
        return 0
    train_relay(TASKS[options.env].with_set(options.set), make, options.seed, options.steps, log, options.episodes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
