"""From frames to actions and commands: the one place where that happens, on a robot, in simulation and in training.

``Policy`` is anything that acts on observations. ``PolicyRuntime`` makes the observations of frames and asks a policy,
for one environment or for many that are stepped together. ``CommandRuntime`` adds the inverse kinematics and is what
a robot's node runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from fetch_sim2real.arm.ik import DifferentialIk, TargetBox
from fetch_sim2real.arm.kinematics import grip_position
from fetch_sim2real.control.action import action_to_command
from fetch_sim2real.errors import ObservationError
from fetch_sim2real.messages.motion import ENDS_ACTIVITY, SetpointReport
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.perception.observe import ActionHistory, Observation, ObservationSpec, observe
from fetch_sim2real.policy.actor_runtime import TORCH, ActorRuntime
from fetch_sim2real.policy.bundle import PolicyBundle
from fetch_sim2real.policy.manifest import Manifest
from fetch_sim2real.policy.network import Actor
from fetch_sim2real.policy.step_actor import StepActor
from fetch_sim2real.types import FloatArray, JointCommand, JointSample, JointSetpoint, RgbdFrame

# After so many holds in a row the arm has come to rest: what was done before is no history of what follows.
HOLDS_TO_FORGET: Final = 10


class Policy(Protocol):
    """Acts in one environment or in several, with a memory for each. Not for threads to share.

    ``environments`` are their indices, in the order of what else is given; None: all of them.
    """

    def reset(self, environments: Sequence[int] | None = None) -> None:
        """Forget the episodes of ``environments``: new ones begin there."""
        ...

    def act(self, observations: Sequence[Observation], environments: Sequence[int] | None = None) -> FloatArray:
        """Return the actions (N, 4) in [-1, 1] on N observations, one of each of ``environments``.

        An environment that is left out is not stepped: its memory stays as it is.
        """
        ...


class HasActor(Protocol):
    """A bundle, or an actor that is not in one yet."""

    @property
    def actor(self) -> StepActor: ...


class ActorPolicy:
    """Runs a bundle's actor. Several environments are computed as one batch."""

    def __init__(self, bundle: HasActor, environments: int = 1) -> None:
        self._runs = bundle.actor
        self._state = np.zeros((environments, self._runs.state_size), np.float32)

    def reset(self, environments: Sequence[int] | None = None) -> None:
        """See Policy."""
        self._state[_rows(environments, len(self._state))] = 0.0

    def act(self, observations: Sequence[Observation], environments: Sequence[int] | None = None) -> FloatArray:
        """See Policy. ObservationError for an observation of other shapes than the actor's, or one with NaN."""
        self._require_shapes(observations)
        rows = self._checked_rows(observations, environments)
        action, state = self._runs.step(
            np.stack([observation.image.rgb for observation in observations]),
            np.stack([observation.image.depth_mm for observation in observations]),
            np.stack([observation.vector for observation in observations]),
            self._state[rows],
        )
        return self._taken(action, state, rows)

    def _require_shapes(self, observations: Sequence[Observation]) -> None:
        spec = self._runs.observation
        side, size = spec.image.size, spec.vector_size
        for observation in observations:
            image, vector = observation.image, observation.vector
            if image.rgb.shape != (side, side, 3) or image.depth_mm.shape != (side, side):
                raise ObservationError(
                    f"the policy's image is {image.rgb.shape} with depth {image.depth_mm.shape}, expected size {side}"
                )
            if vector.shape != (size,):
                raise ObservationError(f"the policy's vector is {vector.shape}, expected ({size},)")

    def _checked_rows(self, observations: Sequence[Observation], environments: Sequence[int] | None) -> list[int]:
        rows = _rows(environments, len(self._state))
        if len(rows) != len(observations):
            raise ObservationError(f"{len(observations)} observations came for {len(rows)} environments")
        return rows

    def _taken(self, action: NDArray[np.float32], state: NDArray[np.float32], rows: list[int]) -> FloatArray:
        actions: FloatArray = action.astype(np.float64)
        if not np.all(np.isfinite(actions)):
            raise ObservationError(f"the policy's action is {actions.tolist()}: its observation is not finite")
        self._state[rows] = state
        return actions


