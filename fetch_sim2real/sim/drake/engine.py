"""Drake as the simulation's engine: another contact solver, integrator and renderer than MuJoCo's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydrake.common.value import AbstractValue
from pydrake.multibody.math import SpatialForce, SpatialVelocity
from pydrake.multibody.plant import ExternallyAppliedSpatialForce
from pydrake.systems.analysis import Simulator

from fetch_sim2real.arm.bodies import arm_bodies
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.mjcf import source_of
from fetch_sim2real.perception.camera import Pose
from fetch_sim2real.sim.drake.declined import require_expressible
from fetch_sim2real.sim.drake.options import DrakeOptions
from fetch_sim2real.sim.drake.pictures import Pictures
from fetch_sim2real.sim.drake.plant import PlantModel, build_plant, moving_links, transform
from fetch_sim2real.sim.drake.scene import Shown
from fetch_sim2real.sim.engine import EngineSettings, JointState, ObjectState, Rendering, VisualShape
from fetch_sim2real.sim.randomization.appearance import LightSample
from fetch_sim2real.sim.randomization.objects import ObjectSample
from fetch_sim2real.sim.randomization.sample import EpisodeSample
from fetch_sim2real.timing import PHYSICS_STEP_S
from fetch_sim2real.types import FloatArray

T = TypeVar("T")
# Where the parked body lies in tasks without objects.
_ASIDE_XY_M: Final = (-2.0, 0.0)
_LIGHTS, _PASSERS = 2, 2


class _Run:
    """One episode's plant and its state."""

    def __init__(self, model: PlantModel) -> None:
        self.model, self.plant = model, model.plant
        self.simulator = Simulator(model.diagram)
        self.context = model.plant.GetMyMutableContextFromRoot(self.simulator.get_mutable_context())
        plant, context = self.plant, self.context
        joints = len(model.actuators)
        self.desired: FloatArray = np.zeros(2 * joints)
        self._desired = plant.get_desired_state_input_port(model.robot).FixValue(context, self.desired)
        self._feed_forward = plant.get_actuation_input_port(model.robot).FixValue(context, np.zeros(joints))
        self._dofs = [each.joint().velocity_start() for each in model.actuators]
        self._pushes = plant.get_applied_spatial_force_input_port().FixValue(
            context, AbstractValue.Make([ExternallyAppliedSpatialForce()])
        )
        self.pushes: dict[str, ExternallyAppliedSpatialForce] = {}
        self.set_pushes()
        self._steps = 0

    def set_pushes(self) -> None:
        self._pushes.GetMutableData().set_value(list(self.pushes.values()))

    def step(self) -> None:
        """Advance one physics step. Gravity is compensated out of the servos' effort, as on the robot."""
        gravity = self.plant.CalcGravityGeneralizedForces(self.context)
        self._feed_forward.GetMutableData().get_mutable_value().SetFromVector(-gravity[self._dofs])
        self._desired.GetMutableData().get_mutable_value().SetFromVector(self.desired)
        self._steps += 1
        self.simulator.AdvanceTo(self._steps * PHYSICS_STEP_S)


