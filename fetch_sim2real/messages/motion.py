"""What policy, driver and robot tell each other about the arm's motion: commands, setpoint reports, trajectories.

The messages are standard ones, and some meanings have no field there that is made for them. ``FIELD_MEANINGS`` says
which field carries which; the codec below is the only place that reads or writes those fields, and everybody else uses
the names of the meanings. A setpoint report stays one message, so that the setpoint, the command that it answers and
what became of that one arrive together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from fetch_sim2real import graph
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.spec import ArmSpec
from fetch_sim2real.common.raw_header import frame_id_in
from fetch_sim2real.common.validation import NAMES_SHOWN, shortened
from fetch_sim2real.errors import CommandError, ObservationError
from fetch_sim2real.messages.stamps import decode_duration, decode_stamp, encode_duration, encode_stamp
from fetch_sim2real.timing import CONTROL_PERIOD_S
from fetch_sim2real.types import FloatArray, JointCommand, JointSetpoint, JointTrajectory, TrajectoryPoint

if TYPE_CHECKING:
    from sensor_msgs.msg import JointState
    from trajectory_msgs.msg import JointTrajectory as JointTrajectoryMessage
    from trajectory_msgs.msg import JointTrajectoryPoint

# What became of a command: the outcomes that a setpoint report names.
COMMAND: Final = "command"  # passed unchanged
LIMITED: Final = "limited"
PACED: Final = "paced"  # valid, but the next trajectory is not due yet: the last one goes on
HOLD: Final = "hold"  # the command was a hold: brake and stay
ACTIVATED: Final = "activated"  # answers no command: the driver has just been enabled
_REFUSED: Final = "refused:"


def refused(reason: str) -> str:
    """Return the outcome of a command that was refused for ``reason``, one word."""
    return f"{_REFUSED}{reason}"


def is_refused(outcome: str) -> bool:
    """Return whether the command was refused."""
    return outcome.startswith(_REFUSED)


def reason_of(outcome: str) -> str:
    """Return why a command was refused; other outcomes as they are."""
    return outcome.removeprefix(_REFUSED)


# Outcomes after which the driver follows no more commands until it is enabled again.
ENDS_ACTIVITY: Final = frozenset(
    refused(reason) for reason in ("not_active", "command_timeout", "stale_joints", "future_joints", "tracking_error")
)


class FieldMeaning(NamedTuple):
    """What a field of a standard message says on a topic, beyond what the message's definition says."""

    topic: graph.Topic
    field: str
    meaning: str


FIELD_MEANINGS: Final = (
    FieldMeaning(graph.JOINT_COMMAND, "header.stamp", "stamp of the observation that the command was computed from"),
    FieldMeaning(
        graph.JOINT_COMMAND,
        "header.frame_id",
        "limit profile that the policy was trained with; a driver with slower limits refuses it; may be empty",
    ),
    FieldMeaning(
        graph.JOINT_COMMAND,
        "points",
        "one: positions and velocities at the end of the control period; none, and no names: hold",
    ),
    FieldMeaning(
        graph.SETPOINT,
        "header.stamp",
        f"stamp of the command that is answered; the time of enabling where the outcome is `{ACTIVATED}`",
    ),
    FieldMeaning(
        graph.SETPOINT,
        "header.frame_id",
        f"outcome: `{COMMAND}` (passed unchanged), `{LIMITED}`, `{PACED}` (valid, the last trajectory goes on), "
        f"`{HOLD}`, `{refused('<reason>')}`, or `{ACTIVATED}`",
    ),
    FieldMeaning(
        graph.SETPOINT,
        "position, velocity",
        "commanded state of the arm at the end of the control period, where the next command starts; empty while the "
        "driver is not active",
    ),
    FieldMeaning(
        graph.SETPOINT,
        "effort",
        "two counts: trajectories sent to the arm and to the gripper; a simulated robot waits until they have arrived",
    ),
    FieldMeaning(graph.ARM_TRAJECTORY, "header.stamp", "0: start on arrival"),
    FieldMeaning(
        graph.ARM_TRAJECTORY,
        "header.frame_id",
        "number of the trajectory: the sender's first is 1; a controller ignores it",
    ),
    FieldMeaning(graph.GRIPPER_TRAJECTORY, "header.stamp, header.frame_id", "as for the arm, counted apart"),
    FieldMeaning(
        graph.DRIVER_TICK, "clock", "the driver has dealt with this simulated time and all joint states before it"
    ),
)


class SentCounts(NamedTuple):
    """How many trajectories a driver has sent to arm and gripper since it began."""

    arm: int = 0
    gripper: int = 0


