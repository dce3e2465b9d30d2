"""Named limit profiles: how fast the safety filter lets the arm move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from fetch_sim2real.arm.fetch.joints import POSITION_LOWER_RAD, POSITION_UPPER_RAD, VELOCITY_RAD_S
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.types import FloatArray


@dataclass(frozen=True)
class LimitProfile:
    """Limits of the commanded motion, each (7,): positions [rad], velocity [rad/s], acceleration [rad/s^2]."""

    name: str
    position_lower: FloatArray
    position_upper: FloatArray
    velocity: FloatArray
    acceleration: FloatArray

    def scaled(self, speed_scale: float) -> LimitProfile:
        """The same profile with velocities multiplied by ``speed_scale`` in (0, 1]: an operator's speed cap."""
        if not 0.0 < speed_scale <= 1.0:
            raise FetchSim2RealError(f"speed scale is {speed_scale}, expected a number in (0, 1]")
        return LimitProfile(
            self.name, self.position_lower, self.position_upper, self.velocity * speed_scale, self.acceleration
        )

    def is_faster_than(self, other: LimitProfile) -> bool:
        """True where any joint of this profile may move or accelerate faster than ``other`` allows."""
        return bool(
            np.any(self.velocity > other.velocity + 1e-9) or np.any(self.acceleration > other.acceleration + 1e-9)
        )


# Commands stop short of the mechanical stops and of the rated speed, so that tracking error does not reach them.
_POSITION_MARGIN_RAD = 0.02
_VELOCITY_SHARE = 0.9
COMMAND_LOWER_RAD: Final = POSITION_LOWER_RAD + _POSITION_MARGIN_RAD
COMMAND_UPPER_RAD: Final = POSITION_UPPER_RAD - _POSITION_MARGIN_RAD

# fetch_moveit_config's joint_limits.yaml: conservative values meant for planning.
_PLANNING_ACCELERATION = np.array([1.5, 1.0, 1.5, 1.5, 1.5, 2.5, 2.5])
# With every joint at its velocity limit and at this acceleration at once, in the worst of all sign combinations and
# anywhere in the workspace, the effort needed stays within the robot's rating; shoulder pan is the joint that decides
# (0.98 of it, the others 0.73 or less). tests/test_robot_model.py recomputes it from the model.
_DEFAULT_ACCELERATION = np.array([2.4, 3.5, 6.0, 6.0, 8.0, 8.0, 10.0])


def _profile(name: str, acceleration: FloatArray) -> LimitProfile:
    return LimitProfile(
        name=name,
        position_lower=COMMAND_LOWER_RAD,
        position_upper=COMMAND_UPPER_RAD,
        velocity=VELOCITY_RAD_S * _VELOCITY_SHARE,
        acceleration=acceleration,
    )


PROFILES: Final[dict[str, LimitProfile]] = {
    "gentle": _profile("gentle", _PLANNING_ACCELERATION),
    "default": _profile("default", _DEFAULT_ACCELERATION),
}
DEFAULT_PROFILE: Final = "default"


def limit_profile(name: str) -> LimitProfile:
    """The profile called ``name``; FetchSim2RealError names the available ones."""
    try:
        return PROFILES[name]
    except KeyError:
        raise FetchSim2RealError(f"limit profile '{name}' is unknown, available: {', '.join(PROFILES)}") from None