class NetworkPolicy(ActorPolicy):
    """Runs an actor of this project's architecture in its two parts, for who acts on what the encoder did not see."""

    def __init__(self, bundle: PolicyBundle, environments: int = 1) -> None:
        """BundleError for an actor of another architecture."""
        self._network = bundle.network
        super().__init__(bundle, environments)

    def encode(self, observations: Sequence[Observation]) -> torch.Tensor:
        """Return the bottlenecks (N, b) that the actor's encoder makes of the images."""
        self._require_shapes(observations)
        with torch.inference_mode():
            return self._network.encode(
                torch.stack([torch.from_numpy(observation.image.rgb) for observation in observations]),
                torch.stack([torch.from_numpy(observation.image.depth_mm) for observation in observations]),
            )

    def act_on(
        self, bottleneck: torch.Tensor, observations: Sequence[Observation], environments: Sequence[int] | None = None
    ) -> FloatArray:
        """Return the actions (N, 4) on bottlenecks (N, b) and the observations' vectors; steps the memory."""
        rows = self._checked_rows(observations, environments)
        vectors = torch.stack([torch.from_numpy(observation.vector) for observation in observations])
        with torch.inference_mode():
            action, state = self._network.act(bottleneck, vectors, torch.from_numpy(self._state[rows]))
        return self._taken(action.numpy(), state.numpy(), rows)


def policy_of(bundle: PolicyBundle, runtime: ActorRuntime = TORCH, environments: int = 1) -> ActorPolicy:
    """Return the policy of a bundle's actor, computed by ``runtime``; one that is an ONNX file always by ONNX Runtime.

    SetupError without the extra ``onnx`` where that is needed; BundleError, with the worst difference, if ONNX Runtime
    does not reproduce the golden actions.
    """
    if runtime == TORCH or not isinstance(bundle.actor, Actor):
        return ActorPolicy(bundle, environments)
    from fetch_sim2real.policy.onnx_export import export_actor

    return ActorPolicy(export_actor(bundle), environments)


def _rows(environments: Sequence[int] | None, count: int) -> list[int]:
    return list(range(count)) if environments is None else list(environments)


@dataclass(frozen=True)
class Sensed:
    """What an action is made of: a frame with its camera, the joints of its time, goal, and the commanded state.

    ``goal_m`` (3,) is in the policy's own goal frame; ``setpoint`` is where the arm is commanded to when the actor
    acts, as the driver reports it.
    """

    frame: RgbdFrame
    camera: CameraModel
    joints: JointSample
    goal_m: FloatArray
    setpoint: JointSetpoint


class PolicyRuntime:
    """A policy with the making of its observations, past actions included."""

    def __init__(
        self, spec: ObservationSpec, torso_height_m: float, policy: Policy, environments: int = 1
    ) -> None:
        self._spec, self._torso_height_m, self._policy = spec, torso_height_m, policy
        self._histories = [ActionHistory(spec.last_actions) for _ in range(environments)]

    @staticmethod
    def of_bundle(bundle: PolicyBundle, policy: Policy | None = None, environments: int = 1) -> PolicyRuntime:
        """Return the runtime of a bundle's own actor, or of another ``policy`` on what that actor observes."""
        manifest = bundle.manifest
        policy = ActorPolicy(bundle, environments) if policy is None else policy
        return PolicyRuntime(manifest.observation, manifest.torso_height_m, policy, environments)

    def reset(self, environments: Sequence[int] | None = None) -> None:
        """Forget past observations and actions."""
        for row in _rows(environments, len(self._histories)):
            self._histories[row].reset()
        self._policy.reset(environments)

    def act(self, sensed: Sequence[Sensed], environments: Sequence[int] | None = None) -> FloatArray:
        """Return the actions (N, 4) in [-1, 1], which are remembered; ``environments`` as in ``Policy``.

        ObservationError if one cannot be observed; then nothing is remembered of any.
        """
        histories = [self._histories[row] for row in _rows(environments, len(self._histories))]
        observations = [
            observe(
                self._spec, now.frame, now.camera, now.joints, now.setpoint.position, now.goal_m, history.recent(),
                self._grip_position_m,
            )
            for now, history in zip(sensed, histories, strict=True)
        ]  # fmt: skip
        actions = self._policy.act(observations, environments)
        for history, action in zip(histories, actions, strict=True):
            history.push(action)
        return actions

    def _grip_position_m(self, position: FloatArray) -> FloatArray:
        return grip_position(position, self._torso_height_m)


