"""The workcell: where table, workspace, torso and camera are. Safety, policy and simulation read the same section.

It is the section ``workcell`` of a world file. Lengths in metres, in base_link. What is a range there varies from
episode to episode in a simulation; on a robot it says how well the value is known.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import ConfigDict, model_validator

from fetch_sim2real.arm.collision import Scene
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.spec import ArmSpec, Box
from fetch_sim2real.common.ranges import Range, Varies, Vector3, box_of
from fetch_sim2real.common.schema import Record
from fetch_sim2real.common.validation import shortened
from fetch_sim2real.common.world_files import read_world_file

# How far the torso may be from the one height that kinematics and collision scene are computed for.
TORSO_TOLERANCE_M: Final = 0.01
# Sections of a world file that say nothing of the workcell: the simulation reads them.
SIMULATION_SECTIONS: Final = (
    "name", "description", "episode_s", "tolerance_m", "robot", "table", "floor", "wall", "links", "distractors",
    "obstacles", "objects", "tasks", "camera", "sensor", "light", "timing", "perturbation", "pushes", "drift",
)  # fmt: skip
# The fields of those that held what version 0.1 said of the workcell.
FORMER_SECTIONS: Final = {
    "robot": (
        "servo_stiffness_factor", "joint_damping_factor", "joint_armature_factor", "joint_offset_deg",
        "encoder_step_deg", "encoder_noise_deg", "velocity_noise_deg_s", "trajectories_start_from", "servo_feedforward",
        "servo_damping_factor", "link_mass_factor", "link_inertia_factor", "link_center_shift_m",
        "joint_friction_share", "joint_backlash_deg", "finger_gain_factor", "finger_friction",
        "finger_torsional_friction_m", "finger_latency_s",
    ),
    "table": ("color_hsv", "families", "images", "contrast", "tile_m"),
    "camera": ("vertical_fov_deg", "position_error_m", "rotation_error_deg", "fov_error_deg"),
}  # fmt: skip


class TableConfig(Record):
    """A box on the floor; ``height_m`` is its top."""

    height_m: Annotated[Range, Varies(0.1, 1.5)]
    center_xy_m: tuple[float, float]
    size_xy_m: tuple[float, float]


class CameraMountConfig(Record):
    """Nominal pose of the camera: where it is, and the point that it looks at."""

    position_m: tuple[float, float, float]
    look_at_m: tuple[float, float, float]


class WorkcellConfig(Record):
    """Torso height is fixed for a world; the grip site stays in ``workspace_m``; the arm keeps clear of the table."""

    torso_height_m: float
    workspace_m: Vector3
    table: TableConfig
    camera: CameraMountConfig

    @property
    def highest_table_m(self) -> float:
        """Height of the table's top: at its highest, where that varies. What must stay clear of it goes by this."""
        return self.table.height_m.high

    def scene(self, arm: ArmSpec = ARM) -> Scene:
        """Return what the safety filter keeps ``arm`` clear of; FetchSim2RealError for a height its torso cannot have.

        The height of an arm without a torso is 0.
        """
        lower, upper = box_of(self.workspace_m)
        (x, y), (depth, width) = self.table.center_xy_m, self.table.size_xy_m
        table = Box(
            "table", (x - depth / 2, y - width / 2, 0.0), (x + depth / 2, y + width / 2, self.highest_table_m)
        )
        return Scene(
            torso_height_m=self.torso_height_m,
            workspace_lower_m=tuple(lower.tolist()),
            workspace_upper_m=tuple(upper.tolist()),
            tables=(table,),
            arm=arm,
        )


class _WorkcellFile(Record):
    """A world file of which only the workcell is read."""

    model_config = ConfigDict(extra="ignore")

    workcell: WorkcellConfig

    @model_validator(mode="before")
    @classmethod
    def _without_unknown_sections(cls, content: Any) -> Any:
        # A misspelt section or field would leave the arm with the table of the world that the file extends.
        unknown = [shortened(str(name)) for name in content if name not in ("workcell", *SIMULATION_SECTIONS)]
        if unknown:
            raise ValueError(f"sections {unknown} are unknown, available: workcell, {', '.join(SIMULATION_SECTIONS)}")
        for section, fields in FORMER_SECTIONS.items():
            given = content.get(section)
            misspelt = [shortened(str(name)) for name in given if name not in fields] if isinstance(given, dict) else ()
            if misspelt:
                raise ValueError(
                    f"fields {misspelt} of '{section}' are unknown, available: {', '.join(fields)}; table, workspace, "
                    "torso and camera mount belong to 'workcell'"
                )
        return content


def load_workcell(name_or_path: str, directory: Path) -> WorkcellConfig:
    """Return the workcell of the world called ``name_or_path`` in ``directory``, or of the file at that path.

    Raises:
        WorldFileError: no such world, not YAML, or a value that is missing, unknown or impossible (it is named).
    """
    return read_world_file(name_or_path, directory, _WorkcellFile).workcell
