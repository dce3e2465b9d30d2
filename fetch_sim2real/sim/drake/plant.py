"""Drake's plant of one episode: robot, floor, table, objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from pydrake.common.eigen_geometry import Quaternion
from pydrake.geometry import Box, CollisionFilterDeclaration, GeometrySet, SceneGraph
from pydrake.math import RigidTransform, RotationMatrix
from pydrake.multibody.plant import ContactModel, DiscreteContactApproximation, MultibodyPlant
from pydrake.multibody.tree import (
    FixedOffsetFrame,
    JointActuator,
    ModelInstanceIndex,
    PdControllerGains,
    PrismaticJoint,
    QuaternionFloatingJoint,
    RevoluteJoint,
    RigidBody,
    SpatialInertia,
    UnitInertia,
)
from pydrake.systems.framework import Diagram, DiagramBuilder

from fetch_sim2real.arm.bodies import ArmBody, BodyShape, arm_bodies
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.mjcf import source_of
from fetch_sim2real.sim.drake.contact import arm_shapes, frictions, object_shapes, surface
from fetch_sim2real.sim.randomization.objects import ObjectPhysics
from fetch_sim2real.sim.randomization.sample import EpisodeSample
from fetch_sim2real.timing import PHYSICS_STEP_S
from fetch_sim2real.types import FloatArray
from fetch_sim2real.workcell import WorkcellConfig

_FLOOR_HALF_M: Final = 4.0
_FLOOR_DEPTH_M: Final = 1.0


@dataclass(frozen=True, eq=False)
class PlantModel:
    """A plant with its geometry as one diagram. ``links`` are the robot's bodies that move, ``objects`` the task's, by
    name; actuators are in the order of the arm's joints and then the fingers'."""

    diagram: Diagram
    plant: MultibodyPlant
    robot: ModelInstanceIndex
    actuators: tuple[JointActuator, ...]
    links: dict[str, RigidBody]
    objects: dict[str, RigidBody]


def build_plant(workcell: WorkcellConfig, sample: EpisodeSample, hydroelastic: bool) -> PlantModel:
    """Return the plant of the episode ``sample``, everything at its zero."""
    builder = DiagramBuilder()
    plant = MultibodyPlant(PHYSICS_STEP_S)
    plant.set_discrete_contact_approximation(DiscreteContactApproximation.kSap)
    plant.set_contact_model(ContactModel.kHydroelasticWithFallback if hydroelastic else ContactModel.kPoint)
    scene = SceneGraph()
    builder.AddSystem(plant)
    builder.AddSystem(scene)
    plant.RegisterAsSourceForSceneGraph(scene)
    builder.Connect(plant.get_geometry_pose_output_port(), scene.get_source_pose_port(plant.get_source_id()))
    builder.Connect(scene.get_query_output_port(), plant.get_geometry_query_input_port())
    rest, own = frictions({name: each.physics.friction for name, each in sample.objects.items()})
    robot = plant.AddModelInstance(ARM.name)
    links = _add_robot(plant, robot, workcell.torso_height_m, rest, hydroelastic)
    actuators = _add_servos(plant, sample)
    _add_floor_and_table(plant, workcell, sample.dynamics.table_height_m, rest, hydroelastic)
    objects = {
        name: _add_object(plant, name, each.physics, own[name], hydroelastic) for name, each in sample.objects.items()
    }
    plant.Finalize()
    # The robot meets the world, not itself: the safety filter keeps it from itself.
    shapes = GeometrySet([each for body in links.values() for each in plant.GetCollisionGeometriesForBody(body)])
    scene.collision_filter_manager().Apply(CollisionFilterDeclaration().ExcludeWithin(shapes))
    return PlantModel(builder.Build(), plant, robot, actuators, links, objects)


# -- robot -------------------------------------------------------------------------------------------------------


def _add_robot(
    plant: MultibodyPlant, robot: ModelInstanceIndex, torso_height_m: float, friction: float, hydroelastic: bool
) -> dict[str, RigidBody]:
    """Add what moves of the robot; what does not touches nothing either, and is only seen."""
    moving: dict[str, RigidBody] = {}
    names = moving_links(torso_height_m)
    still: dict[str | None, RigidTransform] = {None: RigidTransform()}
    for each in arm_bodies(ARM, torso_height_m):
        in_parent = transform(each.position_m, each.quaternion_wxyz)
        if each.name not in names:
            still[each.name] = still[each.parent] @ in_parent
            continue
        body = plant.AddRigidBody(each.name, robot, _inertia(each))
        parent, place = (
            (moving[each.parent], in_parent)
            if each.parent in moving
            else (plant.world_body(), still[each.parent] @ in_parent)
        )
        _join(plant, parent, place, body, each)
        for shape in each.shapes:
            if shape.touches:
                _add_arm_shape(plant, body, shape, friction, hydroelastic)
        moving[each.name] = body
    return moving


def moving_links(torso_height_m: float) -> tuple[str, ...]:
    """Return the names of the robot's bodies that its joints move."""
    moving: list[str] = []
    for each in arm_bodies(ARM, torso_height_m):
        if each.joint is not None or each.parent in moving:
            moving.append(each.name)
    return tuple(moving)


