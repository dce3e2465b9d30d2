"""Namespaces of running graphs: the one that the user names, and those where a stack is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from fetch_sim2real import graph
from fetch_sim2real.stack.processes import normal_namespace
from fetch_sim2real.stack.ros_environment import DOMAIN_VARIABLE

if TYPE_CHECKING:
    from rclpy.node import Node

_STACK: Final = frozenset({graph.POLICY_NODE, graph.ARM_DRIVER, graph.SIM_BRIDGE, graph.CAMERA_NODE, graph.BAG_PLAYER})


def checked_namespace(text: str) -> str:
    """Return ``/left`` for ``left`` or ``/left/``, empty for none. ``GraphError`` for what is no namespace."""
    return normal_namespace(text)


def local_node_name(name: str, namespace: str) -> str | None:
    """Return a node's name in its diagnostics, without ``namespace``; None if it is not of there."""
    if not namespace:
        return name
    inside = f"{namespace.lstrip('/')}/"
    return name.removeprefix(inside) if name.startswith(inside) else None


def place_of(namespace: str) -> str:
    """Return the namespace in use, in words."""
    domain = f"ROS domain {os.environ.get(DOMAIN_VARIABLE) or '0'}"
    return f"namespace {namespace} of {domain}" if namespace else domain


def stacks_elsewhere(node: Node, namespace: str) -> list[str]:
    """Return other namespaces in which nodes of the stack run, "/" for none."""
    found = {where for name, where in node.get_node_names_and_namespaces() if name in _STACK}
    return sorted(found - {namespace or "/"})


def hint_of_namespaces(node: Node, namespace: str) -> str:
    """Return what to add to a message that nothing was found; empty where nothing is anywhere else."""
    found = stacks_elsewhere(node, namespace)
    if not found:
        return f"; looked in {place_of(namespace)}" if namespace else ""
    options = [f"--namespace {where}" if where != "/" else "no --namespace" for where in found]
    return f"; looked in {place_of(namespace)}, but nodes of the stack run elsewhere: try {' or '.join(options)}"
