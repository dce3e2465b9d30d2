"""The simulated robot where it is not as its model says: servos, encoders, links, joints and fingers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.common.ranges import Range, Share, Varies
from fetch_sim2real.common.schema import Record
from fetch_sim2real.tasks.base import fixed
from fetch_sim2real.types import FloatArray


class RobotConfig(Record):
    """Factors on the nominal servos, joints and links; errors of the encoders; the controller; the fingers."""

    # A constant error of each joint's zero is its offset.
    servo_stiffness_factor: Annotated[Range, Varies(0.1, 10.0)]
    joint_damping_factor: Annotated[Range, Varies(0.0, 20.0)]
    joint_armature_factor: Annotated[Range, Varies(0.1, 10.0)]
    joint_offset_deg: Annotated[Range, Varies(-10.0, 10.0)]
    # What encoders add to what is reported: steps of position, and sigmas of position and velocity.
    encoder_step_deg: Annotated[Range, Varies(0.0, 1.0)]
    encoder_noise_deg: Annotated[Range, Varies(0.0, 1.0)]
    velocity_noise_deg_s: Annotated[Range, Varies(0.0, 1.0)]
    # What the arm's controller goes on from when a new trajectory comes: the state that it wants the arm in, or the
    # measured one, as ros2_control's does without ``interpolate_from_desired_state``.
    trajectories_start_from: Literal["desired", "measured"] = "desired"
    # How much of the wanted velocity the servos are told beside the position: 1 for a Fetch's, 0 where a controller
    # commands positions alone. The arm then lags behind by a time that its servos decide.
    servo_feedforward: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    # What servos push against speed with, beside the joints' own damping.
    servo_damping_factor: Annotated[Range, Varies(0.1, 10.0)] = fixed(1.0)
    # Gravity is compensated for links as heavy as the model says: with other masses the arm sags or rises.
    link_mass_factor: Annotated[Range, Varies(0.1, 10.0)] = fixed(1.0)
    # Beside the mass: each link's inertia goes with its mass, and with this.
    link_inertia_factor: Annotated[Range, Varies(0.1, 10.0)] = fixed(1.0)
    # Of each link's centre of mass, along each of its axes.
    link_center_shift_m: Annotated[Range, Varies(-0.1, 0.1)] = fixed(0.0)
    # Dry friction of a joint as a share of its rated effort.
    joint_friction_share: Share = fixed(0.0)
    # How far a servo turns before the joint follows it the other way.
    joint_backlash_deg: Annotated[Range, Varies(0.0, 5.0)] = fixed(0.0)
    finger_gain_factor: Annotated[Range, Varies(0.1, 10.0)] = fixed(1.0)
    # Sliding and torsional friction between fingers and what they touch; without them what is touched decides.
    finger_friction: Annotated[Range, Varies(0.01, 5.0)] | None = None
    finger_torsional_friction_m: Annotated[Range, Varies(0.0, 0.1)] = fixed(0.005)
    # Command sent -> in effect, for fingers.
    finger_latency_s: Annotated[Range, Varies(0.0, 1.0)] = fixed(0.0)


@dataclass(frozen=True)
class FingerSample:
    """Fingers of one episode. Without a ``friction`` that of what they touch counts, sliding and torsional."""

    gain_factor: float
    friction: float | None
    torsional_friction_m: float
    latency_s: float


@dataclass(frozen=True)
class MechanicsSample:
    """Links (L,) in the order of ``ArmSpec.links`` and joints (n,) of one episode.

    Factors are on the model's mass and inertia, the latter beside that of the mass; ``link_shift_m`` (L, 3) is where
    the centre of mass is off the model's, along the link's own axes.
    """

    servo_damping_factor: FloatArray
    link_mass_factor: FloatArray
    link_inertia_factor: FloatArray
    link_shift_m: FloatArray
    joint_friction_nm: FloatArray
    joint_backlash_rad: FloatArray
    fingers: FingerSample


def draw_mechanics(robot: RobotConfig, rng: np.random.Generator) -> MechanicsSample:
    """Draw what links, joints and fingers are like in an episode."""

    def each(part: Range, count: int) -> FloatArray:
        return np.array([part.draw(rng) for _ in range(count)])

    joints, links = len(ARM.joint_names), len(ARM.links)
    return MechanicsSample(
        servo_damping_factor=each(robot.servo_damping_factor, joints),
        link_mass_factor=each(robot.link_mass_factor, links),
        link_inertia_factor=each(robot.link_inertia_factor, links),
        link_shift_m=each(robot.link_center_shift_m, 3 * links).reshape(links, 3),
        joint_friction_nm=each(robot.joint_friction_share, joints) * ARM.effort_nm,
        joint_backlash_rad=np.deg2rad(each(robot.joint_backlash_deg, joints)),
        fingers=FingerSample(
            gain_factor=robot.finger_gain_factor.draw(rng),
            friction=None if robot.finger_friction is None else robot.finger_friction.draw(rng),
            torsional_friction_m=robot.finger_torsional_friction_m.draw(rng),
            latency_s=robot.finger_latency_s.draw(rng),
        ),
    )
