"""The description of a world: what is where, and what varies from episode to episode in which range.

Every value may be a number (fixed) or a pair ``[low, high]`` (drawn at each reset). Lengths in metres, in base_link,
angles in degrees, colours in 0..1. Table, workspace, torso and camera mount are the workcell (``workcell``), which the
safety filter and the policy read too; ``common.world_files`` says how files extend each other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from fetch_sim2real.common.ranges import ColorHsv, Range, Varies, Vector3
from fetch_sim2real.common.schema import Record
from fetch_sim2real.common.world_files import read_world_file
from fetch_sim2real.errors import WorldFileError
from fetch_sim2real.sim.randomization.appearance import LightPart, LinksPart, WallPart
from fetch_sim2real.sim.randomization.distractors import DistractorsPart
from fetch_sim2real.sim.randomization.textures import SurfacePart
from fetch_sim2real.sim.sensors.rgbd import SensorPart
from fetch_sim2real.tasks.registry import TASKS
from fetch_sim2real.workcell import WorkcellConfig


class RobotPart(Record):
    """Factors on the nominal servo stiffness, joint damping and armature; errors of the encoders; the controller."""

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


class ObjectPart(Record):
    """The thing on the table: a box or a cylinder, ``half_size_m`` wide and ``height_factor`` times that high, or a
    slab, which is a box with its width and its height changed by two more factors.

    ``friction`` is that of every contact of the object (sliding); ``drag`` is a linear damping of its motion [N s/m].
    ``contact_time_s`` and ``contact_impedance`` are the first numbers of its ``solref`` and ``solimp`` in MuJoCo.
    """

    shape: Annotated[tuple[Literal["box", "cylinder", "slab"], ...], Field(min_length=1)]
    half_size_m: Annotated[Range, Varies(0.005, 0.10)]
    height_factor: Annotated[Range, Varies(0.1, 5.0)]
    slab_width_factor: Annotated[Range, Varies(0.2, 3.0)]
    slab_height_factor: Annotated[Range, Varies(0.2, 3.0)]
    mass_kg: Annotated[Range, Varies(0.005, 5.0)]
    friction: Annotated[Range, Varies(0.01, 5.0)]
    drag: Annotated[Range, Varies(0.0, 5.0)]
    contact_time_s: Annotated[Range, Varies(0.005, 0.2)]
    contact_impedance: Annotated[Range, Varies(0.1, 0.99)]
    color_hsv: ColorHsv
    yaw_deg: Range


class TaskPart(Record):
    """Starts and goals of one task. The gripper starts in ``start_grip_m``, the object in ``object_x_m`` x
    ``object_y_m``; goals are drawn in ``goal_m``, in the task's goal frame.
    """

    episode_s: Annotated[float, Field(gt=0.0, le=3600.0)]
    start_grip_m: Vector3
    object_x_m: Range
    object_y_m: Range
    goal_m: Vector3
    # This share of goals has its height drawn here instead: goals in the air.
    air_share: Annotated[float, Field(ge=0.0, le=1.0)]
    air_z_m: Range
    tolerance_m: Annotated[float, Field(gt=0.0)]
    # A start closer than this to the goal is not drawn.
    min_start_distance_m: float
    # The gripper starts at least so far from the object, sideways.
    min_grip_distance_m: float


class CameraPart(Record):
    """Field of view of the camera, and by how far its true pose and field are off the nominal (believed) ones."""

    vertical_fov_deg: float
    position_error_m: Annotated[Vector3, Varies(-0.2, 0.2)]
    rotation_error_deg: Annotated[Vector3, Varies(-15.0, 15.0)]
    fov_error_deg: Annotated[Range, Varies(-10.0, 10.0)]


class TimingPart(Record):
    """Delays in simulated time: frame taken -> published, command sent -> in effect.

    Depth is taken ``depth_skew_s`` after its colour, before it where negative; each frame is published up to
    ``publication_jitter_s`` sooner or later than the camera's latency says.
    """

    camera_latency_s: Annotated[Range, Varies(0.0, 1.0)]
    command_latency_s: Annotated[Range, Varies(0.0, 1.0)]
    depth_skew_s: Annotated[Range, Varies(-0.03, 0.03)]
    # Less than half of a control period: frames keep their order, and there is at most one at a time.
    publication_jitter_s: Annotated[Range, Varies(0.0, 0.015)]


class PerturbationPart(Record):
    """Unplanned changes: the block is put elsewhere at ``move_block_at_s`` if moving is asked for."""

    move_block_at_s: Range
    move_block_min_distance_m: float


class World(Record):
    """A complete world; see ``worlds/nominal.yaml`` for the meaning in use."""

    name: str
    description: str
    workcell: WorkcellConfig
    robot: RobotPart
    table: SurfacePart
    floor: SurfacePart
    wall: WallPart
    links: LinksPart
    distractors: DistractorsPart
    block: ObjectPart
    puck: ObjectPart
    tasks: dict[str, TaskPart]
    camera: CameraPart
    sensor: SensorPart
    light: LightPart
    timing: TimingPart
    perturbation: PerturbationPart

    @field_validator("tasks")
    @classmethod
    def _known_tasks(cls, value: dict[str, TaskPart]) -> dict[str, TaskPart]:
        unknown = sorted(set(value) - set(TASKS))
        if unknown:
            raise ValueError(f"tasks {unknown} are unknown, available: {', '.join(TASKS)}")
        return value

    def task(self, name: str) -> TaskPart:
        """Starts and goals of the task called ``name``. WorldFileError if this world has none."""
        if name not in self.tasks:
            available = ", ".join(self.tasks) or "none"
            raise WorldFileError(f"world '{self.name}' says nothing about the task '{name}'; it has: {available}")
        return self.tasks[name]

    def with_episode_s(self, episode_s: float) -> World:
        """The same world with every task's episodes ``episode_s`` long."""
        tasks = {name: part.model_copy(update={"episode_s": episode_s}) for name, part in self.tasks.items()}
        return self.model_copy(update={"tasks": tasks})


def load_world(name_or_path: str, directory: Path) -> World:
    """The world called ``name_or_path`` in ``directory``, or at that path if it ends in .yaml.

    Raises:
        WorldFileError: no such world, not YAML, or a value that is missing, unknown or impossible (it is named).
    """
    return read_world_file(name_or_path, directory, World)
