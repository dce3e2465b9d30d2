"""THE closed-loop runner, in one process and without ROS: frame -> observation -> action -> filter -> engine.

``ClosedLoop`` is one environment: a simulation behind the driver's inverse kinematics and safety filter.
``EpisodeRunner`` steps any number of them together and asks an ``Agent`` once for all that have a frame. Training,
measuring, re-simulation, golden recording and the Gymnasium environments all run it, so an actor learns with the
limits, the filter and the delays that it will meet. The ROS graph in lockstep gives the same commands for the same
seed and policy (a test compares them).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np

from fetch_sim2real.arm.ik import DifferentialIk, TargetBox
from fetch_sim2real.arm.kinematics import grip_position
from fetch_sim2real.arm.limits import DEFAULT_PROFILE, LimitProfile, limit_profile
from fetch_sim2real.control.action import ACTION_SCALE_M, actions_to_commands, common_box, target_box_of
from fetch_sim2real.control.filter import NO_SETPOINT, Decision, SafetyFilter, decide_together, hear_together
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.perception.observe import ACTION_SIZE
from fetch_sim2real.policy.manifest import ManifestContent
from fetch_sim2real.policy.runtime import PolicyRuntime, Sensed
from fetch_sim2real.sim.disturbances.conditions import NO_CONDITIONS, Conditions
from fetch_sim2real.sim.randomization.sample import EpisodeSample
from fetch_sim2real.sim.sensors.camera_timing import Captured
from fetch_sim2real.sim.simulation import Outcome, Simulation, send_arms, take_joint_samples
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.types import FloatArray, JointCommand, JointSample, JointSetpoint, RgbdFrame

# Half as many pixels again as the actor sees, averaged down: that looks like a real camera's image averaged down.
TRAINING_CAMERA_SIZE: Final = (224, 224)


@dataclass(frozen=True)
class ActionSettings:
    """How actions become motion: gripper displacement [m] per period of a full action, whether it opens fingers, and
    the box that the gripper is not asked to leave; of a bundle, the one that it was trained with."""

    scale_m: float
    controls_gripper: bool
    target_box_m: TargetBox
    profile: LimitProfile

    @staticmethod
    def of_bundle(manifest: ManifestContent) -> ActionSettings:
        """Return the settings that the bundle was trained with."""
        action = manifest.action
        return ActionSettings(
            action.scale_m, action.gripper == "controlled", action.target_box_m, limit_profile(manifest.limit_profile)
        )


class ClosedLoop:
    """One environment: a simulated workcell behind the driver. Frames come with the camera's delay, commands act with
    theirs."""

    def __init__(self, sim: Simulation, settings: ActionSettings) -> None:
        self.sim = sim
        self._settings = settings
        self._target_box_m = common_box(settings.target_box_m, target_box_of(sim.world.workcell))
        self._ik = DifferentialIk(sim.world.workcell.torso_height_m)
        self._scene = sim.world.workcell.scene()
        self._setpoint = NO_SETPOINT
        (lower_m, upper_m), torso_height_m = self._target_box_m, sim.world.workcell.torso_height_m
        self.aim = torso_height_m, settings.scale_m, float(settings.controls_gripper), *lower_m, *upper_m
        """What actions become commands by, apart from the setpoint."""

    def reset(self, seed: int, conditions: Conditions = NO_CONDITIONS) -> EpisodeSample:
        """Start the episode of ``seed`` with the driver active; ``next_frame`` gives the first frame."""
        sample = self.sim.reset(seed, conditions)
        self._heard: list[JointSample] = []
        self._filter = SafetyFilter(self._settings.profile, self._scene)
        _obey_together([self], [self._filter.activate(self.sim.now_ns, self.sim.measured())])
        return sample

    @property
    def setpoint(self) -> JointSetpoint:
        """Commanded state of the arm at the end of the present period."""
        return self._setpoint

    def grip_position_m(self, position: FloatArray) -> FloatArray:
        """Return the gripper position (3,) [m] in base_link of measured joint positions (n,)."""
        return grip_position(position, self.sim.world.workcell.torso_height_m)

    def next_frame(self) -> Captured | None:
        """Run until the next frame is there; None when the episode is over (``Simulation.outcome`` tells how)."""
        return next_frames([self])[0]

    def frame_after_end(self) -> Captured:
        """Return, after the last frame, the one that would have come if the episode went on."""
        captured = self.sim.frame_after_end()
        _notice_together([self])
        return captured

    def joints_at(self, captured: Captured) -> JointSample:
        """Return the joint state of the frame's own time."""
        stamps_ns = [sample.stamp_ns for sample in self._heard]
        row = stamps_ns.index(captured.stamp_ns)
        # Frames come in the order of their stamps: what is older is not asked for any more.
        self._heard = self._heard[row:]
        return self._heard[0]

    def commands(
        self, actions: FloatArray, setpoints: Sequence[JointSetpoint], stamps_ns: Sequence[int]
    ) -> list[JointCommand]:
        """Return what the policy node makes of actions (N, 4) on frames of these stamps at these setpoints."""
        settings = self._settings
        return actions_to_commands(
            actions, setpoints, self._ik, settings.scale_m, settings.controls_gripper, self._target_box_m, stamps_ns
        )

    def act(self, action: FloatArray, captured: Captured) -> Decision:
        """Act (4,) on ``captured``, as policy node and driver do together."""
        return act_together([self], [action], [captured])[0]


