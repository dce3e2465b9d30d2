"""What ``manifest.json`` of a policy bundle holds: everything needed to run the actor as it was trained.

No field has a default: a bundle that leaves something out is refused rather than guessed at. Adding, removing or
reinterpreting a field needs a new FORMAT_VERSION.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.ik import TargetBox
from fetch_sim2real.arm.limits import PROFILES
from fetch_sim2real.common.schema import PositiveFloat, Record, Vector3
from fetch_sim2real.graph import BASE_FRAME, COLOR_OPTICAL_FRAME
from fetch_sim2real.perception.observe import ObservationSpec
from fetch_sim2real.perception.pose_record import PoseRecord
from fetch_sim2real.policy.network import ActorSpec
from fetch_sim2real.policy.onnx_mapping import OnnxActorSpec
from fetch_sim2real.timing import CONTROL_RATE_HZ

FORMAT_VERSION: Final = 8
READABLE_VERSIONS: Final = tuple(range(3, FORMAT_VERSION + 1))
ACTOR_FILE: Final = "actor.safetensors"
ONNX_FILE: Final = "actor.onnx"
GOLDEN_FILE: Final = "golden.npz"
MANIFEST_FILE: Final = "manifest.json"


NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1, max_length=4096)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


# What pydantic puts into the place of an error beside the field's own name.
ACTOR_KINDS: Final = ("network", "onnx")


def _kind_of(actor: Any) -> str:
    kind = actor.get("kind") if isinstance(actor, dict) else getattr(actor, "kind", None)
    return "network" if kind is None else "onnx"


# An actor of this project's architecture, or an ONNX file with a mapping.
AnyActorSpec = Annotated[
    Annotated[ActorSpec, Tag("network")] | Annotated[OnnxActorSpec, Tag("onnx")], Discriminator(_kind_of)
]


def actor_file(actor: ActorSpec | OnnxActorSpec) -> str:
    """Return the name of the file that holds the actor."""
    return ONNX_FILE if isinstance(actor, OnnxActorSpec) else ACTOR_FILE


class CameraRecord(Record):
    """Where the camera was in training: nominal pose of its optical frame, and how far from it it was drawn.

    ``position_range_m`` is the largest offset along each axis of base_link, ``rotation_range_rad`` the largest angle.
    """

    base_T_camera: PoseRecord
    position_range_m: tuple[NonNegative, NonNegative, NonNegative]
    rotation_range_rad: NonNegative


class GoalRecord(Record):
    """Goals the actor was trained for: a box in ``frame``, the frame of the goal in the observation vector.

    ``accepted_frames`` are the frames in which an operator may state a goal; others are refused.
    """

    frame: str
    accepted_frames: Annotated[tuple[str, ...], Field(min_length=1)]
    lower_m: Vector3
    upper_m: Vector3

    @field_validator("accepted_frames")
    @classmethod
    def _known_frames(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # The last kind: offsets from an object of the task.
        unknown = [frame for frame in value if frame != COLOR_OPTICAL_FRAME and not frame.isidentifier()]
        if unknown or len(set(value)) != len(value):
            raise ValueError(
                f"goal frames are {list(value)}, expected different ones: {BASE_FRAME}, {COLOR_OPTICAL_FRAME} or the "
                "name of an object"
            )
        return value

    @model_validator(mode="after")
    def _consistent(self) -> GoalRecord:
        if self.frame not in self.accepted_frames:
            raise ValueError(f"frame '{self.frame}' is not among the accepted frames {list(self.accepted_frames)}")
        if any(low > high for low, high in zip(self.lower_m, self.upper_m, strict=True)):
            raise ValueError(f"lower_m {self.lower_m} exceeds upper_m {self.upper_m}")
        return self

    def contains(self, goal_m: np.ndarray) -> bool:
        """Return whether ``goal_m`` (3,) in ``frame`` lies in the trained box (boundary included, to a micrometre)."""
        return bool(np.all(goal_m >= np.array(self.lower_m) - 1e-6) and np.all(goal_m <= np.array(self.upper_m) + 1e-6))


class ActionRecord(Record):
    """action[:3] * scale_m is the gripper's displacement per control period; "blocked": the fingers stay closed.

    The gripper is never asked to leave the box from ``lower_m`` to ``upper_m`` in base_link.
    """

    scale_m: PositiveFloat
    gripper: Literal["blocked", "controlled"]
    lower_m: Vector3
    upper_m: Vector3

    @model_validator(mode="after")
    def _ordered(self) -> ActionRecord:
        if any(low >= high for low, high in zip(self.lower_m, self.upper_m, strict=True)):
            raise ValueError(f"lower_m {self.lower_m} is not below upper_m {self.upper_m}")
        return self

    @property
    def target_box_m(self) -> TargetBox:
        """Lower and upper corner (3,)."""
        return np.array(self.lower_m), np.array(self.upper_m)


class LatencyRecord(Record):
    """Latencies drawn in training, (least, most): camera from exposure to arrival, command from policy to motion."""

    camera_s: tuple[NonNegative, NonNegative]
    command_s: tuple[NonNegative, NonNegative]

    @field_validator("camera_s", "command_s")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError(f"latency range is {value}, expected (least, most)")
        return value


class TrainingRecord(Record):
    """How the actor came to be: enough to train it again."""

    command: Text
    seed: int
    code_version: Text
    steps: Annotated[int, Field(ge=0)]
    world_file: Text


class SuccessRecord(Record):
    """Measured success: rate over ``episodes`` with its 95% interval, in which world and by which command."""

    rate: Share
    episodes: Annotated[int, Field(ge=1)]
    ci95_low: Share
    ci95_high: Share
    world: Text
    command: Text

    @model_validator(mode="after")
    def _ordered(self) -> SuccessRecord:
        if not self.ci95_low <= self.rate <= self.ci95_high:
            raise ValueError(f"rate {self.rate} lies outside its interval [{self.ci95_low}, {self.ci95_high}]")
        return self


class ManifestContent(Record):
    """The manifest but for the hashes, which ``save_bundle`` adds. ``success`` is null until it is measured."""

    format_version: Literal[8]
    task: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    actor: AnyActorSpec
    observation: ObservationSpec
    camera: CameraRecord
    goal: GoalRecord
    joint_order: tuple[str, ...]
    action: ActionRecord
    control_rate_hz: int
    limit_profile: str
    latency: LatencyRecord
    torso_height_m: float
    training: TrainingRecord
    success: SuccessRecord | None

    @field_validator("joint_order")
    @classmethod
    def _same_joints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value != ARM.joint_names:
            raise ValueError(f"joint order is {list(value)}, this code's is {list(ARM.joint_names)}")
        return value

    @field_validator("control_rate_hz")
    @classmethod
    def _same_rate(cls, value: int) -> int:
        if value != CONTROL_RATE_HZ:
            raise ValueError(f"control rate is {value} Hz, this code runs at {CONTROL_RATE_HZ} Hz")
        return value

    @field_validator("limit_profile")
    @classmethod
    def _known_profile(cls, value: str) -> str:
        if value not in PROFILES:
            raise ValueError(f"limit profile '{value}' is unknown, available: {', '.join(PROFILES)}")
        return value

    @field_validator("torso_height_m")
    @classmethod
    def _torso_in_range(cls, value: float) -> float:
        if not ARM.torso_range_m[0] <= value <= ARM.torso_range_m[1]:
            raise ValueError(f"torso height is {value} m, the torso moves in {ARM.torso_range_m}")
        return value


class Manifest(ManifestContent):
    """A whole manifest: with the sha256 of the bundle's other files, and of itself with the field's value left empty.

    The hashes find damage and edits by accident. They are no signature: whoever can write the files can renew them.
    """

    files: dict[str, Sha256]
    manifest_sha256: Sha256

    @field_validator("files")
    @classmethod
    def _all_files(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if "actor" not in info.data:
            return value  # which is refused for its actor
        expected = {actor_file(info.data["actor"]), GOLDEN_FILE}
        if set(value) != expected:
            raise ValueError(f"hashes are given for {sorted(value)}, expected exactly {sorted(expected)}")
        return value


def upgraded(raw: dict[str, Any], version: int) -> dict[str, Any]:
    """Return the content of a manifest of an older ``version`` as it would be written today.

    What such a manifest cannot hold is left as it is, so that validation names it.
    """
    raw = {name: dict(value) if isinstance(value, dict) else value for name, value in raw.items()}
    actor, observation = raw.get("actor"), raw.get("observation")
    if version < 4 and isinstance(actor, dict):
        actor.setdefault("activation", "relu")
        actor.setdefault("squash", "tanh")
    if version < 5 and isinstance(observation, dict):
        observation.setdefault("commanded", False)
    if version < 6 and isinstance(actor, dict):
        if "relative_features" not in actor and "relations" in actor:
            actor["relative_features"] = actor.pop("relations")
        size = actor.get("state_size")
        if "memory" not in actor and type(size) is int and size == 0:
            del actor["state_size"]
            actor["memory"] = None
    if version < 7 and isinstance(actor, dict):
        actor.setdefault("sure_of", [])
    if version < 8 and isinstance(actor, dict):
        actor.setdefault("refine", 0)
    return {**raw, "format_version": FORMAT_VERSION}
