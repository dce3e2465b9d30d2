"""Measured joints as sensor_msgs/JointState.

A Fetch publishes the arm (with torso and head) and the gripper in separate messages, and a message may hold joints of
no interest here: they are merged joint by joint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.spec import ArmSpec
from fetch_sim2real.errors import ObservationError
from fetch_sim2real.messages.stamps import decode_stamp, encode_stamp
from fetch_sim2real.timing import CONTROL_PERIOD_NS
from fetch_sim2real.types import FloatArray, JointSample

if TYPE_CHECKING:
    from sensor_msgs.msg import JointState

_NEVER: Final = int(np.iinfo(np.int64).min)
# An opening this old says nothing about the gripper any more, nor does one that is as far ahead: by another clock.
MAX_FINGER_AGE_NS: Final = 1_000_000_000


def encode_joint_state(sample: JointSample, torso_height_m: float, arm: ArmSpec = ARM) -> JointState:
    """Return what a robot reports: arm, fingers and torso, of these what it has, in one message."""
    from sensor_msgs.msg import JointState

    torso = [torso_height_m] if arm.torso else []
    fingers = [sample.finger_position_m] * len(arm.gripper_joints)
    message = JointState(name=[*arm.command_joints, *([arm.torso_joint] if arm.torso else [])])
    message.header.stamp = encode_stamp(sample.stamp_ns)
    message.position = [*sample.position.tolist(), *fingers, *torso]
    message.velocity = [*sample.velocity.tolist(), *(0.0 for _ in (*fingers, *torso))]
    return message


class JointStateMerger:
    """Collect joint states until they make a sample of the arm and, if ``needs_fingers``, of the gripper.

    Only what is needed is judged: other joints may be listed twice, be NaN or lack a velocity, and fingers need no
    velocity. One finger stands for both, where the other one only mimics it. Without ``needs_fingers`` the opening is
    NaN, as it is for an arm without a gripper; without ``needs_velocity`` a velocity that did not come is.
    """

    def __init__(self, *, needs_fingers: bool = True, needs_velocity: bool = True, arm: ArmSpec = ARM) -> None:
        self._needs_fingers = needs_fingers and bool(arm.gripper_joints)
        self._needs_velocity = needs_velocity
        self._arm, self._joints = arm, arm.joint_count
        self._position: FloatArray = np.full(len(arm.command_joints), np.nan)
        self._velocity: FloatArray = np.full(arm.joint_count, np.nan)
        self._stamp_ns = np.full(len(arm.command_joints), _NEVER, dtype=np.int64)
        self._places: dict[tuple[str, ...], _Places] = {}
        self._names: tuple[str, ...] = ()
        self.torso_height_m: float | None = None
        """The last height that came, NaN if that was none; None where no message has ever held the torso's joint."""
        self.torso_stamp_ns = 0

    def merge(self, message: Any) -> JointSample | None:
        """Return the sample that ``message`` completes, if it does; stamped as the oldest of the arm's joints in it.

        ObservationError for a message that cannot be read, which changes nothing of the arm and the fingers.
        """
        places = self._where(tuple(message.name))
        if places.are_of_interest or not self._names:
            self._names = places.names
        if not places.are_of_interest:
            return None
        position = np.array(message.position, dtype=np.float64)
        if len(position) != len(places.names):
            raise ObservationError(f"joint state with {len(places.names)} names and {len(position)} positions")
        stamp_ns = decode_stamp(message.header.stamp)
        if places.torso is not None:
            self.torso_height_m, self.torso_stamp_ns = float(position[places.torso]), stamp_ns
        arm = position[places.arm_from]
        self._require_finite("position", arm, places.arm_to)
        if len(arm):
            self._velocity[places.arm_to] = self._arm_velocity(message, places)
            self._position[places.arm_to] = arm
            self._stamp_ns[places.arm_to] = stamp_ns
        for source, finger in zip(places.fingers_from, places.fingers_to, strict=True):
            if np.isfinite(position[source]):
                self._position[finger], self._stamp_ns[finger] = position[source], stamp_ns
        return self._sample() if len(arm) else None

    def missing(self) -> str:
        """Return what keeps the joint states that came from making a sample; empty if nothing does."""
        if not self._names:
            return "no joint state has come"
        arm = self._stamp_ns[: self._joints]
        unknown = [name for name, stamp_ns in zip(self._arm.joint_names, arm, strict=True) if stamp_ns == _NEVER]
        if unknown:
            verb = "is" if len(unknown) == 1 else "are"
            return f"joint states come, but {', '.join(unknown)} {verb} missing; they hold {', '.join(self._names)}"
        behind_ns = arm.max() - arm
        names = self._arm.joint_names
        late = [name for name, behind in zip(names, behind_ns, strict=True) if behind > CONTROL_PERIOD_NS]
        if late:
            verb, behind_s = "has" if len(late) == 1 else "have", int(behind_ns.max()) * 1e-9
            return f"joint states come, but {', '.join(late)} {verb} ceased, {behind_s:.3f} s before the others"
        if self._needs_fingers and not len(self._fresh_fingers(int(arm.min()))):
            known_ns = int(self._stamp_ns[self._joints :].max())
            if known_ns == _NEVER:
                return f"joint states come, but neither of {' and '.join(self._arm.gripper_joints)}"
            behind_s = (int(arm.min()) - known_ns) * 1e-9
            way = "behind" if behind_s > 0.0 else "ahead of"
            return f"joint states come, but the gripper's are {abs(behind_s):.3f} s {way} the arm's"
        return ""

    def _arm_velocity(self, message: Any, places: _Places) -> FloatArray:
        velocity = np.array(message.velocity, dtype=np.float64)
        if not self._needs_velocity:
            complete = len(velocity) == len(places.names)
            return velocity[places.arm_from] if complete else np.full(len(places.arm_to), np.nan)
        if len(velocity) == 0:
            raise ObservationError(
                "joint state without velocities ('velocity' is empty): they tell whether the arm is at rest, "
                "so let its publisher report them"
            )
        if len(velocity) != len(places.names):
            raise ObservationError(f"joint state with {len(places.names)} names and {len(velocity)} velocities")
        self._require_finite("velocity", velocity[places.arm_from], places.arm_to)
        return velocity[places.arm_from]

    def _require_finite(self, quantity: str, values: FloatArray, joints: list[int]) -> None:
        bad = [k for k, value in enumerate(values) if not np.isfinite(value)]
        if bad:
            names = ", ".join(self._arm.joint_names[joints[k]] for k in bad)
            raise ObservationError(f"the {quantity} of {names} is {'NaN' if np.isnan(values[bad[0]]) else 'infinite'}")

    def _where(self, names: tuple[str, ...]) -> _Places:
        """Places of the wanted joints in a message with these names, and here."""
        if names not in self._places:
            if len(self._places) > 16:  # somebody makes up names
                self._places.clear()
            arm = self._arm
            needed = {*arm.joint_names, arm.torso_joint, *(arm.gripper_joints if self._needs_fingers else ())}
            twice = sorted({name for name in names if name in needed and names.count(name) > 1})
            if twice:
                raise ObservationError(f"joint state that names {', '.join(twice)} twice")
            self._places[names] = _Places.of(names, arm, self._needs_fingers)
        return self._places[names]

    def _fresh_fingers(self, stamp_ns: int) -> FloatArray:
        """Openings of the fingers whose state is of about the time of a sample of ``stamp_ns``."""
        known = self._stamp_ns[self._joints :]
        # Compared this way round: the stamp of what never came cannot be subtracted.
        is_near = (known >= stamp_ns - MAX_FINGER_AGE_NS) & (known <= stamp_ns + MAX_FINGER_AGE_NS)
        return self._position[self._joints :][is_near]

    def _sample(self) -> JointSample | None:
        arm = self._stamp_ns[: self._joints]
        stamp_ns = int(arm.min())
        if stamp_ns == _NEVER or int(arm.max()) - stamp_ns > CONTROL_PERIOD_NS:
            return None
        fingers = self._fresh_fingers(stamp_ns)
        if self._needs_fingers and not len(fingers):
            return None
        opening_m = float(fingers.mean()) if len(fingers) else float("nan")
        return JointSample(stamp_ns, self._position[: self._joints].copy(), self._velocity.copy(), opening_m)


@dataclass(frozen=True)
class _Places:
    """Where the joints of interest are in a message, and where they belong here."""

    names: tuple[str, ...]
    arm_from: list[int]
    arm_to: list[int]
    fingers_from: list[int]
    fingers_to: list[int]
    torso: int | None

    @staticmethod
    def of(names: tuple[str, ...], arm: ArmSpec, with_fingers: bool) -> _Places:
        index = {name: at for at, name in enumerate(arm.command_joints)}
        joints = [(i, index[name]) for i, name in enumerate(names) if name in arm.joint_names]
        fingers = [(i, index[name]) for i, name in enumerate(names) if with_fingers and name in arm.gripper_joints]
        torso = names.index(arm.torso_joint) if arm.torso and arm.torso_joint in names else None
        return _Places(
            names,
            [i for i, _ in joints],
            [k for _, k in joints],
            [i for i, _ in fingers],
            [k for _, k in fingers],
            torso,
        )

    @property
    def are_of_interest(self) -> bool:
        """Whether the message holds anything that is needed."""
        return bool(self.arm_to or self.fingers_to) or self.torso is not None
