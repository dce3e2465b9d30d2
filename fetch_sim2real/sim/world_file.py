"""The description of a world: what is where, and what varies from episode to episode in which range.

Every value may be a number (fixed) or a pair ``[low, high]`` (drawn at each reset). Lengths in metres, in base_link,
angles in degrees, colours in 0..1. Table, workspace, torso and camera mount are the workcell (``workcell``), which the
safety filter and the policy read too; ``common.world_files`` says how files extend each other. What a task is stands in
``tasks``: a world says only what is different in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from fetch_sim2real.common.ranges import Range, RecordType, Varies, Vector3
from fetch_sim2real.common.schema import Record
from fetch_sim2real.common.world_files import read_world_file
from fetch_sim2real.sim.randomization.appearance import LightConfig, LinksConfig, WallConfig
from fetch_sim2real.sim.randomization.distractors import DistractorsConfig
from fetch_sim2real.sim.randomization.obstacles import ObstaclesConfig
from fetch_sim2real.sim.randomization.robot import RobotConfig
from fetch_sim2real.sim.randomization.textures import SurfaceConfig
from fetch_sim2real.sim.randomization.timing import TimingConfig
from fetch_sim2real.sim.randomization.unrest import DriftConfig, PushesConfig
from fetch_sim2real.sim.sensors.rgbd import SensorConfig
from fetch_sim2real.tasks.base import EpisodeConfig, ObjectConfig, Task
from fetch_sim2real.tasks.registry import objects_of_added_tasks, objects_of_built_in_tasks, task_names
from fetch_sim2real.workcell import WorkcellConfig


class CameraConfig(Record):
    """Field of view of the camera, and by how far its true pose and field are off the nominal (believed) ones."""

    vertical_fov_deg: float
    position_error_m: Annotated[Vector3, Varies(-0.2, 0.2)]
    rotation_error_deg: Annotated[Vector3, Varies(-15.0, 15.0)]
    fov_error_deg: Annotated[Range, Varies(-10.0, 10.0)]


class PerturbationConfig(Record):
    """Unplanned changes: the block is put elsewhere at ``move_block_at_s`` if moving is asked for."""

    move_block_at_s: Range
    move_block_min_distance_m: float


class World(Record):
    """A complete world; see ``worlds/nominal.yaml`` for the meaning in use."""

    name: str
    description: str
    workcell: WorkcellConfig
    robot: RobotConfig
    table: SurfaceConfig
    floor: SurfaceConfig
    wall: WallConfig
    links: LinksConfig
    distractors: DistractorsConfig
    obstacles: ObstaclesConfig = Field(default_factory=ObstaclesConfig)
    # What differs from the tasks' own files: of objects and of tasks, by name.
    objects: dict[str, ObjectConfig] = Field(default_factory=dict)
    tasks: dict[str, EpisodeConfig] = Field(default_factory=dict)
    # How long the episodes of every task are; without it as each task says.
    episode_s: Annotated[float, Field(gt=0.0, le=3600.0)] | None = None
    # How near to the goal is a success, in every task; without it as each task says.
    tolerance_m: Annotated[float, Field(gt=0.0, le=0.2)] | None = None
    camera: CameraConfig
    sensor: SensorConfig
    light: LightConfig
    timing: TimingConfig
    perturbation: PerturbationConfig
    pushes: PushesConfig = Field(default_factory=PushesConfig)
    drift: DriftConfig = Field(default_factory=DriftConfig)

    @field_validator("tasks")
    @classmethod
    def _known_tasks(cls, value: dict[str, EpisodeConfig]) -> dict[str, EpisodeConfig]:
        unknown = sorted(set(value) - set(task_names()))
        if unknown:
            raise ValueError(f"tasks {unknown} are unknown, available: {', '.join(task_names())}")
        return value

    @field_validator("objects")
    @classmethod
    def _known_objects(cls, value: dict[str, ObjectConfig]) -> dict[str, ObjectConfig]:
        known = objects_of_built_in_tasks()
        if set(value) - known:
            # Only then: a package that is broken disturbs nobody who does not ask for its objects.
            known |= objects_of_added_tasks()
        unknown = sorted(set(value) - known)
        if unknown:
            raise ValueError(f"objects {unknown} are in no task, available: {', '.join(sorted(known))}")
        return value

    def episode_of(self, task: Task) -> EpisodeConfig:
        """Return starts, goals and length of the task's episodes here: its own, but for what this world says."""
        config = _changed(task.episode, self.tasks.get(task.name))
        own = {"episode_s": self.episode_s, "tolerance_m": self.tolerance_m}
        return config.model_copy(update={name: value for name, value in own.items() if value is not None})

    def objects_of(self, task: Task) -> dict[str, ObjectConfig]:
        """Return the task's bodies here, by name: its own, but for what this world says."""
        return {name: self.object_of(name, own) for name, own in task.bodies.items()}

    def hues_of(self, task: Task) -> list[Range]:
        """Return the ranges of hue [deg] of the task's objects, the main one's first.

        Nothing else on the table has such a hue.
        """
        configs = self.objects_of(task)
        main = configs.pop(task.main_body)
        return [*main.hues_deg, *(hue for config in configs.values() for hue in config.hues_deg)]

    def object_of(self, name: str, own: ObjectConfig) -> ObjectConfig:
        """Return the object called ``name`` here: ``own``, but for what this world says."""
        return _changed(own, self.objects.get(name))

    def with_tolerance_m(self, tolerance_m: float) -> World:
        """Return the same world, in which a success of every task is ``tolerance_m`` from the goal at most."""
        return self.model_copy(update={"tolerance_m": tolerance_m})

    def with_episode_s(self, episode_s: float) -> World:
        """Return the same world with every task's episodes ``episode_s`` long."""
        return self.model_copy(update={"episode_s": episode_s})


def _changed(own: RecordType, given: RecordType | None) -> RecordType:
    """Return ``own`` with the fields that ``given`` states."""
    if given is None:
        return own
    return own.model_copy(update={name: getattr(given, name) for name in given.model_fields_set})


def load_world(name_or_path: str, directory: Path) -> World:
    """Return the world called ``name_or_path`` in ``directory``, or at that path if it ends in .yaml.

    Raises:
        WorldFileError: no such world, not YAML, or a value that is missing, unknown or impossible (it is named).
    """
    return read_world_file(name_or_path, directory, World)
