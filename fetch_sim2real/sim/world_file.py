"""The description of a world: what is where, and what varies from episode to episode in which range.

Every value may be a number (fixed) or a pair ``[low, high]`` (drawn at each reset). Lengths in metres, in base_link,
angles in degrees, colours in 0..1. A file may name another in ``extends`` and state only what differs; ``widen: 1.5``
beside it takes that other world with ranges 1.5 times as wide (``sim.widening``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from fetch_sim2real.common.validation import complaint_of, shortened
from fetch_sim2real.common.yaml_files import YamlFileError, is_file, read_yaml
from fetch_sim2real.errors import WorldFileError
from fetch_sim2real.sim.randomization.appearance import LightPart, LinksPart, WallPart
from fetch_sim2real.sim.randomization.distractors import DistractorsPart
from fetch_sim2real.sim.randomization.range_scaling import widen
from fetch_sim2real.sim.randomization.ranges import ColorHsv, Range, Varies, Vector3
from fetch_sim2real.sim.randomization.section import Part
from fetch_sim2real.sim.randomization.textures import SurfacePart
from fetch_sim2real.sim.sensors.rgbd import SensorPart
from fetch_sim2real.tasks.registry import TASKS


class RobotPart(Part):
    """Torso height is fixed for a world; the gripper stays in ``workspace_m``."""

    torso_height_m: float
    workspace_m: Vector3
    # Factors on the nominal servo stiffness, joint damping and armature, and a constant error of each joint's zero.
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


class TablePart(SurfacePart):
    """A box on the floor; ``height_m`` is its top."""

    height_m: Annotated[Range, Varies(0.1, 1.5)]
    center_xy_m: tuple[float, float]
    size_xy_m: tuple[float, float]


class ObjectPart(Part):
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


class TaskPart(Part):
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


class CameraPart(Part):
    """Nominal (believed) pose of the camera, and by how far the true one is off."""

    position_m: tuple[float, float, float]
    look_at_m: tuple[float, float, float]
    vertical_fov_deg: float
    position_error_m: Annotated[Vector3, Varies(-0.2, 0.2)]
    rotation_error_deg: Annotated[Vector3, Varies(-15.0, 15.0)]
    fov_error_deg: Annotated[Range, Varies(-10.0, 10.0)]


class TimingPart(Part):
    """Delays in simulated time: frame taken -> published, command sent -> in effect.

    Depth is taken ``depth_skew_s`` after its colour, before it where negative; each frame is published up to
    ``publication_jitter_s`` sooner or later than the camera's latency says.
    """

    camera_latency_s: Annotated[Range, Varies(0.0, 1.0)]
    command_latency_s: Annotated[Range, Varies(0.0, 1.0)]
    depth_skew_s: Annotated[Range, Varies(-0.03, 0.03)]
    # Less than half of a control period: frames keep their order, and there is at most one at a time.
    publication_jitter_s: Annotated[Range, Varies(0.0, 0.015)]


class PerturbationPart(Part):
    """Unplanned changes: the block is put elsewhere at ``move_block_at_s`` if moving is asked for."""

    move_block_at_s: Range
    move_block_min_distance_m: float


class World(Part):
    """A complete world; see ``worlds/nominal.yaml`` for the meaning in use."""

    name: str
    description: str
    robot: RobotPart
    table: TablePart
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
    path = _locate(name_or_path, directory)
    return _validated(_read_merged(path, directory, seen=()), path)


def _validated(merged: dict[str, Any], path: Path) -> World:
    try:
        return World.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        where = shortened(".".join(str(part) for part in first["loc"] if part not in ("low", "high")))
        raise WorldFileError(
            f"world file {path}: '{where}': {complaint_of(first)} ({error.error_count()} problem(s) in all)"
        ) from None


def _locate(name_or_path: str, directory: Path) -> Path:
    is_path = name_or_path.endswith((".yaml", ".yml"))
    path = Path(name_or_path) if is_path else directory / f"{name_or_path}.yaml"
    if not is_file(path):
        available = ", ".join(sorted(p.stem for p in directory.glob("*.yaml")))
        raise WorldFileError(
            f"there is no world {shortened(repr(name_or_path))} (looked for {shortened(path, 200)}); available: "
            f"{available}, or a path ending in .yaml"
        )
    return path


def _read_merged(path: Path, directory: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path in seen:
        raise WorldFileError(f"world file {path} extends itself by way of {' -> '.join(map(str, seen))}")
    try:
        documents = read_yaml(path)
    except YamlFileError as error:
        raise WorldFileError(f"world file {path} {error}") from None
    content = documents[0] if len(documents) == 1 else documents
    if not isinstance(content, dict):
        raise WorldFileError(f"world file {path} holds {type(content).__name__}, expected a mapping of sections")
    _anchor_images(content, path.parent)
    base_name = content.pop("extends", None)
    if not isinstance(base_name, str | None):
        raise WorldFileError(
            f"world file {path}: 'extends' is {shortened(repr(base_name))}, expected the name of another world"
        )
    factor = content.pop("widen", None)
    if factor is not None and (not isinstance(factor, int | float) or not 0.0 < factor <= 10.0 or base_name is None):
        raise WorldFileError(f"world file {path}: 'widen' is {factor!r}, expected a factor up to 10 beside 'extends'")
    if base_name is None:
        return content
    # A base is looked for beside the file first, so that a folder of one's own worlds is self-contained.
    beside = path.parent / f"{base_name}.yaml"
    base = beside if is_file(beside) and beside != path else _locate(str(base_name), directory)
    inherited = _read_merged(base, directory, (*seen, path))
    if factor is not None:
        inherited = widen(_validated(inherited, base), float(factor)).model_dump()
    return _merge(inherited, content)


def _anchor_images(content: dict[str, Any], folder: Path) -> None:
    """Make paths of pictures absolute: they are relative to the file that names them."""
    for section in content.values():
        if isinstance(section, dict) and isinstance(section.get("images"), list):
            section["images"] = [str(folder / str(image)) for image in section["images"]]


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both_mappings = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both_mappings else value
    return merged
