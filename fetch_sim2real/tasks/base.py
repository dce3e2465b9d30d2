"""What a task is: its objects, where its episodes begin, what is wanted, and what learning has to know of it.

All of it is data that no simulator and no learner has a hand in. A task's own file in this package, or a module of
another package, makes one ``Task`` of it (docs/tasks.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, Protocol, TypeVar

import numpy as np
from pydantic import Field

from fetch_sim2real.common.ranges import ColorHsv, Range, Varies, Vector3, draw3
from fetch_sim2real.common.schema import Record
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.graph import BASE_FRAME
from fetch_sim2real.tasks.carrying import CarrierConfig
from fetch_sim2real.tasks.scripted_baseline import ScriptedBaseline
from fetch_sim2real.types import BoolArray, FloatArray

GRIPPER: Final = "gripper"
GOAL: Final = "goal"
# A skill hands over to the next one at this distance [m]: pushing begins beside an object, gripping around it.
_BESIDE_M: Final = 0.06
_AROUND_M: Final = 0.03


class SupportsArithmetic(Protocol):
    """What numpy's arrays and torch's tensors have in common here."""

    def __add__(self, other: Any, /) -> Any: ...

    def __sub__(self, other: Any, /) -> Any: ...


Position = TypeVar("Position", bound=SupportsArithmetic)


def fixed(value: float) -> Range:
    """Return a value that is the same in every episode."""
    return Range(low=value, high=value)


def uniform(low: float, high: float) -> Range:
    """Return a range that each episode draws a value from."""
    return Range(low=low, high=high)


class ObjectConfig(Record):
    """An object on the table: a box or a cylinder, ``half_size_m`` wide and ``height_factor`` times that high, or a
    slab, which is a box with its width and its height changed by two more factors.

    ``friction`` is that of every contact of the object (sliding); ``drag`` is a linear damping of its motion [N s/m].
    ``contact_time_s`` and ``contact_impedance`` say how a contact gives way: its time constant, and the share of the
    contact's force that is there at once (in MuJoCo the first numbers of ``solref`` and ``solimp``).
    ``torsional_friction_m`` is the largest moment about a contact's normal, divided by the normal force.
    ``center_shift`` is where the centre of mass is off the middle, as shares of the half sizes.
    Its hue is drawn in ``color_hsv`` or in one of ``other_hues_deg``, each as likely as another.
    What is not given is that of a red cube with edges of 5 cm and 100 g.
    """

    shape: Annotated[tuple[Literal["box", "cylinder", "slab"], ...], Field(min_length=1)] = ("box",)
    half_size_m: Annotated[Range, Varies(0.005, 0.10)] = fixed(0.025)
    height_factor: Annotated[Range, Varies(0.1, 5.0)] = fixed(1.0)
    slab_width_factor: Annotated[Range, Varies(0.2, 3.0)] = fixed(1.0)
    slab_height_factor: Annotated[Range, Varies(0.2, 3.0)] = fixed(1.0)
    mass_kg: Annotated[Range, Varies(0.005, 5.0)] = fixed(0.10)
    friction: Annotated[Range, Varies(0.01, 5.0)] = fixed(0.8)
    drag: Annotated[Range, Varies(0.0, 5.0)] = fixed(0.01)
    contact_time_s: Annotated[Range, Varies(0.005, 0.2)] = fixed(0.02)
    contact_impedance: Annotated[Range, Varies(0.1, 0.99)] = fixed(0.9)
    torsional_friction_m: Annotated[Range, Varies(0.0, 0.1)] = fixed(0.005)
    center_shift: Annotated[Vector3, Varies(-0.8, 0.8)] = (fixed(0.0), fixed(0.0), fixed(0.0))
    color_hsv: ColorHsv = (fixed(2.0), fixed(0.87), fixed(0.80))
    other_hues_deg: Annotated[tuple[Range, ...], Varies(-360.0, 720.0)] = ()
    yaw_deg: Range = uniform(-45.0, 45.0)

    @property
    def hues_deg(self) -> tuple[Range, ...]:
        """The ranges that its hue is drawn in."""
        return self.color_hsv[0], *self.other_hues_deg

    @property
    def has_shifted_center(self) -> bool:
        """Whether the centre of mass may be off the middle."""
        return any(axis != fixed(0.0) for axis in self.center_shift)


class EpisodeConfig(Record):
    """Where a task's episodes begin, where their goals are, how long they take, and what counts as success.

    The gripper starts in ``start_grip_m``, each object in ``object_x_m`` x ``object_y_m``, both in base_link; goals are
    drawn in ``goal_m``, in the task's goal frame. An episode is a success if what has to be at the goal was within
    ``tolerance_m`` of it for the last half second; with ``rms_s``, if the root mean square of its distance over the
    last so many seconds is within.
    """

    episode_s: Annotated[float, Field(gt=0.0, le=3600.0)] = 6.0
    start_grip_m: Vector3 = (uniform(0.54, 0.70), uniform(-0.18, 0.18), uniform(0.82, 0.92))
    object_x_m: Range = uniform(0.56, 0.72)
    object_y_m: Range = uniform(-0.20, 0.20)
    goal_m: Vector3 = (uniform(0.55, 0.72), uniform(-0.20, 0.20), fixed(0.745))
    # This share of goals has its height drawn here instead: goals in the air.
    air_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    air_z_m: Range = fixed(0.0)
    tolerance_m: Annotated[float, Field(gt=0.0)] = 0.05
    rms_s: Annotated[float, Field(gt=0.0)] | None = None
    # A start closer than this to the goal is not drawn.
    min_start_distance_m: float = 0.10
    # The gripper starts at least so far from every object, sideways.
    min_grip_distance_m: float = 0.0
    # The centres of objects are at least so far apart at the start.
    min_object_distance_m: float = 0.10


class LearningConfig(Record):
    """What learning has to know of a task: scales of positions [m], and how much there is to learn.

    The actor is given (goal - ``goal_centre_m``) / ``goal_scale_m``, and differences of positions divided by
    ``difference_scale_m``. Without a centre it is the middle of the goals. ``relay_steps`` is for how many control
    periods its expert learns at most, where the usual number does not suit it.
    """

    goal_centre_m: tuple[float, float, float] | None = None
    goal_scale_m: tuple[float, float, float] = (0.1, 0.1, 0.1)
    difference_scale_m: Annotated[float, Field(gt=0.0)] = 0.05
    relay_steps: Annotated[int, Field(ge=1)] | None = None


RED_BLOCK: Final = ObjectConfig()
# A task without objects has this one out of reach: seeds then give the same episodes with a simulator's body for an
# object and without, and the full state has the same parts for every task.
_PARKED: Final[Mapping[str, ObjectConfig]] = {"block": RED_BLOCK}


@dataclass(frozen=True)
class Skill:
    """A link in the chain by which a task is learned: ``mover`` is to be brought to ``to``.

    ``mover`` is "gripper" or an object's name, ``to`` an object's name or "goal". While episodes are collected, a skill
    takes part of the decisions until its mover, or that of a later skill, is within ``hand_over_m`` of where it is to
    be; the last skill of a chain is the task itself and hands over to none. With ``follows`` a goal in hindsight moves
    as the asked one does.
    """

    name: str
    mover: str
    to: str
    hand_over_m: float = 0.0
    follows: bool = False


@dataclass(frozen=True)
class Task:
    """One goal-conditioned task.

    ``target`` is what has to be at the goal: "gripper", or the name of an object. ``goal_frame`` is the frame of goals:
    base_link, or the name of an object from which they are offsets along the axes of base_link. ``objects`` are on the
    table, by name; those in ``carried`` are carried along on it. ``controls_gripper`` is whether the action opens the
    fingers (else they stay closed). A world file may state other values for ``episode`` and ``objects``. ``scripted``
    is a baseline on estimated positions. ``chain`` is by which skills it is learned without a demonstrator, where
    ``skills`` does not give the right ones by itself. ``timed`` says that there is one try and a moment to make it: the
    full state then holds the time that is left, and for learning there is nothing after the episode's end. Without it
    an expert that may as well strike later never strikes.

    Another way to draw or to judge goals is a subclass that overrides a method.

    Raises:
        FetchSim2RealError: a field does not fit the others; it is named.
    """

    name: str
    description: str
    target: str = GRIPPER
    goal_frame: str = BASE_FRAME
    controls_gripper: bool = False
    objects: Mapping[str, ObjectConfig] = field(default_factory=dict, hash=False)
    carried: Mapping[str, CarrierConfig] = field(default_factory=dict, hash=False)
    episode: EpisodeConfig = field(default_factory=EpisodeConfig)
    learning: LearningConfig = field(default_factory=LearningConfig)
    scripted: ScriptedBaseline | None = None
    chain: tuple[Skill, ...] = ()
    timed: bool = False

    def __post_init__(self) -> None:
        for name in (self.name, *self.objects):
            if not name.isidentifier():
                raise FetchSim2RealError(f"task '{self.name}': '{name}' is no name, expected letters, digits and _")
        for what, value, others in (("target", self.target, GRIPPER), ("goal_frame", self.goal_frame, BASE_FRAME)):
            if value not in (others, *self.objects):
                raise FetchSim2RealError(
                    f"task '{self.name}': {what} is '{value}', expected {', '.join((others, *self.objects))}"
                )
        if GRIPPER in self.objects:
            raise FetchSim2RealError(f"task '{self.name}': an object is called '{GRIPPER}', expected another name")
        if self.target == self.goal_frame:
            raise FetchSim2RealError(f"task '{self.name}': goals of '{self.target}' are offsets from itself")
        if unknown := sorted(set(self.carried) - set(self.objects)):
            raise FetchSim2RealError(
                f"task '{self.name}': carried are {', '.join(unknown)}, expected {', '.join(self.objects) or 'nothing'}"
            )
        for skill in self.chain:
            for what, value, others in (("mover", skill.mover, GRIPPER), ("to", skill.to, GOAL)):
                if value not in (others, *self.objects):
                    raise FetchSim2RealError(
                        f"task '{self.name}', skill '{skill.name}': {what} is '{value}', expected "
                        f"{', '.join((others, *self.objects))}"
                    )

    @property
    def bodies(self) -> Mapping[str, ObjectConfig]:
        """What a simulator holds: the objects, or one that is parked out of reach where a task has none."""
        return self.objects or _PARKED

    @property
    def goal_moves(self) -> bool:
        """Whether goals move of themselves; the full state then holds their velocity."""
        return False

    @property
    def skills(self) -> tuple[Skill, ...]:
        """The chain by which the task is learned, the task itself last.

        Where no chain is given: the gripper goes to the object that is wanted at the goal, then that to the goal; or
        the gripper to the goal.
        """
        if self.chain:
            return self.chain
        last = Skill(self.target, self.target, GOAL, follows=self.goal_moves or self.goal_frame != BASE_FRAME)
        if self.target == GRIPPER:
            return (last,)
        return Skill(GRIPPER, GRIPPER, self.target, _AROUND_M if self.controls_gripper else _BESIDE_M), last

    @property
    def main_object(self) -> str | None:
        """The object that the task is about: the target, the one that goals are offsets from, or the first."""
        for name in (self.target, self.goal_frame, *self.objects):
            if name in self.objects:
                return name
        return None

    @property
    def main_body(self) -> str:
        """The main object, or the parked body where there is none."""
        return self.main_object or next(iter(self.bodies))

    def achieved_goal(self, grip_m: Position, objects_m: Mapping[str, Position]) -> Position:
        """Return the goal (..., 3) [m] that gripper and objects (..., 3) in base_link reach, in the task's goal frame.

        Arrays or tensors alike.
        """
        here = grip_m if self.target == GRIPPER else objects_m[self.target]
        return here if self.goal_frame == BASE_FRAME else here - objects_m[self.goal_frame]

    def goal_in_base(self, goal_m: Position, objects_m: Mapping[str, Position]) -> Position:
        """Return where the target is wanted (..., 3) in base_link, of a goal (..., 3) in the task's frame."""
        return goal_m if self.goal_frame == BASE_FRAME else objects_m[self.goal_frame] + goal_m

    def skills_achieved_m(self, grip_m: FloatArray, objects_m: Mapping[str, FloatArray]) -> FloatArray:
        """Return where each skill's mover is (N, M, 3) [m] in base_link, of gripper and objects (N, 3)."""
        places = {GRIPPER: grip_m, **objects_m}
        return np.stack([places[skill.mover] for skill in self.skills], axis=1)

    def skills_asked_m(self, goal_m: FloatArray, objects_m: Mapping[str, FloatArray]) -> FloatArray:
        """Return where each skill's mover is to be (N, M, 3) [m] in base_link, of goals (N, 3) in the task's frame."""
        places = {GOAL: self.goal_in_base(goal_m, objects_m), **objects_m}
        return np.stack([places[skill.to] for skill in self.skills], axis=1)

    def skills_allowed(
        self, grip_m: FloatArray, objects_m: Mapping[str, FloatArray], finger_m: FloatArray
    ) -> BoolArray:
        """Return whether each skill's mover, where it is to be, counts as brought there (N, M).

        Here it always does. ``finger_m`` (N,) is how far each finger is open. An episode is a success only if the last
        skill's mover counted for the last half second.
        """
        return np.ones((len(grip_m), len(self.skills)), bool)

    def draw_objects(self, episode: EpisodeConfig, rng: np.random.Generator) -> dict[str, FloatArray]:
        """Return where on the table (2,) [m] each body's centre is put, of its start or of a place that it is moved to.

        Places that are too close to each other are drawn anew by the caller.
        """
        return {name: np.array([episode.object_x_m.draw(rng), episode.object_y_m.draw(rng)]) for name in self.bodies}

    def draw_goal(
        self, episode: EpisodeConfig, objects_m: Mapping[str, FloatArray], rng: np.random.Generator
    ) -> FloatArray:
        """Return a goal (3,) in the task's frame for objects that start at ``objects_m`` (3,) each."""
        goal = draw3(episode.goal_m, rng)
        in_air, height = rng.random() < episode.air_share, episode.air_z_m.draw(rng)
        if in_air:
            goal[2] = height
        return goal

    @property
    def goal_centre_m(self) -> tuple[float, float, float]:
        """What learning subtracts from goals (3,)."""
        x, y, z = (axis.middle for axis in self.episode.goal_m)
        return self.learning.goal_centre_m or (x, y, z)