class CommandRuntime:
    """What a robot's policy node runs: frame, joints, goal and setpoint -> joint command.

    A frame that cannot be acted on is skipped: what the policy remembers stays, as it does when a frame never comes.
    Only ``HOLDS_TO_FORGET`` holds in a row, or ``reset``, wipe it.
    """

    def __init__(self, manifest: Manifest, policy: Policy, target_box_m: TargetBox) -> None:
        """``target_box_m``, lower and upper corner (3,): where the gripper is aimed at most."""
        self._action, self._target_box_m = manifest.action, target_box_m
        self._runtime = PolicyRuntime(manifest.observation, manifest.torso_height_m, policy)
        self._ik = DifferentialIk(manifest.torso_height_m)
        self._holds = 0

    def reset(self) -> None:
        """Forget past observations and actions: an episode begins."""
        self._runtime.reset()

    def skip(self) -> bool:
        """Note that a frame was answered with a hold; return whether the policy forgets for it."""
        self._holds += 1
        if self._holds != HOLDS_TO_FORGET:
            return False
        self._runtime.reset()
        return True

    def note_unknown_action(self) -> None:
        """Note that a frame was acted on and that how is not known here: it ends a row of holds."""
        self._holds = 0

    def act(self, sensed: Sensed) -> FloatArray:
        """Return the action (4,) in [-1, 1]; ObservationError if there is no sound one."""
        action: FloatArray = self._runtime.act([sensed])[0]
        self._holds = 0
        return action

    def command(self, sensed: Sensed) -> JointCommand:
        """Return the command for one period; ObservationError or CommandError if there is no sound one."""
        return action_to_command(
            self.act(sensed),
            sensed.setpoint,
            self._ik,
            self._action.scale_m,
            self._action.gripper == "controlled",
            self._target_box_m,
            sensed.frame.stamp_ns,
        )


class SetpointTracker:
    """What the driver says its commanded state is: commands start from there.

    Every answer to a frame has to be answered by the driver before the next one acts.
    """

    def __init__(self) -> None:
        self._setpoint: JointSetpoint | None = None
        self._awaited_ns: int | None = None
        self._activated_ns: int | None = None
        self.outcome = "none yet"

    def sent(self, stamp_ns: int) -> None:
        """Note that a frame of this stamp has been answered: the present setpoint is used up."""
        self._awaited_ns = stamp_ns

    def on_report(self, report: SetpointReport) -> bool:
        """Take in the driver's report; return whether the driver has just been enabled."""
        if report.is_activation and report.stamp_ns == self._activated_ns:
            return False  # told again
        if not report.is_activation and report.stamp_ns != self._awaited_ns:
            return False  # the answer to somebody else, or to what has been answered since
        if report.is_activation:
            self._activated_ns = report.stamp_ns
        self._awaited_ns = None
        self.outcome = report.outcome
        self._setpoint = None if report.outcome in ENDS_ACTIVITY else report.setpoint
        return report.is_activation

    @property
    def is_awaited(self) -> bool:
        """The driver's answer to the last command is still on its way."""
        return self._awaited_ns is not None

    @property
    def setpoint(self) -> JointSetpoint | None:
        """Where the next command starts; None while the driver follows no commands."""
        return self._setpoint
