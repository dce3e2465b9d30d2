"""JointState messages to samples and setpoints.

A Fetch publishes the arm (with torso and head) and the gripper in separate messages, and a message may hold joints of
no interest here: they are merged joint by joint.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from fetch_sim2real.errors import ObservationError
from fetch_sim2real.messages.stamps import stamp_ns_of
from fetch_sim2real.robot.joints import ARM_JOINTS, COMMAND_JOINTS, TORSO_JOINT
from fetch_sim2real.timing import CONTROL_PERIOD_NS
from fetch_sim2real.types import FloatArray, JointSample, JointSetpoint

# The decision of a setpoint that answers no command: the driver has just been enabled.
ACTIVATED: Final = "activated"
_ARM: Final = len(ARM_JOINTS)
_INDEX: Final = {name: index for index, name in enumerate(COMMAND_JOINTS)}
# An opening this old says nothing about the gripper any more.
MAX_FINGER_AGE_NS: Final = 1_000_000_000


class JointStateMerger:
    """Collects joint states until they make a sample of the arm and the fingers."""

    def __init__(self) -> None:
        self._position: FloatArray = np.zeros(len(COMMAND_JOINTS))
        self._velocity: FloatArray = np.zeros(len(COMMAND_JOINTS))
        self._stamp_ns = np.full(len(COMMAND_JOINTS), np.iinfo(np.int64).min, dtype=np.int64)
        self._columns: dict[tuple[str, ...], tuple[list[int], list[int]]] = {}
        self.torso_height_m: float | None = None

    def merge(self, message: Any) -> JointSample | None:
        """The sample that ``message`` completes, if it does; stamped as the oldest of the arm's joints in it.

        ObservationError for a malformed message, which changes nothing.
        """
        sources, targets = self._where(tuple(message.name))
        position = np.array(message.position, dtype=np.float64)
        velocity = np.array(message.velocity, dtype=np.float64)
        if len(position) != len(message.name) or len(velocity) not in (0, len(message.name)):
            raise ObservationError(
                f"joint state with {len(message.name)} names, {len(position)} positions and {len(velocity)} velocities"
            )
        if TORSO_JOINT in message.name:
            self.torso_height_m = float(position[list(message.name).index(TORSO_JOINT)])
        if not targets:
            return None
        if len(velocity) == 0:
            raise ObservationError("joint state without velocities: the driver needs them")
        if not (np.all(np.isfinite(position[sources])) and np.all(np.isfinite(velocity[sources]))):
            raise ObservationError(f"joint state that is not finite: {dict(zip(message.name, position, strict=True))}")
        self._position[targets] = position[sources]
        self._velocity[targets] = velocity[sources]
        self._stamp_ns[targets] = stamp_ns_of(message.header.stamp)
        return self._sample() if min(targets) < _ARM else None

    def _where(self, names: tuple[str, ...]) -> tuple[list[int], list[int]]:
        """Places of the wanted joints in a message with these names, and here."""
        if names not in self._columns:
            if len(self._columns) > 16:  # somebody makes up names
                self._columns.clear()
            if len(set(names)) != len(names):
                raise ObservationError(f"joint state that names a joint twice: {list(names)}")
            sources = [i for i, name in enumerate(names) if name in _INDEX]
            self._columns[names] = sources, [_INDEX[names[i]] for i in sources]
        return self._columns[names]

    def _sample(self) -> JointSample | None:
        arm, fingers = self._stamp_ns[:_ARM], self._stamp_ns[_ARM:]
        stamp_ns = int(arm.min())
        if int(arm.max()) - stamp_ns > CONTROL_PERIOD_NS or stamp_ns - int(fingers.min()) > MAX_FINGER_AGE_NS:
            return None
        return JointSample(
            stamp_ns, self._position[:_ARM].copy(), self._velocity[:_ARM].copy(), float(self._position[_ARM:].mean())
        )


def setpoint_of(message: Any) -> JointSetpoint | None:
    """The setpoint of a message, None if the driver has none; ObservationError if it is not one of the arm."""
    if not (len(message.name) or len(message.position) or len(message.velocity)):
        return None
    position, velocity = np.array(message.position), np.array(message.velocity)
    if tuple(message.name) != ARM_JOINTS or position.shape != (_ARM,) or velocity.shape != (_ARM,):
        raise ObservationError(f"setpoint for joints {list(message.name)}, expected {list(ARM_JOINTS)}")
    if not (np.all(np.isfinite(position)) and np.all(np.isfinite(velocity))):
        raise ObservationError(f"setpoint that is not finite: {position.tolist()}, {velocity.tolist()}")
    return JointSetpoint(position, velocity)
