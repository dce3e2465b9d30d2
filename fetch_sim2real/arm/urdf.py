"""The robot as URDF, the form in which RViz, Foxglove, MoveIt and most other tools read one.

Meshes are the files that the arm's MuJoCo model is made of, where its package is installed: nothing is copied or
converted. Collision shapes are the spheres that the safety filter keeps clear of things, not the meshes.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.mjcf import MeshFile, source_of
from fetch_sim2real.arm.robot_tree import LinkPicture, RobotTree, TreeJoint, TreeLink, robot_tree
from fetch_sim2real.arm.spec import ArmSpec
from fetch_sim2real.types import FloatArray

_DIGITS: Final = 12
_COLOR_DIGITS: Final = 4
_PACKAGE_SCHEME: Final = "package://"


def file_uri(path: Path) -> str:
    """Return ``path`` as ``file://``: what RViz and Foxglove's desktop application open on this machine."""
    return path.as_uri()


def package_uri(path: Path, arm: ArmSpec = ARM) -> str:
    """Return a mesh as ``package://``, by its name alone: ``mesh_at`` finds it again."""
    return f"{_PACKAGE_SCHEME}{source_of(arm).package}/{path.name}"


def mesh_at(uri: str, arm: ArmSpec = ARM) -> bytes | None:
    """Return the content of the mesh that ``package_uri`` named; None for whatever else: no other file is read."""
    path = _meshes(arm).get(uri)
    return None if path is None else path.read_bytes()


def urdf(arm: ArmSpec = ARM, mesh_uri: Callable[[Path], str] = file_uri) -> str:
    """Return the URDF of ``arm``; ``mesh_uri`` says how it names the file of a mesh.

    Its joints are named as in joint states; those that the arm's model lacks are fixed. RobotModelError for an arm
    without a MuJoCo model, or whose meshes are not installed.
    """
    tree = robot_tree(arm)
    robot = ElementTree.Element("robot", name=tree.name)
    for link in tree.links:
        _add_link(robot, link, mesh_uri)
    for joint in tree.joints:
        _add_joint(robot, joint)
    ElementTree.indent(robot)
    text: str = ElementTree.tostring(robot, encoding="unicode", xml_declaration=True)
    return text + "\n"


@cache
def _meshes(arm: ArmSpec) -> dict[str, Path]:
    return {package_uri(shape.path, arm): shape.path for shape in _mesh_shapes(robot_tree(arm))}


def _mesh_shapes(tree: RobotTree) -> list[MeshFile]:
    pictures = (picture.shape for link in tree.links for picture in link.pictures)
    return [shape for shape in pictures if isinstance(shape, MeshFile)]


def _add_link(robot: ElementTree.Element, link: TreeLink, mesh_uri: Callable[[Path], str]) -> None:
    element = ElementTree.SubElement(robot, "link", name=link.name)
    # What has no mass is a frame alone, and tools refuse an inertia of zero.
    if link.mass_kg > 0.0 and link.inertia_kg_m2.any():
        inertial = ElementTree.SubElement(element, "inertial")
        _add_origin(inertial, link.center_of_mass_m)
        ElementTree.SubElement(inertial, "mass", value=_text(link.mass_kg))
        rows = link.inertia_kg_m2
        names = (("ixx", 0, 0), ("ixy", 0, 1), ("ixz", 0, 2), ("iyy", 1, 1), ("iyz", 1, 2), ("izz", 2, 2))
        ElementTree.SubElement(inertial, "inertia", {name: _text(rows[i, k]) for name, i, k in names})
    for picture in link.pictures:
        _add_picture(element, link, picture, mesh_uri)
    for sphere in link.spheres:
        collision = ElementTree.SubElement(element, "collision")
        _add_origin(collision, sphere.center_m)
        geometry = ElementTree.SubElement(collision, "geometry")
        ElementTree.SubElement(geometry, "sphere", radius=_text(sphere.radius_m))


def _add_picture(
    element: ElementTree.Element, link: TreeLink, picture: LinkPicture, mesh_uri: Callable[[Path], str]
) -> None:
    visual = ElementTree.SubElement(element, "visual")
    _add_origin(visual, picture.position_m, picture.rpy_rad)
    geometry = ElementTree.SubElement(visual, "geometry")
    if isinstance(picture.shape, MeshFile):
        words = {"filename": mesh_uri(picture.shape.path)}
        if not np.all(picture.shape.scale == 1.0):
            words["scale"] = _texts(picture.shape.scale)
        ElementTree.SubElement(geometry, "mesh", words)
    else:
        ElementTree.SubElement(geometry, "box", size=_texts(2.0 * picture.shape))
    # Of one name for each link: tools take the first material of a name for all.
    material = ElementTree.SubElement(visual, "material", name=f"{link.name}_colour")
    rgba = [*np.round(picture.rgb, _COLOR_DIGITS).tolist(), 1.0]
    ElementTree.SubElement(material, "color", rgba=_texts(rgba))


def _add_joint(robot: ElementTree.Element, joint: TreeJoint) -> None:
    element = ElementTree.SubElement(robot, "joint", name=joint.name, type=joint.kind)
    _add_origin(element, joint.origin_m, joint.rpy_rad)
    ElementTree.SubElement(element, "parent", link=joint.parent)
    ElementTree.SubElement(element, "child", link=joint.child)
    if joint.kind == "fixed":
        return
    ElementTree.SubElement(element, "axis", xyz=_texts(joint.axis))
    bounds = {"effort": _text(joint.effort), "velocity": _text(joint.velocity)}
    if joint.kind != "continuous":
        bounds |= {"lower": _text(joint.lower), "upper": _text(joint.upper)}
    ElementTree.SubElement(element, "limit", bounds)


def _add_origin(
    element: ElementTree.Element,
    position_m: Sequence[float] | FloatArray,
    rpy_rad: Sequence[float] = (0.0, 0.0, 0.0),
) -> None:
    ElementTree.SubElement(element, "origin", xyz=_texts(position_m), rpy=_texts(rpy_rad))


def _texts(values: Sequence[float] | FloatArray) -> str:
    return " ".join(_text(float(value)) for value in values)


def _text(value: float) -> str:
    return f"{value + 0.0:.{_DIGITS}g}"
