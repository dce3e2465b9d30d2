"""The arm as rigid bodies, for engines that read no MJCF: masses, inertias, joints, shapes and colours.

Everything comes from the model that MuJoCo compiles of the arm (``arm.mjcf``), so that there is one robot. Lengths in
metres; a body's pose is in its parent's frame, quaternions are wxyz.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from fetch_sim2real.arm.mjcf import arm_model, source_of
from fetch_sim2real.arm.spec import ArmSpec
from fetch_sim2real.common.physics import mujoco
from fetch_sim2real.errors import RobotModelError
from fetch_sim2real.types import FloatArray

_KINDS: Final[dict[int, Literal["revolute", "prismatic"]]] = {
    int(mujoco.mjtJoint.mjJNT_HINGE): "revolute",
    int(mujoco.mjtJoint.mjJNT_SLIDE): "prismatic",
}


@dataclass(frozen=True, eq=False)
class TriangleMesh:
    """Vertices (v, 3) [m] and normals (n, 3); triangles as indices (t, 3) of each."""

    vertices_m: FloatArray
    normals: FloatArray
    vertex_indices: NDArray[np.int32]
    normal_indices: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class BodyShape:
    """A mesh, or a box of half extents (3,), fixed in a body. ``touches`` is whether it can meet the scene (a mesh as
    its convex hull), ``is_drawn`` whether a camera sees it."""

    name: str
    shape: TriangleMesh | FloatArray
    position_m: FloatArray
    quaternion_wxyz: FloatArray
    rgb: FloatArray
    touches: bool
    is_drawn: bool


@dataclass(frozen=True, eq=False)
class BodyJoint:
    """The joint between a body and its parent, at the body's origin. ``range_`` [rad or m] is None without stops."""

    name: str
    kind: Literal["revolute", "prismatic"]
    axis: FloatArray
    range_: tuple[float, float] | None
    damping: float
    armature: float


@dataclass(frozen=True, eq=False)
class ArmBody:
    """One body: ``parent`` is its parent's name, None for the base frame; without a joint it hangs there rigidly.

    ``inertia_kg_m2`` (3, 3) is about the centre of mass, along the body's axes.
    """

    name: str
    parent: str | None
    position_m: FloatArray
    quaternion_wxyz: FloatArray
    mass_kg: float
    center_of_mass_m: FloatArray
    inertia_kg_m2: FloatArray
    joint: BodyJoint | None
    shapes: tuple[BodyShape, ...]


@cache
def arm_bodies(arm: ArmSpec, torso_height_m: float) -> tuple[ArmBody, ...]:
    """Return the robot's bodies, each after its parent, their shapes in the order of the arm's MuJoCo model."""
    model = arm_model(torso_height_m, arm).compile()
    return tuple(_body(model, arm, index) for index in range(1, model.nbody))


def _body(model: mujoco.MjModel, arm: ArmSpec, index: int) -> ArmBody:
    parent = int(model.body_parentid[index])
    first, count = int(model.body_geomadr[index]), int(model.body_geomnum[index])
    turn = _matrix(model.body_iquat[index])
    return ArmBody(
        name=model.body(index).name,
        parent=model.body(parent).name if parent else None,
        position_m=model.body_pos[index].copy(),
        quaternion_wxyz=model.body_quat[index].copy(),
        mass_kg=float(model.body_mass[index]),
        center_of_mass_m=model.body_ipos[index].copy(),
        inertia_kg_m2=turn @ np.diag(model.body_inertia[index]) @ turn.T,
        joint=_joint(model, index),
        shapes=tuple(_shape(model, arm, geom) for geom in range(first, first + count)),
    )


def _joint(model: mujoco.MjModel, body: int) -> BodyJoint | None:
    if model.body_jntnum[body] == 0:
        return None
    joint = int(model.body_jntadr[body])
    name, kind, dof = model.joint(joint).name, int(model.jnt_type[joint]), int(model.jnt_dofadr[joint])
    if model.body_jntnum[body] > 1 or kind not in _KINDS or model.jnt_pos[joint].any():
        raise RobotModelError(
            f"joint '{name}' of the arm's model: expected one hinge or slide, at the origin of the body that it moves"
        )
    low, high = model.jnt_range[joint].tolist()
    return BodyJoint(
        name,
        _KINDS[kind],
        model.jnt_axis[joint].copy(),
        (low, high) if model.jnt_limited[joint] else None,
        float(model.dof_damping[dof]),
        float(model.dof_armature[dof]),
    )


def _shape(model: mujoco.MjModel, arm: ArmSpec, geom: int) -> BodyShape:
    name, kind = model.geom(geom).name, int(model.geom_type[geom])
    is_mesh = kind == int(mujoco.mjtGeom.mjGEOM_MESH)
    if not is_mesh and kind != int(mujoco.mjtGeom.mjGEOM_BOX):
        raise RobotModelError(f"shape '{name}' of the arm's model is neither a mesh nor a box")
    return BodyShape(
        name,
        _mesh(model, int(model.geom_dataid[geom])) if is_mesh else model.geom_size[geom].copy(),
        model.geom_pos[geom].copy(),
        model.geom_quat[geom].copy(),
        model.geom_rgba[geom, :3].astype(np.float64),
        touches=bool(model.geom_contype[geom]),
        is_drawn=name not in source_of(arm).hidden_geoms,
    )


def _mesh(model: mujoco.MjModel, mesh: int) -> TriangleMesh:
    def part(values: NDArray[Any], first: NDArray[Any], count: NDArray[Any]) -> NDArray[Any]:
        return np.array(values[first[mesh] : first[mesh] + count[mesh]])

    return TriangleMesh(
        part(model.mesh_vert, model.mesh_vertadr, model.mesh_vertnum).astype(np.float64),
        part(model.mesh_normal, model.mesh_normaladr, model.mesh_normalnum).astype(np.float64),
        part(model.mesh_face, model.mesh_faceadr, model.mesh_facenum),
        part(model.mesh_facenormal, model.mesh_faceadr, model.mesh_facenum),
    )


def _matrix(quaternion_wxyz: FloatArray) -> FloatArray:
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, quaternion_wxyz)
    return matrix.reshape(3, 3)