@dataclass(frozen=True)
class SetpointReport:
    """The driver's answer to the command of ``stamp_ns``: what became of it, and the commanded state that came of it.

    ``outcome`` is one of those above. ``setpoint`` is None while the driver commands nothing.
    """

    stamp_ns: int
    outcome: str
    setpoint: JointSetpoint | None

    @property
    def is_activation(self) -> bool:
        """Whether it answers no command: the driver has just been enabled."""
        return self.outcome == ACTIVATED


# Whole numbers up to here are exact in a double.
_MOST_SENT: Final = 2.0**53
# Numbers beyond cannot be computed with, and mean nothing.
_MOST: Final = 1e6


# -- commands ------------------------------------------------------------------------------------------------------


def encode_command(command: JointCommand, limit_profile: str = "", arm: ArmSpec = ARM) -> JointTrajectoryMessage:
    """Return the command as a message.

    ``limit_profile`` is the one that the policy was trained with, empty where nothing is known of it.
    """
    from trajectory_msgs.msg import JointTrajectory as JointTrajectoryMessage

    message = JointTrajectoryMessage()
    message.header.stamp = encode_stamp(command.stamp_ns)
    message.header.frame_id = limit_profile
    if command.hold:
        return message
    names: tuple[str, ...] = arm.joint_names
    positions = command.position.tolist()
    velocities = [] if command.velocity is None else command.velocity.tolist()
    if command.finger_position_m is not None:
        names, fingers = arm.command_joints, len(arm.gripper_joints)
        positions += [command.finger_position_m] * fingers
        velocities += [0.0] * fingers if velocities else []
    message.joint_names = list(names)
    message.points = [_point_message(positions, velocities, CONTROL_PERIOD_S)]
    return message


def decode_command(message: Any, arm: ArmSpec = ARM) -> JointCommand:
    """Return the command of a message; numbers may still be anything. CommandError if its shape is not a command's."""
    stamp_ns = decode_stamp(message.header.stamp)
    if not message.joint_names and not message.points:
        return JointCommand(stamp_ns=stamp_ns, hold=True)
    names = tuple(message.joint_names)
    if sorted(names) not in (sorted(arm.joint_names), sorted(arm.command_joints)):
        raise CommandError(
            f"command for joints {shortened(list(names), NAMES_SHOWN)}, expected the arm's {list(arm.joint_names)} "
            f"with or without the fingers' {list(arm.gripper_joints)}"
        )
    if len(message.points) != 1:
        raise CommandError(f"command with {len(message.points)} points, expected one")
    point = message.points[0]
    values = {"positions": point.positions, "velocities": point.velocities}
    for what, given in values.items():
        if len(given) != len(names) and not (what == "velocities" and len(given) == 0):
            raise CommandError(f"command with {len(given)} {what} for {len(names)} joints")
    joints = arm.joint_count
    order = [names.index(name) for name in (arm.command_joints if len(names) > joints else arm.joint_names)]
    position = np.array(point.positions)[order]
    velocity = np.array(point.velocities)[order] if len(point.velocities) else None
    fingers = position[joints:]
    if len(fingers) and not np.isclose(fingers, fingers[0], rtol=0.0, atol=1e-6, equal_nan=True).all():
        raise CommandError(f"fingers commanded to {fingers.tolist()} m: they are coupled, expected equal openings")
    return JointCommand(
        stamp_ns=stamp_ns,
        position=position[:joints],
        velocity=None if velocity is None else velocity[:joints],
        finger_position_m=float(fingers[0]) if len(fingers) else None,
    )


def decode_limit_profile(message: Any) -> str:
    """Return the limit profile that a command's policy was trained with; empty if the command does not say."""
    return str(message.header.frame_id)


# -- setpoint reports ----------------------------------------------------------------------------------------------


def encode_setpoint_report(report: SetpointReport, sent: SentCounts, arm: ArmSpec = ARM) -> JointState:
    """Return the report as a message; ``sent`` counts the trajectories up to now."""
    from sensor_msgs.msg import JointState

    setpoint = report.setpoint
    message = JointState(name=[] if setpoint is None else list(arm.joint_names))
    message.header.stamp = encode_stamp(report.stamp_ns)
    message.header.frame_id = report.outcome
    if setpoint is not None:
        message.position = setpoint.position.tolist()
        message.velocity = setpoint.velocity.tolist()
    message.effort = [float(count) for count in sent]
    return message


