"""What of an episode's draw Drake cannot express, and what it does instead. Needs no Drake.

A new field of a draw has to be honoured by the engine, or be named here: a test says which fields are neither.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from fetch_sim2real.errors import SetupError
from fetch_sim2real.sim.engine import Declined
from fetch_sim2real.sim.randomization.sample import EpisodeSample
from fetch_sim2real.tasks.base import RED_BLOCK

_REFUSES: Final = "episodes in which it is not as the model says are refused"
_MECHANICS: Final = "dynamics.mechanics"
# What has to have one value, because Drake cannot express another: the field of a draw, and that value.
_NEUTRAL: Final[dict[str, float | None]] = {
    f"{_MECHANICS}.link_mass_factor": 1.0,
    f"{_MECHANICS}.link_inertia_factor": 1.0,
    f"{_MECHANICS}.link_shift_m": 0.0,
    f"{_MECHANICS}.joint_friction_nm": 0.0,
    f"{_MECHANICS}.fingers.friction": None,
    "objects.physics.torsional_friction_m": RED_BLOCK.torsional_friction_m.middle,
}
DECLINED: Final = (
    Declined(
        "objects.physics.contact_impedance",
        "contacts are springs of 400 kN/m for each of the two surfaces, whatever is drawn; contact_time_s is their "
        "relaxation time",
    ),
    Declined(
        "objects.physics.friction",
        "exact for every contact of one object, and of two whose frictions differ by less than a factor of two; else "
        "the friction between two objects is Drake's harmonic mean, where MuJoCo takes the larger",
    ),
    Declined(
        "appearance.lights.specular",
        "surfaces are matt; with the options pbr and environment_map they shine as such materials do",
    ),
    Declined(
        "appearance.ambient",
        "four lights from the corners of a tetrahedron: exact on surfaces along the axes of base_link, up to three "
        "tenths darker between them; with environment_map the room around the scene",
    ),
    *(Declined(part, _REFUSES) for part in _NEUTRAL),
    Declined("obstacles", "episodes with one are refused"),
)
# What the engine reads as it is.
HONOURED: Final = (
    "arm_start_rad", "objects.physics.shape", "objects.physics.half_extents_m", "objects.physics.mass_kg",
    "objects.physics.drag", "objects.physics.contact_time_s", "objects.position_m", "objects.yaw_rad", "camera",
    "appearance.table", "appearance.floor", "appearance.wall", "appearance.wall_distance_m", "appearance.object_rgb",
    "appearance.link_brightness", "appearance.link_tint", "appearance.link_color", "appearance.lights.direction",
    "appearance.lights.diffuse", "appearance.lights.shadows", "appearance.distractors", "dynamics.stiffness_factor",
    "dynamics.damping_factor", "dynamics.armature_factor", "dynamics.table_height_m", "objects.physics.center_m",
    "dynamics.mechanics.servo_damping_factor", "dynamics.mechanics.fingers.gain_factor",
)  # fmt: skip
# What no engine sees: the simulation makes it, the same for all.
SHARED: Final = (
    "seed", "task", "goal_m", "sensor", "dynamics.joint_offset_rad", "camera_latency_s", "command_latency_s",
    "depth_skew_s", "publication_jitter_s", "jitter_seed", "encoders", "move_at_s", "move_to_xy_m", "carriers",
    "interruptions", "unrest", "dynamics.mechanics.joint_backlash_rad", "dynamics.mechanics.fingers.latency_s",
)  # fmt: skip
# Of no account where fingers have no friction of their own.
UNUSED: Final = ("dynamics.mechanics.fingers.torsional_friction_m",)


def require_expressible(sample: EpisodeSample) -> None:
    """Raise ``SetupError`` for an episode that Drake does not come near to; the field is named."""
    for part, neutral in _NEUTRAL.items():
        for value in _values(sample, part.split(".")):
            if not (value is None if neutral is None else np.all(np.asarray(value) == neutral)):
                raise SetupError(
                    f"engine 'drake' cannot express {part}, got {value} in the episode of seed {sample.seed}, expected "
                    f"{neutral}: choose another world, or --engine mujoco"
                )
    if sample.obstacles:
        raise SetupError(
            f"engine 'drake' cannot express obstacles, got {len(sample.obstacles)} in the episode of seed "
            f"{sample.seed}, expected none: choose another world, or --engine mujoco"
        )


def _values(of: Any, names: list[str]) -> list[Any]:
    """The values of a field; of objects, each one's."""
    for number, name in enumerate(names):
        of = getattr(of, name)
        if isinstance(of, dict):
            return [value for each in of.values() for value in _values(each, names[number + 1 :])]
    return [of]
