"""Named limit profiles: how fast the safety filter lets the arm move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.spec import ArmSpec
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.types import FloatArray


@dataclass(frozen=True, eq=False)
class LimitProfile:
    """Limits of the commanded motion, each (n,): positions [rad], velocity [rad/s], acceleration [rad/s^2].

    A profile is only equal to itself, as its arrays cannot be compared at a glance.
    """

    name: str
    position_lower: FloatArray
    position_upper: FloatArray
    velocity: FloatArray
    acceleration: FloatArray

    def scaled(self, speed_scale: float) -> LimitProfile:
        """Return the same profile with velocities multiplied by ``speed_scale`` in (0, 1]: an operator's speed cap."""
        if not 0.0 < speed_scale <= 1.0:
            raise FetchSim2RealError(f"speed scale is {speed_scale}, expected a number in (0, 1]")
        return LimitProfile(
            self.name, self.position_lower, self.position_upper, self.velocity * speed_scale, self.acceleration
        )

    def is_faster_than(self, other: LimitProfile) -> bool:
        """Return whether any joint of this profile may move or accelerate faster than ``other`` allows."""
        return bool(
            np.any(self.velocity > other.velocity + 1e-9) or np.any(self.acceleration > other.acceleration + 1e-9)
        )


def profiles_of(arm: ArmSpec) -> dict[str, LimitProfile]:
    """Return the limit profiles of ``arm`` by name, slowest first.

    Commands stop short of the mechanical stops and of the rated speed, so that tracking error does not reach them.
    """
    return {
        profile.name: LimitProfile(
            name=profile.name,
            position_lower=arm.command_lower_rad,
            position_upper=arm.command_upper_rad,
            velocity=arm.velocity_rad_s * arm.velocity_share,
            acceleration=np.array(profile.acceleration_rad_s2),
        )
        for profile in arm.profiles
    }


PROFILES: Final[dict[str, LimitProfile]] = profiles_of(ARM)
DEFAULT_PROFILE: Final = ARM.default_profile


def limit_profile(name: str, arm: ArmSpec = ARM) -> LimitProfile:
    """Return the profile of ``arm`` called ``name``; FetchSim2RealError names the available ones."""
    profiles = PROFILES if arm is ARM else profiles_of(arm)
    try:
        return profiles[name]
    except KeyError:
        raise FetchSim2RealError(f"limit profile '{name}' is unknown, available: {', '.join(profiles)}") from None
