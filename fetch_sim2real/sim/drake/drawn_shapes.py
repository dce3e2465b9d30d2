"""What Drake draws: the arm's parts, surfaces that repeat a texture, simple shapes. No file is written."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydrake.common import MemoryFile
from pydrake.geometry import Box, Capsule, Cylinder, Ellipsoid, InMemoryMesh, Mesh, Shape, Sphere
from pydrake.math import RigidTransform

from fetch_sim2real.arm.bodies import BodyShape, TriangleMesh
from fetch_sim2real.sim.drake.plant import transform
from fetch_sim2real.sim.randomization.distractors import DistractorSample
from fetch_sim2real.types import FloatArray

# pydrake cannot say how often a texture repeats: a surface is made of as many squares as it has tiles.
_SQUARE: Final = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
_MATERIAL: Final = "surface"


def arm_part(part: BodyShape) -> Shape:
    """Return what is drawn of a part of the arm."""
    if isinstance(part.shape, TriangleMesh):
        return _mesh(part.shape, part.name)
    return simple_shape("box", part.shape)


@lru_cache(maxsize=64)
def _mesh(mesh: TriangleMesh, name: str) -> Mesh:
    """The conversion is made once in a process."""
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in mesh.vertices_m.tolist()]
    lines += [f"vn {x:.6g} {y:.6g} {z:.6g}" for x, y, z in mesh.normals.tolist()]
    corners = np.stack([mesh.vertex_indices, mesh.normal_indices], axis=-1) + 1
    lines += ["f " + " ".join(f"{v}//{n}" for v, n in triangle) for triangle in corners.tolist()]
    return Mesh(InMemoryMesh(mesh_file=_file("\n".join(lines), ".obj", name)))


def tiled_surface(size_m: tuple[float, float], tile_m: float, texture: NDArray[np.uint8], name: str) -> Mesh:
    """Return a rectangle in x and y about the origin, facing +z, that shows ``texture`` (H, W, 3) in squares of
    ``tile_m``, one of them with its corner in the middle."""
    vertices, coordinates = [], []
    for low_x, high_x in _tiles(size_m[0], tile_m):
        for low_y, high_y in _tiles(size_m[1], tile_m):
            corners = np.array([low_x, low_y]) + _SQUARE * [high_x - low_x, high_y - low_y]
            begin = np.floor((np.array([low_x, low_y]) + 1e-9) / tile_m)
            vertices.append(corners)
            coordinates.append(corners / tile_m - begin)
    lines = [f"mtllib {_MATERIAL}.mtl", f"usemtl {_MATERIAL}", "vn 0 0 1"]
    lines += [f"v {x:.9g} {y:.9g} 0" for x, y in np.concatenate(vertices).tolist()]
    lines += [f"vt {u:.6g} {v:.6g}" for u, v in np.concatenate(coordinates).tolist()]
    for first in range(1, 4 * len(vertices), 4):
        for triangle in ((0, 1, 2), (0, 2, 3)):
            lines.append("f " + " ".join(f"{first + k}/{first + k}/1" for k in triangle))
    _, png = cv2.imencode(".png", cv2.cvtColor(texture, cv2.COLOR_RGB2BGR))
    files = {
        f"{_MATERIAL}.mtl": _file(f"newmtl {_MATERIAL}\nKd 1 1 1\nmap_Kd {_MATERIAL}.png\n", ".mtl", name),
        f"{_MATERIAL}.png": _file(png.tobytes(), ".png", name),
    }
    return Mesh(InMemoryMesh(mesh_file=_file("\n".join(lines), ".obj", name), supporting_files=files))


def simple_shape(shape: str, half_extents_m: FloatArray) -> Shape:
    """Return a box, cylinder, sphere, capsule or ellipsoid of these half extents (3,), upright along z."""
    a, b, c = half_extents_m.tolist()
    return {
        "box": lambda: Box(2.0 * a, 2.0 * b, 2.0 * c),
        "cylinder": lambda: Cylinder(a, 2.0 * c),
        "sphere": lambda: Sphere(a),
        # Its length is that without the caps.
        "capsule": lambda: Capsule(a, 2.0 * (c - a)),
        "ellipsoid": lambda: Ellipsoid(a, b, c),
    }[shape]()


def place_of_distractor(draw: DistractorSample, table_height_m: float) -> RigidTransform:
    """Return where in base_link it stands, on a table of that height."""
    turn = np.array([np.cos(draw.yaw_rad / 2), 0.0, 0.0, np.sin(draw.yaw_rad / 2)])
    return transform(np.array([*draw.xy_m, table_height_m + draw.half_extent_m[2]]), turn)


def _tiles(length_m: float, tile_m: float) -> list[tuple[float, float]]:
    """Where tiles begin and end along a length about zero, cut off at its ends."""
    count = int(np.ceil(length_m / 2 / tile_m - 1e-9))
    edges = np.clip(np.arange(-count, count + 1) * tile_m, -length_m / 2, length_m / 2).tolist()
    return list(pairwise(edges))


def _file(contents: str | bytes, extension: str, name: str) -> MemoryFile:
    return MemoryFile(contents=contents, extension=extension, filename_hint=f"{name}{extension}")
