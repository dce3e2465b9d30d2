"""What the simulation asks of a physics and rendering engine. MuJoCo (``sim.mujoco``) is one.

An engine knows an episode's sample, bodies and pictures. It knows no latency, no sensor model and no trajectory: these
are the simulation's (``sim.simulation``), and so the same for every engine. To add an engine called X: the folder
``sim/X`` whose module ``engine`` has a function ``make_engine``, an ``EngineFactory``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.errors import FetchSim2RealError, SetupError
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.sim.randomization.appearance import LightSample
from fetch_sim2real.sim.randomization.sample import EpisodeSample
from fetch_sim2real.sim.world_file import World
from fetch_sim2real.stack.options import ENGINE
from fetch_sim2real.tasks.base import Task
from fetch_sim2real.types import FloatArray

T = TypeVar("T")

DEFAULT_ENGINE: Final = ENGINE.default


@dataclass(frozen=True)
class EngineSettings:
    """What an engine is made for: the task in its world, and the size (width, height) of pictures, None for none.

    ``render_in_background`` lets a thread render while physics goes on; pictures are the same. With ``separate_depth``
    depth is rendered from the depth sensor's own place beside the colour camera. ``options`` are the words behind the
    engine's name, each engine's own.
    """

    world: World
    task: Task
    camera_size: tuple[int, int] | None = None
    render_in_background: bool = False
    separate_depth: bool = False
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Truth:
    """What was true at a moment: gripper (3,) and, by name, the task's bodies (3,) [m] in base_link.

    For training, never for an actor.
    """

    grip_m: FloatArray
    objects_m: Mapping[str, FloatArray]


# Tuples: these two are made several times a control period, and a frozen dataclass takes three times as long.
class JointState(NamedTuple):
    """True joints: arm position (n,) [rad] and velocity (n,) [rad/s], opening of each finger (2,) [m]."""

    arm_rad: FloatArray
    arm_rad_s: FloatArray
    fingers_m: FloatArray


class ObjectState(NamedTuple):
    """Centre (3,) [m] and orientation of an object in base_link, as quaternion (4,) wxyz and rotation (3, 3)."""

    position_m: FloatArray
    quaternion_wxyz: FloatArray
    rotation: FloatArray


@dataclass(frozen=True)
class VisualShape:
    """Something that is only seen: half extents (3,) [m] along its own axes, pose in base_link, colour in 0..1.

    A capsule lies along its z.
    """

    shape: Literal["ellipsoid", "capsule"]
    half_extents_m: tuple[float, float, float]
    position_m: FloatArray
    quaternion_wxyz: FloatArray
    rgb: tuple[float, float, float]


@dataclass(frozen=True)
class Rendering:
    """Colour (H, W, 3) and depth (H, W) [m] along the optical axis, without any sensor's imperfections.

    ``depth_rgb`` is the colour that the depth sensor sees where it stands beside the colour camera, else None;
    ``started_s`` is when rendering began [s, ``time.perf_counter``].
    """

    rgb: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    depth_rgb: NDArray[np.uint8] | None
    started_s: float


@dataclass(frozen=True)
class Declined:
    """A part of an episode's draw that an engine cannot express, and what it does instead."""

    part: str
    instead: str


class View(Protocol):
    """The camera's view for people, in a size of its own, without noise and latency."""

    def picture(self) -> NDArray[np.uint8]:
        """Return the present moment (H, W, 3)."""
        ...

    def close(self) -> None:
        """Free what rendering needs."""
        ...