def _inertia(body: ArmBody) -> SpatialInertia:
    x, y, z = body.inertia_kg_m2 / body.mass_kg
    central = UnitInertia(x[0], y[1], z[2], x[1], x[2], y[2])
    return SpatialInertia(body.mass_kg, body.center_of_mass_m, central.ShiftFromCenterOfMass(body.center_of_mass_m))


def _join(plant: MultibodyPlant, parent: RigidBody, place: RigidTransform, body: RigidBody, each: ArmBody) -> None:
    joint = each.joint
    if joint is None:
        plant.WeldFrames(parent.body_frame(), body.body_frame(), place)
        return
    kind = RevoluteJoint if joint.kind == "revolute" else PrismaticJoint
    at = plant.AddFrame(FixedOffsetFrame(f"{joint.name}_frame", parent.body_frame(), place))
    made = plant.AddJoint(kind(joint.name, at, body.body_frame(), joint.axis, damping=joint.damping))
    if joint.range_ is not None:
        low, high = joint.range_
        made.set_position_limits([low], [high])


def _add_arm_shape(
    plant: MultibodyPlant, body: RigidBody, shape: BodyShape, friction: float, hydroelastic: bool
) -> None:
    place = transform(shape.position_m, shape.quaternion_wxyz)
    properties = surface(friction, 0.0, hydroelastic, is_object=False)
    for number, (each, at_m) in enumerate(arm_shapes(shape, hydroelastic)):
        plant.RegisterCollisionGeometry(body, place @ RigidTransform(at_m), each, f"{shape.name}_{number}", properties)


def _add_servos(plant: MultibodyPlant, sample: EpisodeSample) -> tuple[JointActuator, ...]:
    source, draw = source_of(ARM), sample.dynamics
    actuators = []
    for i, name in enumerate(ARM.joint_names):
        joint = plant.GetJointByName(name)
        joint.set_default_damping_vector([source.gains.damping[i] * draw.damping_factor[i]])
        servo = plant.AddJointActuator(name, joint, float(ARM.effort_nm[i]))
        servo.set_default_rotor_inertia(source.gains.armature[i] * draw.armature_factor[i])
        servo.set_controller_gains(
            PdControllerGains(
                p=source.gains.kp[i] * draw.stiffness_factor[i],
                d=source.gains.kv[i] * draw.mechanics.servo_damping_factor[i],
            )
        )
        actuators.append(servo)
    if source.fingers is not None:
        stiffness = source.fingers.kp * draw.mechanics.fingers.gain_factor
        for name in ARM.gripper_joints:
            servo = plant.AddJointActuator(name, plant.GetJointByName(name), ARM.finger_force_n)
            servo.set_default_rotor_inertia(source.fingers.armature_kg)
            servo.set_controller_gains(PdControllerGains(p=stiffness, d=source.fingers.kv))
            actuators.append(servo)
    return tuple(actuators)


# -- the rest ----------------------------------------------------------------------------------------------------


def _add_floor_and_table(
    plant: MultibodyPlant, workcell: WorkcellConfig, table_height_m: float, friction: float, hydroelastic: bool
) -> None:
    properties = surface(friction, 0.0, hydroelastic, is_object=False)
    side = 2.0 * _FLOOR_HALF_M
    plant.RegisterCollisionGeometry(
        plant.world_body(), RigidTransform([0.0, 0.0, -_FLOOR_DEPTH_M / 2]), Box(side, side, _FLOOR_DEPTH_M), "floor",
        properties,
    )  # fmt: skip
    (x, y), (depth, width) = workcell.table.center_xy_m, workcell.table.size_xy_m
    plant.RegisterCollisionGeometry(
        plant.world_body(), RigidTransform([x, y, table_height_m / 2]), Box(depth, width, table_height_m), "table",
        properties,
    )  # fmt: skip


def _add_object(
    plant: MultibodyPlant, name: str, physics: ObjectPhysics, friction: float, hydroelastic: bool
) -> RigidBody:
    width, depth, height = 2.0 * physics.half_extents_m
    shape = (
        UnitInertia.SolidBox(width, depth, height)
        if physics.shape == "box"
        else UnitInertia.SolidCylinder(width / 2, height, np.array([0.0, 0.0, 1.0]))
    )
    center_m = physics.center_m
    inertia = shape.ShiftFromCenterOfMass(center_m)
    instance = plant.AddModelInstance(name)
    body = plant.AddRigidBody(name, instance, SpatialInertia(physics.mass_kg, center_m, inertia))
    plant.AddJoint(
        QuaternionFloatingJoint(name, plant.world_frame(), body.body_frame(), translational_damping=physics.drag)
    )
    properties = surface(friction, physics.contact_time_s, hydroelastic, is_object=True)
    for number, (each, at_m) in enumerate(object_shapes(physics, hydroelastic)):
        plant.RegisterCollisionGeometry(body, RigidTransform(at_m), each, f"{name}_{number}", properties)
    return body


def transform(position_m: FloatArray, quaternion_wxyz: FloatArray) -> RigidTransform:
    """Return Drake's transform of a position (3,) and a quaternion (4,) wxyz of any length."""
    unit = quaternion_wxyz / np.linalg.norm(quaternion_wxyz)
    return RigidTransform(RotationMatrix(Quaternion(wxyz=unit)), position_m)