def decode_setpoint_report(message: Any, arm: ArmSpec = ARM) -> SetpointReport:
    """Return the report; ObservationError if its setpoint is not one of the arm. The counts are not checked."""
    return SetpointReport(decode_stamp(message.header.stamp), str(message.header.frame_id), _setpoint(message, arm))


def decode_outcome(data: bytes) -> str:
    """Return the outcome of a serialized setpoint report without deserializing it; empty if there is none."""
    return frame_id_in(data) or ""


def decode_sent_counts(message: Any) -> SentCounts:
    """Return the counts of a setpoint report; zeros if it holds none. ObservationError for counts that are none."""
    if len(message.effort) == 0:
        return SentCounts()
    counts = np.array(message.effort, dtype=np.float64)
    if counts.shape != (2,) or not np.all((counts >= 0.0) & (counts < _MOST_SENT)):
        raise ObservationError(f"setpoint with {counts.tolist()} trajectories sent, expected two counts")
    return SentCounts(int(counts[0]), int(counts[1]))


def _setpoint(message: Any, arm: ArmSpec) -> JointSetpoint | None:
    if not (len(message.name) or len(message.position) or len(message.velocity)):
        return None
    position, velocity = np.array(message.position), np.array(message.velocity)
    shape = (arm.joint_count,)
    if tuple(message.name) != arm.joint_names or position.shape != shape or velocity.shape != shape:
        names = shortened(list(message.name), NAMES_SHOWN)
        raise ObservationError(
            f"setpoint for joints {names} with {len(position)} positions and {len(velocity)} velocities, expected "
            f"{list(arm.joint_names)}"
        )
    if not (np.all(np.isfinite(position)) and np.all(np.isfinite(velocity))):
        raise ObservationError(f"setpoint that is not finite: {position.tolist()}, {velocity.tolist()}")
    return JointSetpoint(position, velocity)


# -- trajectories --------------------------------------------------------------------------------------------------


def encode_trajectory(trajectory: JointTrajectory, number: int) -> JointTrajectoryMessage:
    """Return the trajectory as a message that starts on arrival; ``number`` counts those of this sender."""
    from trajectory_msgs.msg import JointTrajectory as JointTrajectoryMessage

    message = JointTrajectoryMessage(joint_names=list(trajectory.joint_names))
    message.header.frame_id = str(number)
    message.points = [
        _point_message(point.position.tolist(), point.velocity.tolist(), point.time_from_start_s)
        for point in trajectory.points
    ]
    return message


def decode_trajectory_number(message: Any) -> int:
    """Return the number that ``encode_trajectory`` gave the trajectory; 0 if somebody else made it."""
    text = message.header.frame_id
    return int(text) if text.isascii() and text.isdigit() else 0


def decode_trajectory(message: Any, joint_names: Sequence[str]) -> JointTrajectory:
    """Return the trajectory for ``joint_names``, in that order; CommandError if it is for others or malformed."""
    names = tuple(message.joint_names)
    if sorted(names) != sorted(joint_names):
        raise CommandError(f"trajectory for joints {shortened(list(names), NAMES_SHOWN)}, expected {list(joint_names)}")
    if decode_stamp(message.header.stamp) != 0:
        raise CommandError("trajectory with a stamp, expected stamp 0: start now")
    order = [names.index(name) for name in joint_names]
    points = tuple(_point(point, order) for point in message.points)
    times = [0.0, *(point.time_from_start_s for point in points)]
    if not points or any(late <= early for early, late in pairwise(times)):
        raise CommandError(f"trajectory with points at {times[1:]} s, expected increasing times after 0")
    return JointTrajectory(tuple(joint_names), points)


def _point(point: Any, order: list[int]) -> TrajectoryPoint:
    def ordered(values: Sequence[float], what: str) -> FloatArray:
        array = np.array(values, dtype=np.float64)
        # Written so that NaN is refused.
        if len(array) != len(order) or not np.all(np.abs(array) <= _MOST):
            raise CommandError(
                f"trajectory point with {what} {shortened(array.tolist(), NAMES_SHOWN)}, expected {len(order)} numbers "
                f"of at most {_MOST:g}"
            )
        return array[order]

    return TrajectoryPoint(
        time_from_start_s=decode_duration(point.time_from_start),
        position=ordered(point.positions, "positions"),
        velocity=ordered(point.velocities, "velocities"),
    )


def _point_message(positions: list[float], velocities: list[float], time_from_start_s: float) -> JointTrajectoryPoint:
    from trajectory_msgs.msg import JointTrajectoryPoint

    return JointTrajectoryPoint(
        positions=positions, velocities=velocities, time_from_start=encode_duration(time_from_start_s)
    )