class Engine(Protocol):
    """Bodies and pictures of one simulated workcell. Lengths in metres, in base_link; angles in radians.

    Results must follow from the calls alone: the same calls give the same bits. Poses may lag one physics step behind
    until ``update_poses``, which the simulation calls at every joint state.
    """

    # -- episodes and time ---------------------------------------------------------------------------------------

    def reset(self, sample: EpisodeSample) -> None:
        """Start the episode: dynamics, appearance, camera, arm, objects and obstacles as drawn, everything at rest.

        SetupError where pictures are wanted and cannot be made, or where the sample has what the engine cannot do.
        """
        ...

    def advance(self, arm_targets_rad: FloatArray) -> None:
        """Advance one physics step (``timing.PHYSICS_STEP_S``) for each row of servo targets (count, n) [rad]."""
        ...

    def update_poses(self) -> None:
        """Let the poses asked for from now on follow from the joints."""
        ...

    def close(self) -> None:
        """Free what rendering needs."""
        ...

    # -- robot ---------------------------------------------------------------------------------------------------

    def joints(self) -> JointState:
        """Return the true joint state."""
        ...

    def set_finger_target(self, opening_m: float) -> None:
        """Set where each finger's servo is to go [m]."""
        ...

    def velocity_lead_s(self) -> FloatArray:
        """Return by which times (n,) [s] servo targets have to run ahead to follow a constant velocity without lag."""
        ...

    def place_arm(self, arm_rad: FloatArray, finger_m: float) -> None:
        """Put the arm (n,) and both fingers [m] somewhere, outside of time."""
        ...

    # -- truth ---------------------------------------------------------------------------------------------------

    def grip_position_m(self) -> FloatArray:
        """Return the true position (3,) of the gripper."""
        ...

    def object_state(self, name: str) -> ObjectState:
        """Return where the object called ``name`` is."""
        ...

    def object_velocity(self, name: str) -> FloatArray:
        """Return its linear velocity [m/s] in base_link and its angular one [rad/s] about its own axes, (6,)."""
        ...

    # -- disturbances --------------------------------------------------------------------------------------------

    def place_object(self, name: str, position_m: FloatArray, yaw_rad: float) -> None:
        """Put an object somewhere, upright and at rest."""
        ...

    def set_object_velocity(self, name: str, velocity: FloatArray) -> None:
        """Give an object a velocity (6,), as ``object_velocity`` states it."""
        ...

    def apply_force(self, name: str, force_n: FloatArray, point_m: FloatArray) -> None:
        """Pull an object with a force (3,) [N] at a point (3,) of it, until the next call or the next episode.

        The point is in base_link and is meant as it is now: force and torque stay as they are while the object moves.
        """
        ...

    def push_link(self, link: str, force_n: FloatArray) -> None:
        """Push a link of the robot with a force (3,) [N] at its centre of mass, until the next call."""
        ...

    def set_camera_pose(self, base_T_camera: Pose) -> None:
        """Move the camera, its depth sensor with it, for the pictures from now on."""
        ...

    def set_light(self, index: int, light: LightSample | None) -> None:
        """Switch light ``index`` (0 or 1) to ``light``, None: off, for the pictures from now on."""
        ...

    def set_visual_shape(self, index: int, shape: VisualShape | None) -> None:
        """Show ``shape`` as number ``index`` (0 or 1) of what may pass, None: nothing, from now on."""
        ...

    def show_distractors(self, visible: Sequence[bool]) -> None:
        """Say which of the episode's distractors, and after them which of its obstacles, are seen from now on."""
        ...

    # -- pictures ------------------------------------------------------------------------------------------------

    def configuration(self) -> FloatArray:
        """Return a copy of all generalised positions (engine's own layout): what a picture can be made of later."""
        ...

    def render(
        self, color: FloatArray, depth: FloatArray | None, develop: Callable[[Rendering], T]
    ) -> Future[T]:
        """Render the camera's picture of the configuration ``color``, its depth that of ``depth`` if given.

        The job may run beside physics; jobs are done in the order in which they are asked for. ``develop`` runs at
        its end, in the same thread. The arrays must not be changed afterwards.
        """
        ...

    def view(self, width: int, height: int) -> View:
        """Open a view of the camera for people."""
        ...


EngineFactory = Callable[[EngineSettings], Engine]


def find_engine(name: str) -> EngineFactory:
    """Return what makes engines called ``name``: a folder's name, and after a colon options with commas between.

    FetchSim2RealError names the available ones; SetupError says what one of them needs that is not installed.
    """
    name, options = _known(name)
    try:
        factory: EngineFactory = importlib.import_module(f"{__package__}.{name}.engine").make_engine
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == __name__.partition(".")[0]:
            raise
        raise SetupError(
            f"engine '{name}' needs the package {error.name.partition('.')[0]}, which is not installed: make venv "
            f"EXTRAS={name}"
        ) from None
    if not options:
        return factory
    return lambda settings: factory(replace(settings, options=tuple(options.split(","))))


def declined_by(name: str) -> tuple[Declined, ...]:
    """Return what of a draw the engine called ``name`` cannot express: its module ``declined``, if it has one."""
    name, _ = _known(name)
    if not (Path(__file__).parent / name / "declined.py").is_file():
        return ()
    declined: tuple[Declined, ...] = importlib.import_module(f"{__package__}.{name}.declined").DECLINED
    return declined


def _known(name: str) -> tuple[str, str]:
    """An engine's name and its options."""
    name, _, options = name.partition(":")
    available = sorted(path.parent.name for path in Path(__file__).parent.glob("*/engine.py"))
    if name not in available:
        raise FetchSim2RealError(f"engine '{name}' is unknown, available: {', '.join(available)}")
    return name, options
