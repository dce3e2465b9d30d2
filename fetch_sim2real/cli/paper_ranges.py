"""What a paper randomizes in dynamics, beside what worlds do: a table of the page on world files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any, Final

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.common.ranges import Range
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.tasks.registry import find_task

_TASK: Final = "push"
_BLOCK: Final = "objects.block"
# What the paper varies and how far, and the section and fields of a world that stand for it.
_ROWS: Final = (
    ("mass of each link", "0.25 to 4 times", "robot", ("link_mass_factor",)),
    ("", "", "robot", ("link_inertia_factor",)),
    ("", "", "robot", ("link_center_shift_m",)),
    ("damping of each joint", "0.2 to 20 times", "robot", ("joint_damping_factor",)),
    ("", "", "robot", ("joint_armature_factor", "joint_friction_share", "joint_backlash_deg")),
    ("gains of the controller", "0.5 to 2 times", "robot", ("servo_stiffness_factor", "servo_damping_factor")),
    ("", "", "robot", ("finger_gain_factor", "finger_latency_s")),
    ("", "", "robot", ("finger_friction", "finger_torsional_friction_m")),
    ("mass of the puck", "0.1 to 0.4 kg", _BLOCK, ("mass_kg",)),
    ("friction of the puck", "0.1 to 5", _BLOCK, ("friction", "torsional_friction_m")),
    ("damping of the puck", "0.01 to 0.2 N s/m", _BLOCK, ("drag",)),
    ("", "", _BLOCK, ("half_size_m", "center_shift")),
    ("", "", _BLOCK, ("contact_time_s", "contact_impedance")),
    ("height of the table", "0.73 to 0.77 m", "workcell.table", ("height_m",)),
    (
        "time between actions: longer by an exponential time with a rate of 125 to 1000 a second",
        "1 to 8 ms in the mean",
        "timing",
        ("publication_jitter_s", "command_jitter_s"),
    ),
    ("", "", "timing", ("camera_latency_s", "command_latency_s")),
    ("", "", "timing", ("drop_share", "late_share", "late_s")),
    ("noise on observations", "5 % of their spread", "robot", ("encoder_noise_deg", "velocity_noise_deg_s")),
    ("", "", "pushes", ("arm_rate_hz", "arm_force_n")),
    ("", "", "pushes", ("object_rate_hz", "object_jolt_m_s")),
    ("", "", "drift", ("camera_position_m", "camera_rotation_deg", "joint_offset_deg")),
)
_INTRODUCTION: Final = """## Dynamics: a paper's and ours

*Sim-to-Real Transfer of Robotic Control with Dynamics Randomization* (Peng and others, arXiv 1710.06537) pushes a puck
with a Fetch and draws 95 numbers for each episode: each link's mass is one, and each joint's damping. What is theirs
alone, or ours alone, has an empty field on the other side. Here each link, joint and axis counts too: `{name}` draws
{count} numbers of this table for an episode of `{task}`, without those of pictures and those of single frames.

| theirs | range | ours | range in `{name}` |
|---|---|---|---|
"""


def paper_table(world: World, text: Callable[[Any], str]) -> Iterator[str]:
    """Yield the section's lines, with the ranges of ``world``, each as ``text`` writes it."""
    yield _INTRODUCTION.format(name=world.name, count=count_of_numbers(world), task=_TASK).rstrip("\n")
    for theirs, their_range, section, names in _ROWS:
        ours = ", ".join(f"`{name}`" for name in names)
        ranges = "; ".join(text(_value(world, section, name)) for name in names)
        yield f"| {theirs} | {their_range} | {ours} of {section.replace('.', ', ')} | {ranges} |"
    yield ""


def count_of_numbers(world: World) -> int:
    """Return how many numbers of the table an episode of ``world`` draws: those whose range is not a single value."""
    return sum(
        _copies(name) * sum(axis.low < axis.high for axis in _axes(_value(world, section, name)))
        for _, _, section, names in _ROWS
        for name in names
    )


def _copies(name: str) -> int:
    """Return how often a field is drawn in an episode: for each joint, link, or axis of a link."""
    if name == "link_center_shift_m":
        return 3 * len(ARM.links)
    if name.startswith("link_"):
        return len(ARM.links)
    return len(ARM.joint_names) if name.startswith(("joint_", "servo_")) else 1


def _value(world: World, section: str, name: str) -> Any:
    if section == _BLOCK:
        return getattr(world.objects_of(find_task(_TASK))["block"], name)
    return reduce(getattr, [*section.split("."), name], world)


def _axes(value: Any) -> tuple[Range, ...]:
    return (value,) if isinstance(value, Range) else tuple(value)