class DrakeEngine:
    """See ``sim.engine.Engine``. Each episode has a plant of its own, so that nothing is left of the one before."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._options = DrakeOptions.of(settings.options)
        self._links = moving_links(settings.world.workcell.torso_height_m)
        self._masses_at_m = {
            body.name: body.center_of_mass_m for body in arm_bodies(ARM, settings.world.workcell.torso_height_m)
        }
        self._started: tuple[_Run, EpisodeSample, Shown] | None = None
        self._pictures = (
            None
            if settings.camera_size is None
            else Pictures(
                settings.world.workcell, (*self._links, *settings.task.bodies), settings.camera_size,
                settings.render_in_background, settings.separate_depth, self._options,
            )
        )  # fmt: skip

    # -- episodes and time ---------------------------------------------------------------------------------------

    def reset(self, sample: EpisodeSample) -> None:
        """See Engine. SetupError for what Drake cannot express."""
        require_expressible(sample)
        workcell = self._settings.world.workcell
        run = _Run(build_plant(workcell, sample, self._options.hydroelastic))
        lights = sample.appearance.lights
        shown = Shown(
            Pose(sample.camera.position_m, sample.camera.rotation),
            (*lights, *[None] * (_LIGHTS - len(lights))),
            (None,) * _PASSERS,
            (True,) * len(sample.appearance.distractors),
        )
        self._started = run, sample, shown
        self.place_arm(sample.arm_start_rad, 0.0)
        run.desired[: len(ARM.joint_names)] = sample.arm_start_rad
        for name, each in sample.objects.items():
            self.place_object(name, self._start_m(each), each.yaw_rad)
        run.simulator.Initialize()

    def _start_m(self, sample: ObjectSample) -> FloatArray:
        if self._settings.task.objects:
            return sample.position_m
        # Nothing on the table: the body lies on the floor, out of reach and out of sight.
        return np.array([*_ASIDE_XY_M, sample.physics.half_extents_m[2]])

    @property
    def _run(self) -> _Run:
        return self._episode[0]

    @property
    def _episode(self) -> tuple[_Run, EpisodeSample, Shown]:
        if self._started is None:
            raise RuntimeError("DrakeEngine.reset has not been called")
        return self._started

    def advance(self, arm_targets_rad: FloatArray) -> None:
        """See Engine."""
        run = self._run
        for target in arm_targets_rad:
            run.desired[: len(target)] = target
            run.step()

    def update_poses(self) -> None:
        """Do nothing: poses always follow from the joints here."""

    def close(self) -> None:
        """See Engine."""
        self._started = None
        if self._pictures is not None:
            self._pictures.close()

    # -- robot ---------------------------------------------------------------------------------------------------

    def joints(self) -> JointState:
        """See Engine."""
        run, n = self._run, len(ARM.joint_names)
        position = run.plant.GetPositions(run.context, run.model.robot)
        velocity = run.plant.GetVelocities(run.context, run.model.robot)
        return JointState(position[:n], velocity[:n], position[n:])

    def set_finger_target(self, opening_m: float) -> None:
        """See Engine."""
        n = len(ARM.joint_names)
        # No servo is given what a finger cannot do.
        self._run.desired[n : n + len(ARM.gripper_joints)] = min(max(opening_m, 0.0), ARM.finger_max_m)

    def velocity_lead_s(self) -> FloatArray:
        """See Engine."""
        gains = source_of(ARM).gains
        # Servos look at where joints are at the end of a step; MuJoCo's, at its beginning, are a step ahead. Joints'
        # own damping takes about as long.
        stiffness = gains.kp * self._episode[1].dynamics.stiffness_factor
        lead_s: FloatArray = gains.kv / stiffness + PHYSICS_STEP_S
        return lead_s

    def place_arm(self, arm_rad: FloatArray, finger_m: float) -> None:
        """See Engine."""
        run = self._run
        fingers = np.full(len(ARM.gripper_joints), finger_m)
        run.plant.SetPositions(run.context, run.model.robot, np.concatenate([arm_rad, fingers]))

    # -- truth ---------------------------------------------------------------------------------------------------

    def grip_position_m(self) -> FloatArray:
        """See Engine."""
        run = self._run
        pose = run.plant.EvalBodyPoseInWorld(run.context, run.model.links[ARM.tool.link])
        position: FloatArray = pose @ np.array(ARM.tool.offset_m)
        return position

    def object_state(self, name: str) -> ObjectState:
        """See Engine."""
        run = self._run
        pose = run.plant.EvalBodyPoseInWorld(run.context, run.model.objects[name])
        rotation = pose.rotation()
        return ObjectState(pose.translation(), rotation.ToQuaternion().wxyz(), rotation.matrix())

    def object_velocity(self, name: str) -> FloatArray:
        """See Engine."""
        run, body = self._run, self._run.model.objects[name]
        velocity = run.plant.EvalBodySpatialVelocityInWorld(run.context, body)
        turn = run.plant.EvalBodyPoseInWorld(run.context, body).rotation().matrix()
        return np.concatenate([velocity.translational(), turn.T @ velocity.rotational()])

    # -- disturbances --------------------------------------------------------------------------------------------

    def place_object(self, name: str, position_m: FloatArray, yaw_rad: float) -> None:
        """See Engine."""
        run, body = self._run, self._run.model.objects[name]
        turn = np.array([np.cos(yaw_rad / 2), 0.0, 0.0, np.sin(yaw_rad / 2)])
        run.plant.SetFreeBodyPose(run.context, body, transform(position_m, turn))
        run.plant.SetFreeBodySpatialVelocity(run.context, body, SpatialVelocity(np.zeros(3), np.zeros(3)))

    def set_object_velocity(self, name: str, velocity: FloatArray) -> None:
        """See Engine."""
        run, body = self._run, self._run.model.objects[name]
        turn = run.plant.EvalBodyPoseInWorld(run.context, body).rotation().matrix()
        spatial = SpatialVelocity(turn @ velocity[3:], velocity[:3])
        run.plant.SetFreeBodySpatialVelocity(run.context, body, spatial)

    def apply_force(self, name: str, force_n: FloatArray, point_m: FloatArray) -> None:
        """See Engine."""
        body = self._run.model.objects[name]
        torque = np.cross(point_m - self.object_state(name).position_m, force_n)
        self._push(name, body.index(), np.zeros(3), SpatialForce(torque, force_n))

    def push_link(self, link: str, force_n: FloatArray) -> None:
        """See Engine."""
        body = self._run.model.links[link]
        self._push(link, body.index(), self._masses_at_m[link], SpatialForce(np.zeros(3), force_n))

    def _push(self, name: str, index: int, at_m: FloatArray, force: SpatialForce) -> None:
        """Push a body at a point (3,) of its own frame until something else is said for that name."""
        push = ExternallyAppliedSpatialForce()
        push.body_index, push.p_BoBq_B, push.F_Bq_W = index, at_m, force
        self._run.pushes[name] = push
        self._run.set_pushes()

    def set_camera_pose(self, base_T_camera: Pose) -> None:
        """See Engine."""
        self._show(replace(self._episode[2], base_T_camera=base_T_camera))

    def set_light(self, index: int, light: LightSample | None) -> None:
        """See Engine."""
        shown = self._episode[2]
        self._show(replace(shown, lights=_replaced(shown.lights, index, light)))

    def set_visual_shape(self, index: int, shape: VisualShape | None) -> None:
        """See Engine."""
        shown = self._episode[2]
        self._show(replace(shown, passers=_replaced(shown.passers, index, shape)))

    def show_distractors(self, visible: Sequence[bool]) -> None:
        """See Engine."""
        self._show(replace(self._episode[2], distractors=tuple(visible)))

    def _show(self, shown: Shown) -> None:
        run, sample, _ = self._episode
        self._started = run, sample, shown

    # -- pictures ------------------------------------------------------------------------------------------------

    def configuration(self) -> FloatArray:
        """Return the poses (bodies, 3, 4) of all bodies that move."""
        run = self._run
        bodies = (*run.model.links.values(), *run.model.objects.values())
        return np.array([run.plant.EvalBodyPoseInWorld(run.context, body).GetAsMatrix34() for body in bodies])

    def render(self, color: FloatArray, depth: FloatArray | None, develop: Callable[[Rendering], T]) -> Future[T]:
        """See Engine."""
        _, sample, shown = self._episode
        return self._camera().request(sample, shown, color, depth, develop)

    def _camera(self) -> Pictures:
        if self._pictures is None:
            raise RuntimeError("this engine was made without a camera")
        return self._pictures

    def view(self, width: int, height: int) -> DrakeView:
        """See Engine."""
        return DrakeView(self, width, height)

    def picture_for_people(self, width: int, height: int) -> NDArray[np.uint8]:
        """Return the present moment (H, W, 3) in that size."""
        _, sample, shown = self._episode
        return self._camera().for_people(sample, shown, self.configuration(), (width, height))


class DrakeView:
    """See ``sim.engine.View``."""

    def __init__(self, engine: DrakeEngine, width: int, height: int) -> None:
        self._engine = engine
        self._size = width, height

    def picture(self) -> NDArray[np.uint8]:
        """See View."""
        return self._engine.picture_for_people(*self._size)

    def close(self) -> None:
        """Do nothing: it has nothing of its own."""


def make_engine(settings: EngineSettings) -> DrakeEngine:
    """Return a Drake engine: an ``EngineFactory``."""
    return DrakeEngine(settings)


def _replaced(values: tuple[T | None, ...], index: int, value: T | None) -> tuple[T | None, ...]:
    return (*values[:index], value, *values[index + 1 :])