def next_frames(loops: Sequence[ClosedLoop]) -> list[Captured | None]:
    """Return ``ClosedLoop.next_frame`` of each."""
    captured = [loop.sim.advance_to_next_frame() for loop in loops]
    _notice_together(loops)
    return captured


def _notice_together(loops: Sequence[ClosedLoop]) -> None:
    """The drivers have heard the joint states and look at the time."""
    heard = take_joint_samples([loop.sim for loop in loops])
    hear_together([loop._filter for loop in loops], heard)
    for loop, samples in zip(loops, heard, strict=True):
        loop._heard += samples
        noticed = loop._filter.tick(loop.sim.now_ns)
        if noticed is not None:
            _obey_together([loop], [noticed])


def act_together(
    loops: Sequence[ClosedLoop], actions: Sequence[FloatArray] | FloatArray, captured: Sequence[Captured]
) -> list[Decision]:
    """Act (4,) on a frame in each environment: each decides as it would alone, but they are worked out together."""
    commands = _commands_together(loops, np.asarray(actions), captured)
    decisions = decide_together([loop._filter for loop in loops], [loop.sim.now_ns for loop in loops], commands)
    _obey_together(loops, decisions)
    return decisions


def _commands_together(
    loops: Sequence[ClosedLoop], actions: FloatArray, captured: Sequence[Captured]
) -> list[JointCommand]:
    """What the policy nodes make of the actions (N, 4)."""
    alike: dict[tuple[float, ...], list[int]] = {}
    for index, loop in enumerate(loops):
        alike.setdefault(loop.aim, []).append(index)
    commands: dict[int, JointCommand] = {}
    for rows in alike.values():
        setpoints, stamps_ns = [loops[row].setpoint for row in rows], [captured[row].stamp_ns for row in rows]
        commands.update(zip(rows, loops[rows[0]].commands(actions[rows], setpoints, stamps_ns), strict=True))
    return [commands[index] for index in range(len(loops))]


def _obey_together(loops: Sequence[ClosedLoop], decisions: Sequence[Decision]) -> None:
    """Send what each driver sends."""
    sims, trajectories = [], []
    for loop, decision in zip(loops, decisions, strict=True):
        loop._setpoint = decision.setpoint
        if decision.trajectory is not None:
            sims.append(loop.sim)
            trajectories.append(decision.trajectory)
        if decision.finger_position_m is not None:
            loop.sim.send_fingers(decision.finger_position_m)
    if sims:
        send_arms(sims, trajectories)


def make_loop(world: World, task: Task, picture_every: int, profile: LimitProfile | None = None) -> ClosedLoop:
    """Return what actors of ``task`` are trained in: pictures of ``TRAINING_CAMERA_SIZE`` of every n-th frame (0:
    none), the default limits unless others are given."""
    settings = ActionSettings(
        ACTION_SCALE_M, task.controls_gripper, target_box_of(world.workcell), profile or limit_profile(DEFAULT_PROFILE)
    )
    size = TRAINING_CAMERA_SIZE if picture_every else None
    return ClosedLoop(Simulation(world, task, size, picture_every=max(1, picture_every)), settings)


@dataclass(frozen=True)
class EpisodeStart:
    """An episode to run: its seed, and what happens in it beyond its world."""

    seed: int
    conditions: Conditions = NO_CONDITIONS


@dataclass(frozen=True)
class Arrival:
    """A frame that has come in the environment of this index, and the joints of its time.

    ``loop`` is the environment, for what a robot does not know: critics, datasets, baselines on the truth.
    """

    environment: int
    loop: ClosedLoop
    captured: Captured
    joints: JointSample

    def sensed(self) -> Sensed:
        """Return what a robot has to act on. FetchSim2RealError if the environment makes no pictures."""
        if self.captured.frame is None:
            raise FetchSim2RealError(
                f"environment {self.environment} has no picture at {self.captured.stamp_ns} ns: make its Simulation "
                "with a camera_size, and with picture_every=1"
            )
        sim = self.loop.sim
        return Sensed(self.captured.frame, sim.camera_model, self.joints, sim.goal_m, self.loop.setpoint)


@dataclass(frozen=True)
class Step:
    """A frame, the action (4,) on it, and what the driver made of that; time has not gone on yet."""

    arrival: Arrival
    action: FloatArray
    decision: Decision


Watch = Callable[[Step], object]


class Agent(Protocol):
    """Decides what the arms do: an actor, a learner, a baseline, nothing at all."""

    def reset(self, environments: Sequence[int]) -> None:
        """Forget the episodes of these environments: new ones begin there."""
        ...

    def act(self, arrivals: Sequence[Arrival]) -> FloatArray:
        """Return an action (4,) in [-1, 1] for each arrival, (N, 4)."""
        ...


class PolicyAgent:
    """A policy on what a robot has, by the function that the robot's policy node calls: ``PolicyRuntime``."""

    def __init__(
        self, runtime: PolicyRuntime, picture: Callable[[RgbdFrame], RgbdFrame] = lambda frame: frame
    ) -> None:
        """``picture`` replaces the frames that the policy gets."""
        self._runtime, self._picture = runtime, picture

    def reset(self, environments: Sequence[int]) -> None:
        """See Agent."""
        self._runtime.reset(environments)

    def act(self, arrivals: Sequence[Arrival]) -> FloatArray:
        """See Agent."""
        sensed = [arrival.sensed() for arrival in arrivals]
        shown = [replace(now, frame=self._picture(now.frame)) for now in sensed]
        return self._runtime.act(shown, [arrival.environment for arrival in arrivals])


class StandStill:
    """Does nothing: what must fail."""

    def reset(self, environments: Sequence[int]) -> None:
        """See Agent."""

    def act(self, arrivals: Sequence[Arrival]) -> FloatArray:
        """See Agent."""
        return np.zeros((len(arrivals), ACTION_SIZE))


class EpisodeRunner:
    """Steps environments together, frame by frame.

    Environments share nothing: each has its own engine, clock, filter and random numbers, and its frames and commands
    are those that it has alone. Only the agent sees several at once. A network gives a batch of N the actions of N
    single calls up to rounding (about 1e-6), because the order of its sums depends on the batch; with N = 1 nothing
    is rounded otherwise, and the same seed gives the same bits as on the robot's node.
    """

    def __init__(self, loops: Sequence[ClosedLoop]) -> None:
        self.loops = tuple(loops)

    def begin(self, starts: Sequence[EpisodeStart], environments: Sequence[int] | None = None) -> list[Arrival]:
        """Start an episode in each of ``environments`` (None: the first ones); return their first frames.

        One whose time is over before its first frame has none.
        """
        rows = range(len(starts)) if environments is None else environments
        for row, start in zip(rows, starts, strict=True):
            self.loops[row].reset(start.seed, start.conditions)
        return self._arrivals(rows)

    def step(
        self, arrivals: Sequence[Arrival], actions: FloatArray, watch: Watch | None = None
    ) -> list[Arrival]:
        """Act (N, 4) on the N frames; return the next ones, which are fewer once episodes are over."""
        decisions = act_together(
            [arrival.loop for arrival in arrivals], actions, [arrival.captured for arrival in arrivals]
        )
        if watch is not None:
            for arrival, action, decision in zip(arrivals, actions, decisions, strict=True):
                watch(Step(arrival, action, decision))
        return self._arrivals([arrival.environment for arrival in arrivals])

    def _arrivals(self, environments: Sequence[int]) -> list[Arrival]:
        frames = next_frames([self.loops[row] for row in environments])
        return [
            self._arrival(row, captured)
            for row, captured in zip(environments, frames, strict=True)
            if captured is not None
        ]

    def after_end(self, environment: int) -> Arrival:
        """Return, after the last frame, the one that would have come if the episode went on."""
        return self._arrival(environment, self.loops[environment].frame_after_end())

    def _arrival(self, environment: int, captured: Captured) -> Arrival:
        loop = self.loops[environment]
        return Arrival(environment, loop, captured, loop.joints_at(captured))

    def run(
        self,
        agent: Agent,
        starts: Sequence[EpisodeStart],
        watch: Watch | None = None,
        most_steps: int | None = None,
    ) -> tuple[Outcome, ...]:
        """Run one episode in each of the first ``len(starts)`` environments to its end; return how they ended.

        ``watch`` is called with every step. After ``most_steps`` frames of each the episodes are left as they are.
        """
        arrivals = self.begin(starts)
        agent.reset(range(len(starts)))
        steps = 0
        while arrivals and (most_steps is None or steps < most_steps):
            arrivals = self.step(arrivals, agent.act(arrivals), watch)
            steps += 1
        return tuple(loop.sim.outcome() for loop in self.loops[: len(starts)])

    def close(self) -> None:
        """Free the environments' renderers."""
        for loop in self.loops:
            loop.sim.close()
